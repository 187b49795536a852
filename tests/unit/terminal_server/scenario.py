"""A terminal server's core with everything around it played by hand: devices, license servers, the
directory, accounts and programs. Times are whole made-up seconds."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from daemons.effects import (
    Ask,
    Caller,
    Challenge,
    Challenged,
    Close,
    Dial,
    Effect,
    Endpoint,
    Outcome,
    PamAnswer,
    Peer,
    Persist,
    ProgramStarted,
    Prove,
    Proved,
    Record,
    StartProgram,
    Take,
    Tell,
)
from daemons.events import Event
from daemons.settings import (
    Application,
    Discovery,
    IdentityFiles,
    Listen,
    ServerAddress,
    Sessions,
    TerminalServerSettings,
)
from daemons.terminal_server.core import TerminalServerCore
from daemons.terminal_server.records import RECORDS, SessionRecord
from tsproto import certificates, identity, license_token
from tsproto.license_token import Claims
from tsproto.messages import (
    Done,
    Joined,
    LicenseAccepted,
    LicenseInfo,
    LicenseIssued,
    LicenseKind,
    LicenseRequest,
    LicenseStored,
    LogonProof,
    LogonStart,
    Message,
    Role,
    SessionState,
)

FARM = "lab"
NAME = "ts1"
NOW = 1_800_000_000
DAY = 86_400
CERTIFICATE = bytes(range(32))
GENERATION = b"g" * 16
ASKING = (Ask, Dial, Challenge, Prove, PamAnswer, StartProgram, Take)

CHALLENGED = Challenged(
    nonce=b"n" * 32, time=NOW, methods=3, salt=b"s" * 16, memory_kib=65_536, passes=3, lanes=1
)
SIGNATURE = b"S" * 64

T = TypeVar("T")
M = TypeVar("M", bound=Message)

_AUTHORITY, _AUTHORITY_KEY = certificates.create_authority(FARM, NOW - DAY)
AUTHORITY = certificates.certificate_der(_AUTHORITY)


class Issuer:
    """A license server's name, certificate and key."""

    def __init__(
        self, name: str, authority: bytes = _AUTHORITY, key: bytes = _AUTHORITY_KEY
    ) -> None:
        pem, key_pem = certificates.issue_certificate(
            authority, key, Role.LICENSE_SERVER, name, NOW - DAY, days=20 * 365
        )
        self.name = name
        self.certificate = certificates.certificate_der(pem)
        self.key = identity.load_key(key_pem)
        self.endpoint = Endpoint(Role.LICENSE_SERVER, f"{name}.lab", 5601, name)


LS_A = Issuer("ls-a")
LS_B = Issuer("ls-b")
STRANGER = Issuer("ls-a", *certificates.create_authority("elsewhere", NOW - DAY))
DIRECTORY = Endpoint(Role.SESSION_DIRECTORY, "sd.lab", 5602, "sd")

LAPTOP = identity.DeviceKey(b"l" * 32)
PHONE = identity.DeviceKey(b"p" * 32)


def token(
    kind: LicenseKind = LicenseKind.FULL,
    *,
    expires_at: int = NOW + 60 * DAY,
    device: identity.DeviceKey = LAPTOP,
    issuer: Issuer = LS_A,
    number: int = 1,
    product_version: int = 1,
) -> bytes:
    claims = Claims(
        farm="elsewhere" if issuer is STRANGER else FARM,
        issuer=issuer.name,
        kind=kind,
        license_id=license_id(number),
        product="terminal-server",
        product_version=product_version,
        device_id=device.device_id,
        device_name="laptop1",
        user_name="ann",
        issued_at=NOW - DAY,
        expires_at=expires_at,
    )
    return license_token.issue(claims, issuer.key)


def license_id(number: int) -> bytes:
    return bytes([number]) * 16


def issued(signed: bytes, issuer: Issuer = LS_A, lender: str = "") -> LicenseIssued:
    claims = license_token.read_claims(signed)
    return LicenseIssued(
        license_id=claims.license_id,
        kind=claims.kind,
        expires_at=claims.expires_at,
        token=signed,
        issuer_certificate=issuer.certificate,
        lender=lender,
    )


