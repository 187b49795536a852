"""A farm in the simulation: its nodes and devices, what befalls them, and one run of a seed."""

from __future__ import annotations

import random
import traceback
from collections import Counter
from collections.abc import Callable
from functools import partial

import msgspec

from clients.logon.steps import Host
from daemons.effects import Peer
from daemons.settings import ServerAddress
from tests.simulation import broken_by, faults, laws, swarm, versions
from tests.simulation.device import Device, Visit
from tests.simulation.ghost import STRANGER, Ghost, lies, renewal, strange_news
from tests.simulation.kinds import (
    FARM,
    PORT,
    REFUSING_SERVES,
    WORKGROUP,
    Authority,
    Kind,
    LicenseServerKind,
    SessionDirectoryKind,
    TerminalServerKind,
)
from tests.simulation.lookout import Lookout
from tests.simulation.misuse import Loot
from tests.simulation.network import Network
from tests.simulation.node import Node
from tests.simulation.pipeliner import Pipeliner
from tests.simulation.swarm import ROUNDS_MAX, Swarm
from tests.simulation.world import START, Violation, World
from tsproto.deny_list import MICROSECONDS, DenyKind, DenyLists
from tsproto.identity import Identity
from tsproto.limits import DISCOVERY_RETRY_SECONDS
from tsproto.messages import AdministratorRole, LicenseKind, Message, PublishDenyList, Role

CROWD_DEVICES = 5
BURSTS = 2  # in each round: a user logs on from several devices in one instant
QUIET_SECONDS = 60.0
REST_SECONDS = 0.3
REST_STEPS_MAX = 100
SEARCHES_MAX = 5
EVENTS_BETWEEN_CHECKS = 20
EVENTS_IN_A_SECOND_MAX = 20_000
EVENTS_BETWEEN_CORES_MADE_ANEW = 400
DAY = 86_400.0
SECONDS_BEFORE = 12.0 / DAY
DAYS_BEFORE_AN_END = (6.0, 5.0, 0.01, SECONDS_BEFORE, -0.5, -0.5)
GRACE_DAYS = 30
DENYING_CHANCE = 0.3
SMALL_HOST_SESSIONS = 2

Plant = Callable[["Farm"], None]


class Result(msgspec.Struct):
    """One run. `violation` is empty when every law held, else `law` is the one that was broken."""

    seed: int
    swarm: Swarm
    digest: str
    events: int
    messages: int
    simulated_seconds: float
    violation: str
    law: str
    seen: dict[str, int]
    tail: list[str]


