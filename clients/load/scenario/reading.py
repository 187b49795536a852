"""Reads a scenario, built in or from a file, and adjusts it to the options."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import Any, Final

import msgspec

from clients.load.pacing.arrivals import length
from clients.load.scenario import Open, Scenario, Stage
from clients.load.scenario import script as scripts
from clients.load.scenario.validation import ScenarioError, threshold_fault, validated
from daemons.files.explained import read_toml

__all__ = ["Read", "ScenarioError", "adjusted", "built_in", "read"]

BUILT_IN: Final = Path(__file__).parent / "built_in"


class Read(msgspec.Struct, frozen=True):
    """`script` is FILE.py:CLASS with an absolute path for a scenario in Python, else empty."""

    scenario: Scenario
    script: str = ""


def read(name_or_path: str) -> Read:
    """`name_or_path`: a built-in name, FILE.toml, FILE.py[:CLASS]. Raises ScenarioError."""
    if name_or_path.endswith(".toml"):
        return Read(_read_toml(Path(name_or_path)))
    if name_or_path.endswith(".py") or ".py:" in name_or_path:
        return _read_script(name_or_path)
    return Read(_read_toml(_built_in(name_or_path)))


def source(name: str) -> str:
    """The text of a built-in scenario's file. Raises ScenarioError."""
    return _built_in(name).read_text("utf-8")


def built_in() -> list[Scenario]:
    return [read(name).scenario for name in _names()]


def adjusted(
    scenario: Scenario,
    *,
    rate: float | None = None,
    users: int | None = None,
    seconds: float | None = None,
    thresholds: Sequence[str] = (),
) -> Scenario:
    """The scenario at another size. Raises ScenarioError.

    `rate` becomes the highest rate of an open model; its other rates and its bursts are scaled with
    it. `users` is the number of users in a closed model, and the limit of journeys under way in an
    open one. `seconds` is the time in which journeys begin; ramp and warm-up shrink with it, but do
    not grow. `thresholds` replace the scenario's own.
    """
    changed = scenario
    if rate is not None:
        changed = _at_rate(changed, _above_nothing("--rate", rate))
    if users is not None:
        changed = _for_users(changed, users)
    if seconds is not None:
        changed = _lasting(changed, _above_nothing("--duration", seconds))
    for expression in thresholds:
        if fault := threshold_fault(expression, scenario.drives):
            raise ScenarioError(f"--threshold {fault}")
    if thresholds:
        changed = msgspec.structs.replace(changed, thresholds=tuple(thresholds))
    raw = msgspec.to_builtins(changed)
    return validated(raw, scenario.name, is_scripted=not scenario.journeys)


# --- finding --------------------------------------------------------------------------------------


def _names() -> list[str]:
    return sorted(path.stem for path in BUILT_IN.glob("*.toml"))


def _built_in(name: str) -> Path:
    names = _names()
    if name not in names:
        raise ScenarioError(_not_built_in(name, names))
    return BUILT_IN / f"{name}.toml"


def _not_built_in(name: str, names: Sequence[str]) -> str:
    hint = "".join(
        f"did you mean {close}? " for close in difflib.get_close_matches(name, names, n=1)
    )
    return (
        f"{name}: no built-in scenario; {hint}there are {', '.join(names)}."
        " Your own is a FILE.toml or a FILE.py"
    )


def _read_toml(path: Path) -> Scenario:
    """Without a `name` it is called as its file is."""
    named: dict[str, Any] = {"name": path.stem, **read_toml(path, ScenarioError)}
    return validated(named, str(path))


def _read_script(name: str) -> Read:
    script = scripts.load(name)
    scenario = scripts.scenario_of(script)
    path = Path(name[: name.index(".py") + len(".py")]).absolute()
    return Read(scenario, f"{path}:{type(script).__name__}")


# --- adjusting ------------------------------------------------------------------------------------


def _above_nothing(name: str, number: float) -> float:
    if number > 0 and isfinite(number):
        return number
    raise ScenarioError(f"{name}: expected a number above 0, found {number:g}")


def _at_rate(scenario: Scenario, rate: float) -> Scenario:
    if scenario.open is None:
        raise ScenarioError(f"{scenario.name} has a closed model and no rate; give it --users")
    stages = scenario.open.stages
    lasting = [stage for stage in stages if stage.seconds]
    highest = max((max(stage.rate, stage.start_rate or 0.0) for stage in lasting), default=0.0)
    if not highest:
        raise ScenarioError(f"{scenario.name} has bursts alone and no rate; change its file")
    scale = rate / highest
    return _with_stages(scenario, scenario.open, [_scaled(stage, scale) for stage in stages])


def _scaled(stage: Stage, scale: float) -> Stage:
    """Bursts are rounded to whole arrivals."""
    if not stage.seconds:
        return msgspec.structs.replace(stage, rate=float(round(stage.rate * scale)))
    start_rate = None if stage.start_rate is None else stage.start_rate * scale
    return msgspec.structs.replace(stage, rate=stage.rate * scale, start_rate=start_rate)


def _for_users(scenario: Scenario, users: int) -> Scenario:
    if scenario.open is not None:
        open = msgspec.structs.replace(scenario.open, in_flight_max=users)
        return msgspec.structs.replace(scenario, open=open)
    assert scenario.closed is not None
    closed = msgspec.structs.replace(scenario.closed, users=users)
    return msgspec.structs.replace(scenario, closed=closed)


def _lasting(scenario: Scenario, seconds: float) -> Scenario:
    before = length(scenario)
    if not before:
        raise ScenarioError(f"{scenario.name} has bursts alone and no duration; change its file")
    scale = seconds / before
    shrunk = min(scale, 1.0)
    warm_up = scenario.warm_up_seconds * shrunk
    warmed = msgspec.structs.replace(scenario, warm_up_seconds=warm_up)
    if scenario.open is not None:
        stages = [
            msgspec.structs.replace(stage, seconds=stage.seconds * scale)
            for stage in scenario.open.stages
        ]
        return _with_stages(warmed, scenario.open, stages)
    assert scenario.closed is not None
    ramp = scenario.closed.ramp_seconds * shrunk
    closed = msgspec.structs.replace(scenario.closed, seconds=seconds, ramp_seconds=ramp)
    return msgspec.structs.replace(warmed, closed=closed)


def _with_stages(scenario: Scenario, open: Open, stages: Sequence[Stage]) -> Scenario:
    open = msgspec.structs.replace(open, stages=tuple(stages))
    return msgspec.structs.replace(scenario, open=open)