class Client:
    """A device's connection, and what it was told."""

    def __init__(self, scene: Scene, peer: Peer, device: identity.DeviceKey) -> None:
        self.scene = scene
        self.peer = peer
        self.device = device

    @property
    def heard(self) -> list[Message]:
        tells = [e for e in self.scene.log if isinstance(e, Tell)]
        return [tell.message for tell in tells if tell.peer == self.peer]

    def last(self, kind: type[M]) -> M:
        return [message for message in self.heard if isinstance(message, kind)][-1]

    @property
    def closed(self) -> Close | None:
        closes = [e for e in self.scene.log if isinstance(e, Close)]
        return next((close for close in closes if close.peer == self.peer), None)

    @property
    def code(self) -> object:
        return self.closed.code if self.closed else None

    def say(self, message: Message) -> list[Effect]:
        core, now = self.scene.core, self.scene.now
        return self.scene.feed(core.on_message(Caller(self.peer), message, now))

    def lose(self) -> list[Effect]:
        return self.scene.feed(self.scene.core.on_peer_lost(self.peer, self.scene.now))

    def show(
        self, held: bytes = b"", issuer: Issuer = LS_A, signature: bytes | None = None
    ) -> list[Effect]:
        nonce = self.last(LicenseRequest).nonce
        return self.say(
            LicenseInfo(
                public_key=self.device.public_key,
                signature=signature or self.device.prove(nonce, self.peer.certificate),
                device_name="laptop1",
                user_name="ann",
                token=held,
                issuer_certificate=issuer.certificate if held else b"",
            )
        )

    def store(self, number: int = 1) -> list[Effect]:
        return self.say(LicenseStored(license_id=license_id(number)))

    def begin(self, user_name: str = "ann", **fields: Any) -> list[Effect]:
        """Ask for a challenge, and get the keeper's."""
        self.say(LogonStart(user_name=user_name, **fields))
        return self.scene.answer(Challenge, CHALLENGED)

    def ask_for(self, user_name: str = "ann", **fields: Any) -> list[Effect]:
        """Log on up to the proof, which the keeper has yet to judge."""
        names = LogonStart.__struct_fields__
        self.begin(user_name, **{key: value for key, value in fields.items() if key in names})
        rest = {key: value for key, value in fields.items() if key not in names}
        proof = {"method": 1, "algorithm": "ed25519", "signature": SIGNATURE, **rest}
        return self.say(LogonProof(**proof))

    def log_on(
        self, user_name: str = "ann", system_user: str = "", generation: int = 1, **fields: Any
    ) -> list[Effect]:
        """Log on with a good proof, up to the question where the session belongs."""
        self.ask_for(user_name, **fields)
        return self.scene.answer(Prove, self.proved(system_user or f"sys-{user_name}", generation))

    def proved(self, system_user: str = "sys-ann", generation: int = 1) -> Proved:
        return Proved(self.scene.next_proof(), generation, system_user)

    def start(self, user_name: str = "ann", **fields: Any) -> int:
        """Log on and get a new session without any directory."""
        self.log_on(user_name, **fields)
        started = self.scene.open_effect(StartProgram)
        self.scene.answer(StartProgram, ProgramStarted(pid=1))
        return started.session_id


