"""The three daemons as kinds of node: how their cores are made, and what stands for the machine."""

from __future__ import annotations

from functools import partial
from typing import Protocol

import msgspec

from daemons import effects
from daemons.copied import copied
from daemons.effects import Core, Effect, Outcome, ProgramFailed, ProgramStarted
from daemons.keeper import messages as km
from daemons.keeper.proving import NotStarted
from daemons.license_server.core import LicenseServerCore
from daemons.license_server.records import RECORDS as LICENSE_RECORDS
from daemons.session_directory.core import SessionDirectoryCore
from daemons.session_directory.proofs import AccountOf
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
from tests.simulation.keeper import SimulatedKeeper
from tests.simulation.node import Node
from tests.simulation.world import START
from tsproto import certificates, deny_list, identity, limits
from tsproto.deny_list import DenyKind, DenyList
from tsproto.license_token import Verifier
from tsproto.messages import AdministratorRole, Role

FARM = "sim"
SITE = "site"
WORKGROUP = "farm"
PORT = 5600
REFUSING_SERVES = ("ts1", "ts2")  # whom a choosy license server serves
APPLICATIONS = ("editor",)
HANGUP_STATUS = 129
KEEPER_SECONDS = 0.0002  # there and back
START_SECONDS = 0.003  # a program on a PTY
SLOW_START_SECONDS = 3.0
SLOW_START_CHANCE = 0.3
ANSWERS: dict[type[km.Packet], type[Outcome]] = {
    km.Challenged: effects.Challenged,
    km.Proved: effects.Proved,
    km.NotProved: effects.NotProved,
}
NO_FILES = IdentityFiles(certificate="-", key="-", authority="-")


class Authority:
    """The farm's certificates; they are random, so nothing of them may reach a trace."""

    def __init__(self) -> None:
        self.certificate, self._key = certificates.create_authority(FARM, START)
        self.der = certificates.certificate_der(self.certificate)
        self.verifier = Verifier([self.der], FARM)
        """Of all terminal servers: a token is verified once, and not once on each of them."""

    def issue(self, role: Role, name: str) -> tuple[bytes, bytes]:
        return certificates.issue_certificate(
            self.certificate,
            self._key,
            role,
            name,
            START,
            days=limits.AUTHORITY_DAYS,
            administrator_role=AdministratorRole.ADMIN,
        )

    def denying(self, kind: DenyKind, number: int, *entries: bytes) -> bytes:
        """A signed deny list."""
        content = DenyList(farm=FARM, kind=kind, number=number, entries=[*entries])
        if kind is DenyKind.CERTIFICATES:
            return deny_list.sign(content, identity.load_key(self._key))
        certificate, key = self.issue(Role.ADMINISTRATOR, "admin")
        signer = certificates.certificate_der(certificate)
        return deny_list.sign(content, identity.load_key(key), signer)


class Kind(Protocol):
    """What makes a node a license server, a directory or a terminal server."""

    role: Role

    def make_core(self, node: Node) -> Core: ...
    def perform(self, node: Node, effect: Effect) -> None: ...
    def on_crash(self, node: Node) -> None: ...


class LicenseServerKind:
    role = Role.LICENSE_SERVER

    def __init__(
        self,
        authority: Authority,
        name: str,
        workgroup: str,
        tokens: dict[int, int],
        serves: tuple[str, ...] = (),
    ) -> None:
        """`tokens` are those bought, by product version."""
        self._workgroup = workgroup
        self._serves = serves
        self._packs = tuple(
            KeyPack(key_pack=f"{name}-{version}", product_version=version, tokens=bought)
            for version, bought in tokens.items()
        )
        certificate, key = authority.issue(self.role, name)
        self._certificate = certificates.certificate_der(certificate)
        self._key = identity.load_key(key)

    def make_core(self, node: Node) -> Core:
        settings = LicenseServerSettings(
            farm=FARM,
            listen=Listen(host=node.host, port=PORT),
            identity=NO_FILES,
            state="-",
            discovery=Discovery(workgroup=self._workgroup, site=SITE),
            key_packs=self._packs,
            serves=self._serves,
        )
        return LicenseServerCore(
            settings,
            name=node.name,
            port=PORT,
            key=self._key,
            certificate=self._certificate,
            records=node.disk.load(LICENSE_RECORDS),
            rng=node.rng,
            instance=node.rng.randbytes(16),
        )

    def perform(self, node: Node, effect: Effect) -> None:
        raise AssertionError(f"a license server does not ask for {effect}")

    def on_crash(self, node: Node) -> None:
        """Its disk is all that outlives it."""


