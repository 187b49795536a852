"""Thresholds like `p99(logon) < 200ms` or `errors < 0.1%`, judged at the end of a run.

A threshold is METRIC(STEP) COMPARISON NUMBER UNIT. The metrics:

| metric | of | unit |
|---|---|---|
| `p50` `p99.9` and the like, `mean` `max` | latencies of a step's successes | `us` `ms` `s` |
| `rate` | successes a second; without a step, of all steps | `/s` or none |
| `count` | successes; without a step, of all steps | none |
| `errors` | failures; without a step, of all steps | `%` of all tries, or none for how many |
| `dropped` | arrivals dropped; it has no step | `%` of all arrivals, or none |

A step that never happened fails its threshold.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import msgspec

from clients.load.measuring import percentiles
from clients.load.measuring.results import ThresholdResult
from tsproto.errors import TsfarmError

if TYPE_CHECKING:
    from clients.load.measuring.totals import StepTotals, Totals

PERCENTILE: Final = re.compile(r"p((?:\d{1,2}(?:\.\d{1,4})?)|100)", re.ASCII)
PER_UNIT: Final = {"us": 0.001, "ms": 1.0, "s": 1000.0}  # milliseconds in one
OF_LATENCIES: Final = tuple(PER_UNIT)
UNITS: Final = {
    "mean": OF_LATENCIES,
    "max": OF_LATENCIES,
    "rate": ("/s", ""),
    "count": ("",),
    "errors": ("%", ""),
    "dropped": ("%", ""),
}
COMPARISONS: Final[dict[str, Callable[[float, float], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
}
EXPRESSION = re.compile(
    r"\s*([a-zA-Z][\w.]*)\s*"
    r"(?:\(\s*([^()]*?)\s*\)\s*)?"
    r"([<>=!]+)\s*"
    r"(\d+(?:\.\d*)?|\.\d+)\s*"
    r"(\S*)\s*",
    re.ASCII,
)


class ThresholdError(TsfarmError):
    """An expression is not a threshold; the text says what to write."""


class Threshold(msgspec.Struct, frozen=True):
    """`step` is empty for all steps, `unit` for a plain number."""

    expression: str
    metric: str
    step: str
    comparison: str
    bound: float
    unit: str


def parse(expression: str) -> Threshold:
    """Raises ThresholdError, whose text shows the syntax."""
    found = EXPRESSION.fullmatch(expression)
    if found is None:
        raise ThresholdError(
            f"{expression}: expected METRIC(STEP) COMPARISON NUMBER UNIT,"
            " as p99(logon) < 200ms or errors < 0.1%"
        )
    metric, step, comparison, bound, unit = found.groups(default="")
    threshold = Threshold(expression.strip(), metric, step, comparison, float(bound), unit)
    if fault := _fault(threshold):
        raise ThresholdError(f"{threshold.expression}: {fault}")
    return threshold


def judge(threshold: Threshold, totals: Totals) -> ThresholdResult:
    measured = _measured(threshold, totals)
    compare = COMPARISONS[threshold.comparison]
    return ThresholdResult(
        expression=threshold.expression,
        measured=measured,
        unit=threshold.unit,
        passed=measured is not None and compare(measured, threshold.bound),
    )


# --- what is wrong with an expression -------------------------------------------------------------


def _fault(threshold: Threshold) -> str:
    """The fault, and what to write instead; empty for none."""
    metric, step, unit = threshold.metric, threshold.step, threshold.unit
    if not _units(metric):
        return f"{metric} is no metric; known are p50, p99.9 and the like, {', '.join(UNITS)}"
    if threshold.comparison not in COMPARISONS:
        return f"{threshold.comparison} is no comparison; known are {', '.join(COMPARISONS)}"
    if _is_latency(metric) and not step:
        return f"{metric} is of one step; write {_spelled(threshold)}"
    if metric == "dropped" and step:
        return f"arrivals are dropped before any step; write {_spelled(threshold, step='')}"
    if unit not in _units(metric):
        known = ", ".join(each or "none" for each in _units(metric))
        said = f"{unit} is no unit of {metric}" if unit else f"{metric} needs a unit"
        return f"{said}; known are {known}; write {_spelled(threshold)}"
    return ""


def _spelled(threshold: Threshold, **changes: str) -> str:
    """The threshold in correct syntax, with these changes."""
    right = msgspec.structs.replace(threshold, **changes)
    unit = right.unit if right.unit in _units(right.metric) else _usual_unit(right.metric)
    step = right.step or ("logon" if _is_latency(right.metric) else "")
    step = f"({step})" if step else ""
    return f"{right.metric}{step} {right.comparison} {right.bound:.12g}{unit}"


def _usual_unit(metric: str) -> str:
    return "ms" if _is_latency(metric) else _units(metric)[0]


def _units(metric: str) -> tuple[str, ...]:
    """Empty for an unknown metric."""
    return OF_LATENCIES if PERCENTILE.fullmatch(metric) else UNITS.get(metric, ())


def _is_latency(metric: str) -> bool:
    return _units(metric) is OF_LATENCIES


# --- what was measured ----------------------------------------------------------------------------


def _measured(threshold: Threshold, totals: Totals) -> float | None:
    """In the threshold's unit; None when nothing was measured."""
    metric, unit = threshold.metric, threshold.unit
    if metric == "dropped":
        return _part(totals.dropped, totals.begun + totals.dropped, unit)
    chosen = [step for name, step in totals.steps.items() if threshold.step in ("", name)]
    count, failed = sum(step.count for step in chosen), sum(step.failed for step in chosen)
    if not count + failed:
        return None
    match metric:
        case "errors":
            return _part(failed, count + failed, unit)
        case "rate":
            return count / totals.seconds if totals.seconds else None
        case "count":
            return float(count)
        case _:
            [step] = chosen
            return _latency(metric, step) / PER_UNIT[unit] if count else None


def _part(number: int, of: int, unit: str) -> float | None:
    if not of:
        return None
    return 100 * number / of if unit == "%" else float(number)


def _latency(metric: str, step: StepTotals) -> float:
    """Milliseconds."""
    if found := PERCENTILE.fullmatch(metric):
        [microseconds] = percentiles.at(step.latencies, [float(found[1])])
        return microseconds / 1e3
    latency = percentiles.latency(step.latencies)
    return latency.mean if metric == "mean" else latency.max
