"""What befalls a farm. Each kind of fault strikes by a clock and a stream of its own, so that one
that is left out changes nothing of when and where the others strike.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from tests.simulation.line import SimulatedLine
from tests.simulation.node import Board, Node
from tests.simulation.store import Tables
from tests.simulation.swarm import FAULTS
from tsproto.limits import DAY_SECONDS, LENDING_SECONDS
from tsproto.messages import LendLicense, RenewLicense

if TYPE_CHECKING:
    from tests.simulation.farm import Farm

STEPS_SECONDS = (2.0, 90.0, 3 * 3_600.0, 20.0 * DAY_SECONDS)
AHEAD_SECONDS = (50.0, 300.0)  # a directory takes proofs of either, or hardly any
DRIFT = 0.002  # seconds a second: ten times that of a cheap board
DRIFTS_SECONDS = 30
SLOW_COMMIT_SECONDS = (0.1, 0.8)  # less than a restart takes
FULL_SECONDS = 12.0
CRASHY_SECONDS = 20.0
UNHEARD_SECONDS = 6.0
BACK_SECONDS = 5.0
CRASHY_CHANCE = 0.3
RESTART_SECONDS = 1.0
STILL_SECONDS = (0.5, 4.0, 20.0, 50.0)

Strike = Callable[["Farm", random.Random], None]


def plan(farm: Farm, begin: float, end: float) -> None:
    """Let every fault of the farm's swarm strike now and then between these times."""
    for name, weight in farm.swarm.faults.items():
        if name not in STRIKES:
            continue
        rng = farm.world.stream(f"fault/{name}/{begin}")
        rate = FAULTS[name] * weight / 60.0
        when = begin + rng.expovariate(rate)
        while when < end:
            farm.world.at(when, partial(_strike, farm, name, rng))
            when += rng.expovariate(rate)


def _strike(farm: Farm, name: str, rng: random.Random) -> None:
    if not farm.is_quiet:
        farm.struck.add(name)
        farm.world.saw(f"fault: {name}")
        STRIKES[name](farm, rng)


def _crash(farm: Farm, nodes: list[Node], rng: random.Random) -> None:
    node = rng.choice(nodes)
    silently, away = rng.random() < 0.3, 1 + 10 * rng.random() ** 2
    if node.alive:
        node.crash(silently=silently)
        farm.world.after(away, partial(farm.restart, node))


def crash(farm: Farm, rng: random.Random) -> None:
    _crash(farm, farm.nodes, rng)


def license_server_crash(farm: Farm, rng: random.Random) -> None:
    _crash(farm, farm.license_servers, rng)


def lender_unheard(farm: Farm, rng: random.Random) -> None:
    """The answer to the next question that one license server asks another is lost."""
    farm.unheard = rng


def lose_the_answer(
    farm: Farm, answerer: Node, asker: str, question: LendLicense | RenewLicense, rng: random.Random
) -> None:
    """The question has just come. Sometimes its asker dies before it asks again; sometimes the
    device that it is about comes to a host of another version when the answerer is heard again."""
    farm.unheard = None
    if rng.random() < 0.4:
        given_up = LENDING_SECONDS + rng.random()
        farm.world.after(given_up, partial(crash_and_return, farm, farm.node(asker)))
    farm.network.cut(answerer.name, asker, one_way=True)
    farm.world.trace(f"{answerer.name} is not heard by {asker}")
    farm.world.after(UNHEARD_SECONDS, partial(farm.network.heal, answerer.name, asker))
    version, comes_back = question.product_version, rng.random() < 0.8
    others = [node for node, kind in farm.terminal_servers if kind.product_version != version]
    for device in farm.devices if others and comes_back else ():
        if device.device_id == question.device_id:
            begin = partial(device.begin, rng.choice(farm.users), first=rng.choice(others).host)
            farm.world.after(UNHEARD_SECONDS + BACK_SECONDS * rng.random(), begin)


def crash_after_an_answer(farm: Farm, rng: random.Random) -> None:
    node = rng.choice(farm.license_servers)

    def answered(line: SimulatedLine) -> None:
        if farm.world.rng.random() < CRASHY_CHANCE:
            farm.world.saw("crash right after an answer")
            line.flush()
            crash_and_return(farm, node)

    node.on_answer = answered
    farm.world.after(CRASHY_SECONDS, partial(end_crashes, node))


def crash_in_a_commit(farm: Farm, rng: random.Random) -> None:
    node = rng.choice(farm.license_servers)

    def committing(seconds: float) -> None:
        if farm.world.rng.random() < CRASHY_CHANCE:
            meanwhile = seconds * farm.world.rng.random()
            farm.world.after(meanwhile, partial(crash_and_return, farm, node, node.life))

    node.on_commit = committing
    farm.world.after(CRASHY_SECONDS, partial(end_crashes, node))


def end_crashes(node: Node) -> None:
    """It dies no more at its answers and commits."""
    node.on_answer = lambda line: None
    node.on_commit = lambda seconds: None


def cut(farm: Farm, rng: random.Random, *, one_way: bool = False) -> None:
    nodes = farm.license_servers if rng.random() < 0.4 else farm.nodes
    one, other = rng.sample([node.name for node in nodes], 2)
    seconds = 20 * rng.random()
    farm.network.cut(one, other, one_way=one_way)
    farm.world.trace(f"{one} and {other} are cut{', one way' if one_way else ''}")
    farm.world.after(seconds, partial(farm.network.heal, one, other))


