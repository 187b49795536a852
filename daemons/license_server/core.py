"""Decides which device gets which license token.

Implements per-device licensing of "How Terminal Services Licensing Works": first a temporary token,
a full one after a user has logged on from the device, a renewal near its end; a token that is not
renewed returns to its pool when it expires.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from daemons import events
from daemons.copied import copied
from daemons.effects import (
    Answer,
    Caller,
    Close,
    Durable,
    Effect,
    Outcome,
    Peer,
    Randomness,
    Records,
    SendDatagram,
    earliest,
)
from daemons.license_server.acquisition import Acquisitions
from daemons.license_server.issuer import Issuer
from daemons.license_server.ledger import Ledger
from daemons.license_server.lending import Lending
from daemons.license_server.newcomers import Newcomers
from daemons.license_server.peers import Peers
from daemons.license_server.records import KeyPackRecord, LicenseRecord
from daemons.license_server.refusal import license_event, refuse
from daemons.license_server.renewal import Renewals
from daemons.license_server.waiting import Parts, Waiter, WaitingRoom
from daemons.procedures import Procedure, Procedures
from daemons.refusal import Refusal
from daemons.settings import KeyPack, LicenseServerSettings
from tsproto import discovery, messages
from tsproto.errors import ErrorCode
from tsproto.license_token import holder_of
from tsproto.messages import Message, Role

FOR_DEVICES = (messages.AcquireLicense, messages.RenewLicense, messages.MarkValidated)
TRACED = (*FOR_DEVICES, messages.LendLicense)


class LicenseServerCore:
    """One license server.

    `records` are all rows of its store; `certificate` (DER) belongs to `key`; `instance` marks the
    broadcasts of this process. The daemon must not start on LedgerInconsistent (contradicting
    records), nor on a Refusal (the configuration's key packs do not fit them).
    """

    def __init__(
        self,
        settings: LicenseServerSettings,
        *,
        name: str,
        port: int,
        key: Ed25519PrivateKey,
        certificate: bytes,
        records: Records,
        rng: Randomness,
        instance: bytes,
    ) -> None:
        self._settings = settings
        self._name = name
        self._port = port
        self._instance = instance
        where = settings.discovery
        self._scopes = discovery.scopes_of(where.workgroup, where.domain, where.site)
        self._answer_limit = discovery.AnswerLimit()
        self._ledger = Ledger(records, rng)
        self._issuer = Issuer(settings.farm, name, key, certificate)
        self._procedures = Procedures()
        self._peers = Peers(
            where,
            farm=settings.farm,
            name=name,
            pools=self._ledger.pools,
            next_question_id=self._procedures.next_question_id,
            rng=rng,
            instance=instance,
        )
        parts = Parts(
            name=name,
            ledger=self._ledger,
            peers=self._peers,
            issuer=self._issuer,
            room=WaitingRoom(),
            procedures=self._procedures,
        )
        self._lending = copied(Lending, parts, rng=rng)
        newcomers = Newcomers()
        self._acquisitions = copied(Acquisitions, parts, lending=self._lending, newcomers=newcomers)
        self._renewals = copied(Renewals, parts)
        self._ledger.pools.check(_pack(pack, 0) for pack in settings.key_packs)
        self._swept_at = 0.0

    def renew(self, key: Ed25519PrivateKey, certificate: bytes) -> None:
        """The daemon has read its certificate and key again."""
        self._issuer.renew(key, certificate)

    # --- the methods of daemons.effects.Core --------------------------------------------------

    def on_start(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        if self._ledger.latest > now:
            behind = self._ledger.latest - int(now)
            effects.append(events.ClockSetBack(seconds=behind))
        for pack in self._settings.key_packs:
            effects += self._add_pack(_pack(pack, now))
        return [*effects, *self._sweep(now), *self._peers.start(now)]

    def on_peer_opened(self, peer: Peer, now: float) -> list[Effect]:
        if peer.role is not Role.LICENSE_SERVER:
            return []
        effects = self._take_back(now)
        return self._with_announcements([*effects, *self._peers.on_opened(peer, now)], now)

    def on_message(self, caller: Caller, message: Message, now: float) -> list[Effect]:
        effects = self._take_back(now)
        try:
            effects += self._decide(caller, message, now)
        except Refusal as refusal:
            trace_id = message.trace_id if isinstance(message, TRACED) else ""
            effects += refuse(caller, trace_id, message, refusal)
        return self._with_announcements(effects, now)

    def on_answer(self, question_id: int, outcome: Outcome, now: float) -> list[Effect]:
        effects = self._take_back(now)
        if self._peers.is_dialling(question_id):
            effects += self._peers.on_dial_failed(question_id, outcome, now)
        else:
            effects += self._procedures.on_answer(question_id, outcome, now)
        return self._with_announcements(effects, now)

    def on_peer_lost(self, peer: Peer, now: float) -> list[Effect]:
        return self._with_announcements(self._peers.on_lost(peer, now), now)

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
        if answer is None or not self._answer_limit.take(host, now):
            return []
        return [SendDatagram(host, port, answer)]

    def next_deadline(self) -> float | None:
        expiry = self._ledger.next_expiry()
        next_sweep = self._swept_at + self._settings.sweep_seconds
        sweep = None if expiry is None else max(expiry, next_sweep)
        return earliest(self._peers.next_deadline(), sweep)

    def on_deadline(self, now: float) -> list[Effect]:
        return self._with_announcements([*self._sweep(now), *self._peers.on_deadline(now)], now)

    def durable(self) -> Durable:
        """The journal is left out of the rows: its sequence stands for it."""
        ledger = self._ledger
        derived = (ledger.sequence, ledger.latest, *ledger.pools.rows())
        return Durable(frozenset(ledger.rows()), derived)

    def _decide(self, caller: Caller, message: Message, now: float) -> list[Effect]:
        is_restricted = self._settings.serves and isinstance(message, FOR_DEVICES)
        if is_restricted and not self._serves(caller.peer):
            raise self._not_served(caller.peer)
        match message:
            case messages.AcquireLicense() | messages.RenewLicense():
                waiter = Waiter(caller, message.trace_id)
                return self._procedures.start(waiter, self._answer_all([waiter], message), now)
            case messages.MarkValidated():
                return self._mark_validated(caller, message, now)
            case messages.AnnounceInventory():
                self._peers.on_inventory(caller.peer, message.inventory)
                return []
            case messages.LendLicense():
                return self._lending.lend(caller, message, now)
            case messages.QueryPools():
                return [Answer(caller, messages.Pools(pools=self._ledger.pools.rows()))]
            case messages.QueryLicenses():
                return self._query_licenses(caller, message)
            case messages.AddKeyPack():
                return [*self._add_pack(_pack(message, now)), Answer(caller, messages.Done())]
            case messages.QueryLicenseServers():
                return [Answer(caller, messages.LicenseServers(servers=self._peers.rows()))]
            case _:
                return [Close(caller.peer, ErrorCode.OUT_OF_ORDER)]

    def _with_announcements(self, effects: list[Effect], now: float) -> list[Effect]:
        """The decisions, followed by the inventory for peers when that is due."""
        effects += self._peers.announcements(now)
        return effects

    def _answer_all(
        self, waiters: list[Waiter], request: messages.AcquireLicense | messages.RenewLicense
    ) -> Procedure[None]:
        """Answer every request that waits for the license with it, or with a refusal."""
        do = self._procedures.do
        try:
            if isinstance(request, messages.AcquireLicense):
                license = yield from self._acquisitions.acquire(waiters, request)
            else:
                license = yield from self._renewals.renew(waiters, request)
        except Refusal as refusal:
            for waiter in waiters:
                do(*refuse(waiter.caller, waiter.trace_id, request, refusal))
            return
        if isinstance(license, LicenseRecord):
            for waiter in waiters:
                do(Answer(waiter.caller, self._issuer.issued(license)))

    def _mark_validated(
        self, caller: Caller, request: messages.MarkValidated, now: float
    ) -> list[Effect]:
        holder, product = holder_of(request), request.product
        temporary = self._ledger.temporary_token(holder, product)
        if temporary is None and not self._ledger.was_licensed(holder, product):
            detail = f"license server {self._name} gave this device no token"
            raise Refusal(ErrorCode.UNKNOWN_LICENSE, detail)
        if temporary is None or temporary.validated:
            return [Answer(caller, messages.Done())]
        persist = self._ledger.validate(temporary, request.user_name, now)
        by = replace(temporary, user_name=request.user_name)
        event = license_event(events.LicenseValidated, by, request.trace_id)
        return [persist, event, Answer(caller, messages.Done())]

    # --- packs, expiry, administration ---------------------------------------------------------

    def _add_pack(self, pack: KeyPackRecord) -> list[Effect]:
        persist = self._ledger.add_pack(pack)
        return [persist, copied(events.PackAdded, pack)] if persist else []

    def _sweep(self, now: float) -> list[Effect]:
        self._swept_at = now
        return self._take_back(now)

    def _take_back(self, now: float) -> list[Effect]:
        """End expired tokens; called before each decision, so that none counts as held."""
        ended, effects = self._ledger.end_expired(now)
        for license in ended:
            kind = events.LicenseExpired if license.lender else events.LicenseReclaimed
            effects.append(license_event(kind, license))
        return effects

    def _query_licenses(self, caller: Caller, query: messages.QueryLicenses) -> list[Effect]:
        licenses, more = self._ledger.licenses_after(query.after, holder_of(query))
        rows = [copied(messages.LicenseRow, license) for license in licenses]
        return [Answer(caller, messages.Licenses(licenses=rows, more=more))]

    def _serves(self, peer: Peer) -> bool:
        """Whether the configuration lets this terminal server ask ("License server security group"
        policy); other license servers always may."""
        return peer.role is Role.LICENSE_SERVER or peer.name in self._settings.serves

    def _not_served(self, peer: Peer) -> Refusal:
        detail = (
            f"license server {self._name} does not serve terminal server {peer.name}:"
            " its configuration's `serves` does not name it"
        )
        return Refusal(ErrorCode.SERVER_NOT_SERVED, detail)


def _pack(source: KeyPack | messages.AddKeyPack, now: float) -> KeyPackRecord:
    return copied(KeyPackRecord, source, added_at=int(now))
