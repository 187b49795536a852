"""Validates a scenario beyond the types of its fields. An error is one line: place, fault,
remedy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from clients.load.measuring import thresholds
from clients.load.pacing.arrivals import expected, length
from clients.load.scenario import ACTS, Act, Drives, Scenario
from daemons.files.explained import checked, instead
from tsproto.errors import TsfarmError

# The numbers that an act takes; other acts take none.
NUMBERS: Final = {"work": ("seconds", "keystrokes", "output"), "think": ("seconds",)}
# Steps that are timed besides acts: the parts of `work`. `think` is not timed.
PARTS: Final[dict[Drives, tuple[str, ...]]] = {
    "users": ("keystroke", "output"),
    "licenses": (),
    "directory": (),
}
# Acts without an answer: a journey of these alone would flood the directory.
NOTIFIED: Final = frozenset({"report", "end"})


class ScenarioError(TsfarmError):
    """A scenario cannot be run as written."""


def validated(raw: object, where: str, *, is_scripted: bool = False) -> Scenario:
    """The scenario that `raw` describes, in plain tables and lists; `where` begins the text of the
    ScenarioError that this raises. One that `is_scripted` has its journey elsewhere."""
    scenario = checked(raw, Scenario, where, ScenarioError)
    for fault in _faults(scenario, is_scripted):
        raise ScenarioError(f"{where}: {fault}")
    return scenario


def steps_timed(drives: Drives) -> tuple[str, ...]:
    return tuple(act for act in ACTS[drives] if act != "think") + PARTS[drives]


def _faults(scenario: Scenario, is_scripted: bool) -> Iterator[str]:
    yield from _model_faults(scenario)
    if not (scenario.journeys or is_scripted):
        yield "journeys: missing; at least one, of one act or more, as [[journeys]]"
    for place, journey in enumerate(scenario.journeys):
        for number, act in enumerate(journey.acts):
            yield from _act_faults(f"journeys[{place}].acts[{number}]", act, scenario.drives)
        if scenario.drives == "directory" and NOTIFIED.issuperset(act.do for act in journey.acts):
            yield f"journeys[{place}]: nothing in it is ever answered; let it `query` as well"
    for number, expression in enumerate(scenario.thresholds):
        if fault := threshold_fault(expression, scenario.drives):
            yield f"thresholds[{number}]: {fault}"


def _model_faults(scenario: Scenario) -> Iterator[str]:
    if (scenario.open is None) == (scenario.closed is None):
        found = "neither" if scenario.open is None else "both"
        yield f"open, closed: one of them says who arrives when; found {found}"
        return
    if scenario.open is not None and not expected(scenario.open):
        yield "open.stages: nobody ever arrives; give a stage a rate"
    seconds = length(scenario)
    if scenario.closed is not None and scenario.closed.ramp_seconds > seconds:
        ramp = scenario.closed.ramp_seconds
        yield f"closed.ramp_seconds: {ramp:g} are longer than the run's {seconds:g}"
    if scenario.warm_up_seconds and scenario.warm_up_seconds >= seconds:
        yield (
            f"warm_up_seconds: {scenario.warm_up_seconds:g} leave nothing of {seconds:g} to measure"
        )


def _act_faults(place: str, act: Act, drives: Drives) -> Iterator[str]:
    if act.do not in ACTS[drives]:
        yield f"{place}.do: {act.do!r} is no act of {drives}; {instead(act.do, ACTS[drives])}"
    taken = NUMBERS.get(act.do, ())
    for name in ("seconds", "keystrokes", "output"):
        if getattr(act, name) and name not in taken:
            owners = " and ".join(each for each, names in NUMBERS.items() if name in names)
            yield f"{place}.{name}: {act.do} takes none; only {owners} may have it"


def threshold_fault(expression: str, drives: Drives) -> str:
    """The fault of a threshold in a scenario that drives this; empty for none."""
    try:
        threshold = thresholds.parse(expression)
    except thresholds.ThresholdError as error:
        return str(error)
    known = steps_timed(drives)
    if threshold.step and threshold.step not in known:
        return f"{expression}: {threshold.step!r} is no step; {instead(threshold.step, known)}"
    return ""
