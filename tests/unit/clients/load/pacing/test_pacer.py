from __future__ import annotations

from collections.abc import Callable

from hdrh.histogram import HdrHistogram

from clients.load.measuring.measures import Measures
from clients.load.pacing.pacer import (
    BATCH,
    RETRY_SECONDS,
    ClosedPace,
    OpenPace,
    Pace,
    Pacer,
    first_begins,
)
from clients.load.scenario import Closed

START = 1_000.0


class Time:
    """A made-up clock and a timer, which may call back `late`; `is_over` once the pacer is done."""

    def __init__(self) -> None:
        self.now = START
        self.late = 0.0
        self.is_over = False
        self._due: tuple[float, Callable[[], None]] | None = None

    def clock(self) -> float:
        return self.now

    def set(self, at: float, callback: Callable[[], None]) -> None:
        self._due = at, callback

    def end(self) -> None:
        self.is_over = True

    def cancel(self) -> None:
        self._due = None

    def close(self) -> None: ...

    def pass_until(self, moment: float) -> None:
        while self._due is not None and self._due[0] <= moment:
            (at, callback), self._due = self._due, None
            self.now = max(self.now, at + self.late)
            callback()
        self.now = max(self.now, moment)


class Room:
    """A driver with room for so many journeys; they end when they are told to."""

    def __init__(self, time: Time, room: int = 1_000) -> None:
        self.in_flight = 0
        self.on_finished: Callable[[], None] = lambda: None
        self.begun: list[tuple[float, float]] = []
        self._time = time
        self._room = room

    async def open(self) -> None: ...
    async def close(self) -> None: ...

    def begin(self, due: float) -> bool:
        if self.in_flight >= self._room:
            return False
        self.in_flight += 1
        self.begun.append((due - START, self._time.now - START))
        return True

    def end_one(self) -> None:
        self.in_flight -= 1
        self.on_finished()

    @property
    def due(self) -> list[float]:
        return [due for due, _ in self.begun]


def paced(pace: Pace, driver: Room, time: Time) -> Pacer:
    pacer = Pacer(pace, driver, time, time.clock, time.end)
    pacer.start()
    return pacer


def opened(
    at: list[float], time: Time, driver: Room, in_flight_max: int = 1_000
) -> tuple[Pacer, Measures]:
    measures = Measures(0, lambda: 0.0)
    pace = OpenPace(iter([START + each for each in at]), in_flight_max, driver, measures)
    return paced(pace, driver, time), measures


def closed(
    time: Time, driver: Room, begins: list[float], think_seconds: float = 0.0, seconds: float = 10.0
) -> tuple[Pacer, Measures]:
    measures = Measures(0, lambda: 0.0)
    pace = ClosedPace(
        [START + each for each in begins], think_seconds, START + seconds, driver, measures
    )
    return paced(pace, driver, time), measures


# --- open -----------------------------------------------------------------------------------------


def test_arrivals_begin_when_they_are_due_whatever_became_of_those_before() -> None:
    time = Time()
    driver = Room(time)
    opened([0.0, 1.0, 3.0], time, driver)
    time.pass_until(START + 2.0)
    assert driver.begun == [(0.0, 0.0), (1.0, 1.0)]
    time.pass_until(START + 3.0)
    assert driver.due == [0.0, 1.0, 3.0]


def test_a_late_generator_shows_in_its_lateness_and_times_from_when_they_were_due() -> None:
    time = Time()
    time.late = 0.25
    driver = Room(time)
    _, measures = opened([1.0, 1.125], time, driver)
    time.pass_until(START + 2.0)
    assert driver.begun == [(1.0, 1.25), (1.125, 1.25)]
    lateness = HdrHistogram.decode(measures.take(2.0, 2).lateness)
    assert lateness.get_total_count() == 2
    assert round(lateness.get_max_value() / 1_000) == 250
    assert round(lateness.get_min_value() / 1_000) == 125


def test_an_arrival_that_finds_too_many_under_way_is_dropped_and_counted() -> None:
    time = Time()
    driver = Room(time)
    _, measures = opened([1.0, 2.0, 3.0], time, driver, in_flight_max=1)
    time.pass_until(START + 2.0)
    driver.end_one()
    time.pass_until(START + 3.0)
    interval = measures.take(3.0, 1)
    assert driver.due == [1.0, 3.0]
    assert (interval.begun, interval.dropped) == (2, 1)


