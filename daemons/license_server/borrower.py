"""The asker's side of lending: who is asked, who waits for it, what is known if nothing came back.

A loan is on disk before it is asked for. When the answer is lost the lender may have issued the
token all the same, so the device's next visit asks that lender again, with the same loan id.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec.structs import replace

from daemons.effects import Answer, Ask, Caller, Effect, Failed, Note, Outcome, Randomness
from daemons.license_server.explanation import Waiting, Wanted, license_note, refuse_all
from daemons.license_server.issuer import Issuer, UnusableAnswer
from daemons.license_server.ledger import Ledger
from daemons.license_server.peers import Peers
from daemons.license_server.records import LicenseRecord, LoanRecord
from tsproto import limits
from tsproto.errors import ErrorCode
from tsproto.messages import AcquireLicense, LendLicense, LicenseIssued, Refused, RenewLicense

# All peers together: the terminal server waits REQUEST_SECONDS for what came of it.
ASKING_SECONDS = limits.REQUEST_SECONDS - 1.0
WAITING_MAX = 16_384  # requests that wait for a peer's answer; then BUSY
LOAN_ID_BYTES = 16
# A device on a live temporary token loses nothing by waiting so long for a lender that may have
# issued its token; asked elsewhere at once, it would tie up two tokens.
DOUBT_SECONDS = float(limits.DAY_SECONDS)


class Loan(msgspec.Struct, frozen=True):
    wanted: Wanted
    record: LoanRecord
    was_open: bool


class Forwarded(msgspec.Struct, frozen=True):
    """A renewal that only the lender can make."""

    license: LicenseRecord
    request: RenewLicense
    waiting: list[Waiting]


class Borrower:
    """Asks peers for tokens, one after the other, and lenders for renewals."""

    def __init__(
        self,
        ledger: Ledger,
        peers: Peers,
        issuer: Issuer,
        tickets: Iterator[int],
        rng: Randomness,
    ) -> None:
        self._ledger = ledger
        self._peers = peers
        self._issuer = issuer
        self._tickets = tickets
        self._rng = rng
        self._asked: dict[int, Loan | Forwarded] = {}
        self._wanted: dict[tuple[bytes, str, int], Wanted] = {}
        self._forwarded: dict[bytes, Forwarded] = {}
        self._waiting = 0

    def is_asking(self, ticket: int) -> bool:
        return ticket in self._asked

    def under_way(self, request: AcquireLicense) -> Wanted | None:
        """The loan that this device waits for already."""
        return self._wanted.get(_device_key(request))

    def join(self, waiting: Waiting, others: list[Waiting]) -> list[Effect]:
        """Wait with the others; BUSY when too many wait."""
        if self._waiting >= WAITING_MAX:
            return [Answer(waiting.caller, _busy(waiting.trace_id))]
        others.append(waiting)
        self._waiting += 1
        return []

    # --- a token for a device -----------------------------------------------------------------

    def in_doubt(self, request: AcquireLicense, now: float) -> bool:
        """Whether a peer may have issued a token to this device, and may yet say so."""
        loans = self._ledger.open_loans(request.device_id, request.product)
        return any(now < loan.asked_at + DOUBT_SECONDS for loan in loans)

    def ask_again(self, wanted: Wanted, now: float) -> list[Effect]:
        """Ask a linked lender that may have issued the token before; empty when there is none."""
        request = wanted.request
        lenders = [
            loan.lender
            for loan in self._ledger.open_loans(request.device_id, request.product)
            if loan.product_version == request.product_version
            and self._peers.is_linked(loan.lender)
        ]
        return self._ask_one_of(lenders, wanted, now)

    def ask(self, wanted: Wanted, now: float) -> list[Effect]:
        """Ask the next peer that claims a token; empty when none is left, or no time."""
        request = wanted.request
        claiming = self._peers.claiming(request.product, request.product_version)
        return self._ask_one_of(claiming, wanted, now)

    def _ask_one_of(self, lenders: list[str], wanted: Wanted, now: float) -> list[Effect]:
        lender = next((name for name in lenders if name not in wanted.tried), "")
        endpoint = self._peers.endpoint(lender) if lender else None
        left = wanted.since + ASKING_SECONDS - now
        is_full = self._waiting + len(wanted.waiting) > WAITING_MAX
        if endpoint is None or left <= 0 or is_full:
            return []
        loan = self._loan(wanted, lender, now)
        ticket = next(self._tickets)
        self._asked[ticket] = loan
        self._wanted[_device_key(wanted.request)] = wanted
        self._waiting += len(wanted.waiting)
        timeout_seconds = min(limits.LENDING_SECONDS, left)
        ask = Ask(endpoint, _lend(wanted.request, loan.record.loan_id), ticket, timeout_seconds)
        return [ask] if loan.was_open else [self._ledger.open_loan(loan.record), ask]

    def _loan(self, wanted: Wanted, lender: str, now: float) -> Loan:
        request = wanted.request
        for loan in self._ledger.open_loans(request.device_id, request.product):
            if (loan.lender, loan.product_version) == (lender, request.product_version):
                return Loan(wanted, loan, was_open=True)
        record = LoanRecord(
            loan_id=self._rng.randbytes(LOAN_ID_BYTES),
            lender=lender,
            device_id=request.device_id,
            product=request.product,
            product_version=request.product_version,
            asked_at=int(now),
        )
        return Loan(wanted, record, was_open=False)

    # --- a renewal ----------------------------------------------------------------------------

    def forward(
        self, caller: Caller, license: LicenseRecord, request: RenewLicense, now: float
    ) -> list[Effect]:
        """Let the lender renew; a license is forwarded once, however many ask meanwhile."""
        waiting = Waiting(caller, request.trace_id)
        if forwarded := self._forwarded.get(license.license_id):
            return self.join(waiting, forwarded.waiting)
        endpoint = self._peers.endpoint(license.lender)
        if endpoint is None:
            self._peers.search_soon(now)
            why = Failed(ErrorCode.UNREACHABLE, "it is not known where it is")
            return self._unreachable(license, [waiting], why)
        forwarded = Forwarded(license, request, [])
        if busy := self.join(waiting, forwarded.waiting):
            return busy
        ticket = next(self._tickets)
        self._asked[ticket] = self._forwarded[license.license_id] = forwarded
        question = replace(request, request_id=0, license_id=license.license_id)
        return [Ask(endpoint, question, ticket, limits.LENDING_SECONDS)]

    # --- what came back -----------------------------------------------------------------------

    def on_answer(
        self, ticket: int, outcome: Outcome, now: float
    ) -> tuple[list[Effect], Wanted | None]:
        """What follows, and a device that has still no full token, if this brought it none."""
        match self._asked.pop(ticket):
            case Loan() as loan:
                self._waiting -= len(loan.wanted.waiting)
                del self._wanted[_device_key(loan.wanted.request)]
                return self._on_lent(loan, outcome, now)
            case Forwarded() as forwarded:
                self._waiting -= len(forwarded.waiting)
                del self._forwarded[forwarded.license.license_id]
                return self._on_renewed(forwarded, outcome, now), None

    def _on_lent(
        self, loan: Loan, outcome: Outcome, now: float
    ) -> tuple[list[Effect], Wanted | None]:
        request, lender = loan.wanted.request, loan.record.lender
        if not isinstance(outcome, LicenseIssued):
            return self._on_not_lent(loan, outcome), loan.wanted
        try:
            license = self._issuer.borrowed(outcome, request, lender, now)
        except UnusableAnswer as error:
            return self._not_lent(loan, f"{error}", is_settled=True), loan.wanted
        device = request.device_id, license.product, license.product_version
        if held := self._ledger.full_token(*device):
            # Another loan was quicker; the second token returns to its lender when it expires.
            answers = self._answers(loan.wanted.waiting, held)
            return [self._ledger.close_loan(loan.record), *answers], None
        return [
            self._ledger.borrow(license, now),
            license_note("license.borrowed", license, trace_id=request.trace_id),
            *self._answers(loan.wanted.waiting, license),
        ], None

    def _on_not_lent(self, loan: Loan, outcome: Outcome) -> list[Effect]:
        match outcome:
            case Refused(code=code):
                return self._not_lent(loan, code.name, is_settled=True)
            case Failed(code=code):
                was_never_sent = code is ErrorCode.UNREACHABLE and not loan.was_open
                return self._not_lent(loan, code.name, is_settled=was_never_sent)
        return self._not_lent(loan, "no answer to this", is_settled=True)

    def _not_lent(self, loan: Loan, why: str, *, is_settled: bool) -> list[Effect]:
        lender, request = loan.record.lender, loan.wanted.request
        loan.wanted.tried[lender] = why
        self._peers.disbelieve(lender)
        fields = {
            "peer": lender,
            "why": why,
            "device_id": request.device_id.hex(),
            "trace_id": request.trace_id,
            "event_id": 8,
        }
        note = Note("loan.failed", fields)
        return [self._ledger.close_loan(loan.record), note] if is_settled else [note]

    def _on_renewed(self, forwarded: Forwarded, outcome: Outcome, now: float) -> list[Effect]:
        license, request = forwarded.license, forwarded.request
        match outcome:
            case Refused(code=code, detail=detail):
                text = f"license server {license.lender}, which lent the token: {detail}"
                return refuse_all(forwarded.waiting, code, text)
            case LicenseIssued():
                try:
                    answered = self._issuer.borrowed(outcome, request, license.lender, now)
                except UnusableAnswer as error:
                    why = Failed(ErrorCode.UNANSWERED, str(error))
                else:
                    return self._take_renewal(forwarded, answered, now)
            case Failed():
                why = outcome
            case _:
                why = Failed(ErrorCode.UNANSWERED)
        return self._unreachable(license, forwarded.waiting, why)

    def _take_renewal(
        self, forwarded: Forwarded, answered: LicenseRecord, now: float
    ) -> list[Effect]:
        license, request = forwarded.license, forwarded.request
        if answered.license_id != license.license_id:
            why = f"license server {license.lender} does not know the token any more"
            return refuse_all(forwarded.waiting, ErrorCode.UNKNOWN_LICENSE, why)
        renewed = replace(answered, issued_at=license.issued_at, renewed_at=answered.issued_at)
        held = self._ledger.license(license.license_id)
        if held is None or held.ended:
            return self._take_late_renewal(forwarded, renewed, now)
        return [
            self._ledger.renew_borrowed(renewed, request.user_name, now),
            license_note("license.renewed", renewed, trace_id=request.trace_id),
            *self._answers(forwarded.waiting, renewed),
        ]

    def _take_late_renewal(
        self, forwarded: Forwarded, renewed: LicenseRecord, now: float
    ) -> list[Effect]:
        """The token expired here before its renewal came. A device that got another one meanwhile
        keeps that; the renewed one returns to its lender when it expires there."""
        device = renewed.device_id, renewed.product, renewed.product_version
        if other := self._ledger.full_token(*device):
            return self._answers(forwarded.waiting, other)
        return [
            self._ledger.borrow(renewed, now),
            license_note("license.borrowed", renewed, trace_id=forwarded.request.trace_id),
            *self._answers(forwarded.waiting, renewed),
        ]

    def _unreachable(
        self, license: LicenseRecord, waiting: list[Waiting], why: Failed
    ) -> list[Effect]:
        detail = f"license server {license.lender}, which lent the token, did not renew it"
        reason = why.detail or why.code.meaning
        fields = {
            "peer": license.lender,
            "code": why.code.name,
            "license_id": license.license_id.hex(),
            "trace_id": waiting[0].trace_id,
            "event_id": 8,
        }
        refusals = refuse_all(waiting, ErrorCode.LENDER_UNREACHABLE, f"{detail}: {reason}")
        return [Note("license.not_renewed", fields), *refusals]

    def _answers(self, waiting: list[Waiting], license: LicenseRecord) -> list[Effect]:
        return [Answer(each.caller, self._issuer.issued(license)) for each in waiting]


def _device_key(request: AcquireLicense) -> tuple[bytes, str, int]:
    return request.device_id, request.product, request.product_version


def _lend(request: AcquireLicense, loan_id: bytes) -> LendLicense:
    return LendLicense(
        loan_id=loan_id,
        device_id=request.device_id,
        device_name=request.device_name,
        user_name=request.user_name,
        product=request.product,
        product_version=request.product_version,
        trace_id=request.trace_id,
    )


def _busy(trace_id: str) -> Refused:
    detail = f"{WAITING_MAX} requests wait for other license servers"
    return Refused(code=ErrorCode.BUSY, detail=detail, retry_after_seconds=1, trace_id=trace_id)