class SessionDirectoryKind:
    role = Role.SESSION_DIRECTORY

    def __init__(self, account_of: AccountOf) -> None:
        self._account_of = account_of

    def make_core(self, node: Node) -> Core:
        settings = SessionDirectorySettings(
            farm=FARM, listen=Listen(host=node.host, port=PORT), identity=NO_FILES, state="-"
        )
        return SessionDirectoryCore(
            settings,
            name=node.name,
            rng=node.rng,
            records=node.disk.load(DIRECTORY_RECORDS),
            account_of=self._account_of,
        )

    def perform(self, node: Node, effect: Effect) -> None:
        raise AssertionError(f"a session directory does not ask for {effect}")

    def on_crash(self, node: Node) -> None:
        """Its disk is all that outlives it."""


class Program(msgspec.Struct, frozen=True):
    """A program in the keeper; `command` marks one that ends with its connection."""

    user_name: str
    application: str
    command: str


class TerminalServerKind:
    """`keeper` and its `programs` outlive the daemon. `shown` is which link shows a session."""

    role = Role.TERMINAL_SERVER

    def __init__(
        self,
        authority: Authority,
        directory: ServerAddress,
        keeper: SimulatedKeeper,
        *,
        product_version: int = 1,
        grace_days: int = 0,
        sessions_max: int = 1_000,
        starts_slowly: bool = False,
    ) -> None:
        self.product_version = product_version
        self.grace_days = grace_days
        self.sessions_max = sessions_max
        self.starts_slowly = starts_slowly
        self._authority = authority
        self._directory = directory
        self.keeper = keeper
        self.programs: dict[int, Program] = {}
        self.shown: dict[int, int] = {}

    def make_core(self, node: Node) -> Core:
        settings = TerminalServerSettings(
            farm=FARM,
            listen=Listen(host=node.host, port=PORT),
            identity=NO_FILES,
            state="-",
            accounts="-",
            discovery=Discovery(workgroup=WORKGROUP),
            directory=self._directory,
            product_version=self.product_version,
            grace_days=self.grace_days,
            sessions=Sessions(
                applications={name: Application(command=(name,)) for name in APPLICATIONS},
                sessions_max=self.sessions_max,
            ),
        )
        return TerminalServerCore(
            settings,
            name=node.name,
            port=PORT,
            verifier=self._authority.verifier,
            rng=node.rng,
            incarnation=node.rng.randbytes(16),
            records=node.disk.load(TERMINAL_RECORDS),
            running=frozenset(self.programs),
        )

    def on_crash(self, node: Node) -> None:
        self.shown.clear()

    def perform(self, node: Node, effect: Effect) -> None:
        match effect:
            case effects.Challenge(question_id=question_id):
                challenge = copied(km.Challenge, effect, request_id=question_id)
                said = self.keeper.challenge(challenge, node.clock.now())
                self._answer(node, question_id, copied(ANSWERS[type(said)], said))
            case effects.Prove(question_id=question_id):
                proof = copied(km.Prove, effect, request_id=question_id)
                judged = self.keeper.prove(proof, node.clock.now())
                self._answer(node, question_id, copied(ANSWERS[type(judged)], judged))
            case effects.StartProgram():
                self._start(node, effect)
            case effects.NoteShown():
                self.keeper.shown(copied(km.Shown, effect), node.clock.now())
            case effects.Attach(peer, session_id):
                self.shown[session_id] = peer.link
                node.world.trace(f"{node.name} shows session {session_id}")
            case effects.Detach(session_id):
                self.shown.pop(session_id, None)
            case effects.EndProgram(session_id):
                node.later(START_SECONDS, lambda: self.end(node, session_id, HANGUP_STATUS))
            case effects.Resize() | effects.NoteShown():
                pass
            case _:
                raise AssertionError(f"a terminal server does not ask for {effect}")

    def _answer(self, node: Node, question_id: int, outcome: Outcome) -> None:
        node.later(KEEPER_SECONDS, lambda: node.answer(question_id, outcome))

    def _start(self, node: Node, start: effects.StartProgram) -> None:
        life, asked = node.life, start.asked
        request = copied(km.StartProved, start, request_id=start.question_id)
        try:
            account = self.keeper.start(request, node.clock.now())
        except NotStarted as error:
            self._answer(node, start.question_id, ProgramFailed(str(error), error.code))
            return
        program = Program(account.name, asked.application, asked.command)

        def started() -> None:
            if node.life != life:
                return  # the process that asked for it has died, and another one has started
            self.programs[start.session_id] = program
            if node.alive and node.life == life:
                tell = partial(node.answer, start.question_id, ProgramStarted(1))
                node.notice(node.switchboard, tell)

        rng = node.world.rng
        is_slow = self.starts_slowly and rng.random() < SLOW_START_CHANCE
        seconds = SLOW_START_SECONDS * rng.random() if is_slow else START_SECONDS
        node.world.after(seconds, started)

    def end(self, node: Node, session_id: int, status: int) -> None:
        """A program ends: the user typed exit, or it was hung up on."""
        if self.programs.pop(session_id, None) is None:
            return
        self.shown.pop(session_id, None)
        core: TerminalServerCore = node.core  # type: ignore[assignment]
        if node.alive:
            end = partial(core.on_program_ended, session_id, status)
            node.notice(node.switchboard, lambda: node.feed(end))
