from __future__ import annotations

import sys
from pathlib import Path
from textwrap import dedent
from types import SimpleNamespace
from typing import Any

import pytest

from clients.load.scenario import Open, Stage
from clients.load.scenario.script import load, scenario_of
from clients.load.scenario.validation import ScenarioError

LUNCH = """
    from clients.load import Open, Script, Stage

    class Lunch(Script):
        open = Open(stages=(Stage(seconds=60, rate=10),))
        thresholds = ["p99(reconnect) < 300ms"]
        warm_up_seconds = 5

        async def journey(self, visitor):
            await visitor.logon()
"""


@pytest.fixture(autouse=True)
def no_traces(monkeypatch: pytest.MonkeyPatch) -> None:
    """The folders that files came from are forgotten after a test."""
    monkeypatch.setattr(sys, "path", [*sys.path])


def written(folder: Path, source: str, name: str = "own.py") -> str:
    file = folder / name
    file.write_text(dedent(source))
    return str(file)


def refusal(script: str) -> str:
    with pytest.raises(ScenarioError) as caught:
        scenario_of(load(script))
    return str(caught.value)


def test_a_class_says_who_arrives_when(tmp_path: Path) -> None:
    scenario = scenario_of(load(written(tmp_path, LUNCH)))
    assert (scenario.name, scenario.drives, scenario.warm_up_seconds) == ("Lunch", "users", 5)
    assert scenario.open == Open(stages=(Stage(seconds=60, rate=10),))
    assert scenario.thresholds == ("p99(reconnect) < 300ms",)
    assert scenario.journeys == ()


async def test_its_journey_is_a_coroutine_with_a_visitor(tmp_path: Path) -> None:
    done: list[str] = []

    async def logon() -> None:
        done.append("logon")

    visitor: Any = SimpleNamespace(logon=logon)
    await load(written(tmp_path, LUNCH)).journey(visitor)
    assert done == ["logon"]


def test_one_of_several_classes_is_named(tmp_path: Path) -> None:
    file = written(tmp_path, LUNCH + '\n    class Tea(Lunch):\n        name = "tea at five"\n')
    assert scenario_of(load(f"{file}:Tea")).name == "tea at five"
    assert scenario_of(load(f"{file}:Lunch")).name == "Lunch"
    assert refusal(file) == f"{file}: several scenarios, Lunch, Tea; name one, as {file}:Lunch"
    assert refusal(f"{file}:Dinner") == f"{file}: no scenario Dinner; expected one of Lunch, Tea"


def test_what_a_file_imports_is_no_scenario_of_its_own(tmp_path: Path) -> None:
    written(tmp_path, LUNCH, name="lunch_of_all.py")
    file = written(tmp_path, "from lunch_of_all import Lunch\nclass Mine(Lunch): pass")
    assert scenario_of(load(file)).name == "Mine"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("x = 1\ny = = 2", ":2: SyntaxError: invalid syntax"),
        ("def f():\n    return 1 / 0\nf()", ":2: ZeroDivisionError: division by zero"),
        ("import no_such_module_at_all", ":1: ModuleNotFoundError: No module named"),
        ("x = 1", ": no scenario; expected a class of clients.load.Script"),
        (
            "from clients.load import Script\nclass A(Script): pass",
            ": no scenario; expected a class of clients.load.Script with an"
            " `async def journey(self, visitor)`",
        ),
        (LUNCH.replace("async ", "").replace("await ", ""), ": Lunch.journey: expected `async def"),
        ("import sys\nsys.exit(3)", ":2: SystemExit: 3"),
        (LUNCH + "\n        def __init__(self): self.none", ":12: AttributeError: 'Lunch'"),
        (LUNCH.replace("open =", "shut ="), ":Lunch: open, closed: one of them says"),
        (
            LUNCH.replace("= 5", '= "5"'),
            ":Lunch: warm_up_seconds: expected a number from 0 to 604800.0",
        ),
        (LUNCH.replace("= 5", "= object"), ":Lunch: "),
        (LUNCH.replace("reconnect", "tea"), ":Lunch: thresholds[0]: p99(tea) < 300ms: 'tea'"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(tmp_path: Path, source: str, said: str) -> None:
    file = written(tmp_path, source)
    told = refusal(file)
    assert told.startswith(f"{file}{said}")
    assert "\n" not in told


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert refusal(f"{tmp_path}/own.py").startswith(f"{tmp_path}/own.py: cannot be read: No such")
