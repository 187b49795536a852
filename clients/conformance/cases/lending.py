"""License servers among each other: loans, renewals of lent tokens, announced inventories."""

from __future__ import annotations

import msgspec

from clients.conformance.acting import CaseContext
from clients.conformance.case import LICENSE_SERVER, Case, Chapter
from clients.conformance.cases.license_server import RENEWAL, Product
from clients.conformance.cases.requests import claim, lent, loan_under_way
from clients.conformance.device import DAY, read_token
from clients.conformance.peer import Peer
from clients.conformance.reach import acquire_license, renewal_under_way
from clients.conformance.target import Setup
from tsproto import limits, messages
from tsproto.errors import ErrorCode
from tsproto.messages import (
    AnnounceInventory,
    InventoryRow,
    LendLicense,
    LicenseIssued,
    LicenseKind,
    Refused,
    Role,
)

chapter = Chapter()


def lend(context: CaseContext, product: str, device_id: bytes, loan_id: bytes = b"") -> LendLicense:
    return LendLicense(
        loan_id=loan_id or context.rng.randbytes(16),
        device_id=device_id,
        device_name="device",
        user_name="user",
        product=product,
        product_version=1,
    )


def row(product: str, available: int) -> InventoryRow:
    return InventoryRow(product=product, product_version=1, available=available)


# --- the one that has none ------------------------------------------------------------------------


@chapter.case("LEND-01", LICENSE_SERVER, setup=Setup.PLAYED)
def what_is_lent_is_passed_on(context: CaseContext) -> None:
    lender, request, server, _, device_id = loan_under_way(context)
    context.check(request.device_id == device_id, "the device's id in LendLicense")
    answer = lent(context, request)
    lender.answer(request, answer)
    issued = server.hear(LicenseIssued)
    server.expect_same(answer.token, issued.token)
    server.expect_same(answer.issuer_certificate, issued.issuer_certificate)
    server.expect_same(lender.name, issued.lender)


@chapter.case("LEND-01", LICENSE_SERVER, setup=Setup.PLAYED)
def who_claims_nothing_is_not_asked(context: CaseContext) -> None:
    lender = context.accept(Role.LICENSE_SERVER)
    product = Product(context)
    claim(lender, product.name, 0)
    device_id = product.device()
    product.acquire(device_id)
    product.validate(device_id)
    context.check(product.acquire(device_id).kind is LicenseKind.TEMPORARY, "the temporary token")
    lender.expect_silence(0.5)


@chapter.case("LEND-06", LICENSE_SERVER, setup=Setup.PLAYED)
def a_new_inventory_replaces_the_old(context: CaseContext) -> None:
    lender = context.accept(Role.LICENSE_SERVER)
    product = Product(context)
    claim(lender, product.name, 5)
    lender.say(AnnounceInventory(inventory=[row("another-product", 1)]))
    device_id = product.device()
    product.acquire(device_id)
    product.validate(device_id)
    context.check(product.acquire(device_id).kind is LicenseKind.TEMPORARY, "the temporary token")
    lender.expect_silence(0.5)


@chapter.case("LEND-07", LICENSE_SERVER, setup=Setup.PLAYED)
def a_lost_answer_is_asked_for_again(context: CaseContext) -> None:
    context.needs_seconds(limits.REQUEST_SECONDS)
    lender, first, server, product, device_id = loan_under_way(context)
    server.hear(LicenseIssued, limits.REQUEST_SECONDS)
    server.request(acquire_license(device_id, product))
    again = lender.hear(LendLicense)
    lender.expect_same(first.loan_id, again.loan_id)


@chapter.case("LEND-08", LICENSE_SERVER, setup=Setup.PLAYED)
def a_lenders_answer_is_looked_at(context: CaseContext) -> None:
    lender = context.accept(Role.LICENSE_SERVER)
    wrong: tuple[dict[str, object], ...] = (
        {"kind": int(LicenseKind.TEMPORARY)},
        {"device_id": context.rng.randbytes(32)},
        {"product": "another-product"},
        {"expires_at": int(context.now) - 1},
        {"issuer": "another-ls"},
        {"farm": "elsewhere"},
    )
    for changes in wrong:
        _expect_dropped(context, lender, changes)


