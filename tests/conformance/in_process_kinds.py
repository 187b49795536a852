"""The daemons under test in process: real cores with settings that cases rely on, and what stands
for the machine around them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import msgspec

from clients.conformance.own_configuration import BROKEN, SCOPES, SERVED, STARTED, TOKENS
from clients.conformance.target import Issuer, Setup
from clients.conformance.user import User
from daemons import effects
from daemons.effects import Answer, Core, Effect, Outcome, ProgramStarted
from daemons.license_server.core import LicenseServerCore
from daemons.license_server.records import RECORDS as LICENSE_RECORDS
from daemons.session_directory.core import SessionDirectoryCore
from daemons.session_directory.records import RECORDS as DIRECTORY_RECORDS
from daemons.settings import (
    Application,
    Discovery,
    IdentityFiles,
    KeyPack,
    LicenseServerSettings,
    Listen,
    ServerAddress,
    SessionDirectorySettings,
    Sessions,
    TerminalServerSettings,
)
from daemons.terminal_server.core import TerminalServerCore
from daemons.terminal_server.records import RECORDS as TERMINAL_RECORDS
from tests.conformance.in_process_keeper import KeeperUnderTest, accounts_of, taken
from tests.simulation.kinds import HANGUP_STATUS, START_SECONDS, Program, TerminalServerKind
from tests.simulation.node import Node
from tests.simulation.world import START
from tsproto import certificates, identity, limits
from tsproto.errors import ErrorCode
from tsproto.identity import ADMINISTRATOR_ROLES
from tsproto.license_token import Verifier
from tsproto.limits import DAY_SECONDS
from tsproto.messages import AdministratorRole, Refused, Role

FARM = "conformance"
PORT = 5600
APPLICATIONS = (BROKEN, *STARTED)
YEAR_SECONDS = 365 * DAY_SECONDS
NO_FILES = IdentityFiles(certificate="-", key="-", authority="-")

Wrap: TypeAlias = Callable[[Core], Core]
Asked: TypeAlias = (
    effects.Challenge | effects.Prove | effects.PamAnswer | effects.StartProgram | effects.Take
)
Address: TypeAlias = tuple[str, str]
"""Host and name of a daemon."""


def unwrapped(core: Core) -> Core:
    return core


def refuse_to_warp(node: Node, warp: effects.Warp) -> None:
    """Outside a lab no daemon's clock can be moved."""
    node.switchboard.add(lambda now: [Answer(warp.caller, Refused(code=ErrorCode.NOT_PERMITTED))])


class Authority:
    """A farm's authority; making one is dear, so each farm has one a process."""

    _all: dict[str, Authority] = {}

    def __init__(self, farm: str) -> None:
        self._certificate, self._key = certificates.create_authority(farm, START)
        self.der = certificates.certificate_der(self._certificate)
        self.itself = Issuer(farm, self.der, self._key)
        self._issued: dict[tuple[Role, str], Issuer] = {}

    @classmethod
    def of(cls, farm: str) -> Authority:
        if farm not in cls._all:
            cls._all[farm] = cls(farm)
        return cls._all[farm]

    def issuer(self, role: Role, name: str, expired: bool = False) -> Issuer:
        if (role, name) not in self._issued:
            began = START - 3 * YEAR_SECONDS if expired else START
            certificate, key = certificates.issue_certificate(
                self._certificate,
                self._key,
                role,
                name,
                began,
                days=365 if expired else 20 * 365,
                administrator_role=ADMINISTRATOR_ROLES.get(name, AdministratorRole.ADMIN),
            )
            der = certificates.certificate_der(certificate)
            self._issued[role, name] = Issuer(name, der, key)
        return self._issued[role, name]


def _listed(address: Address) -> ServerAddress:
    host, name = address
    return ServerAddress(host=host, port=PORT, name=name)


def _discovery(license_servers: Sequence[Address]) -> Discovery:
    listed = tuple(_listed(address) for address in license_servers)
    return msgspec.convert({"servers": listed} if listed else SCOPES, Discovery)


class LicenseServerUnderTest:
    """It has TOKENS tokens of the product; other license servers only where they are listed."""

    role = Role.LICENSE_SERVER

    def __init__(self, peers: Sequence[Address], *, is_choosy: bool, wrap: Wrap) -> None:
        self._discovery = _discovery(peers)
        self._serves = (SERVED,) if is_choosy else ()
        self._wrap = wrap

    def make_core(self, node: Node) -> Core:
        issuer = Authority.of(FARM).issuer(self.role, node.name)
        settings = LicenseServerSettings(
            farm=FARM,
            listen=Listen(host=node.host, port=PORT),
            identity=NO_FILES,
            state="-",
            discovery=self._discovery,
            key_packs=(KeyPack(key_pack="bought", tokens=TOKENS),),
            serves=self._serves,
        )
        core = LicenseServerCore(
            settings,
            name=node.name,
            port=PORT,
            key=identity.load_key(issuer.key),
            certificate=issuer.certificate,
            records=node.disk.load(LICENSE_RECORDS),
            rng=node.rng,
            instance=node.rng.randbytes(16),
        )
        return self._wrap(core)

    def perform(self, node: Node, effect: Effect) -> None:
        assert isinstance(effect, effects.Warp), effect
        refuse_to_warp(node, effect)

    def on_crash(self, node: Node) -> None:
        """Its disk is all that outlives it."""


