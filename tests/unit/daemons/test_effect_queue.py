"""Nothing leaves before everything decided earlier is durable."""

from __future__ import annotations

from typing import ClassVar

from daemons.effect_queue import EffectQueue
from daemons.effects import Detach, Persist, Record


class Row(Record):
    table: ClassVar[str] = "rows"
    key: ClassVar[tuple[str, ...]] = ("number",)

    number: int


def persist(number: int) -> Persist:
    return Persist(put=(Row(number=number),))


A, B, C, D = (Detach(session_id) for session_id in range(4))


def test_effects_that_rest_on_nothing_undurable_are_performed_at_once() -> None:
    queue = EffectQueue()
    assert queue.add([A, B]) == [A, B]
    assert queue.commit() == []
    assert len(queue) == 0


def test_what_was_decided_after_a_persist_waits_for_its_commit() -> None:
    queue = EffectQueue()
    assert queue.add([A, persist(1), B]) == [A]
    assert queue.commit() == [persist(1)]
    assert queue.committed() == [B]
    assert queue.commit() == []


def test_everything_that_waits_goes_into_one_commit_and_keeps_its_order() -> None:
    queue = EffectQueue()
    queue.add([persist(1), A])
    assert queue.add([B]) == []
    assert queue.add([persist(2), C]) == []
    assert queue.commit() == [persist(1), persist(2)]
    assert queue.committed() == [A, B, C]


def test_a_commit_under_way_is_not_begun_twice() -> None:
    queue = EffectQueue()
    queue.add([persist(1)])
    queue.commit()
    queue.add([persist(2)])
    assert queue.commit() == []


def test_what_is_decided_during_a_commit_waits_for_it_and_a_later_persist_for_its_own() -> None:
    queue = EffectQueue()
    queue.add([persist(1), A])
    queue.commit()
    assert queue.add([B, persist(2), C]) == []
    assert queue.committed() == [A, B]
    assert queue.add([D]) == []
    assert queue.commit() == [persist(2)]
    assert queue.committed() == [C, D]


def test_its_length_counts_what_waits_and_what_waits_behind_a_commit() -> None:
    queue = EffectQueue()
    queue.add([persist(1), A])
    assert len(queue) == 2
    queue.commit()
    queue.add([B])
    assert len(queue) == 2
    queue.committed()
    assert len(queue) == 0