class Farm:
    """License server `a` has no tokens and serves the farm; `b`, of another workgroup of the same
    site, has them all; a directory, three terminal servers."""

    def __init__(self, seed: int, made_of: Swarm) -> None:
        self.swarm = made_of
        self.world = World(seed)
        self.network = Network(self.world)
        self.authority = _authority()
        self.is_quiet = False  # nothing befalls it any more
        self.is_well = False  # and what befell it before is over
        self.struck: set[str] = set()
        self._second = self._events_before = 0
        self.denied_by = 0  # number of the newest deny lists
        self.unheard: random.Random | None = None
        """Set: the answer to the next question of a license server is lost."""
        self.quiet_visits: Counter[str] = Counter()
        self.users = tuple(f"user{number}" for number in range(made_of.users))
        crowds = [
            together(number, burst) for number in range(ROUNDS_MAX) for burst in range(BURSTS)
        ]
        self.passwords = {user: user.encode() for user in [*self.users, *crowds]}
        self.nodes: list[Node] = []
        self.license_servers = self._make_license_servers()
        self.directory = self._node("directory", 3, SessionDirectoryKind())
        self.terminal_servers = self._make_terminal_servers()
        self._by_name = {node.name: node for node in self.nodes}
        self._by_address = {node.host: node for node in self.nodes}
        self._kinds = {node.name: kind for node, kind in self.terminal_servers}
        self.names = frozenset(self._by_name)
        hosts = [Host(node.host, PORT, "") for node, _ in self.terminal_servers]
        loot = Loot(FARM, START) if "misuse" in made_of.work else None
        self.devices = [self._device(number, hosts, loot) for number in range(made_of.devices)]
        self._device_by_address = {device.host: device for device in self.devices}
        self.lookout = Lookout(self)
        self.license_rows = self.lookout.license_rows
        self.session_rows = self.lookout.session_rows
        self.logons = self.lookout.logons

    # --- what it is made of ---------------------------------------------------------------------

    def _make_license_servers(self) -> list[Node]:
        work = self.swarm.work
        serves = REFUSING_SERVES if "refusing license server" in work else ()
        nearby = WORKGROUP if "two license servers nearby" in work else "elsewhere"
        empty = LicenseServerKind(self.authority, "a", WORKGROUP, self.swarm.bought_nearby, serves)
        full = LicenseServerKind(self.authority, "b", nearby, self.swarm.bought)
        return [self._node("a", 1, empty), self._node("b", 2, full)]

    def _make_terminal_servers(self) -> list[tuple[Node, TerminalServerKind]]:
        work = self.swarm.work
        address = ServerAddress(host=self.directory.host, port=PORT, name="directory")
        made = []
        for number in (1, 2, 3):
            kind = TerminalServerKind(
                self.authority,
                address,
                self.passwords,
                product_version=2 if number == 3 and "two versions" in work else 1,
                grace_days=GRACE_DAYS if number == 2 and "grace" in work else 0,
                sessions_max=SMALL_HOST_SESSIONS if "small hosts" in work else 1_000,
                starts_slowly="slow starts" in work,
            )
            made.append((self._node(f"ts{number}", 10 + number, kind), kind))
        return made

    def _node(self, name: str, number: int, kind: Kind) -> Node:
        node = Node(self.world, self.network, FARM, name, f"10.0.0.{number}", kind)
        node.authorities = (self.authority.der,)
        node.on_disk_error = partial(faults.crash_and_return, self, node)
        self.nodes.append(node)
        return node

    def _device(self, number: int, hosts: list[Host], loot: Loot | None) -> Device:
        address = f"10.{1 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"
        device = Device(self.world, self.network, f"device{number}", address, hosts)
        device.passwords = self.passwords
        device.deny_lists = DenyLists(FARM, [self.authority.der])
        device.habits = self.swarm.work
        device.loot = loot
        device.exit_session = self._exit
        return device

    def node(self, name: str) -> Node:
        return self._by_name[name]

    def node_at(self, address: str) -> Node:
        return self._by_address[address]

    def device_at(self, address: str) -> Device:
        return self._device_by_address[address]

    def is_device(self, peer: Peer) -> bool:
        return peer.host in self._device_by_address

    def is_node(self, peer: Peer) -> bool:
        return peer.host in self._by_address

    def kind_of(self, node: Node) -> TerminalServerKind:
        return self._kinds[node.name]

    def _exit(self, visit: Visit) -> None:
        if kind := self._kinds.get(visit.attached_to):
            kind.end(self.node(visit.attached_to), visit.session_id, 0)

    # --- laws -----------------------------------------------------------------------------------

    def broken(self, law: str, text: str) -> None:
        """Raise Violation, unless the law is off by name after what has struck."""
        if reason := broken_by.reason_off(law, self.struck | self.swarm.work):
            self.world.saw(f"off: {law}: {reason}")
            return
        raise Violation(f"{law}: {text}", law)

    @property
    def places_everybody(self) -> bool:
        """Whether the directory decides where each new session begins."""
        is_reachable = self.is_well or self.swarm.spares_sessions
        return is_reachable and "small hosts" not in self.swarm.work

    def is_settled(self, node: Node) -> bool:
        """Whether a node runs, and has nothing more to write."""
        return node.alive and node.switchboard.queue.is_idle and node.missed is None

    def time_of(self, node: Node) -> float:
        return node.clock.now()

    def begin(self) -> None:
        """Start all daemons, watched; what a test plants is planted before."""
        self.lookout.watch()
        for node in self.nodes:
            node.start()

    def _check_now_and_then(self) -> None:
        events = self.world.events
        if events % EVENTS_BETWEEN_CHECKS == 0:
            laws.OFTEN[events // EVENTS_BETWEEN_CHECKS % len(laws.OFTEN)](self)
            if events % EVENTS_BETWEEN_CORES_MADE_ANEW == 0:
                laws.a_core_made_anew_is_equal(self)
            self._check_rest()

    def _check_rest(self) -> None:
        """No daemon keeps itself busy: a timer that is set anew without end stops the time."""
        second, events = int(self.world.now), self.world.events
        if second != self._second:
            self._second, self._events_before = second, events
        elif events - self._events_before > EVENTS_IN_A_SECOND_MAX:
            self.broken("time goes on", f"{events - self._events_before} events in one second")

    # --- one run --------------------------------------------------------------------------------

    def run(self) -> None:
        """Rounds of chaos, with weeks between some, then healing; raises Violation."""
        world = self.world
        if "clock apart" in self.swarm.faults:
            self.struck.add("clock apart")
            rng = world.stream("clock apart")
            for node in self.nodes:
                node.clock.ahead = faults.AHEAD_SECONDS * (2 * rng.random() - 1)
        if "old and new protocol" in self.swarm.work:
            versions.make_newer(self.network, world.stream("versions").choice(self.nodes).name)
        world.on_event = self._check_now_and_then
        if "pipelining" in self.swarm.work:
            addresses = [node.host for node, _ in self.terminal_servers]
            Pipeliner(world, self.network, addresses).visit()
        if "ghost host" in self.swarm.work:
            self._haunt()
        if world.stream("deny lists").random() < DENYING_CHANCE:
            self._deny()
        self.begin()
        world.run_until(world.now + 5.0)
        for number in range(self.swarm.rounds):
            self._chaos(number)
            if "weeks asleep" in self.swarm.faults:
                self._sleep(number)
        self._quiet()

    def _haunt(self) -> None:
        """A second `ts1`, and a license server that nobody needs, ask and tell what they like."""
        world = self.world
        clone = Identity(FARM, Role.TERMINAL_SERVER, "ts1")
        stranger = Identity(FARM, Role.LICENSE_SERVER, "c")
        self.network.add_identity(stranger)
        newcomer = Identity(FARM, Role.TERMINAL_SERVER, STRANGER)
        self.network.add_identity(newcomer)
        user = self.users[0]
        visitors = [
            (clone, "10.9.9.1", self.directory, lambda rng: lies("ts1", user, world)),
            (newcomer, "10.9.9.5", self.directory, lambda rng: strange_news("ts1", user, world)),
            (clone, "10.9.9.2", self.license_servers[0], self._wrong_renewals),
            (clone, "10.9.9.3", self.license_servers[1], self._wrong_renewals),
            (stranger, "10.9.9.4", self.license_servers[0], self._renewals),
        ]
        for identity, host, node, says in visitors:
            Ghost(world, self.network, identity, host, node.host, says).visit()

    def _deny(self) -> None:
        """An administrator hands one daemon after the other a newer list, of a certificate and a
        device that nobody has."""
        admin = Identity(FARM, Role.ADMINISTRATOR, "admin", AdministratorRole.ADMIN)
        self.network.add_identity(admin)

        def says(rng: random.Random) -> list[Message]:
            if self.is_quiet:
                return []
            number = int(self.world.now * MICROSECONDS)
            self.denied_by = max(self.denied_by, number)
            entry = rng.randbytes(32)
            return [
                PublishDenyList(signed=self.authority.denying(kind, number, entry))
                for kind in DenyKind
            ]

        for index, node in enumerate(self.nodes):
            Ghost(self.world, self.network, admin, f"10.9.8.{index}", node.host, says).visit()

    def _renewals(self, rng: random.Random) -> list[Message]:
        """Of tokens that devices hold, as a license server asks for them that it was lent by."""
        held = [device.claims for device in self.devices if device.claims]
        return [renewal(claims, claims.device_id) for claims in held[:2]]

    def _wrong_renewals(self, rng: random.Random) -> list[Message]:
        """Of tokens that devices hold, for other devices."""
        held = [device.claims for device in self.devices if device.claims]
        return [renewal(claims, rng.choice(self.devices).device_id) for claims in held[:2]]

    def _chaos(self, number: int) -> None:
        world, rng = self.world, self.world.stream(f"round {number}")
        end = world.now + self.swarm.seconds
        for device in self.devices:
            world.after(10 * rng.random(), partial(device.live, self.users))
        if "in one instant" in self.swarm.work:
            for burst in range(BURSTS):
                when = world.now + 12 + (burst * self.swarm.seconds) // 3
                for device in self.devices[:CROWD_DEVICES]:
                    world.at(when, partial(device.begin, together(number, burst), in_a_hurry=True))
            world.saw("logons in one instant")
        faults.plan(self, world.now, end)
        world.run_until(end)
        self._heal()

    def _sleep(self, number: int) -> None:
        """Everybody sleeps for weeks, often until a token is about to end; every link breaks. When
        it ends within seconds, no license server can be asked until then."""
        rng = self.world.stream(f"asleep {number}")
        days, before = 5 + 60 * rng.random(), None
        held = [device.claims for device in self.devices if device.claims]
        temporary = [claims for claims in held if claims.kind is LicenseKind.TEMPORARY]
        if held and rng.random() < 0.7:
            before = rng.choice(DAYS_BEFORE_AN_END)
            about = rng.choice(temporary if temporary and rng.random() < 0.5 else held)
            days = (about.expires_at - self.world.now) / DAY - before
        if days > 0:
            self.struck.add("weeks asleep")
            self.world.jump(days * DAY)
            if before == SECONDS_BEFORE and number < self.swarm.rounds - 1:
                self._lose_license_servers(2 * SECONDS_BEFORE * DAY)

    def _lose_license_servers(self, seconds: float) -> None:
        for node in self.license_servers:
            if node.alive:
                node.crash()
                self.world.after(seconds, partial(self.restart, node))

    def restart(self, node: Node) -> None:
        if not node.alive:
            node.start()

    def step_clock(self, node: Node, seconds: float) -> None:
        node.clock.ahead += seconds
        if node.alive:
            node.turn(node.switchboard.turn)

    def _heal(self) -> None:
        for node in self.nodes:
            node.disk.mend()
            faults.end_crashes(node)
            self.unheard = None
            for other in self.nodes:
                if node is not other:
                    self.network.heal(node.name, other.name)
            self.restart(node)

    # --- the quiet phase --------------------------------------------------------------------------

    def _quiet(self) -> None:
        """Everything works again: everybody who tries now is answered, and all rows are true."""
        world, rng = self.world, self.world.stream("quiet")
        self.is_quiet = True
        self._heal()
        for device in self.devices:
            device.visits.append(Visit(world.now, self.users[0]))  # what went on before has ended
            device.habits = self.swarm.work - swarm.CARELESS
        world.run_until(world.now + QUIET_SECONDS)
        for _ in range(SEARCHES_MAX):
            if laws.license_servers_are_linked(self):
                break
            # Every answer to a search was lost.
            world.run_until(world.now + DISCOVERY_RETRY_SECONDS)
        self.is_well = True
        self._come_to_rest()
        self.lookout.histories.users.all_is_well()
        laws.directory_is_true(self)
        for _ in range(2):
            for device in self.devices:
                world.after(5 * rng.random(), partial(self._visit, device, rng.choice(self.users)))
            world.run_until(world.now + QUIET_SECONDS)
            self._come_to_rest()
            laws.everybody_was_answered(self, self.devices)
            for law in laws.QUIET:
                law(self)
        self._lead_everybody()
        self._come_to_rest()
        for law in (*laws.OFTEN, *laws.QUIET):
            law(self)
        self.lookout.histories.check()

    def _come_to_rest(self) -> None:
        """Until nothing that was decided is still to be written, or on its way."""
        for _ in range(REST_STEPS_MAX):
            is_quiet = self.world.now - self.session_rows.changed_at > 2 * REST_SECONDS
            if is_quiet and all(map(self.is_settled, self.nodes)):
                return
            self.world.run_until(self.world.now + REST_SECONDS)

    def _visit(self, device: Device, user: str) -> None:
        self.quiet_visits[device.name] += 1
        device.begin(user)

    def _lead_everybody(self) -> None:
        """Each user who has a session comes, from some device, to one of theirs."""
        world = self.world
        for user, device in zip(self.users, self.devices, strict=False):
            theirs = self._sessions_of(user)
            device.habits = frozenset()
            visit = device.begin(user, in_a_hurry=True)
            world.run_until(world.now + 10)
            came_to = visit.attached_to, visit.session_id
            left = theirs & self._sessions_of(user)
            if visit.attached_to and left and came_to not in theirs:
                text = f"{user} has {sorted(left)}, and came to {came_to}"
                self.broken("every user is led to their one session", text)
            if theirs:
                world.saw("led to a session in quiet")

    def _sessions_of(self, user: str) -> set[tuple[str, int]]:
        return {
            (node.name, session_id)
            for node, kind in self.terminal_servers
            for session_id, program in kind.programs.items()
            if (program.user_name, program.application, program.command) == (user, "", "")
        }


def together(number: int, burst: int) -> str:
    """Who logs on from several devices in one instant in this round, and never else."""
    return f"crowd{number}-{burst}"


_authorities: list[Authority] = []


def _authority() -> Authority:
    """One for all runs of a process: nothing of it reaches a trace."""
    if not _authorities:
        _authorities.append(Authority())
    return _authorities[0]


def simulate(seed: int, plant: Plant | None = None, made_of: Swarm | None = None) -> Result:
    """Run one seed, with a planted bug if one is given, made of what the seed draws or of this."""
    farm = Farm(seed, made_of or swarm.draw(seed))
    if plant is not None:
        plant(farm)
    violation = law = ""
    began = farm.world.now
    try:
        farm.run()
    except Violation as broken:
        violation, law = str(broken), broken.law
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        violation = f"{type(error).__name__}: {error} ({where.name}, line {where.lineno})"
        law = f"nothing raises {type(error).__name__}"
    world = farm.world
    return Result(
        seed=seed,
        swarm=farm.swarm,
        digest=world.digest(),
        events=world.events,
        messages=world.messages,
        simulated_seconds=world.now - began,
        violation=violation,
        law=law,
        seen=dict(sorted(world.seen.items())),
        tail=world.tail(),
    )