def _expect_dropped(context: CaseContext, lender: Peer, changes: dict[str, object]) -> None:
    """A lender's token with these changes does not reach the terminal server."""
    product = Product(context)
    claim(lender, product.name, 5)
    device_id = product.device()
    product.acquire(device_id)
    product.validate(device_id)
    product.server.request(acquire_license(device_id, product.name))
    request = lender.hear(LendLicense)
    issuer = context.issuer()
    good = context.claims_of(device_id, product.name, issuer, license_id=request.loan_id)
    lender.answer(request, context.issued(msgspec.structs.replace(good, **changes), issuer))
    issued = product.server.hear(LicenseIssued)
    context.check(
        issued.kind is LicenseKind.TEMPORARY, f"no token with another {', '.join(changes)}"
    )


@chapter.case("LEND-09", LICENSE_SERVER, setup=Setup.PLAYED)
def a_renewal_goes_to_the_lender(context: CaseContext) -> None:
    lender, request, server = renewal_under_way(context)
    issuer = context.issuer()
    fresh = context.claims_of(
        request.device_id, request.product, issuer, license_id=request.license_id
    )
    lender.answer(request, context.issued(fresh, issuer))
    issued = server.hear(LicenseIssued)
    context.check(issued.expires_at == fresh.expires_at, "the lender's new end")


@chapter.case("LEND-09", LICENSE_SERVER, setup=Setup.PLAYED)
def a_lender_that_does_not_renew(context: CaseContext) -> None:
    context.needs_seconds(limits.LENDING_SECONDS)
    _, _, server = renewal_under_way(context)
    refused = server.hear(Refused, limits.REQUEST_SECONDS)
    context.check(refused.code is ErrorCode.LENDER_UNREACHABLE, "LENDER_UNREACHABLE")


@chapter.case("LEND-12", LICENSE_SERVER, setup=Setup.PLAYED)
def all_who_ask_meanwhile_get_the_one_token(context: CaseContext) -> None:
    lender, request, server, product, device_id = loan_under_way(context)
    other = context.open(Role.TERMINAL_SERVER, name="another-ts")
    other.request(acquire_license(device_id, product))
    server.request(acquire_license(device_id, product))
    lender.expect_silence(0.2)
    answer = lent(context, request)
    lender.answer(request, answer)
    for peer in (server, server, other):
        peer.expect_same(answer.token, peer.hear(LicenseIssued).token)


# --- the one that lends ---------------------------------------------------------------------------


@chapter.case("LEND-02", LICENSE_SERVER)
def a_lent_token_is_the_lenders_own(context: CaseContext) -> None:
    product = Product(context, tokens=2)
    borrower = context.open(Role.LICENSE_SERVER)
    device_id = product.device()
    issued = borrower.ask_for(LicenseIssued, lend(context, product.name, device_id))
    claims = read_token(issued.token)
    context.check(claims.kind is LicenseKind.FULL or claims.kind == 2, "a full token")
    context.check((claims.device_id, claims.product) == (device_id, product.name), "for the device")
    context.check(product.counts() == (1, 0, 1), "one token lent")


@chapter.case("LEND-03", LICENSE_SERVER)
def the_same_loan_is_one_token(context: CaseContext) -> None:
    product = Product(context, tokens=3)
    borrower = context.open(Role.LICENSE_SERVER)
    loan = lend(context, product.name, product.device())
    tokens = {
        borrower.ask_for(LicenseIssued, request).token
        for request in (
            loan,
            loan,
            msgspec.structs.replace(loan, loan_id=context.rng.randbytes(16)),
        )
    }
    context.check(len(tokens) == 1, "the same token each time")
    context.check(product.counts() == (2, 0, 1), "one token lent")


