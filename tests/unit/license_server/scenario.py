"""A license server, its store and the peers around it, in words that a test can read."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import count
from typing import TypeVar

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from daemons.effects import (
    Answer,
    Ask,
    Caller,
    Dial,
    Effect,
    Endpoint,
    Failed,
    Outcome,
    Peer,
    Persist,
    Record,
)
from daemons.license_server.core import LicenseServerCore
from daemons.license_server.records import RECORDS, JournalRecord
from daemons.settings import (
    Discovery,
    IdentityFiles,
    KeyPack,
    LicenseServerSettings,
    Listen,
    ServerAddress,
)
from tsproto import license_token
from tsproto.errors import ErrorCode
from tsproto.license_token import Claims
from tsproto.messages import (
    AcquireLicense,
    AddKeyPack,
    AnnounceInventory,
    Done,
    InventoryRow,
    LendLicense,
    LicenseIssued,
    LicenseKind,
    LicenseRow,
    Licenses,
    MarkValidated,
    Message,
    PoolRow,
    Pools,
    QueryLicenses,
    QueryPools,
    Refused,
    RenewLicense,
    Role,
)

START = 1_000_000.0
DAY = 86_400
PRODUCT = "terminal-server"
LAPTOP, PHONE, TABLET = (name.encode().ljust(32, b".") for name in ("laptop", "phone", "tablet"))
TEMPORARY, FULL = LicenseKind.TEMPORARY, LicenseKind.FULL
UNREACHABLE, UNANSWERED = Failed(ErrorCode.UNREACHABLE), Failed(ErrorCode.UNANSWERED)

M = TypeVar("M", bound=Message)
E = TypeVar("E", bound=Effect)
R = TypeVar("R", bound=Record)
STARTED: list[Server] = []  # in this test; see conftest.py
_links = count(1)


def device(number: int) -> bytes:
    return f"device-{number}".encode().ljust(32, b".")


def pack(tokens: int, *, version: int = 1, key_pack: str = "") -> KeyPack:
    name = key_pack or f"pack-{version}"
    return KeyPack(key_pack=name, product=PRODUCT, product_version=version, tokens=tokens)


def peer(name: str, role: Role, dialled: Endpoint | None = None) -> Peer:
    """A new connection of this peer."""
    return Peer(next(_links), role, name, "127.0.0.9", 40_000, dialled)


def acquire(device: bytes = LAPTOP, *, version: int = 1, trace_id: str = "") -> AcquireLicense:
    return AcquireLicense(
        device_id=device,
        device_name=device.strip(b".").decode(),
        user_name="ann",
        product=PRODUCT,
        product_version=version,
        trace_id=trace_id,
    )


def validated(device: bytes = LAPTOP, *, version: int = 1) -> MarkValidated:
    return MarkValidated(
        device_id=device, product=PRODUCT, product_version=version, user_name="ann"
    )


def renew(license_id: bytes, device: bytes = LAPTOP, *, version: int = 1) -> RenewLicense:
    return RenewLicense(
        license_id=license_id,
        device_id=device,
        device_name="laptop",
        user_name="ann",
        product=PRODUCT,
        product_version=version,
    )


def lend(
    device: bytes = LAPTOP, *, loan_id: bytes = b"loan".ljust(16), version: int = 1
) -> LendLicense:
    return LendLicense(
        loan_id=loan_id,
        device_id=device,
        device_name="laptop",
        user_name="ann",
        product=PRODUCT,
        product_version=version,
    )


def add_pack(tokens: int, key_pack: str = "added") -> AddKeyPack:
    return AddKeyPack(key_pack=key_pack, product=PRODUCT, product_version=1, tokens=tokens)


def found(effects: Sequence[Effect], kind: type[E]) -> list[E]:
    return [effect for effect in effects if isinstance(effect, kind)]


class Server:
    """A license server whose Persist effects are kept in `rows`, as a store would."""

    def __init__(
        self,
        name: str = "a",
        *key_packs: KeyPack,
        serves: tuple[str, ...] = (),
        lists: tuple[str, ...] = (),
        discovery: Discovery | None = None,
        seed: int = 1,
    ) -> None:
        self.name = name
        self.key_packs = key_packs
        self.serves = serves
        addresses = tuple(
            ServerAddress(host=f"{other}.example", port=5601, name=other) for other in lists
        )
        self.discovery = discovery or Discovery(servers=addresses)
        self.rows: dict[type[Record], dict[tuple[object, ...], Record]] = {r: {} for r in RECORDS}
        self.now = START
        self.rng = random.Random(seed)
        self.terminal_server = peer("ts1", Role.TERMINAL_SERVER)
        self.administrator = peer("admin", Role.ADMINISTRATOR)
        self._request_ids = count(1)
        self.core = self._made_anew()
        self.is_running = True
        self.restart()
        STARTED.append(self)

    def restart(self) -> list[Effect]:
        """Forget everything but the rows."""
        self.core = self.successor()
        self.links: dict[str, Peer] = {}
        self.started = self.take(self.core.on_start(self.now))
        return self.started

    def successor(self) -> LicenseServerCore:
        """A core made anew from the rows, which knows all that the running one would go on with."""
        self.is_running = False  # should it not start from these rows
        anew = self._made_anew()
        self.is_running = True
        known, running = anew.durable(), self.core.durable()
        assert known.rows == running.rows
        assert known.derived == running.derived
        assert all(one >= two for one, two in zip(known.counters, running.counters, strict=True))
        return anew

    def _made_anew(self) -> LicenseServerCore:
        settings = LicenseServerSettings(
            farm="farm",
            listen=Listen(port=5601),
            identity=IdentityFiles(certificate="c", key="k", authority="a"),
            state="state",
            discovery=self.discovery,
            key_packs=self.key_packs,
            serves=self.serves,
        )
        return LicenseServerCore(
            settings,
            name=self.name,
            port=5601,
            key=Ed25519PrivateKey.from_private_bytes(self.name.encode().ljust(32, b".")),
            certificate=b"certificate of " + self.name.encode(),
            records={record: list(rows.values()) for record, rows in self.rows.items()},
            rng=self.rng,
            instance=self.name.encode().ljust(16, b"."),
        )

    def take(self, effects: list[Effect]) -> list[Effect]:
        for persist in found(effects, Persist):
            for record in persist.put:
                self.rows[type(record)][_key(record)] = record
            for record in persist.delete:
                self.rows[type(record)].pop(_key(record), None)
        on_disk = (row for rows in self.rows.values() for row in rows.values())
        kept = frozenset(row for row in on_disk if not isinstance(row, JournalRecord))
        assert kept == self.core.durable().rows
        return effects

    # --- what others do -------------------------------------------------------------------------

    def hears(self, message: Message, sender: Peer | None = None) -> list[Effect]:
        caller = Caller(sender or self.terminal_server, next(self._request_ids))
        return self.take(self.core.on_message(caller, message, self.now))

    def answers(self, question_id: int, outcome: Outcome) -> list[Effect]:
        return self.take(self.core.on_answer(question_id, outcome, self.now))

    def asked(self, message: Message, sender: Peer | None = None) -> Message:
        """The one answer to a request that is answered at once."""
        (answer,) = found(self.hears(message, sender), Answer)
        return answer.message

    def issued(self, message: Message, sender: Peer | None = None) -> LicenseIssued:
        answer = self.asked(message, sender)
        assert isinstance(answer, LicenseIssued), answer
        return answer

    def refused(self, message: Message, sender: Peer | None = None) -> Refused:
        answer = self.asked(message, sender)
        assert isinstance(answer, Refused), answer
        return answer

    def logs_on(self, device: bytes = LAPTOP) -> None:
        """The device's first visit, and a user's logon from it."""
        assert self.issued(acquire(device)).kind is TEMPORARY
        assert self.asked(validated(device)) == Done()

    def full(self, device: bytes = LAPTOP) -> LicenseIssued:
        """A full token for a device that was never here."""
        self.logs_on(device)
        issued = self.issued(acquire(device))
        assert issued.kind is FULL
        return issued

    def deadline(self, at: float) -> list[Effect]:
        self.now = at
        return self.take(self.core.on_deadline(at))

    # --- what is there --------------------------------------------------------------------------

    def pool(self, version: int = 1) -> PoolRow:
        answer = self.asked(QueryPools(), self.administrator)
        assert isinstance(answer, Pools)
        (row,) = (row for row in answer.pools if row.product_version == version)
        assert row.available + row.issued + row.lent == row.total
        return row

    def licenses(self) -> list[LicenseRow]:
        answer = self.asked(QueryLicenses(), self.administrator)
        assert isinstance(answer, Licenses)
        return answer.licenses

    def table(self, record: type[R]) -> list[R]:
        return [row for row in self.rows[record].values() if isinstance(row, record)]

    def journal(self) -> list[str]:
        return [entry.event for entry in self.table(JournalRecord)]

    # --- peers ----------------------------------------------------------------------------------

    def dials(self) -> list[Dial]:
        return found(self.started, Dial)

    def linked(self, name: str) -> Peer:
        """The link to a listed peer comes up."""
        (dial,) = (d for d in self.dials() if d.endpoint.name == name)
        link = peer(name, Role.LICENSE_SERVER, dial.endpoint)
        self.take(self.core.on_peer_opened(link, self.now))
        self.links[name] = link
        return link

    def told(self, link: Peer, available: int, *, version: int = 1) -> None:
        """A peer announces what it has."""
        row = InventoryRow(product=PRODUCT, product_version=version, available=available)
        self.hears(AnnounceInventory(inventory=[row]), link)


def one_ask(effects: Sequence[Effect]) -> Ask:
    (ask,) = found(effects, Ask)
    return ask


def lender_answers(lender: Server, ask: Ask, asker: str = "a") -> Message:
    """What the real core of the lender says to this request."""
    return lender.asked(msgspec.structs.replace(ask.message), peer(asker, Role.LICENSE_SERVER))


def asker(*lenders: str, seed: int = 1) -> Server:
    """A license server without tokens; each lender claims one, and a user logged on from LAPTOP."""
    server = Server("a", lists=lenders, seed=seed)
    for name in lenders:
        server.told(server.linked(name), 1)
    server.logs_on(LAPTOP)
    return server


def borrowed(server: Server, lender: Server) -> LicenseIssued:
    """LAPTOP's full token, lent by the real core of `lender`."""
    ask = one_ask(server.hears(acquire()))
    return given(server.answers(ask.question_id, lender_answers(lender, ask)))


def given(effects: Sequence[Effect]) -> LicenseIssued:
    """The token in the one answer."""
    (answer,) = found(effects, Answer)
    assert isinstance(answer.message, LicenseIssued), answer.message
    return answer.message


def claims(issued: LicenseIssued) -> Claims:
    return license_token.read_claims(issued.token)


def refusal(effects: Sequence[Effect]) -> ErrorCode:
    (answer,) = found(effects, Answer)
    assert isinstance(answer.message, Refused), answer.message
    return answer.message.code


def _key(record: Record) -> tuple[object, ...]:
    return tuple(getattr(record, column) for column in record.key)
