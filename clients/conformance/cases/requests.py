"""Requests and their answers: ids, pairs, order, how many."""

from __future__ import annotations

from clients.conformance import wire
from clients.conformance.acting import CaseContext
from clients.conformance.case import (
    DAEMONS,
    EVERYBODY,
    LICENSE_SERVER,
    SESSION_DIRECTORY,
    TERMINAL_SERVER,
    Case,
    Chapter,
)
from clients.conformance.peer import Peer
from clients.conformance.reach import (
    QUESTIONS,
    Spot,
    acquire_license,
    mark_validated,
    reach,
    validated_device,
)
from clients.conformance.target import Setup
from tsproto import limits, messages
from tsproto.errors import ErrorCode
from tsproto.messages import LinkState, Message, Role

chapter = Chapter()


def asker_and_question(context: CaseContext) -> tuple[Peer, Message]:
    """A peer that may ask this target something, and a request that is answered at once."""
    match context.target.role:
        case Role.TERMINAL_SERVER:
            return context.open(Role.ADMINISTRATOR), messages.QuerySessions()
        case Role.SESSION_DIRECTORY:
            return context.open(Role.ADMINISTRATOR), messages.QuerySessions()
    return context.open(Role.ADMINISTRATOR), messages.QueryPools()


def loan_under_way(context: CaseContext) -> tuple[Peer, messages.LendLicense, Peer, str, bytes]:
    """A lender that the target has asked, its request, the terminal server that waits for it, the
    product and the device."""
    lender = context.accept(Role.LICENSE_SERVER)
    product = context.fresh_name("product")
    claim(lender, product, 10)
    server, device_id = validated_device(context, product, wanting=True)
    return lender, lender.hear(messages.LendLicense), server, product, device_id


def claim(lender: Peer, product: str, available: int) -> None:
    row = messages.InventoryRow(product=product, product_version=1, available=available)
    lender.say(messages.AnnounceInventory(inventory=[row]))


@chapter.case("REQ-03", LICENSE_SERVER, setup=Setup.PLAYED)
def an_id_that_still_waits(context: CaseContext) -> None:
    _, _, server, product, device_id = loan_under_way(context)
    waiting = server.last_request
    server.say_bytes(wire.message_bytes(acquire_license(device_id, product), waiting))
    server.expect_goodbye(ErrorCode.OUT_OF_ORDER)


@chapter.case("REQ-03", TERMINAL_SERVER, SESSION_DIRECTORY)
def one_id_twice_in_one_write(context: CaseContext) -> None:
    """A target that answers the first request before it reads the second may answer both."""
    peer, question = asker_and_question(context)
    peer.say_bytes(wire.message_bytes(question, 7) * 2)
    heard = [peer.next(), peer.next()]
    answers = [m for m in heard if m is not None and m.request_id == 7]
    if len(answers) < 2:
        goodbye = next((m for m in heard if isinstance(m, messages.Goodbye)), None)
        context.check(
            goodbye is not None and goodbye.code is ErrorCode.OUT_OF_ORDER,
            "two answers, or Goodbye with OUT_OF_ORDER",
        )


@chapter.case("REQ-05", *EVERYBODY)
def an_answer_to_nothing(context: CaseContext) -> None:
    refused = messages.Refused(code=ErrorCode.NO_LICENSE)
    for request_id in (0, 1, 2**32 - 1):
        peer = context.open_any()
        peer.say_bytes(wire.message_bytes(refused, request_id))
        peer.expect_goodbye(ErrorCode.OUT_OF_ORDER)
        context.begin_again()


@chapter.case("REQ-06", TERMINAL_SERVER, LICENSE_SERVER, setup=Setup.PLAYED)
def an_answer_to_something_else(context: CaseContext) -> None:
    question = "JoinFarm" if context.target.role is TERMINAL_SERVER else "LendLicense"
    asked = QUESTIONS[context.target.role, question]
    peer, request_id = reach(context, Spot(asked.role, LinkState.SERVICE, question))
    peer.say_bytes(wire.message_bytes(messages.Done(), request_id))
    peer.expect_goodbye(ErrorCode.OUT_OF_ORDER)


