"""Tokens that one license server lends another, told from both sides.

A loan is on disk before it is asked for. When the answer is lost the lender may have issued the
token all the same, so the device's next visit asks that lender again, with the same loan id.
"""

from __future__ import annotations

import msgspec

from daemons import events
from daemons.copied import copied
from daemons.effects import Answer, Caller, Effect, Failed, Persist, Randomness
from daemons.license_server.issuer import UnusableAnswer
from daemons.license_server.records import LicenseRecord, LoanRecord
from daemons.license_server.refusal import Refusal, license_event
from daemons.license_server.waiting import Desk, Waiter
from daemons.procedures import Procedure
from tsproto import limits
from tsproto.errors import ErrorCode
from tsproto.license_token import Holder, holder_of
from tsproto.messages import AcquireLicense, LendLicense, Refused

# For all peers together: the terminal server waits REQUEST_SECONDS for the outcome.
ASKING_SECONDS = limits.REQUEST_SECONDS - 1.0
LOAN_ID_BYTES = 16
# A device on a live temporary token loses nothing by waiting so long for a lender that may have
# issued its token; asked elsewhere at once, it would tie up two tokens.
DOUBT_SECONDS = float(limits.DAY_SECONDS)


class Upgrade(msgspec.Struct):
    """A device that is to get a full token, and the requests that wait for it.

    `tried` says of each peer that was asked what it answered.
    """

    request: AcquireLicense
    waiters: list[Waiter]
    since: float
    tried: dict[str, str] = {}

    @property
    def key(self) -> tuple[Holder, str, int]:
        request = self.request
        return holder_of(request), request.product, request.product_version


class Lending(Desk, frozen=True, kw_only=True):
    """Borrows tokens from other license servers, and lends them ours."""

    rng: Randomness

    # --- the borrower's side ------------------------------------------------------------------

    def is_in_doubt(self, request: AcquireLicense) -> bool:
        """Whether a peer may have issued a token to this device, and may yet say so."""
        now = self.procedures.now
        loans = self.ledger.open_loans(holder_of(request), request.product)
        return any(now < loan.asked_at + DOUBT_SECONDS for loan in loans)

    def lender_in_doubt(self, upgrade: Upgrade) -> str | None:
        """A linked peer that may have issued the token before, and was not asked this time."""
        request = upgrade.request
        in_doubt = [
            loan.lender
            for loan in self.ledger.open_loans(holder_of(request), request.product)
            if loan.product_version == request.product_version and self.peers.is_linked(loan.lender)
        ]
        return self._first_to_ask(upgrade, in_doubt)

    def lender_with_tokens(self, upgrade: Upgrade) -> str | None:
        """The next peer that claims a token which the device can use."""
        request = upgrade.request
        claiming = self.peers.claiming(request.product, request.product_version)
        return self._first_to_ask(upgrade, claiming)

    def _first_to_ask(self, upgrade: Upgrade, lenders: list[str]) -> str | None:
        """None, too, when ASKING_SECONDS are over or too many requests wait already."""
        ends_at = upgrade.since + ASKING_SECONDS
        if self.procedures.now >= ends_at or not self.room.has_room(len(upgrade.waiters)):
            return None
        untried = (name for name in lenders if name not in upgrade.tried)
        return next((name for name in untried if self.peers.endpoint(name)), None)

    def borrow(self, upgrade: Upgrade, lender: str) -> Procedure[LicenseRecord | None]:
        """Ask one peer for a token; None when it gave none, and then `upgrade.tried` says why."""
        request, ledger = upgrade.request, self.ledger
        endpoint = self.peers.endpoint(lender)
        assert endpoint is not None, lender
        loan, is_new = self._loan(request, lender)
        if is_new:
            self.procedures.do(ledger.open_loan(loan))
        question = copied(LendLicense, request, request_id=0, loan_id=loan.loan_id)
        left = upgrade.since + ASKING_SECONDS - self.procedures.now
        seconds = min(limits.LENDING_SECONDS, left)
        answer = yield from self.room.ask(upgrade.key, upgrade.waiters, endpoint, question, seconds)
        now = self.procedures.now
        if isinstance(answer, Refused):
            self._give_up(upgrade, loan, answer.code.name, ledger.close_loan(loan))
            return None
        if isinstance(answer, Failed):
            was_never_sent = is_new and answer.code is ErrorCode.UNREACHABLE
            closed = [ledger.close_loan(loan)] if was_never_sent else []
            self._give_up(upgrade, loan, answer.code.name, *closed)
            return None
        try:
            license = self.issuer.borrowed(answer, request, lender, now)
        except UnusableAnswer as error:
            self._give_up(upgrade, loan, str(error), ledger.close_loan(loan))
            return None
        holder = holder_of(license)
        if held := ledger.full_token(holder, license.product, license.product_version):
            # Another loan was quicker; the second token returns to its lender when it expires.
            self.procedures.do(ledger.close_loan(loan))
            return held
        event = license_event(events.LicenseBorrowed, license, request.trace_id)
        self.procedures.do(ledger.borrow(license, now), event)
        return license

    def _loan(self, request: AcquireLicense, lender: str) -> tuple[LoanRecord, bool]:
        """The open loan of this device and lender, or a new one; and whether it is new."""
        for loan in self.ledger.open_loans(holder_of(request), request.product):
            if (loan.lender, loan.product_version) == (lender, request.product_version):
                return loan, False
        fresh = {"loan_id": self.rng.randbytes(LOAN_ID_BYTES), "asked_at": int(self.procedures.now)}
        return copied(LoanRecord, request, lender=lender, **fresh), True

    def _give_up(self, upgrade: Upgrade, loan: LoanRecord, why: str, *closed: Persist) -> None:
        """The lender gave none. Without `closed` it may have issued one all the same."""
        upgrade.tried[loan.lender] = why
        self.peers.forget_claims(loan.lender)
        failed = events.LoanFailed(
            peer=loan.lender,
            reason=why,
            device_id=loan.device_id,
            trace_id=upgrade.request.trace_id,
        )
        self.procedures.do(*closed, failed)

    # --- the lender's side --------------------------------------------------------------------

    def lend(self, caller: Caller, request: LendLicense, now: float) -> list[Effect]:
        """Issue a full token out of a pool here to a peer's device; never passed on to others.

        The peer vouches, by its certificate, that the device was validated. One loan always names
        the same device and product, and these always get the same token.
        """
        holder = holder_of(request)
        full = self.ledger.full_token(holder, request.product, request.product_version)
        if full is not None:
            return [Answer(caller, self.issuer.issued(full))]
        pack = self.ledger.pools.choose(request.product, request.product_version)
        if pack is None:
            detail = f"license server {self.name} has no token of {request.product} left"
            raise Refusal(ErrorCode.NO_LICENSE, detail)
        license, persist = self.ledger.issue_full(request, pack, now, through=caller.peer.name)
        event = license_event(events.LicenseLent, license, request.trace_id)
        return [persist, event, Answer(caller, self.issuer.issued(license))]
