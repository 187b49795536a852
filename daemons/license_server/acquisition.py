"""A device's way to a full token.

A device never takes a token from a pool before its temporary token was validated, not even when
the temporary one has expired unvalidated: else invented devices could drain the pool by waiting
(KB 287687). Such a device is refused from then on, unless a validation still arrives late.
"""

from __future__ import annotations

from typing import TypeVar

from daemons import events
from daemons.copied import copied
from daemons.license_server.lending import Lending, Upgrade
from daemons.license_server.newcomers import Newcomers
from daemons.license_server.records import KeyPackRecord, LicenseRecord
from daemons.license_server.refusal import (
    LENDER_SILENT,
    NO_LOGON,
    NO_TOKEN_LEFT,
    NOT_DIALLED,
    NoLicense,
    Reason,
    license_event,
)
from daemons.license_server.waiting import AnsweredTogether, Parts, Waiter
from daemons.procedures import Procedure
from daemons.refusal import Refusal
from tsproto import limits
from tsproto.errors import ErrorCode
from tsproto.license_token import holder_of
from tsproto.messages import AcquireLicense

S = TypeVar("S", bound=events.Shortage)


class Acquisitions(Parts, frozen=True, kw_only=True):
    """Decides AcquireLicense.

    A device that asks again gets what it has, bit for bit, and never a second one.
    """

    lending: Lending
    newcomers: Newcomers

    def acquire(
        self, waiters: list[Waiter], request: AcquireLicense
    ) -> Procedure[LicenseRecord | AnsweredTogether]:
        """The device's live full token; else its first, temporary one; else, once that was
        validated, a full one from a pool here or from a peer's; else the temporary one goes on.
        """
        holder, product = holder_of(request), request.product
        full = self.ledger.full_token(holder, product, request.product_version)
        if full is not None:
            return full
        temporary = self.ledger.temporary_token(holder, product)
        was_licensed = self.ledger.was_licensed(holder, product)
        if temporary is None and not was_licensed:
            return self._issue_temporary(waiters[0], request)
        upgrade = Upgrade(request, waiters, self.procedures.now)
        if self.room.join(upgrade.key, waiters[0]):
            return AnsweredTogether()
        self._raise_version(request)
        is_validated = was_licensed or (temporary is not None and temporary.validated)
        found = (yield from self._find_full_token(upgrade)) if is_validated else NO_LOGON
        return self._go_on_without(upgrade, found) if isinstance(found, Reason) else found

    def _issue_temporary(self, waiter: Waiter, request: AcquireLicense) -> LicenseRecord:
        now, server = self.procedures.now, waiter.caller.peer.name
        if wait := self.newcomers.admit(server, now):
            detail = (
                f"terminal server {server} brought"
                f" {limits.TEMPORARY_PER_SERVER_PER_MINUTE} new devices within a minute"
            )
            raise Refusal(ErrorCode.TOO_MANY_DEVICES, detail, retry_after_seconds=wait)
        license, persist = self.ledger.issue_temporary(request, now)
        event = license_event(events.LicenseIssued, license, request.trace_id)
        self.procedures.do(persist, event)
        return license

    def _raise_version(self, request: AcquireLicense) -> None:
        temporary, version = self._live_temporary(request), request.product_version
        if temporary is not None and temporary.product_version < version:
            persist = self.ledger.raise_temporary(temporary, version, self.procedures.now)
            self.procedures.do(persist)

    def _find_full_token(self, upgrade: Upgrade) -> Procedure[LicenseRecord | Reason]:
        """A full token for a validated device, or the reason why there is none.

        A lender that was silent on an earlier visit comes first, see `Lending.borrow`.
        """
        request = upgrade.request
        holder, product, version = upgrade.key
        while True:
            held = self.ledger.full_token(holder, product, version)
            if held is not None:  # it came while a peer was asked
                return held
            lender = self.lending.lender_in_doubt(upgrade)
            if lender is None:
                can_wait = self._live_temporary(request) is not None
                if can_wait and self.lending.is_in_doubt(request):
                    return LENDER_SILENT
                pack = self.ledger.pools.choose(product, version)
                if pack is not None:
                    return self._issue_full(request, pack)
                lender = self.lending.lender_with_tokens(upgrade)
            if lender is None:
                claiming = self.peers.claiming(product, version)
                return NO_TOKEN_LEFT if all(map(self.peers.endpoint, claiming)) else NOT_DIALLED
            borrowed = yield from self.lending.borrow(upgrade, lender)
            if borrowed is not None:
                return borrowed

    def _issue_full(self, request: AcquireLicense, pack: KeyPackRecord) -> LicenseRecord:
        license, persist = self.ledger.issue_full(request, pack, self.procedures.now)
        event = license_event(events.LicenseIssued, license, request.trace_id)
        self.procedures.do(persist, event)
        return license

    def _go_on_without(self, upgrade: Upgrade, reason: Reason) -> LicenseRecord:
        """The temporary token until it expires, for it never comes again; then a refusal."""
        request = upgrade.request
        temporary = self._live_temporary(request)
        if temporary is None:
            shortage = self._shortage(events.LicenseRefused, upgrade, reason)
            raise NoLicense(self.name, reason, shortage)
        if temporary.validated:
            self.procedures.do(self._shortage(events.LicenseNotUpgraded, upgrade, reason))
        return temporary

    def _live_temporary(self, request: AcquireLicense) -> LicenseRecord | None:
        temporary = self.ledger.temporary_token(holder_of(request), request.product)
        is_live = temporary is not None and temporary.expires_at > self.procedures.now
        return temporary if is_live else None

    def _shortage(self, kind: type[S], upgrade: Upgrade, reason: Reason) -> S:
        """Every pool and peer that could have helped, with what it held, claimed or answered."""
        request = upgrade.request
        pools = self.ledger.pools.serving(request.product, request.product_version)
        peers = self.peers.claims_of(request.product) | upgrade.tried
        return copied(
            kind,
            request,
            pools=[
                f"{pool.product} {pool.product_version}: {pool.available} of {pool.total} available"
                for pool in pools
            ],
            peers=[f"{name}: {what}" for name, what in peers.items()],
            reason=reason.text,
        )