@chapter.case("REQ-07", TERMINAL_SERVER, SESSION_DIRECTORY)
def as_many_at_once_as_allowed(context: CaseContext) -> None:
    peer, question = asker_and_question(context)
    ids = range(1, limits.REQUESTS_IN_FLIGHT + 1)
    peer.say_bytes(b"".join(wire.message_bytes(question, request_id) for request_id in ids))
    answered = {peer.next_answer().request_id for _ in ids}
    peer.expect_same(set(ids), answered)


@chapter.case("REQ-07", LICENSE_SERVER, setup=Setup.PLAYED)
def one_more_than_may_wait(context: CaseContext) -> None:
    _, _, server, product, device_id = loan_under_way(context)
    for _ in range(limits.REQUESTS_IN_FLIGHT - 1):
        server.request(acquire_license(device_id, product))
    server.expect_silence(0.1)
    server.request(acquire_license(device_id, product))
    server.expect_goodbye(ErrorCode.TOO_MANY_REQUESTS)


@chapter.case("REQ-08", LICENSE_SERVER, setup=Setup.PLAYED)
def answers_in_another_order(context: CaseContext) -> None:
    lender, first, first_server, product, _ = loan_under_way(context)
    second_server, second_device = validated_device(context, product, wanting=True)
    second = lender.hear(messages.LendLicense)
    no = messages.Refused(code=ErrorCode.NO_LICENSE)
    lender.answer(second, lent(context, second))
    lender.answer(first, no)
    issued = second_server.hear(messages.LicenseIssued)
    context.check(issued.kind is messages.LicenseKind.FULL, "the second device's full token")
    other = first_server.hear(messages.LicenseIssued)
    context.check(
        other.kind is messages.LicenseKind.TEMPORARY, "the first device's temporary token"
    )


def lent(context: CaseContext, lend: messages.LendLicense) -> messages.LicenseIssued:
    """A lender's LicenseIssued: a full token of its own for that device."""
    issuer = context.issuer()
    claims = context.claims_of(lend.device_id, lend.product, issuer, license_id=lend.loan_id)
    return context.issued(claims, issuer)


@chapter.case("REQ-10", LICENSE_SERVER, setup=Setup.PLAYED)
def an_answer_that_comes_too_late(context: CaseContext) -> None:
    context.needs_seconds(limits.LENDING_SECONDS)
    lender, lend, server, product, _ = loan_under_way(context)
    issued = server.hear(messages.LicenseIssued, limits.REQUEST_SECONDS)
    context.check(issued.kind is messages.LicenseKind.TEMPORARY, "the temporary token meanwhile")
    lender.answer(lend, lent(context, lend))
    lender.expect_silence(1.0)


@chapter.case("REQ-10", TERMINAL_SERVER, setup=Setup.PLAYED)
def a_license_that_comes_too_late(context: CaseContext) -> None:
    context.needs_seconds(limits.REQUEST_SECONDS)
    license_server = context.accept(Role.LICENSE_SERVER)
    client = context.show(context.device())
    request = license_server.hear(messages.AcquireLicense)
    client.expect_goodbye(ErrorCode.NO_LICENSE_SERVER, seconds=limits.LICENSING_SECONDS)
    while license_server.next(0.1) is not None:
        continue  # the target may have asked once more
    license_server.answer(request, messages.Refused(code=ErrorCode.NO_LICENSE))
    license_server.expect_silence(1.0)


@chapter.case("REQ-11", *DAEMONS, setup=Setup.OUTSIDE_A_LAB)
def refused_is_not_the_end(context: CaseContext) -> None:
    peer, question = asker_and_question(context)
    match context.target.role:
        case Role.LICENSE_SERVER:
            peer = context.open(Role.TERMINAL_SERVER)
            question = mark_validated(context.rng.randbytes(32), context.product)
        case Role.SESSION_DIRECTORY:
            peer = context.open(Role.TERMINAL_SERVER)
            question = messages.SyncSessions(sessions=[], last=True)
        case Role.TERMINAL_SERVER:
            question = messages.WarpClock()  # a target in a lab refuses no request
    peer.expect_refused(question)
    peer.ask(question)


def cases() -> list[Case]:
    return chapter.cases
