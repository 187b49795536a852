"""A full token near its end gets a fresh one: here, or from the license server that lent it."""

from __future__ import annotations

from msgspec.structs import replace

from daemons import events
from daemons.effects import Failed, Peer
from daemons.license_server.issuer import UnusableAnswer
from daemons.license_server.records import LicenseRecord
from daemons.license_server.refusal import license_event
from daemons.license_server.waiting import AnsweredTogether, Parts, Waiter, busy
from daemons.procedures import Procedure
from daemons.refusal import Refusal
from tsproto import limits
from tsproto.errors import ErrorCode
from tsproto.license_token import holder_of
from tsproto.messages import LicenseKind, Refused, RenewLicense, Role

RENEWAL_SECONDS = limits.RENEWAL_DAYS * limits.DAY_SECONDS


class Renewals(Parts, frozen=True, kw_only=True):
    """Decides RenewLicense."""

    def renew(
        self, waiters: list[Waiter], request: RenewLicense
    ) -> Procedure[LicenseRecord | AnsweredTogether]:
        """In a full token's last RENEWAL_DAYS a fresh end; before that, the token as it is."""
        now = self.procedures.now
        license = self._license(waiters[0].caller.peer, request, now)
        is_near_end = license.expires_at - now <= RENEWAL_SECONDS
        if license.kind is not LicenseKind.FULL or not is_near_end:
            return license
        if not license.lender:
            renewed, persist = self.ledger.renew(license, request.user_name, now)
            event = license_event(events.LicenseRenewed, renewed, request.trace_id)
            self.procedures.do(persist, event)
            return renewed
        if self.room.join(license.license_id, waiters[0]):
            return AnsweredTogether()
        renewed = yield from self._renew_at_lender(waiters, request, license)
        return self._take(request, renewed)

    def _license(self, peer: Peer, request: RenewLicense, now: float) -> LicenseRecord:
        """The license that is named, else another live one of the device. For a peer only a full
        token that was issued here: a renewal is passed on once, to the lender, and never further.
        """
        holder, product = holder_of(request), request.product
        candidates = [
            self.ledger.license(request.license_id),
            self.ledger.full_token(holder, product, request.product_version),
            self.ledger.temporary_token(holder, product),
        ]
        for license in candidates:
            if license is None or license.ended or license.expires_at <= now:
                continue
            is_the_holders = (holder_of(license), license.product) == (holder, product)
            is_new_enough = license.product_version >= request.product_version
            is_issued_here = license.kind is LicenseKind.FULL and not license.lender
            is_for_peers = peer.role is not Role.LICENSE_SERVER or is_issued_here
            if is_the_holders and is_new_enough and is_for_peers:
                return license
        detail = f"license server {self.name} knows no such token of this device"
        raise Refusal(ErrorCode.UNKNOWN_LICENSE, detail)

    def _renew_at_lender(
        self, waiters: list[Waiter], request: RenewLicense, license: LicenseRecord
    ) -> Procedure[LicenseRecord]:
        """Ask the lender; returns the license as it has renewed it."""
        endpoint = self.peers.endpoint(license.lender)
        if endpoint is None:
            self.peers.search_soon(self.procedures.now)
            raise self._not_renewed(
                request, license, ErrorCode.UNREACHABLE, "it is not known where it is"
            )
        if not self.room.has_room(1):
            raise busy()
        question = replace(request, request_id=0, license_id=license.license_id)
        answer = yield from self.room.ask(
            license.license_id, waiters, endpoint, question, limits.LENDING_SECONDS
        )
        lender = license.lender
        match answer:
            case Refused(code=code, detail=detail):
                raise Refusal(code, f"license server {lender}, which lent the token: {detail}")
            case Failed(code=code, detail=detail):
                raise self._not_renewed(request, license, code, detail)
        try:
            answered = self.issuer.borrowed(answer, request, lender, self.procedures.now)
        except UnusableAnswer as error:
            raise self._not_renewed(request, license, ErrorCode.UNANSWERED, str(error)) from None
        if answered.license_id != license.license_id:
            detail = f"license server {lender} does not know the token any more"
            raise Refusal(ErrorCode.UNKNOWN_LICENSE, detail)
        return replace(answered, issued_at=license.issued_at, renewed_at=answered.issued_at)

    def _take(self, request: RenewLicense, renewed: LicenseRecord) -> LicenseRecord:
        """Keep the renewed token. One that expired here meanwhile is borrowed anew, unless the
        device has got another: then it keeps that, and the renewed one expires at its lender."""
        now, trace_id = self.procedures.now, request.trace_id
        held = self.ledger.license(renewed.license_id)
        if held is not None and not held.ended:
            persist = self.ledger.renew_borrowed(renewed, request.user_name, now)
            event = license_event(events.LicenseRenewed, renewed, trace_id)
            self.procedures.do(persist, event)
            return renewed
        holder, version = holder_of(renewed), renewed.product_version
        if other := self.ledger.full_token(holder, renewed.product, version):
            return other
        persist = self.ledger.borrow(renewed, now)
        event = license_event(events.LicenseBorrowed, renewed, trace_id)
        self.procedures.do(persist, event)
        return renewed

    def _not_renewed(
        self, request: RenewLicense, license: LicenseRecord, code: ErrorCode, why: str
    ) -> Refusal:
        not_renewed = events.LicenseNotRenewed(
            peer=license.lender,
            code=code,
            detail=why,
            license_id=license.license_id,
            trace_id=request.trace_id,
        )
        self.procedures.do(not_renewed)
        detail = (
            f"license server {license.lender}, which lent the token, did not renew it:"
            f" {why or code.meaning}"
        )
        return Refusal(ErrorCode.LENDER_UNREACHABLE, detail)
