"""What workers measured who never worked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from clients.load.measuring.measures import Interval, Latencies, StepInterval


def encoded(milliseconds: Sequence[float]) -> bytes:
    latencies = Latencies()
    for each in milliseconds:
        latencies.add(each / 1e3)
    return latencies.take()


def step(milliseconds: Sequence[float] = (), **errors: int) -> StepInterval:
    return StepInterval(encoded(milliseconds), errors)


def interval(
    ends_at: float = 1.0,
    seconds: float = 1.0,
    *,
    worker: int = 0,
    steps: Mapping[str, StepInterval] | None = None,
    begun: int = 0,
    finished: int = 0,
    dropped: int = 0,
    in_flight: int = 0,
    lateness: Sequence[float] = (),
    cpu_seconds: float = 0.0,
) -> Interval:
    """`lateness` is in milliseconds."""
    return Interval(
        worker=worker,
        ends_at=ends_at,
        seconds=seconds,
        steps=dict(steps or {}),
        begun=begun,
        finished=finished,
        dropped=dropped,
        in_flight=in_flight,
        lateness=encoded(lateness),
        cpu_seconds=cpu_seconds,
    )
