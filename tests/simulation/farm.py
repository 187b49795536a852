"""A farm in the simulation: its nodes and devices, what befalls them, and one run of a seed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import msgspec

from clients.logon.steps import Host
from daemons.settings import ServerAddress
from tests.simulation import checkers
from tests.simulation.device import Device, Visit
from tests.simulation.kinds import (
    FARM,
    PORT,
    WORKGROUP,
    Authority,
    LicenseServerKind,
    SessionDirectoryKind,
    TerminalServerKind,
)
from tests.simulation.network import Network
from tests.simulation.node import Kind, Node
from tests.simulation.world import Violation, World
from tsproto.license_token import Claims

TOGETHER = "dora"  # logs on from several devices in one instant, and hardly ever else
CHAOS_SECONDS = 60.0
ROUNDS = 4
QUIET_SECONDS = 150.0
EVENTS_BETWEEN_CHECKS = 20
DAY = 86_400.0

Plant = Callable[["Farm"], None]


class Size(msgspec.Struct, frozen=True):
    devices: int = 6
    users: tuple[str, ...] = ("anna", "bela", "cleo")
    tokens: int = 3


SMALL = Size()


class Result(msgspec.Struct):
    """One run. `violation` is empty when every law held."""

    seed: int
    digest: str
    events: int
    messages: int
    simulated_seconds: float
    violation: str
    seen: dict[str, int]
    tail: list[str]


class Farm:
    """License server `a` has no tokens and serves the farm; `b`, of another workgroup of the same
    site, has them all; a directory, three terminal servers."""

    def __init__(self, seed: int, size: Size = SMALL) -> None:
        self.tokens = size.tokens
        self.users = size.users
        self.world = World(seed)
        self.network = Network(self.world)
        self.authority = _authority()
        self.is_calm = seed % 4 == 0  # no fault that may leave a user with two sessions
        self.nodes: list[Node] = []
        self.license_servers = [
            self._node("a", 1, LicenseServerKind(self.authority, "a", WORKGROUP, 0)),
            self._node("b", 2, LicenseServerKind(self.authority, "b", "elsewhere", size.tokens)),
        ]
        self.directory = self._node("directory", 3, SessionDirectoryKind())
        passwords = {user: user.encode() for user in [*size.users, TOGETHER]}
        address = ServerAddress(host=self.directory.host, port=PORT, name="directory")
        self.terminal_servers: list[tuple[Node, TerminalServerKind]] = []
        for number in (1, 2, 3):
            kind = TerminalServerKind(self.authority, address, passwords)
            self.terminal_servers.append((self._node(f"ts{number}", 10 + number, kind), kind))
        hosts = [Host(node.host, PORT, "") for node, _ in self.terminal_servers]
        self.devices = [self._device(number, hosts, passwords) for number in range(size.devices)]

    def _node(self, name: str, number: int, kind: Kind) -> Node:
        node = Node(self.world, self.network, FARM, name, f"10.0.0.{number}", kind)
        self.nodes.append(node)
        return node

    def _device(self, number: int, hosts: list[Host], passwords: dict[str, bytes]) -> Device:
        name = f"device{number}"
        address = f"10.{1 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"
        device = Device(self.world, self.network, name, address, hosts)
        device.passwords = passwords
        device.exit_session = self._exit
        device.on_token = self._on_token
        device.on_let_in = partial(checkers.let_in_by_right, self)
        return device

    def node(self, name: str) -> Node:
        return next(node for node in self.nodes if node.name == name)

    def _exit(self, visit: Visit) -> None:
        for node, kind in self.terminal_servers:
            if node.name == visit.attached_to:
                kind.end(node, visit.session_id, 0)

    def _on_token(self, device: Device, claims: Claims) -> None:
        self.world.saw(f"{claims.kind.name.lower()} token")
        checkers.token_is_durable(self, device, claims)
        checkers.full_token_was_earned(device, claims)

    # --- one run --------------------------------------------------------------------------------

    def run(self) -> None:
        """Rounds of chaos with weeks between them, then healing; raises Violation."""
        self.world.on_event = self._check_now_and_then
        for node in self.nodes:
            node.start()
        self.world.run_until(self.world.now + 5.0)
        for _ in range(ROUNDS):
            self._chaos()
            if not self.is_calm:  # every link breaks when everybody has slept for weeks
                self.world.jump((10 + 60 * self.world.rng.random()) * DAY)
        self._quiet()

    def _check_now_and_then(self) -> None:
        if self.world.events % EVENTS_BETWEEN_CHECKS == 0:
            checkers.tokens_are_conserved(self)
            checkers.disks_hold_what_is_known(self)
            if self.world.events % 400 == 0:
                checkers.successors_are_not_behind(self)
            checkers.disks_hold_no_more_than_was_bought(self)
            checkers.devices_hold_no_more_than_was_bought(self)
        if self.is_calm:
            checkers.one_session_a_user(self)

    def _chaos(self) -> None:
        world = self.world
        for device in self.devices:
            world.after(10 * world.rng.random(), partial(device.live, self.users))
        if world.rng.random() < 0.5:
            self._simultaneous_logons()
        end = world.now + CHAOS_SECONDS
        while world.now < end:
            world.run_until(world.now + 1 + 8 * world.rng.random())
            self._befall()
        self._heal()

    def _simultaneous_logons(self) -> None:
        when = self.world.now + 12
        for device in self.devices[:3]:
            self.world.at(when, partial(device.log_on_at_once, TOGETHER))
        self.world.saw("logons in one instant")

    def _befall(self) -> None:
        """One fault, as chance has it; in a calm run only license servers suffer."""
        rng = self.world.rng
        victims = self.license_servers if self.is_calm else self.nodes
        match rng.randrange(4):
            case 0 | 1:
                node = rng.choice(victims)
                if node.alive:
                    node.crash(silently=rng.random() < 0.3)
                    self.world.after(0.5 + 10 * rng.random(), partial(self._restart, node))
            case 2 if not self.is_calm:
                one, other = rng.sample([node.name for node in self.nodes], 2)
                self.network.cut(one, other)
                self.world.trace(f"{one} and {other} are cut")
                self.world.saw("partition")
                self.world.after(20 * rng.random(), partial(self.network.heal, one, other))
            case _:
                pass

    def _restart(self, node: Node) -> None:
        if not node.alive:
            node.start()

    def _heal(self) -> None:
        for node in self.nodes:
            for other in self.nodes:
                if node is not other:
                    self.network.heal(node.name, other.name)
            self._restart(node)

    def _quiet(self) -> None:
        """Everything works again: everybody who tries now is answered, and all rows are true."""
        self._heal()
        world = self.world
        for device in self.devices:
            device.visits.append(Visit(world.now, self.users[0]))  # what went on before has ended
        for node in self.nodes:
            node.crash_after_answer = node.crash_in_commit = 0.0
        world.run_until(world.now + QUIET_SECONDS / 2)
        for device in self.devices:
            device.begin(world.rng.choice(self.users))
        world.run_until(world.now + QUIET_SECONDS / 2)
        checkers.everybody_was_answered(self.devices)
        checkers.directory_is_true(self)
        self._check_now_and_then()


_authorities: list[Authority] = []


def _authority() -> Authority:
    """One for all runs of a process: nothing of it reaches a trace."""
    if not _authorities:
        _authorities.append(Authority())
    return _authorities[0]


def simulate(seed: int, plant: Plant | None = None) -> Result:
    """Run one seed, with a planted bug if one is given."""
    farm = Farm(seed)
    for node in farm.license_servers:
        node.crash_after_answer = 0.03 if seed % 2 else 0.0
        node.crash_in_commit = 0.02 if seed % 2 else 0.0
    if plant is not None:
        plant(farm)
    violation = ""
    began = farm.world.now
    try:
        farm.run()
    except Violation as broken:
        violation = str(broken)
    world = farm.world
    return Result(
        seed,
        world.digest(),
        world.events,
        world.messages,
        world.now - began,
        violation,
        dict(sorted(world.seen.items())),
        list(world.tail),
    )
