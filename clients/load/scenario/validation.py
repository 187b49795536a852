"""Validates a scenario beyond the types of its fields. An error is one line: place, fault,
remedy."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from clients.load.measuring import thresholds
from clients.load.pacing.arrivals import expected, length
from clients.load.scenario import ACTS, Act, Closed, Drives, Journey, Open, Scenario, Stage
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
# The struct at a place in a file, by the place's last name.
TABLES: Final[dict[str, type[msgspec.Struct]]] = {
    "": Scenario,
    "open": Open,
    "closed": Closed,
    "stages": Stage,
    "journeys": Journey,
    "acts": Act,
}
COMPLAINT = re.compile(r"(?P<said>.*?)(?: - at `\$\.?(?P<place>.*)`)?", re.DOTALL)
# msgspec's names of types, in the words of TOML.
WORDS: Final = {
    "array": "a list",
    "bool": "true or false",
    "float": "a number",
    "int": "a whole number",
    "object": "a table",
    "str": "text",
}
CHOICES: Final = {"drives": tuple(ACTS), "open.arrivals": ("even", "poisson")}
WORD = re.compile(r"`(\w+)(?: \| null)?`")
UNKNOWN = re.compile(r"Object contains unknown field `(.*)`")
MISSING = re.compile(r"Object missing required field `(.*)`")


class ScenarioError(TsfarmError):
    """A scenario cannot be run as written."""


def validated(raw: object, where: str, *, is_scripted: bool = False) -> Scenario:
    """The scenario in `raw`, which is plain tables and lists. Raises ScenarioError, whose text
    begins with `where`. A scenario that `is_scripted` has no journeys in `raw`."""
    try:
        scenario = msgspec.convert(raw, Scenario)
    except msgspec.ValidationError as error:
        raise ScenarioError(f"{where}: {_in_words(str(error))}") from None
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
        yield f"{place}.do: {act.do!r} is no act of {drives}; {_instead(act.do, ACTS[drives])}"
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
        return f"{expression}: {threshold.step!r} is no step; {_instead(threshold.step, known)}"
    return ""


def _instead(name: str, known: Sequence[str]) -> str:
    if close := difflib.get_close_matches(name, known, n=1):
        return f"did you mean {close[0]}?"
    return f"expected one of {', '.join(known)}"


def _in_words(complaint: str) -> str:
    """msgspec's message in a user's words, the place first."""
    found = COMPLAINT.fullmatch(complaint)
    assert found is not None
    place, said = found["place"] or "", found["said"]
    within = f"{place}." if place else ""
    if unknown := UNKNOWN.fullmatch(said):
        return f"{within}{unknown[1]}: unknown key; {_instead(unknown[1], _fields(place))}"
    if missing := MISSING.fullmatch(said):
        return f"{within}{missing[1]}: missing"
    if said.startswith("Invalid enum value"):
        got = said.removeprefix("Invalid enum value ")
        said = f"Expected one of {', '.join(CHOICES[place])}, got {got}"
    said = WORD.sub(lambda word: WORDS.get(word[1], word[1]), said)
    return f"{place}: {said[0].lower()}{said[1:]}" if place else said


def _fields(place: str) -> tuple[str, ...]:
    """The keys that are allowed at a place like `open.stages[0]`."""
    last = re.sub(r"\[\d+\]$", "", place.rpartition(".")[2])
    return TABLES[last].__struct_fields__
