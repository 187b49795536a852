"""The datagrams that find license servers: queries to a target, and answers to a target's
queries."""

from __future__ import annotations

from typing import Any

import msgpack

from clients.conformance.acting import Stage
from clients.conformance.case import LICENSE_SERVER, TERMINAL_SERVER, Case, Chapter
from clients.conformance.stage import Cast, Unmet
from tsproto import limits, messages
from tsproto.errors import ErrorCode
from tsproto.messages import Hello, Role

chapter = Chapter()

QUERY, ANSWER = 1, 2
WORKGROUP, SITE = 1, 3
LONG_ENOUGH = 10.0


def query(stage: Stage, scope: int = WORKGROUP, **changes: Any) -> bytes:
    """A valid query for a scope of the target, with these changes."""
    values = [
        changes.get("magic", "tsfarm"),
        changes.get("version", 1),
        changes.get("kind", QUERY),
        changes.get("farm", stage.target.farm),
        scope,
        changes.get("name", stage.scopes(scope)[scope].lower()),
        changes.get("nonce", stage.rng.randbytes(16)),
        changes.get("instance", stage.rng.randbytes(16)),
    ]
    bare = len(msgpack.packb([*values, bytes(300)])) - 300
    padded: bytes = msgpack.packb([*values, bytes(limits.DATAGRAM_BYTES - bare)])
    return padded


def answer(stage: Stage, nonce: bytes, farm: str = "", name: str = "conformance-ls") -> bytes:
    port = stage.target.accepting_at()[1]
    data: bytes = msgpack.packb(["tsfarm", 1, ANSWER, farm or stage.target.farm, name, port, nonce])
    return data


def ask(stage: Stage, datagram: bytes) -> list[Any] | None:
    """The target's answer to this datagram. The target's own queries are skipped, and late answers
    of another license server of its farm to an earlier query."""
    stage.target.send_datagram(datagram)
    while (heard := stage.target.datagram(0.3)) is not None:
        values: list[Any] = msgpack.unpackb(heard)
        if values[2] == ANSWER and values[6] in datagram:
            stage.check(len(heard) <= limits.DATAGRAM_BYTES, "at most DATAGRAM_BYTES")
            return values
    return None


def expect_no_answer(stage: Stage, *datagrams: bytes) -> None:
    for datagram in datagrams:
        stage.check(ask(stage, datagram) is None, "no answer")
    stage.check(ask(stage, query(stage)) is not None, "an answer to a good query still")


@chapter.case("DISC-01", LICENSE_SERVER)
def queries_of_another_length(stage: Stage) -> None:
    good = query(stage)
    expect_no_answer(stage, good[:-1], good + b"\x00", good[:60])


@chapter.case("DISC-02", LICENSE_SERVER, also=("DISC-06",))
def every_scope_is_answered(stage: Stage) -> None:
    for scope in stage.scopes():
        nonce = stage.rng.randbytes(16)
        values = ask(stage, query(stage, scope, nonce=nonce))
        if values is None:
            raise Unmet(f"expected an answer to a query for scope {scope}")
        stage.check(values[:4] == ["tsfarm", 1, ANSWER, stage.target.farm], "an answer of the farm")
        stage.check(values[6] == nonce, "the query's nonce")
        stage.check(isinstance(values[4], str) and 0 < values[5] < 65_536, "a name and a port")


@chapter.case("DISC-03", LICENSE_SERVER)
def another_farm(stage: Stage) -> None:
    expect_no_answer(stage, query(stage, farm="elsewhere"))


@chapter.case("DISC-04", LICENSE_SERVER)
def scopes_that_it_is_not_in(stage: Stage) -> None:
    site = stage.scopes(SITE)[SITE].lower()
    datagrams = [query(stage, scope, name="elsewhere") for scope in stage.scopes()]
    expect_no_answer(stage, *datagrams, query(stage, WORKGROUP, name=site))


@chapter.case("DISC-05", LICENSE_SERVER, cast=Cast.SEARCHED)
def its_own_query(stage: Stage) -> None:
    own = stage.target.datagram(LONG_ENOUGH)
    if own is None:
        raise Unmet("expected a query of the target's own")
    stage.check(ask(stage, own) is None, "no answer to its own query")