class Scene:
    """`log` is all that the core wanted so far; `stored` is what it has persisted."""

    def __init__(
        self,
        *,
        license_servers: Sequence[Issuer] = (LS_A,),
        directory: bool = False,
        grace_days: int = 0,
        product_version: int = 1,
        sessions_max: int = 10,
        discovery: Discovery | None = None,
        records: dict[type[Record], list[Any]] | None = None,
        running: Sequence[int] = (),
        now: int = NOW,
        seed: int = 1,
    ) -> None:
        listed = tuple(ServerAddress(host=f"{s.name}.lab", port=5601) for s in license_servers)
        self.settings = TerminalServerSettings(
            farm=FARM,
            listen=Listen(host="ts1.lab", port=0),
            identity=IdentityFiles(certificate="c", key="k", authority="a"),
            state="state",
            accounts="accounts",
            discovery=discovery or Discovery(servers=listed),
            directory=ServerAddress(host="sd.lab", port=5602, name="sd") if directory else None,
            grace_days=grace_days,
            product_version=product_version,
            sessions=Sessions(
                sessions_max=sessions_max, applications={"mail": Application(command=("mutt",))}
            ),
        )
        self.now: float = now
        self.log: list[Effect] = []
        self.stored: dict[tuple[object, ...], Record] = {}
        self._open: list[Any] = []
        self._links = 0
        self._proofs = 0
        self._dialled: list[Peer] = []
        self.core = TerminalServerCore(
            self.settings,
            name=NAME,
            port=5600,
            verifier=license_token.Verifier([AUTHORITY], FARM),
            rng=random.Random(seed),
            incarnation=b"i" * 16,
            records=records or {},
            running=frozenset(running),
            authority=AUTHORITY,
        )
        for rows in (records or {}).values():
            self._store(Persist(put=tuple(rows)))

    # --- events -------------------------------------------------------------------------------

    def feed(self, effects: list[Effect]) -> list[Effect]:
        self.log += effects
        for effect in effects:
            if isinstance(effect, Persist):
                self._store(effect)
            elif isinstance(effect, ASKING):
                self._open.append(effect)
        known = {settled(row) for row in self.core.durable().rows}
        assert known == {settled(row) for row in self.stored.values()}
        return effects

    def start(self) -> list[Effect]:
        return self.feed(self.core.on_start(self.now))

    def up(self) -> Scene:
        """Start, and reach every license server and the directory that are configured."""
        self.start()
        for dial in [e for e in self._open if isinstance(e, Dial)]:
            self.reach(dial.endpoint)
        if self.settings.directory:
            self.join()
        return self

    def reach(self, endpoint: Endpoint) -> Peer:
        """The link that the core dialled is open."""
        name = endpoint.name or endpoint.host.removesuffix(".lab")
        peer = self._peer(endpoint.role, name, endpoint.host, endpoint)
        self._open = [e for e in self._open if not (isinstance(e, Dial) and e.endpoint == endpoint)]
        self._dialled.append(peer)
        self.feed(self.core.on_peer_opened(peer, self.now))
        return peer

    def join(self) -> Peer:
        """The directory takes this host in; nothing is left to be sent."""
        peer = self.reach(DIRECTORY)
        self.answer(Ask, Joined(generation=GENERATION))
        self.answer(Ask, Done())
        return peer

    def connect(self, device: identity.DeviceKey = LAPTOP) -> Client:
        client = Client(self, self._peer(Role.CLIENT, "", "10.0.0.9", None), device)
        self.feed(self.core.on_peer_opened(client.peer, self.now))
        return client

    def let_in(
        self, device: identity.DeviceKey = LAPTOP, kind: LicenseKind = LicenseKind.FULL
    ) -> Client:
        """A client past its licensing phase."""
        client = self.connect(device)
        held = token(kind, device=device)
        client.show(held)
        if kind is LicenseKind.TEMPORARY:
            self.answer(Ask, issued(held))
        assert client.last(LicenseAccepted).kind is kind
        return client

    def answer(self, kind: type[T], outcome: Outcome) -> list[Effect]:
        """Answer the oldest open effect of this kind."""
        effect: Any = self.open_effect(kind)
        self._open.remove(effect)
        return self.feed(self.core.on_answer(effect.question_id, outcome, self.now))

    def end_program(self, session_id: int, exit_status: int = 0) -> list[Effect]:
        return self.feed(self.core.on_program_ended(session_id, exit_status, self.now))

    def lose_links(self) -> None:
        """Every link that the core dialled breaks."""
        for peer in self._dialled:
            self.lose(peer)
        self._dialled = []

    def lose(self, peer: Peer) -> list[Effect]:
        return self.feed(self.core.on_peer_lost(peer, self.now))

    def wait(self, seconds: float) -> list[Effect]:
        """Let time pass, stopping at each deadline on the way."""
        until = self.now + seconds
        effects: list[Effect] = []
        while (deadline := self.core.next_deadline()) is not None and deadline <= until:
            self.now = max(self.now, deadline)
            effects += self.feed(self.core.on_deadline(self.now))
        self.now = until
        return effects

    def ask_as_administrator(self, query: Message) -> list[Effect]:
        caller = Caller(self._peer(Role.ADMINISTRATOR, "root", "10.0.0.1", None), 7)
        return self.feed(self.core.on_message(caller, query, self.now))

    def next_proof(self) -> int:
        self._proofs += 1
        return self._proofs

    # --- what came of it ------------------------------------------------------------------------

    def open_effect(self, kind: type[T]) -> T:
        return next(effect for effect in self._open if isinstance(effect, kind))

    def opened(self, kind: type[T]) -> list[T]:
        """Those effects of a kind that wait for their outcome."""
        return [effect for effect in self._open if isinstance(effect, kind)]

    def session(self, session_id: int) -> SessionRecord | None:
        found = self.stored.get((SessionRecord, session_id))
        assert found is None or isinstance(found, SessionRecord)
        return found

    def rows(self) -> dict[type[Record], list[Any]]:
        """What a next start would load."""
        return {kind: [r for r in self.stored.values() if type(r) is kind] for kind in RECORDS}

    def _store(self, persist: Persist) -> None:
        for record in persist.put:
            self.stored[_key(record)] = record
        for record in persist.delete:
            self.stored.pop(_key(record), None)

    def _peer(self, role: Role, name: str, host: str, dialled: Endpoint | None) -> Peer:
        self._links += 1
        return Peer(self._links, role, name, host, 40_000, dialled, CERTIFICATE)


def settled(record: Record) -> Record:
    """What reaches the disk with the next transition only."""
    if not isinstance(record, SessionRecord):
        return record
    return msgspec.structs.replace(
        record, columns=0, rows=0, placement=0, receipt=b"", state=SessionState.ACTIVE
    )


def questions(effects: Sequence[Effect]) -> list[Message]:
    """What is asked of license servers and the directory."""
    return [effect.message for effect in effects if isinstance(effect, Ask)]


def told(effects: Sequence[Effect], role: Role = Role.SESSION_DIRECTORY) -> list[Message]:
    """What peers of this role are told."""
    return [e.message for e in effects if isinstance(e, Tell) and e.peer.role is role]


def of(kind: type[T], effects: Sequence[Effect]) -> list[T]:
    return [effect for effect in effects if isinstance(effect, kind)]


def names(effects: Sequence[Effect]) -> list[str]:
    return [event.event for event in of(Event, effects)]


def shape(effects: Sequence[Effect]) -> list[str]:
    """The kinds of effects in their order, events left out; a message by its own name."""
    messages = (Ask, Tell)
    return [
        type(e.message if isinstance(e, messages) else e).__name__
        for e in effects
        if not isinstance(e, Event)
    ]


def _key(record: Record) -> tuple[object, ...]:
    return (type(record), *(getattr(record, column) for column in record.key))
