"""Decides which device gets which license token.

Implements "How Terminal Services Licensing Works", per device: a temporary token first, a full one
once a user has logged on from the device, a fresh expiry near the end, and back into the pool what
was not renewed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from daemons.effects import (
    Answer,
    Caller,
    Close,
    Durable,
    Effect,
    Note,
    Outcome,
    Peer,
    Randomness,
    Record,
    SendDatagram,
    earliest,
)
from daemons.license_server.acquisition import Acquisitions
from daemons.license_server.borrower import Borrower
from daemons.license_server.explanation import license_note, refuse
from daemons.license_server.issuer import Issuer, license_row
from daemons.license_server.ledger import Ledger
from daemons.license_server.peers import Peers
from daemons.license_server.pools import LedgerRefusal
from daemons.license_server.records import KeyPackRecord, LicenseRecord
from daemons.settings import KeyPack, LicenseServerSettings
from tsproto import discovery, limits
from tsproto.errors import ErrorCode
from tsproto.messages import (
    AcquireLicense,
    AddKeyPack,
    AnnounceInventory,
    Done,
    LendLicense,
    LicenseKind,
    Licenses,
    LicenseServers,
    MarkValidated,
    Message,
    Pools,
    QueryLicenses,
    QueryLicenseServers,
    QueryPools,
    RenewLicense,
    Role,
)

RENEWAL_SECONDS = limits.RENEWAL_DAYS * limits.DAY_SECONDS


class LicenseServerCore:
    """One license server. `records` is all that its store holds; `certificate` (DER) belongs to
    `key`; `instance` tells this process's own broadcasts from others.

    Raises LedgerInconsistent when the records contradict each other, KeyPackConflict or LedgerFull
    when the configuration's key packs do not go with them: the daemon must not start.
    """

    def __init__(
        self,
        settings: LicenseServerSettings,
        *,
        name: str,
        port: int,
        key: Ed25519PrivateKey,
        certificate: bytes,
        records: Mapping[type[Record], Sequence[Record]],
        rng: Randomness,
        instance: bytes,
    ) -> None:
        self._settings = settings
        self._name = name
        self._port = port
        self._instance = instance
        where = settings.discovery
        self._scopes = discovery.scopes_of(where.workgroup, where.domain, where.site)
        self._datagrams = discovery.TokenBucket(limits.DISCOVERY_ANSWERS_PER_SECOND)
        self._ledger = Ledger(records, rng)
        self._issuer = Issuer(settings.farm, name, key, certificate)
        tickets = count(1)
        self._peers = Peers(
            where,
            farm=settings.farm,
            name=name,
            pools=self._ledger.pools,
            tickets=tickets,
            rng=rng,
            instance=instance,
        )
        self._borrower = Borrower(self._ledger, self._peers, self._issuer, tickets, rng)
        self._acquisitions = Acquisitions(
            name, self._ledger, self._issuer, self._peers, self._borrower
        )
        self._ledger.pools.check(_pack(pack, 0) for pack in settings.key_packs)
        self._swept_at = 0.0

    # --- the shape of a core ------------------------------------------------------------------

    def on_start(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        if self._ledger.latest > now:
            behind = self._ledger.latest - int(now)
            effects.append(Note("clock.set_back", {"seconds": behind}))
        for pack in self._settings.key_packs:
            effects += self._add_pack(_pack(pack, now))
        return [*effects, *self._sweep(now), *self._peers.start(now)]

    def on_peer_opened(self, peer: Peer, now: float) -> list[Effect]:
        if peer.role is not Role.LICENSE_SERVER:
            return []
        effects = self._take_back(now)
        return self._told([*effects, *self._peers.on_opened(peer, now)], now)

    def on_message(self, caller: Caller, message: Message, now: float) -> list[Effect]:
        effects = self._take_back(now)
        try:
            effects += self._decide(caller, message, now)
        except LedgerRefusal as refusal:
            effects += refuse(caller, message, refusal.code, str(refusal))
        return self._told(effects, now)

    def on_answer(self, ticket: int, outcome: Outcome, now: float) -> list[Effect]:
        effects = self._take_back(now)
        if self._peers.is_dialling(ticket):
            effects += self._peers.on_dial_failed(ticket, outcome, now)
        elif self._borrower.is_asking(ticket):
            following, wanted = self._borrower.on_answer(ticket, outcome, now)
            effects += following
            if wanted is not None:
                effects += self._acquisitions.supply(wanted, now)
        return self._told(effects, now)

    def on_peer_lost(self, peer: Peer, now: float) -> list[Effect]:
        return self._told(self._peers.on_lost(peer, now), now)

    def on_datagram(self, host: str, port: int, datagram: bytes, now: float) -> list[Effect]:
        self._peers.on_datagram(host, port, datagram, now)
        answer = discovery.answer(
            datagram,
            farm=self._settings.farm,
            name=self._name,
            port=self._port,
            scopes=self._scopes,
            instance=self._instance,
        )
        if answer is None or not self._datagrams.take(now):
            return []
        return [SendDatagram(host, port, answer)]

    def next_deadline(self) -> float | None:
        expiry = self._ledger.next_expiry()
        next_sweep = self._swept_at + self._settings.sweep_seconds
        sweep = None if expiry is None else max(expiry, next_sweep)
        return earliest(self._peers.next_deadline(), sweep)

    def on_deadline(self, now: float) -> list[Effect]:
        return self._told([*self._sweep(now), *self._peers.on_deadline(now)], now)

    def durable(self) -> Durable:
        """Equal to that of a core made anew from the disk, whenever nothing waits to be durable."""
        ledger = self._ledger
        return Durable(
            frozenset(ledger.rows()),
            (
                ledger.sequence,
                ledger.latest,
                *(r for r in ledger.pools.rows() if r.total or r.temporary),
            ),
        )

    def _decide(self, caller: Caller, message: Message, now: float) -> list[Effect]:
        is_for_a_device = isinstance(message, AcquireLicense | RenewLicense | MarkValidated)
        if is_for_a_device and not self._serves(caller.peer):
            return self._refuse_unserved(caller, message)
        match message:
            case AcquireLicense():
                return self._acquisitions.acquire(caller, message, now)
            case RenewLicense():
                return self._renew(caller, message, now)
            case MarkValidated():
                return self._mark_validated(caller, message, now)
            case AnnounceInventory():
                self._peers.on_inventory(caller.peer, message.inventory)
                return []
            case LendLicense():
                return self._lend(caller, message, now)
            case QueryPools():
                return [Answer(caller, Pools(pools=self._ledger.pools.rows()))]
            case QueryLicenses():
                return self._query_licenses(caller, message)
            case AddKeyPack():
                return [*self._add_pack(_pack(message, now)), Answer(caller, Done())]
            case QueryLicenseServers():
                return [Answer(caller, LicenseServers(servers=self._peers.rows()))]
            case _:
                return [Close(caller.peer, ErrorCode.OUT_OF_ORDER)]

    def _told(self, effects: list[Effect], now: float) -> list[Effect]:
        """What was decided, and then what peers must know of it."""
        return [*effects, *self._peers.announcements(now)]

    # --- renew, validate, lend ----------------------------------------------------------------

    def _renew(self, caller: Caller, request: RenewLicense, now: float) -> list[Effect]:
        """In a full token's last RENEWAL_DAYS a fresh end; before that, the token as it is."""
        license = self._to_renew(caller.peer, request, now)
        if license is None:
            detail = f"license server {self._name} knows no such token of this device"
            return refuse(caller, request, ErrorCode.UNKNOWN_LICENSE, detail)
        is_near_end = license.expires_at - now <= RENEWAL_SECONDS
        if license.kind is not LicenseKind.FULL or not is_near_end:
            return [Answer(caller, self._issuer.issued(license))]
        if license.lender:
            return self._borrower.forward(caller, license, request, now)
        renewed, persist = self._ledger.renew(license, request.user_name, now)
        return [
            persist,
            license_note("license.renewed", renewed, trace_id=request.trace_id),
            Answer(caller, self._issuer.issued(renewed)),
        ]

    def _to_renew(self, peer: Peer, request: RenewLicense, now: float) -> LicenseRecord | None:
        """The license that is named, else another live one of the device. For a peer only a full
        token that was issued here: a renewal is passed on once, to the lender, and never further.
        """
        device = request.device_id, request.product
        candidates = [
            self._ledger.license(request.license_id),
            self._ledger.full_token(*device, request.product_version),
            self._ledger.temporary_token(*device),
        ]
        for license in candidates:
            if license is None or license.ended or license.expires_at <= now:
                continue
            is_the_devices = (license.device_id, license.product) == device
            is_new_enough = license.product_version >= request.product_version
            is_issued_here = license.kind is LicenseKind.FULL and not license.lender
            is_for_peers = peer.role is not Role.LICENSE_SERVER or is_issued_here
            if is_the_devices and is_new_enough and is_for_peers:
                return license
        return None

    def _mark_validated(self, caller: Caller, request: MarkValidated, now: float) -> list[Effect]:
        device = request.device_id, request.product
        temporary = self._ledger.temporary_token(*device)
        if temporary is None and not self._ledger.was_licensed(*device):
            detail = f"license server {self._name} gave this device no token"
            return refuse(caller, request, ErrorCode.UNKNOWN_LICENSE, detail)
        if temporary is None or temporary.validated:
            return [Answer(caller, Done())]
        persist = self._ledger.validate(temporary, request.user_name, now)
        by = replace(temporary, user_name=request.user_name)
        note = license_note("license.validated", by, trace_id=request.trace_id)
        return [persist, note, Answer(caller, Done())]

    def _lend(self, caller: Caller, request: LendLicense, now: float) -> list[Effect]:
        """Issue a full token to the device of a peer, out of a pool here; never passed on.

        That the device was validated is the peer's word, which its certificate stands for. The
        same loan always names the same device and product, and these always get the same token.
        """
        device = request.device_id, request.product, request.product_version
        full = self._ledger.full_token(*device)
        if full is not None:
            return [Answer(caller, self._issuer.issued(full))]
        pack = self._ledger.pools.choose(request.product, request.product_version)
        if pack is None:
            detail = f"license server {self._name} has no token of {request.product} left"
            return refuse(caller, request, ErrorCode.NO_LICENSE, detail)
        license, persist = self._ledger.issue_full(request, pack, now, through=caller.peer.name)
        return [
            persist,
            license_note("license.lent", license, trace_id=request.trace_id),
            Answer(caller, self._issuer.issued(license)),
        ]

    # --- packs, expiry, administration ---------------------------------------------------------

    def _add_pack(self, pack: KeyPackRecord) -> list[Effect]:
        persist = self._ledger.add_pack(pack)
        if persist is None:
            return []
        fields = {
            "key_pack": pack.key_pack,
            "product": pack.product,
            "product_version": pack.product_version,
            "tokens": pack.tokens,
        }
        return [persist, Note("pack.added", fields)]

    def _sweep(self, now: float) -> list[Effect]:
        self._swept_at = now
        return self._take_back(now)

    def _take_back(self, now: float) -> list[Effect]:
        """Done before every decision, so that no token is out that has expired."""
        ended, effects = self._ledger.end_expired(now)
        for license in ended:
            event = "license.expired" if license.lender else "license.reclaimed"
            effects.append(license_note(event, license))
        return effects

    def _query_licenses(self, caller: Caller, query: QueryLicenses) -> list[Effect]:
        licenses, more = self._ledger.licenses_after(query.after, query.device_id)
        rows = [license_row(license) for license in licenses]
        return [Answer(caller, Licenses(licenses=rows, more=more))]

    def _serves(self, peer: Peer) -> bool:
        """Whether the peer is one of those that the configuration lets in ("License server
        security group" policy); other license servers are not subject to it."""
        is_peer = peer.role is Role.LICENSE_SERVER
        return is_peer or not self._settings.serves or peer.name in self._settings.serves

    def _refuse_unserved(self, caller: Caller, message: Message) -> list[Effect]:
        detail = (
            f"license server {self._name} does not serve terminal server {caller.peer.name}:"
            " its configuration's `serves` does not name it"
        )
        return refuse(caller, message, ErrorCode.SERVER_NOT_SERVED, detail)


def _pack(source: KeyPack | AddKeyPack, now: float) -> KeyPackRecord:
    return KeyPackRecord(
        key_pack=source.key_pack,
        product=source.product,
        product_version=source.product_version,
        tokens=source.tokens,
        added_at=int(now),
    )
