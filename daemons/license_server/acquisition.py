"""A device's way to a full token: what it gets when it asks.

A device never takes a token from a pool before its temporary token was validated, not even when
the temporary one has expired unvalidated: else invented devices could drain the pool by waiting
(KB 287687). Such a device is refused from then on, unless a validation still arrives late.
"""

from __future__ import annotations

from daemons.effects import Answer, Caller, Effect
from daemons.license_server.borrower import Borrower
from daemons.license_server.explanation import (
    LENDER_SILENT,
    NO_LOGON,
    NO_TOKEN_LEFT,
    LookedAt,
    Reason,
    Waiting,
    Wanted,
    license_note,
    not_upgraded,
    refuse,
    refuse_license,
)
from daemons.license_server.issuer import Issuer
from daemons.license_server.ledger import Ledger
from daemons.license_server.newcomers import Newcomers
from daemons.license_server.peers import Peers
from daemons.license_server.records import LicenseRecord
from tsproto import limits
from tsproto.errors import ErrorCode
from tsproto.messages import AcquireLicense


class Acquisitions:
    """Decides AcquireLicense for the license server `name`.

    A device that asks again gets what it has, bit for bit, and never a second one.
    """

    def __init__(
        self, name: str, ledger: Ledger, issuer: Issuer, peers: Peers, borrower: Borrower
    ) -> None:
        self._name = name
        self._ledger = ledger
        self._issuer = issuer
        self._peers = peers
        self._borrower = borrower
        self._newcomers = Newcomers()

    def acquire(self, caller: Caller, request: AcquireLicense, now: float) -> list[Effect]:
        """The device's live token; else its first, temporary one; else, once it was validated, a
        full one: from a pool here, from a peer's, or the temporary one goes on."""
        device = request.device_id, request.product
        full = self._ledger.full_token(*device, request.product_version)
        if full is not None:
            return [Answer(caller, self._issuer.issued(full))]
        temporary = self._ledger.temporary_token(*device)
        was_licensed = self._ledger.was_licensed(*device)
        if temporary is None and not was_licensed:
            return self._issue_first(caller, request, now)
        waiting = Waiting(caller, request.trace_id)
        if under_way := self._borrower.under_way(request):
            return self._borrower.join(waiting, under_way.waiting)
        raised = self._raise_version(temporary, request.product_version, now)
        wanted = Wanted(request, [waiting], now)
        if was_licensed or (temporary is not None and temporary.validated):
            return [*raised, *self.supply(wanted, now)]
        return [*raised, *self._go_on_without(wanted, NO_LOGON, now)]

    def supply(self, wanted: Wanted, now: float) -> list[Effect]:
        """A full token for a device that may have one, from wherever there is one.

        A lender that may have issued one already comes first: while it may still say so, and the
        device's temporary token is good, no other token is touched.
        """
        request = wanted.request
        if asking := self._borrower.ask_again(wanted, now):
            return asking
        temporary = self._ledger.temporary_token(request.device_id, request.product)
        can_wait = temporary is not None and temporary.expires_at > now
        if can_wait and self._borrower.in_doubt(request, now):
            return self._go_on_without(wanted, LENDER_SILENT, now)
        pack = self._ledger.pools.choose(request.product, request.product_version)
        if pack is not None:
            license, persist = self._ledger.issue_full(request, pack, now)
            note = license_note("license.issued", license, trace_id=request.trace_id)
            answers = [Answer(each.caller, self._issuer.issued(license)) for each in wanted.waiting]
            return [persist, note, *answers]
        asking = self._borrower.ask(wanted, now)
        return asking or self._go_on_without(wanted, NO_TOKEN_LEFT, now)

    def _issue_first(self, caller: Caller, request: AcquireLicense, now: float) -> list[Effect]:
        if wait := self._newcomers.admit(caller.peer.name, now):
            detail = (
                f"terminal server {caller.peer.name} brought"
                f" {limits.TEMPORARY_PER_SERVER_PER_MINUTE} new devices within a minute"
            )
            code = ErrorCode.TOO_MANY_DEVICES
            return refuse(caller, request, code, detail, retry_after_seconds=wait)
        license, persist = self._ledger.issue_temporary(request, now)
        return [
            persist,
            license_note("license.issued", license, trace_id=request.trace_id),
            Answer(caller, self._issuer.issued(license)),
        ]

    def _go_on_without(self, wanted: Wanted, reason: Reason, now: float) -> list[Effect]:
        """No full token: the temporary one goes on until it expires, and never comes again."""
        request = wanted.request
        temporary = self._ledger.temporary_token(request.device_id, request.product)
        looked_at = self._looked_at(wanted)
        if temporary is None or temporary.expires_at <= now:
            return refuse_license(wanted, looked_at, reason)
        effects: list[Effect] = []
        if temporary.validated:
            effects.append(not_upgraded(wanted, looked_at, reason))
        issued = [Answer(each.caller, self._issuer.issued(temporary)) for each in wanted.waiting]
        return [*effects, *issued]

    def _looked_at(self, wanted: Wanted) -> LookedAt:
        request = wanted.request
        claims = self._peers.claims_of(request.product)
        return LookedAt(
            server=self._name,
            pools=[
                f"{pool.product} {pool.product_version}: {pool.available} of {pool.total} available"
                for pool in self._ledger.pools.serving(request.product, request.product_version)
            ],
            peers=[f"{name}: {came}" for name, came in (claims | wanted.tried).items()],
        )

    def _raise_version(
        self, temporary: LicenseRecord | None, product_version: int, now: float
    ) -> list[Effect]:
        if temporary is None or temporary.expires_at <= now:
            return []
        if temporary.product_version >= product_version:
            return []
        _, persist = self._ledger.raise_temporary(temporary, product_version, now)
        return [persist]
