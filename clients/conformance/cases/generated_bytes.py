"""For every message that the target receives: cut at every byte, arriving in two pieces, arriving
byte by byte, and sent twice. Generated from the table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from clients.conformance import wire
from clients.conformance.acting import CaseContext
from clients.conformance.case import Case, Script
from clients.conformance.peer import Peer
from clients.conformance.reach import Spot, reach, said, setup_of, spots
from clients.conformance.samples import sample_values
from tsproto.messages import TABLE, Goodbye, Kind, LogonRefused, Message, Refused, Role

SOME_POINTS = 6
SILENCE = "silence"
SETTLED_SECONDS = 0.25
THINKING_SECONDS = 1.5  # to wait for the first reaction; a password check takes a while


def cases(target: Role) -> Iterator[Case]:
    for kind in TABLE.values():
        for spot in list(spots(target, kind))[:1]:
            name = f"{kind.__name__}.{spot.words}"
            if not spot.asked:
                requirement = "FRAME-07" if target is Role.CLIENT else "CLOSE-09"
                yield _case(target, requirement, f"{name}.cut", spot, _cut(spot, kind))
            yield _case(target, "FRAME-07", f"{name}.in-two-pieces", spot, _split(spot, kind))
            yield _case(target, "FRAME-07", f"{name}.byte-by-byte", spot, _slowly(spot, kind))
            if kind.entry.kind is Kind.REQUEST:
                yield _case(target, "REQ-04", f"{name}.twice", spot, _twice(spot, kind))


def _case(target: Role, requirement: str, words: str, spot: Spot, script: Script) -> Case:
    id = f"{requirement}.{words}"
    return Case(id, requirement, target, script, setup_of(spot), leaves_no_trace=True)


def _points(context: CaseContext, length: int) -> Sequence[int]:
    """Offsets to cut at: every one, or those around the header, at the end, and some between."""
    if context.target.all_points or length <= SOME_POINTS:
        return range(1, length)
    header = wire.HEADER.size
    return sorted({1, header - 1, header, header + 1, (header + length) // 2, length - 1})


def _bytes(kind: type[Message], request_id: int) -> bytes:
    default = 1 if kind.entry.kind is Kind.REQUEST else 0
    return said(sample_values(kind), request_id or default)


def _reaction(peer: Peer, seconds: float) -> str:
    """The target's next message or the link's end, as a word or two to compare."""
    message = peer.next(seconds)
    code = f" {message.code.name}" if isinstance(message, Goodbye | Refused | LogonRefused) else ""
    if message is not None:
        return f"{type(message).__name__}{code}"
    return "the end" if peer.ended else SILENCE


def _cut(spot: Spot, kind: type[Message]) -> Script:
    """A peer that is lost in the middle of a frame disturbs no other link."""

    def script(context: CaseContext) -> None:
        for point in _points(context, len(_bytes(kind, 0))):
            peer, request_id = reach(context, spot)
            peer.say_bytes(_bytes(kind, request_id)[:point])
            peer.hang_up()
            context.begin_again()
        reach(context, spot)

    return script


def _split(spot: Spot, kind: type[Message]) -> Script:
    """A message in two pieces has the same effect as in one."""

    def script(context: CaseContext) -> None:
        peer, request_id = reach(context, spot)
        peer.say_bytes(_bytes(kind, request_id))
        whole = _reaction(peer, THINKING_SECONDS)
        if spot.asked:
            return
        seconds = SETTLED_SECONDS if whole == SILENCE else context.target.seconds
        for point in _points(context, len(_bytes(kind, 0))):
            context.begin_again()
            peer, request_id = reach(context, spot)
            data = _bytes(kind, request_id)
            peer.say_bytes(data[:point])
            context.target.let_pass(0.01)
            peer.say_bytes(data[point:])
            peer.expect_same(whole, _reaction(peer, seconds))

    return script


def _slowly(spot: Spot, kind: type[Message]) -> Script:
    def script(context: CaseContext) -> None:
        peer, request_id = reach(context, spot)
        for byte in _bytes(kind, request_id):
            peer.say_bytes(bytes([byte]))
        peer.expect_no_fault(SETTLED_SECONDS)

    return script


def _twice(spot: Spot, kind: type[Message]) -> Script:
    """The same request under two ids gets two answers; so does a repeated id whose first request
    was answered."""

    def script(context: CaseContext) -> None:
        peer, _ = reach(context, spot)
        values = sample_values(kind)
        peer.say_bytes(said(values, 1) + said(values, 2))
        answers = {peer.next_answer().request_id for _ in range(2)}
        peer.expect_same(
            "answers to 1 and 2", f"answers to {' and '.join(map(str, sorted(answers)))}"
        )
        peer.say_bytes(said(values, 1))
        peer.expect_answer(1)

    return script
