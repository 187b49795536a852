"""The datagrams that find license servers: queries to a target, and answers to a target's
queries."""

from __future__ import annotations

from typing import Any

import msgpack

from clients.conformance.acting import CaseContext
from clients.conformance.case import LICENSE_SERVER, TERMINAL_SERVER, Case, Chapter
from clients.conformance.target import Setup, Unmet
from tsproto import limits, messages
from tsproto.errors import ErrorCode
from tsproto.messages import Hello, Role

chapter = Chapter()

QUERY, ANSWER = 1, 2
WORKGROUP, SITE = 1, 3
LONG_ENOUGH = 10.0


def query(context: CaseContext, scope: int = WORKGROUP, **changes: Any) -> bytes:
    """A valid query for a scope of the target, with these changes."""
    values = [
        changes.get("magic", "tsfarm"),
        changes.get("version", 1),
        changes.get("kind", QUERY),
        changes.get("farm", context.target.farm),
        scope,
        changes.get("name", context.scopes(scope)[scope].lower()),
        changes.get("nonce", context.rng.randbytes(16)),
        changes.get("instance", context.rng.randbytes(16)),
    ]
    bare = len(msgpack.packb([*values, bytes(300)])) - 300
    padded: bytes = msgpack.packb([*values, bytes(limits.DATAGRAM_BYTES - bare)])
    return padded


def answer(
    context: CaseContext, nonce: bytes, farm: str = "", name: str = "conformance-ls"
) -> bytes:
    port = context.target.accepting_at()[1]
    data: bytes = msgpack.packb(
        ["tsfarm", 1, ANSWER, farm or context.target.farm, name, port, nonce]
    )
    return data


def ask(context: CaseContext, datagram: bytes) -> list[Any] | None:
    """The target's answer to this datagram. The target's own queries are skipped, and late answers
    of another license server of its farm to an earlier query."""
    context.target.send_datagram(datagram)
    while (heard := context.target.datagram(0.3)) is not None:
        values: list[Any] = msgpack.unpackb(heard)
        if values[2] == ANSWER and values[6] in datagram:
            context.check(len(heard) <= limits.DATAGRAM_BYTES, "at most DATAGRAM_BYTES")
            return values
    return None


def expect_no_answer(context: CaseContext, *datagrams: bytes) -> None:
    for datagram in datagrams:
        context.check(ask(context, datagram) is None, "no answer")
    context.check(ask(context, query(context)) is not None, "an answer to a good query still")


@chapter.case("DISC-01", LICENSE_SERVER)
def queries_of_another_length(context: CaseContext) -> None:
    good = query(context)
    expect_no_answer(context, good[:-1], good + b"\x00", good[:60])


@chapter.case("DISC-02", LICENSE_SERVER, also=("DISC-06",))
def every_scope_is_answered(context: CaseContext) -> None:
    for scope in context.scopes():
        nonce = context.rng.randbytes(16)
        values = ask(context, query(context, scope, nonce=nonce))
        if values is None:
            raise Unmet(f"expected an answer to a query for scope {scope}")
        context.check(
            values[:4] == ["tsfarm", 1, ANSWER, context.target.farm], "an answer of the farm"
        )
        context.check(values[6] == nonce, "the query's nonce")
        context.check(isinstance(values[4], str) and 0 < values[5] < 65_536, "a name and a port")


@chapter.case("DISC-03", LICENSE_SERVER)
def another_farm(context: CaseContext) -> None:
    expect_no_answer(context, query(context, farm="elsewhere"))


@chapter.case("DISC-04", LICENSE_SERVER)
def scopes_that_it_is_not_in(context: CaseContext) -> None:
    site = context.scopes(SITE)[SITE].lower()
    datagrams = [query(context, scope, name="elsewhere") for scope in context.scopes()]
    expect_no_answer(context, *datagrams, query(context, WORKGROUP, name=site))


@chapter.case("DISC-05", LICENSE_SERVER, setup=Setup.SEARCHED)
def its_own_query(context: CaseContext) -> None:
    own = context.target.datagram(LONG_ENOUGH)
    if own is None:
        raise Unmet("expected a query of the target's own")
    context.check(ask(context, own) is None, "no answer to its own query")


@chapter.case("DISC-07", LICENSE_SERVER)
def what_is_no_query(context: CaseContext) -> None:
    good = query(context)
    expect_no_answer(
        context,
        b"",
        bytes(limits.DATAGRAM_BYTES),
        b"\x91" * limits.DATAGRAM_BYTES,
        b"\xff" + good[1:],
        query(context, magic="tsfarn"),
        query(context, version=2),
        query(context, kind=3),
        query(context, nonce=bytes(15)),
        query(context, name=""),
    )


# --- who asks -------------------------------------------------------------------------------------


