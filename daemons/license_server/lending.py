"""Tokens that one license server lends another, told from both sides.

`Lending.borrow` says what follows when a lender refuses, is silent or cannot be reached.
"""

from __future__ import annotations

import msgspec

from daemons import events
from daemons.copied import copied
from daemons.effects import Answer, Caller, Effect, Failed, Persist, Randomness
from daemons.license_server.issuer import UnusableAnswer
from daemons.license_server.records import LicenseRecord, LoanRequestRecord
from daemons.license_server.refusal import license_event
from daemons.license_server.waiting import Parts, Waiter
from daemons.procedures import Procedure
from daemons.refusal import Refusal
from tsproto import limits
from tsproto.errors import ErrorCode
from tsproto.license_token import Holder, holder_of
from tsproto.messages import AcquireLicense, LendLicense, Refused

# For all peers together: the terminal server waits REQUEST_SECONDS for the outcome.
ASKING_SECONDS = limits.REQUEST_SECONDS - 1.0
LOAN_ID_BYTES = 16
# How long a device on a live temporary token waits for a silent lender: it loses nothing by it.
DOUBT_SECONDS = float(limits.DAY_SECONDS)


class Upgrade(msgspec.Struct):
    """A device that is to get a full token, and the requests that wait for it.

    `tried` holds the answer of each peer that was asked, by its name.
    """

    request: AcquireLicense
    waiters: list[Waiter]
    since: float
    tried: dict[str, str] = {}

    @property
    def key(self) -> tuple[Holder, str, int]:
        request = self.request
        return holder_of(request), request.product, request.product_version


class Lending(Parts, frozen=True, kw_only=True):
    """Borrows tokens from other license servers, and lends them ours."""

    rng: Randomness

    # --- the borrower's side ------------------------------------------------------------------

    def is_in_doubt(self, request: AcquireLicense) -> bool:
        """Whether a peer that was silent may have issued a token to this device."""
        now = self.procedures.now
        loan_requests = self.ledger.loan_requests(holder_of(request), request.product)
        return any(now < asked.asked_at + DOUBT_SECONDS for asked in loan_requests)

    def lender_in_doubt(self, upgrade: Upgrade) -> str | None:
        """A linked peer that was silent on an earlier visit, and was not asked on this one."""
        request = upgrade.request
        in_doubt = [
            asked.lender
            for asked in self.ledger.loan_requests(holder_of(request), request.product)
            if asked.product_version == request.product_version
            and self.peers.is_linked(asked.lender)
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
        """Ask one peer for a token; None when it gave none, and then `upgrade.tried` says why.

        The loan request is on disk before it is sent, and then:
        - refused (or answered with an unusable token): the request is deleted.
        - silent: the lender may have issued a token, and the request stays. The device's next visit
          asks that lender first, with the same loan id. For DOUBT_SECONDS a device on a live
          temporary token gets no other token meanwhile: it would tie up two.
        - never sent, for there was no link: a new request is deleted.
        """
        request, ledger = upgrade.request, self.ledger
        endpoint = self.peers.endpoint(lender)
        assert endpoint is not None, lender
        asked, is_new = self._loan_request(request, lender)
        if is_new:
            self.procedures.do(ledger.add_loan_request(asked))
        question = copied(LendLicense, request, request_id=0, loan_id=asked.loan_id)
        left = upgrade.since + ASKING_SECONDS - self.procedures.now
        seconds = min(limits.LENDING_SECONDS, left)
        answer = yield from self.room.ask(upgrade.key, upgrade.waiters, endpoint, question, seconds)
        now = self.procedures.now
        if isinstance(answer, Refused):
            self._give_up(upgrade, asked, answer.code.name, ledger.delete_loan_request(asked))
            return None
        if isinstance(answer, Failed):
            was_never_sent = is_new and answer.code is ErrorCode.UNREACHABLE
            deleted = [ledger.delete_loan_request(asked)] if was_never_sent else []
            self._give_up(upgrade, asked, answer.code.name, *deleted)
            return None
        try:
            license = self.issuer.borrowed(answer, request, lender, now)
        except UnusableAnswer as error:
            self._give_up(upgrade, asked, str(error), ledger.delete_loan_request(asked))
            return None
        holder = holder_of(license)
        if held := ledger.full_token(holder, license.product, license.product_version):
            # Another request was quicker; the second token returns to its lender when it expires.
            self.procedures.do(ledger.delete_loan_request(asked))
            return held
        event = license_event(events.LicenseBorrowed, license, request.trace_id)
        self.procedures.do(ledger.borrow(license, now), event)
        return license

    def _loan_request(self, request: AcquireLicense, lender: str) -> tuple[LoanRequestRecord, bool]:
        """The open loan request of this device and lender, or a new one; and whether it is new."""
        for asked in self.ledger.loan_requests(holder_of(request), request.product):
            if (asked.lender, asked.product_version) == (lender, request.product_version):
                return asked, False
        fresh = {"loan_id": self.rng.randbytes(LOAN_ID_BYTES), "asked_at": int(self.procedures.now)}
        return copied(LoanRequestRecord, request, lender=lender, **fresh), True

    def _give_up(
        self, upgrade: Upgrade, asked: LoanRequestRecord, why: str, *deleted: Persist
    ) -> None:
        upgrade.tried[asked.lender] = why
        self.peers.forget_claims(asked.lender)
        failed = events.LoanFailed(
            peer=asked.lender,
            reason=why,
            device_id=asked.device_id,
            trace_id=upgrade.request.trace_id,
        )
        self.procedures.do(*deleted, failed)

    # --- the lender's side --------------------------------------------------------------------

    def lend(self, caller: Caller, request: LendLicense, now: float) -> list[Effect]:
        """Issue a full token from a pool here to a peer's device. The request is not forwarded; a
        token that this server has issued or borrowed for the device is given again.

        The peer vouches, by its certificate, that the device was validated.
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