@chapter.case("LEND-03", LICENSE_SERVER)
def the_same_loan_after_a_crash(context: CaseContext) -> None:
    product = Product(context, tokens=2)
    loan = lend(context, product.name, product.device())
    first = context.open(Role.LICENSE_SERVER).ask_for(LicenseIssued, loan)
    context.target.restart()
    again = context.open(Role.LICENSE_SERVER).ask_for(LicenseIssued, loan)
    context.check(again.token == first.token, "the same token")
    context.check(product.counts() == (1, 0, 1), "one token lent")


@chapter.case("LEND-04", LICENSE_SERVER, setup=Setup.PLAYED)
def a_lender_without_a_token(context: CaseContext) -> None:
    third = context.accept(Role.LICENSE_SERVER)
    product = context.fresh_name("product")
    claim(third, product, 5)
    borrower = context.open(Role.LICENSE_SERVER, name="another-ls")
    request = lend(context, product, context.rng.randbytes(32))
    borrower.expect_refused(request, ErrorCode.NO_LICENSE)
    third.expect_silence(0.5)


@chapter.case("LEND-05", LICENSE_SERVER)
def the_inventory_is_told(context: CaseContext) -> None:
    context.needs_seconds(limits.INVENTORY_SECONDS)
    product = Product(context, tokens=2)
    peer = context.open(Role.LICENSE_SERVER)
    context.check(_available(peer, product.name) == 2, "two tokens of the product")
    product.full()
    context.check(_available(peer, product.name) == 1, "one token after one was issued")


@chapter.case("LEND-05", LICENSE_SERVER)
def the_inventory_is_told_now_and_then(context: CaseContext) -> None:
    context.needs_seconds(limits.INVENTORY_SECONDS)
    peer = context.open(Role.LICENSE_SERVER)
    peer.hear(AnnounceInventory)
    for _ in range(int(limits.INVENTORY_SECONDS / 10)):
        peer.say(messages.Heartbeat())
        message = peer.next(10, ambient=True)
        while isinstance(message, messages.Heartbeat):
            message = peer.next(10, ambient=True)
        if isinstance(message, AnnounceInventory):
            return
    peer.hear(AnnounceInventory, 5)


def _available(peer: Peer, product: str) -> int:
    told = peer.hear(AnnounceInventory).inventory
    return next((r.available for r in told if r.product == product), 0)


@chapter.case("LEND-10", LICENSE_SERVER)
def only_own_full_tokens_are_renewed_for_others(context: CaseContext) -> None:
    product = Product(context, tokens=2)
    device_id = product.device()
    temporary = product.acquire(device_id)
    borrower = context.open(Role.LICENSE_SERVER)
    renew = product.renew(device_id, temporary.license_id)
    borrower.expect_refused(renew, ErrorCode.UNKNOWN_LICENSE)


@chapter.case("LEND-10", LICENSE_SERVER)
def a_lent_token_is_renewed_by_its_lender(context: CaseContext) -> None:
    product = Product(context, tokens=1)
    device_id = product.device()
    borrower = context.open(Role.LICENSE_SERVER)
    issued = borrower.ask_for(LicenseIssued, lend(context, product.name, device_id))
    context.target.move_clock(issued.expires_at - context.now - RENEWAL + 60)
    borrower = context.open(Role.LICENSE_SERVER)
    renewed = borrower.ask_for(LicenseIssued, product.renew(device_id, issued.license_id))
    context.check(renewed.license_id == issued.license_id, "the same license id")
    context.check(
        renewed.expires_at - context.now > limits.FULL_DAYS_MIN * DAY - 3_600, "a later end"
    )


@chapter.case("LEND-11", LICENSE_SERVER)
def an_expired_loan_comes_back(context: CaseContext) -> None:
    product = Product(context, tokens=1)
    borrower = context.open(Role.LICENSE_SERVER)
    issued = borrower.ask_for(LicenseIssued, lend(context, product.name, product.device()))
    context.target.move_clock(issued.expires_at - context.now + 1)
    context.check(product.counts() == (1, 0, 0), "the token in its pool again")


def cases() -> list[Case]:
    return chapter.cases