def heard_query(context: CaseContext, seconds: float = LONG_ENOUGH) -> list[Any]:
    datagram = context.target.datagram(seconds)
    if datagram is None:
        raise Unmet("expected a query")
    context.check(len(datagram) == limits.DATAGRAM_BYTES, "a query of DATAGRAM_BYTES")
    values: list[Any] = msgpack.unpackb(datagram)
    context.check(values[:4] == ["tsfarm", 1, QUERY, context.target.farm], "a query of the farm")
    return values


def expect_not_dialled(context: CaseContext) -> None:
    try:
        context.accept_unwelcomed(Role.LICENSE_SERVER, seconds=1.0)
    except Unmet:
        return
    raise Unmet("expected no dial")


@chapter.case("DISC-07", TERMINAL_SERVER, setup=Setup.SEARCHED)
def what_is_no_answer(context: CaseContext) -> None:
    nonce = heard_query(context)[6]
    good = answer(context, nonce)
    for datagram in (b"", good[:-1], good + b"\x00", b"\x91" * 400, bytes(512)):
        context.target.answer_query(datagram)
    context.target.answer_query(good)
    context.accept_unwelcomed(Role.LICENSE_SERVER, seconds=LONG_ENOUGH).hear(Hello)


@chapter.case("DISC-08", TERMINAL_SERVER, LICENSE_SERVER, setup=Setup.SEARCHED)
def answers_to_another_query(context: CaseContext) -> None:
    nonce = heard_query(context)[6]
    context.target.answer_query(answer(context, context.rng.randbytes(16)))
    context.target.answer_query(answer(context, nonce, farm="elsewhere"))
    expect_not_dialled(context)


@chapter.case("DISC-09", TERMINAL_SERVER, LICENSE_SERVER, setup=Setup.SEARCHED)
def scopes_one_after_the_other(context: CaseContext) -> None:
    asked = [heard_query(context) for _ in context.scopes()]
    wanted = [(scope, name.lower()) for scope, name in context.scopes().items()]
    context.check([(v[4], v[5]) for v in asked] == wanted, "workgroup, domain, site, in lower case")
    context.check(len({v[6] for v in asked}) == len(asked), "a new nonce for each query")


@chapter.case("DISC-09", TERMINAL_SERVER, setup=Setup.SEARCHED)
def the_first_scope_that_answers(context: CaseContext) -> None:
    context.target.answer_query(answer(context, heard_query(context)[6]))
    context.accept(Role.LICENSE_SERVER, seconds=LONG_ENOUGH)
    seconds = 4 * limits.DISCOVERY_WINDOW_SECONDS
    context.check(context.target.datagram(seconds) is None, "no query for a further scope")


@chapter.case("DISC-10", TERMINAL_SERVER, LICENSE_SERVER, setup=Setup.SEARCHED)
def a_query_as_it_must_be(context: CaseContext) -> None:
    values = heard_query(context)
    context.check(values[5] == values[5].lower(), "the scope's name in lower case")
    context.check(len(values[6]) == 16, "a nonce of 16 bytes")


@chapter.case("DISC-12", TERMINAL_SERVER, setup=Setup.SEARCHED)
def found_is_not_trusted(context: CaseContext) -> None:
    context.target.answer_query(answer(context, heard_query(context)[6]))
    server = context.accept_unwelcomed(Role.LICENSE_SERVER, seconds=LONG_ENOUGH)
    server.hear(Hello)
    wrong = messages.Welcome(version=1, role=Role.LICENSE_SERVER, name="another-ls")
    server.say(wrong)
    server.expect_goodbye(ErrorCode.WRONG_ROLE)


@chapter.case("DISC-15", TERMINAL_SERVER, LICENSE_SERVER, setup=Setup.SEARCHED)
def many_answers_from_one_address(context: CaseContext) -> None:
    nonce = heard_query(context)[6]
    for number in range(limits.DISCOVERY_ANSWERS_PER_ADDRESS_MAX + 1):
        context.target.answer_query(answer(context, nonce, name=f"conformance-ls{number}"))
    for _ in range(limits.DISCOVERY_ANSWERS_PER_ADDRESS_MAX):
        context.accept_unwelcomed(Role.LICENSE_SERVER, seconds=LONG_ENOUGH)
    expect_not_dialled(context)


@chapter.case("DISC-14", TERMINAL_SERVER, LICENSE_SERVER, setup=Setup.PLAYED)
def a_list_needs_no_queries(context: CaseContext) -> None:
    context.needs_seconds(limits.DISCOVERY_RETRY_SECONDS)
    context.check(context.target.datagram(2 * limits.DISCOVERY_RETRY_SECONDS) is None, "no query")


def cases() -> list[Case]:
    return chapter.cases