def test_an_arrival_that_the_driver_has_nobody_for_is_dropped_too() -> None:
    time = Time()
    driver = Room(time, room=1)
    _, measures = opened([1.0, 2.0], time, driver)
    time.pass_until(START + 2.0)
    assert measures.take(2.0, 1).dropped == 1


def test_a_burst_begins_in_batches_so_that_answers_are_read_between_them() -> None:
    time = Time()
    driver = Room(time, room=10 * BATCH)
    measures = Measures(0, lambda: 0.0)
    pace = OpenPace(iter([START] * (BATCH + 1)), 10 * BATCH, driver, measures)
    pace.begin_due(START)
    assert len(driver.begun) == BATCH
    assert pace.next_due() == START
    pace.begin_due(START)
    assert len(driver.begun) == BATCH + 1
    assert pace.next_due() is None


def test_it_is_over_when_the_last_journey_has_ended() -> None:
    time = Time()
    driver = Room(time)
    pacer, _ = opened([1.0], time, driver)
    time.pass_until(START + 5.0)
    assert not time.is_over
    driver.end_one()
    assert time.is_over


def test_a_stopped_pacer_begins_nothing_and_waits_for_what_is_under_way() -> None:
    time = Time()
    driver = Room(time)
    pacer, _ = opened([1.0, 2.0], time, driver)
    time.pass_until(START + 1.0)
    pacer.stop()
    time.pass_until(START + 5.0)
    assert driver.due == [1.0]
    assert not time.is_over
    driver.end_one()
    assert time.is_over


# --- closed ---------------------------------------------------------------------------------------


def test_the_users_of_all_shares_begin_evenly_over_the_ramp() -> None:
    model = Closed(users=5, seconds=60.0, ramp_seconds=10.0)
    assert list(first_begins(model, 0, 1)) == [0.0, 2.0, 4.0, 6.0, 8.0]
    assert list(first_begins(model, 1, 2)) == [2.0, 6.0]


def test_a_user_begins_again_after_thinking() -> None:
    time = Time()
    driver = Room(time)
    closed(time, driver, [0.0], think_seconds=2.0)
    time.pass_until(START + 1.0)
    driver.end_one()
    time.pass_until(START + 2.5)
    assert driver.due == [0.0]
    time.pass_until(START + 3.0)
    assert driver.due == [0.0, 3.0]


def test_a_user_who_does_not_think_begins_again_at_once() -> None:
    time = Time()
    driver = Room(time)
    _, measures = closed(time, driver, [0.0])
    time.pass_until(START + 1.5)
    driver.end_one()
    assert driver.due == [0.0, 1.5]
    assert measures.take(1.5, 1).begun == 2


def test_a_journey_of_a_closed_model_is_timed_from_when_it_was_really_begun() -> None:
    time = Time()
    time.late = 0.5
    driver = Room(time)
    _, measures = closed(time, driver, [1.0])
    time.pass_until(START + 2.0)
    assert driver.begun == [(1.5, 1.5)]
    assert round(HdrHistogram.decode(measures.take(2.0, 1).lateness).get_max_value() / 1_000) == 500


def test_a_user_whom_nobody_has_room_for_tries_again() -> None:
    time = Time()
    driver = Room(time, room=1)
    _, measures = closed(time, driver, [0.0, 1.0])
    time.pass_until(START + 1.0)
    assert measures.take(1.0, 1).dropped == 1
    driver.in_flight = 0
    time.pass_until(START + 1.0 + RETRY_SECONDS)
    assert driver.due == [0.0, 1.0 + RETRY_SECONDS]


def test_nobody_begins_after_the_end() -> None:
    time = Time()
    driver = Room(time)
    pacer, _ = closed(time, driver, [0.0, 0.0, 12.0], think_seconds=2.0, seconds=10.0)
    time.pass_until(START + 8.5)
    driver.end_one()
    time.pass_until(START + 20.0)
    driver.end_one()
    assert driver.due == [0.0, 0.0]
    assert time.is_over