class SessionDirectoryUnderTest:
    """It has the users' accounts."""

    role = Role.SESSION_DIRECTORY

    def __init__(self, users: Mapping[str, User], *, is_choosy: bool, wrap: Wrap) -> None:
        self._accounts = accounts_of(users, FARM)
        self._serves = (SERVED,) if is_choosy else ()
        self._wrap = wrap

    def make_core(self, node: Node) -> Core:
        settings = SessionDirectorySettings(
            farm=FARM,
            listen=Listen(host=node.host, port=PORT),
            identity=NO_FILES,
            state="-",
            serves=self._serves,
        )
        core = SessionDirectoryCore(
            settings,
            name=node.name,
            rng=node.rng,
            records=node.disk.load(DIRECTORY_RECORDS),
            account_of=self._accounts.get,
        )
        return self._wrap(core)

    def perform(self, node: Node, effect: Effect) -> None:
        if isinstance(effect, effects.Take):
            authority, question_id = Authority.of(FARM).der, effect.question_id
            outcome = taken(self._accounts, FARM, authority, effect, node.world.now)
            node.later(0.0, lambda: node.answer(question_id, outcome))
            return
        assert isinstance(effect, effects.Warp), effect
        refuse_to_warp(node, effect)

    def on_crash(self, node: Node) -> None:
        """Its disk is all that outlives it."""


class TerminalServerUnderTest(TerminalServerKind):
    """It has APPLICATIONS; BROKEN does not start."""

    def __init__(
        self,
        license_servers: Sequence[Address],
        directory: Address | None,
        users: Mapping[str, User],
        *,
        setup: Setup,
        wrap: Wrap,
    ) -> None:
        self.programs = {}
        self.shown = {}
        self.starts_slowly = False
        self._users = users
        self._keepers: dict[str, KeeperUnderTest] = {}
        self._wrap = wrap
        self._found = _discovery(license_servers)
        self._joined = None if directory is None else _listed(directory)
        self._setup = setup

    def make_core(self, node: Node) -> Core:
        has_grace = self._setup is Setup.GRACE
        settings = TerminalServerSettings(
            farm=FARM,
            listen=Listen(host=node.host, port=PORT),
            identity=NO_FILES,
            state="-",
            accounts="-",
            discovery=Discovery() if has_grace else self._found,
            directory=self._joined,
            product_version=2 if self._setup is Setup.SECOND_VERSION else 1,
            grace_days=limits.GRACE_DAYS if has_grace else 0,
            sessions=Sessions(
                applications={name: Application(command=(name,)) for name in APPLICATIONS},
                sessions_max=1 if self._setup is Setup.ONE_SESSION else 1_000,
            ),
        )
        authority = Authority.of(FARM).der
        core = TerminalServerCore(
            settings,
            name=node.name,
            port=PORT,
            verifier=Verifier([authority], FARM, deny_lists=node.deny_lists),
            rng=node.rng,
            incarnation=node.rng.randbytes(16),
            records=node.disk.load(TERMINAL_RECORDS),
            running=frozenset(self.programs),
            authority=authority,
        )
        return self._wrap(core)

    def perform(self, node: Node, effect: Effect) -> None:
        match effect:
            case effects.Warp():
                refuse_to_warp(node, effect)
            case effects.Challenge():
                self._tell(node, effect, self._keeper(node).challenge(effect, node.world.now))
            case effects.Prove():
                self._tell(node, effect, self._keeper(node).prove(effect, node.world.now))
            case effects.PamAnswer():
                self._tell(node, effect, self._keeper(node).answer(effect, node.world.now))
            case effects.Take():
                authority = Authority.of(FARM).der
                stored = self._keeper(node).take(effect, authority, node.world.now)
                self._tell(node, effect, stored)
            case effects.StartProgram():
                outcome = self._keeper(node).start(effect, node.world.now)
                if isinstance(outcome, ProgramStarted):
                    program = Program("", effect.asked.application, effect.asked.command)
                    self.programs[effect.session_id] = program
                self._tell(node, effect, outcome, START_SECONDS)
            case effects.NoteShown():
                self._keeper(node).note_shown(effect, node.world.now)
            case effects.EndProgram(session_id):
                node.later(START_SECONDS, lambda: self.end(node, session_id, HANGUP_STATUS))
            case _:
                super().perform(node, effect)

    def _keeper(self, node: Node) -> KeeperUnderTest:
        """It outlives the terminal server."""
        if node.name not in self._keepers:
            keeper = KeeperUnderTest(
                FARM,
                node.name,
                node.network.certificate_of(node.name),
                self._users,
                node.rng,
                self._setup,
            )
            self._keepers[node.name] = keeper
        return self._keepers[node.name]

    def _tell(self, node: Node, effect: Asked, outcome: Outcome, seconds: float = 0.0) -> None:
        node.later(seconds, lambda: node.answer(effect.question_id, outcome))

    def end(self, node: Node, session_id: int, status: int) -> None:
        if self.programs.pop(session_id, None) is None:
            return
        self.shown.pop(session_id, None)
        core: TerminalServerCore = node.core  # type: ignore[assignment]
        if node.alive:
            node.feed(lambda now: core.on_program_ended(session_id, status, now))