def stand_still(farm: Farm, rng: random.Random) -> None:
    node, seconds = rng.choice(farm.nodes), rng.choice(STILL_SECONDS) * rng.random()
    farm.world.trace(f"{node.name} stands still for {seconds:.1f} s")
    stop(node, seconds)


def stop(node: Node, seconds: float) -> None:
    """Stop the process, as SIGSTOP does: what happens meanwhile it notices afterwards."""
    if node.alive and node.missed is None:
        node.missed = []
        node.world.after(seconds, partial(_run_on, node, node.switchboard))


def _run_on(node: Node, switchboard: Board) -> None:
    if not switchboard.is_halted:
        node.witness.forgive_lateness()
        missed, node.missed = node.missed or [], None
        for action in missed:
            action()


def broken_links(farm: Farm, rng: random.Random) -> None:
    """A link of some node ends, as a firewall that forgets it ends it."""
    lines = [*rng.choice(farm.nodes).lines.values()]
    if lines:
        end = rng.choice(lines).end
        farm.world.trace(f"the link of {end.owner} and {end.other.owner} ends")
        end.close()
        end.lost()


def stalled_link(farm: Farm, rng: random.Random) -> None:
    """What a host says over its link to the directory comes late, and sometimes after the host was
    started again, and has joined anew."""
    node, _ = rng.choice(farm.terminal_servers)
    lines = [line for line in node.lines.values() if line.host == farm.directory.host]
    for line in lines:
        farm.world.trace(f"the link of {node.name} and the directory stalls")
        line.end.stall(2 + 12 * rng.random())
    if lines and rng.random() < 0.8:
        farm.world.after(4 * rng.random(), partial(crash_and_return, farm, node))


def crash_and_return(farm: Farm, node: Node, life: int = 0) -> None:
    """Only in this life, unless it is 0."""
    if node.alive and life in (0, node.life) and not farm.is_quiet:
        node.crash()
        farm.world.after(RESTART_SECONDS, partial(farm.restart, node))


def clock_drifts(farm: Farm, rng: random.Random) -> None:
    node, rate = rng.choice(farm.nodes), DRIFT * (2 * rng.random() - 1)
    farm.world.trace(f"the clock of {node.name} drifts")
    for second in range(DRIFTS_SECONDS):
        farm.world.after(second, partial(farm.step_clock, node, rate))


def clock_steps(farm: Farm, rng: random.Random) -> None:
    node = rng.choice(farm.nodes if rng.random() < 0.6 else farm.license_servers)
    seconds = rng.choice(STEPS_SECONDS) * rng.random() * rng.choice((1, -1))
    farm.world.trace(f"the clock of {node.name} steps by {seconds:.0f} s")
    farm.step_clock(node, seconds)
    if seconds < 0 and rng.random() < 0.6:  # as when a machine without a battery starts
        crash_and_return(farm, node)


def slow_disk(farm: Farm, rng: random.Random) -> None:
    node, seconds = rng.choice(farm.nodes), 15 * rng.random()
    node.disk.commit_seconds = SLOW_COMMIT_SECONDS
    farm.world.trace(f"the disk of {node.name} is slow")
    farm.world.after(seconds, node.disk.mend)


def commit_error(farm: Farm, rng: random.Random) -> None:
    """A commit fails: the process ends, and what it wrote is not there."""
    _disk_fails(farm, rng.choice(farm.nodes), 1.0)


def full_disk(farm: Farm, rng: random.Random) -> None:
    """Commits fail until there is space again."""
    node, seconds = rng.choice(farm.nodes), 1.0 + FULL_SECONDS * rng.random()
    _disk_fails(farm, node, seconds)
    farm.world.after(seconds, partial(_survives, farm, node, node.life))


def _disk_fails(farm: Farm, node: Node, seconds: float) -> None:
    node.disk.fails = True
    farm.world.trace(f"the disk of {node.name} fails for {seconds:.1f} s")
    farm.world.after(seconds, node.disk.mend)


def _survives(farm: Farm, node: Node, life: int) -> None:
    if node.life != life:
        farm.broken("a full disk does not end a daemon", f"{node.name} has ended")


def restored_ledger(farm: Farm, rng: random.Random) -> None:
    """An administrator copies a license server's disk, and puts the copy back later."""
    node = rng.choice(farm.license_servers)
    farm.world.after(25 * rng.random(), partial(_restore, farm, node, node.disk.backup()))


def _restore(farm: Farm, node: Node, backup: Tables) -> None:
    if node.alive and not farm.is_quiet:
        node.crash()
        farm.world.after(1.0, partial(_put_back, farm, node, backup))


def _put_back(farm: Farm, node: Node, backup: Tables) -> None:
    if not node.alive:
        farm.world.trace(f"the disk of {node.name} is put back to an older state")
        node.disk.restore(backup)
        farm.license_rows.ledgers[node.name].reload()
        node.start()


STRIKES: dict[str, Strike] = {  # "weeks asleep" and "clock apart" are of the run itself
    "broken links": broken_links,
    "clock drifts": clock_drifts,
    "clock steps": clock_steps,
    "commit error": commit_error,
    "crash": crash,
    "crash after an answer": crash_after_an_answer,
    "crash in a commit": crash_in_a_commit,
    "cut": cut,
    "full disk": full_disk,
    "lender unheard": lender_unheard,
    "license server crash": license_server_crash,
    "one-way cut": partial(cut, one_way=True),
    "restored ledger": restored_ledger,
    "slow disk": slow_disk,
    "stalled link": stalled_link,
    "stand-still": stand_still,
}
