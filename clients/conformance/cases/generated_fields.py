"""For every field of every message that the target receives: missing, of another type, at its
bounds, one beyond them, off its pattern. Made from the table; nothing here names a message.
"""

from __future__ import annotations

from collections.abc import Iterator

from clients.conformance import wire
from clients.conformance.acting import CaseContext
from clients.conformance.case import Case, Script
from clients.conformance.reach import Spot, reach, said, setup_of, spots
from clients.conformance.samples import NOT_UTF8, Mutant, mutants, sample_values
from tsproto.errors import ErrorCode
from tsproto.messages import RETIRED, TABLE, Kind, Message, Role

SETTLED_SECONDS = 0.25  # of silence: then the target has accepted a message without answer
NESTED = 500  # deeper than any message of the table


def _nested(depth: int) -> list[object]:
    """A list in a list, `depth` times."""
    value: list[object] = []
    for _ in range(depth):
        value = [value]
    return value


# Fields of a newer version that follow the known ones.
TRAILING: dict[str, list[object]] = {
    "trailing-field": ["new", NOT_UTF8],
    "many-trailing-fields": [*range(1_000)],
    "nested-trailing-field": [_nested(NESTED)],
}


def cases(target: Role) -> Iterator[Case]:
    for kind in TABLE.values():
        for spot in _one_spot_each(target, kind):
            for mutant in mutants(kind):
                yield _field_case(target, kind, spot, mutant)
            yield from _message_cases(target, kind, spot)
    yield from _number_cases(target)


def _one_spot_each(target: Role, kind: type[Message]) -> list[Spot]:
    """A message with its first spot: its fields are the same wherever it is lawful."""
    return list(spots(target, kind))[:1]


def _case(
    target: Role,
    requirement: str,
    words: str,
    spot: Spot,
    script: Script,
    also: tuple[str, ...] = (),
) -> Case:
    return Case(
        f"{requirement}.{words}",
        requirement,
        target,
        script,
        setup_of(spot),
        leaves_no_trace=True,
        also=also,
    )


def _field_case(target: Role, kind: type[Message], spot: Spot, mutant: Mutant) -> Case:
    def script(context: CaseContext) -> None:
        peer, request_id = reach(context, spot)
        peer.say_bytes(said(mutant.values, request_id or _request_id(kind)))
        if mutant.change.is_good:
            peer.expect_no_fault(SETTLED_SECONDS)
        else:
            peer.expect_goodbye(ErrorCode.MALFORMED_MESSAGE)

    words = f"{kind.__name__}.{mutant.path}.{mutant.change.words}"
    return _case(target, mutant.change.requirement, words, spot, script)


def _message_cases(target: Role, kind: type[Message], spot: Spot) -> Iterator[Case]:
    """A further field at the end, longer forms of the same values, and wrong request ids."""
    values = sample_values(kind)
    name = kind.__name__
    for words, trailing in TRAILING.items():
        script = _understood(spot, kind, [*values, *trailing])
        yield _case(target, "VALUE-07", f"{name}.{words}", spot, script)
    yield _case(target, "VALUE-11", f"{name}.long-forms", spot, _long_forms(spot, kind))
    if kind.entry.kind is Kind.NOTIFICATION:
        yield _case(
            target, "REQ-01", f"{name}.request-id-1", spot, _malformed(spot, said(values, 1))
        )
    if kind.entry.kind is Kind.REQUEST:
        yield _case(
            target, "REQ-02", f"{name}.request-id-0", spot, _malformed(spot, said(values, 0))
        )
        for request_id in (1, 2**32 - 1):
            script = _answered(spot, said(values, request_id), request_id)
            yield _case(target, "REQ-09", f"{name}.request-id-{request_id}", spot, script)
        script = _malformed(spot, said(values, 2**32))
        yield _case(target, "REQ-09", f"{name}.request-id-one-over", spot, script)
    if kind.entry.kind is Kind.ANSWER:
        yield _case(target, "REQ-05", f"{name}.to-nothing", spot, _to_nothing(spot, values))


def _understood(spot: Spot, kind: type[Message], values: list[object]) -> Script:
    def script(context: CaseContext) -> None:
        peer, request_id = reach(context, spot)
        peer.say_bytes(said(values, request_id or _request_id(kind)))
        peer.expect_no_fault(SETTLED_SECONDS)

    return script


def _long_forms(spot: Spot, kind: type[Message]) -> Script:
    """The array and its numbers in longer msgpack forms than necessary."""

    def script(context: CaseContext) -> None:
        peer, request_id = reach(context, spot)
        number, _, *fields = sample_values(kind)
        body = b"\xdd" + (2 + len(fields)).to_bytes(4, "big")
        body += b"\xcd" + number.to_bytes(2, "big")
        body += b"\xce" + (request_id or _request_id(kind)).to_bytes(4, "big")
        body += b"".join(wire.packed(field) for field in fields)
        peer.say_bytes(wire.frame(body))
        peer.expect_no_fault(SETTLED_SECONDS)

    return script


def _malformed(spot: Spot, data: bytes) -> Script:
    def script(context: CaseContext) -> None:
        peer, _ = reach(context, spot)
        peer.say_bytes(data)
        peer.expect_goodbye(ErrorCode.MALFORMED_MESSAGE)

    return script


def _answered(spot: Spot, data: bytes, request_id: int) -> Script:
    def script(context: CaseContext) -> None:
        peer, _ = reach(context, spot)
        peer.say_bytes(data)
        peer.expect_answer(request_id)

    return script


def _to_nothing(spot: Spot, values: list[object]) -> Script:
    def script(context: CaseContext) -> None:
        peer, request_id = reach(context, spot)
        peer.say_bytes(said(values, request_id + 1_000))
        peer.expect_goodbye(ErrorCode.OUT_OF_ORDER)

    return script


# --- numbers that no message has ----------------------------------------------------------------


def _number_cases(target: Role) -> Iterator[Case]:
    unknown = next(number for number in range(1, 1_000) if number not in (*TABLE, *RETIRED))
    numbers = {
        "unknown-number": unknown,
        "number-0": 0,
        "great-number": 2**31,
        "negative-number": -1,
        **{f"retired-number-{number}": number for number in RETIRED},
    }
    for spot in dict.fromkeys(spot for kind in TABLE.values() for spot in spots(target, kind)):
        if spot.asked:
            continue
        for words, number in numbers.items():
            script = _unknown(spot, number)
            yield _case(target, "VALUE-09", f"{spot.words}.{words}", spot, script, ("GROW-01",))


def _unknown(spot: Spot, number: int) -> Script:
    def script(context: CaseContext) -> None:
        peer, _ = reach(context, spot)
        peer.say_bytes(wire.framed([number, 0]))
        peer.expect_goodbye(ErrorCode.UNKNOWN_MESSAGE)

    return script


def _request_id(kind: type[Message]) -> int:
    return 1 if kind.entry.kind is Kind.REQUEST else 0