@chapter.case("DISC-07", LICENSE_SERVER)
def what_is_no_query(stage: Stage) -> None:
    good = query(stage)
    expect_no_answer(
        stage,
        b"",
        bytes(limits.DATAGRAM_BYTES),
        b"\x91" * limits.DATAGRAM_BYTES,
        b"\xff" + good[1:],
        query(stage, magic="tsfarn"),
        query(stage, version=2),
        query(stage, kind=3),
        query(stage, nonce=bytes(15)),
        query(stage, name=""),
    )


# --- who asks -------------------------------------------------------------------------------------


def heard_query(stage: Stage, seconds: float = LONG_ENOUGH) -> list[Any]:
    datagram = stage.target.datagram(seconds)
    if datagram is None:
        raise Unmet("expected a query")
    stage.check(len(datagram) == limits.DATAGRAM_BYTES, "a query of DATAGRAM_BYTES")
    values: list[Any] = msgpack.unpackb(datagram)
    stage.check(values[:4] == ["tsfarm", 1, QUERY, stage.target.farm], "a query of the farm")
    return values


def expect_not_dialled(stage: Stage) -> None:
    try:
        stage.accept_unwelcomed(Role.LICENSE_SERVER, seconds=1.0)
    except Unmet:
        return
    raise Unmet("expected no dial")


@chapter.case("DISC-07", TERMINAL_SERVER, cast=Cast.SEARCHED)
def what_is_no_answer(stage: Stage) -> None:
    nonce = heard_query(stage)[6]
    good = answer(stage, nonce)
    for datagram in (b"", good[:-1], good + b"\x00", b"\x91" * 400, bytes(512)):
        stage.target.answer_query(datagram)
    stage.target.answer_query(good)
    stage.accept_unwelcomed(Role.LICENSE_SERVER, seconds=LONG_ENOUGH).hear(Hello)


@chapter.case("DISC-08", TERMINAL_SERVER, LICENSE_SERVER, cast=Cast.SEARCHED)
def answers_to_another_query(stage: Stage) -> None:
    nonce = heard_query(stage)[6]
    stage.target.answer_query(answer(stage, stage.rng.randbytes(16)))
    stage.target.answer_query(answer(stage, nonce, farm="elsewhere"))
    expect_not_dialled(stage)


@chapter.case("DISC-09", TERMINAL_SERVER, LICENSE_SERVER, cast=Cast.SEARCHED)
def scopes_one_after_the_other(stage: Stage) -> None:
    asked = [heard_query(stage) for _ in stage.scopes()]
    wanted = [(scope, name.lower()) for scope, name in stage.scopes().items()]
    stage.check([(v[4], v[5]) for v in asked] == wanted, "workgroup, domain, site, in lower case")
    stage.check(len({v[6] for v in asked}) == len(asked), "a new nonce for each query")


@chapter.case("DISC-09", TERMINAL_SERVER, cast=Cast.SEARCHED)
def the_first_scope_that_answers(stage: Stage) -> None:
    stage.target.answer_query(answer(stage, heard_query(stage)[6]))
    stage.accept(Role.LICENSE_SERVER, seconds=LONG_ENOUGH)
    seconds = 4 * limits.DISCOVERY_WINDOW_SECONDS
    stage.check(stage.target.datagram(seconds) is None, "no query for a further scope")


@chapter.case("DISC-10", TERMINAL_SERVER, LICENSE_SERVER, cast=Cast.SEARCHED)
def a_query_as_it_must_be(stage: Stage) -> None:
    values = heard_query(stage)
    stage.check(values[5] == values[5].lower(), "the scope's name in lower case")
    stage.check(len(values[6]) == 16, "a nonce of 16 bytes")


@chapter.case("DISC-12", TERMINAL_SERVER, cast=Cast.SEARCHED)
def found_is_not_trusted(stage: Stage) -> None:
    stage.target.answer_query(answer(stage, heard_query(stage)[6]))
    server = stage.accept_unwelcomed(Role.LICENSE_SERVER, seconds=LONG_ENOUGH)
    server.hear(Hello)
    wrong = messages.Welcome(version=1, role=Role.LICENSE_SERVER, name="another-ls")
    server.say(wrong)
    server.expect_goodbye(ErrorCode.WRONG_ROLE)


@chapter.case("DISC-14", TERMINAL_SERVER, LICENSE_SERVER, cast=Cast.PLAYED)
def a_list_needs_no_queries(stage: Stage) -> None:
    stage.needs_seconds(limits.DISCOVERY_RETRY_SECONDS)
    stage.check(stage.target.datagram(2 * limits.DISCOVERY_RETRY_SECONDS) is None, "no query")


def cases() -> list[Case]:
    return chapter.cases
