"""Checks whether operations that overlap could have happened one after the other.

Each operation takes effect at one instant between its call and its return; a history is good when
some order of these instants is one that a sequential model allows (Herlihy and Wing, 1990). The
search is that of Wing and Gong (1993), and remembers the states that it has been in.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Generic, Protocol, TypeVar

import msgspec

STATES_MAX = 50_000

S = TypeVar("S", bound=Hashable)


class Operation(msgspec.Struct, kw_only=True):
    """One call and its answer, None while it is unknown: then the call may take effect at any later
    time, or never. A call that is known to have had no effect is no part of a history."""

    call: Hashable
    called_at: float
    answer: Hashable | None = None
    returned_at: float = math.inf


class Model(Protocol[S]):
    """What one thing, used by one caller at a time, would answer."""

    def after(self, state: S, operation: Operation) -> Iterable[S]:
        """The states that may follow; none when this answer cannot be given in this state. For an
        unknown answer: every state that the call may lead to."""
        ...


class Stuck(msgspec.Struct, Generic[S], frozen=True):
    """The longest order found: `state` is its last, and none of `blocked` may come next."""

    explained: int
    state: S
    blocked: tuple[Operation, ...]


class TooLong(Exception):
    """STATES_MAX states were searched, and no verdict was reached."""


class _Place(msgspec.Struct, Generic[S], frozen=True):
    """A place in the search: which answered operations are done (a bit each), how many of each kind
    of unanswered ones are, and the state that they led to."""

    done: int
    unanswered: tuple[int, ...]
    state: S


def check(history: Sequence[Operation], model: Model[S], initial: S) -> Stuck[S] | None:
    """None for a good history. Raises TooLong."""
    in_order = sorted(history, key=lambda operation: operation.called_at)
    answered = [operation for operation in in_order if operation.answer is not None]
    kinds: dict[Hashable, list[Operation]] = {}
    for operation in in_order:
        if operation.answer is None:
            kinds.setdefault(operation.call, []).append(operation)
    unanswered = [*kinds.values()]
    everything = (1 << len(answered)) - 1
    first = _Place(0, (0,) * len(unanswered), initial)
    seen, to_try = {first}, [first]
    furthest = first
    while to_try:
        place = to_try.pop()
        if place.done == everything:
            return None
        if place.done.bit_count() > furthest.done.bit_count():
            furthest = place
        if len(seen) > STATES_MAX:
            raise TooLong(f"{len(history)} operations")
        found = [p for p in _next(place, answered, unanswered, model) if p not in seen]
        seen.update(found)
        to_try += found
    blocked = tuple(answered[index] for index in _possible(furthest.done, answered))
    return Stuck(furthest.done.bit_count(), furthest.state, blocked)


def _next(
    place: _Place[S],
    answered: list[Operation],
    unanswered: list[list[Operation]],
    model: Model[S],
) -> Iterator[_Place[S]]:
    """Places one operation further; the last is the one to try first. Of unanswered operations with
    equal calls only the earliest need be tried: it may take effect whenever a later one may."""
    possible = _possible(place.done, answered)
    before = min(answered[index].returned_at for index in possible)
    for kind, operations in enumerate(unanswered):
        count = place.unanswered[kind]
        if count == len(operations) or operations[count].called_at > before:
            continue
        counts = (*place.unanswered[:kind], count + 1, *place.unanswered[kind + 1 :])
        for state in model.after(place.state, operations[count]):
            if state != place.state:
                yield _Place(place.done, counts, state)
    for index in reversed(possible):
        for state in model.after(place.state, answered[index]):
            yield _Place(place.done | 1 << index, place.unanswered, state)


def _possible(done: int, answered: list[Operation]) -> list[int]:
    """Which answered operations may come next: those called before any other has returned."""
    possible: list[int] = []
    before = math.inf
    for index in range((~done & (done + 1)).bit_length() - 1, len(answered)):
        operation = answered[index]
        if operation.called_at > before:
            break
        if not done >> index & 1:
            possible.append(index)
            before = min(before, operation.returned_at)
    return [index for index in possible if answered[index].called_at <= before]
