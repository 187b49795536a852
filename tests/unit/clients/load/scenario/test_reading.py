from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from clients.load.measuring import thresholds
from clients.load.pacing.arrivals import expected, length
from clients.load.scenario import Act, Closed, Journey, Open, Scenario, Stage
from clients.load.scenario.reading import ScenarioError, adjusted, built_in, read

JOURNEYS = (Journey(acts=(Act("logon"),)),)
WAVE = Open(stages=(Stage(0, 5), Stage(20, 8, start_rate=1), Stage(10, 8), Stage(10, 0)))
MORNING = Scenario(name="morning", open=WAVE, journeys=JOURNEYS, warm_up_seconds=4)
DAY = Scenario(
    name="day",
    closed=Closed(users=20, seconds=60, ramp_seconds=12, think_seconds=2),
    journeys=JOURNEYS,
    warm_up_seconds=6,
)

OWN = """
warm_up_seconds = 2
[open]
stages = [{ seconds = 10, rate = 3 }]
[[journeys]]
acts = [{ do = "logon" }]
"""


def refusal(call: Any, *arguments: Any, **options: Any) -> str:
    with pytest.raises(ScenarioError) as caught:
        call(*arguments, **options)
    return str(caught.value)


# --- built in -------------------------------------------------------------------------------------


def test_the_built_in_scenarios_are_these() -> None:
    assert [scenario.name for scenario in built_in()] == [
        "directory-only",
        "license-only",
        "roam",
        "steady",
        "storm",
    ]


@pytest.mark.parametrize("scenario", built_in(), ids=lambda scenario: str(scenario.name))
def test_a_built_in_scenario_says_what_it_is_and_what_is_good_enough(scenario: Scenario) -> None:
    assert scenario.about
    assert length(scenario) <= 60
    acts = {act.do for journey in scenario.journeys for act in journey.acts}
    judged = [thresholds.parse(each) for each in scenario.thresholds]
    assert "errors" in {each.metric for each in judged}
    assert {each.step for each in judged} <= {"", "keystroke", *acts}


def test_a_built_in_scenario_is_found_by_its_name() -> None:
    storm = read("storm")
    assert storm.script == ""
    assert storm.scenario.open is not None
    assert expected(storm.scenario.open) == 200  # as its file says


def test_an_unknown_name_is_answered_with_those_there_are() -> None:
    assert refusal(read, "strom") == (
        "strom: no built-in scenario; did you mean storm? there are directory-only, license-only,"
        " roam, steady, storm. Your own is a FILE.toml or a FILE.py"
    )


# --- one's own ------------------------------------------------------------------------------------


def test_a_toml_file_without_a_name_is_called_as_its_file_is(tmp_path: Path) -> None:
    file = tmp_path / "lunch.toml"
    file.write_text(OWN)
    assert read(str(file)).scenario.name == "lunch"
    file.write_text('name = "tea"\n' + OWN)
    assert read(str(file)).scenario.name == "tea"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[open", "expected TOML: Expected ']'"),
        (b'name = "\xff"', "expected UTF-8 text; byte 8 is none"),
        (OWN.replace("rate", "tempo").encode(), "open.stages[0].tempo: unknown key"),
    ],
)
def test_a_file_that_is_no_scenario_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "own.toml"
    file.write_bytes(content)
    assert refusal(read, str(file)).startswith(f"{file}: {said}")


def test_a_file_that_is_not_there_is_named() -> None:
    assert refusal(read, "no.toml") == "no.toml: cannot be read: No such file or directory"


def test_a_script_is_named_so_that_a_worker_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own.py").write_text(
        "from clients.load.scenario import Closed\n"
        "from clients.load.scenario.script import Script\n"
        "class Few(Script):\n"
        "    closed = Closed(users=2, seconds=3)\n"
        "    async def journey(self, visitor): ...\n"
    )
    monkeypatch.chdir(tmp_path)
    for name in ("own.py", "own.py:Few"):
        found = read(name)
        assert found.script == f"{tmp_path}/own.py:Few"
        assert found.scenario.closed == Closed(users=2, seconds=3)


# --- at another size ------------------------------------------------------------------------------


def test_a_rate_is_the_highest_and_all_others_keep_their_proportion() -> None:
    changed = adjusted(MORNING, rate=80).open
    assert changed is not None
    assert changed.stages == (
        Stage(0, 50),
        Stage(20, 80, start_rate=10),
        Stage(10, 80),
        Stage(10, 0),
    )


def test_a_duration_stretches_the_stages_and_leaves_bursts_at_once() -> None:
    changed = adjusted(MORNING, seconds=80)
    assert changed.open is not None
    assert [stage.seconds for stage in changed.open.stages] == [0, 40, 20, 20]
    assert changed.open.stages[0].rate == 5
    assert changed.warm_up_seconds == 4


def test_a_shorter_run_has_a_shorter_warm_up_and_ramp() -> None:
    assert adjusted(MORNING, seconds=10).warm_up_seconds == 1
    changed = adjusted(DAY, seconds=30)
    assert changed.closed == Closed(users=20, seconds=30, ramp_seconds=6, think_seconds=2)
    assert changed.warm_up_seconds == 3


def test_users_are_those_of_a_closed_model_and_the_most_at_once_of_an_open_one() -> None:
    closed, open = adjusted(DAY, users=7).closed, adjusted(MORNING, users=7).open
    assert closed is not None and open is not None
    assert (closed.users, open.in_flight_max) == (7, 7)


def test_thresholds_take_the_place_of_the_scenarios_own() -> None:
    own = msgspec.structs.replace(MORNING, thresholds=("errors < 1%",))
    assert adjusted(own, thresholds=["p99(logon) < 1s"]).thresholds == ("p99(logon) < 1s",)
    assert adjusted(own).thresholds == ("errors < 1%",)


def test_a_scripted_scenario_is_adjusted_too() -> None:
    scripted = msgspec.structs.replace(DAY, journeys=())
    assert adjusted(scripted, users=3).journeys == ()


@pytest.mark.parametrize(
    ("scenario", "change", "said"),
    [
        (DAY, {"rate": 5}, "day has a closed model and no rate; give it --users"),
        (MORNING, {"rate": 0}, "--rate: expected a number above 0, found 0"),
        (MORNING, {"rate": float("nan")}, "--rate: expected a number above 0, found nan"),
        (MORNING, {"seconds": float("inf")}, "--duration: expected a number above 0, found inf"),
        (
            MORNING,
            {"rate": 2e6},
            "morning: open.stages[0].rate: expected a number from 0 to 1000000.0",
        ),
        (DAY, {"users": 0}, "day: closed.users: expected a whole number from 1 to 1000000"),
        (DAY, {"thresholds": ["p99 < 1s"]}, "--threshold p99 < 1s: p99 is of one step"),
    ],
)
def test_what_cannot_be_changed_so_is_refused(
    scenario: Scenario, change: dict[str, Any], said: str
) -> None:
    assert refusal(adjusted, scenario, **change).startswith(said)


def test_bursts_alone_have_neither_rate_nor_duration() -> None:
    burst = msgspec.structs.replace(MORNING, open=Open(stages=(Stage(0, 5),)), warm_up_seconds=0)
    assert "has bursts alone and no rate" in refusal(adjusted, burst, rate=5)
    assert "has bursts alone and no duration" in refusal(adjusted, burst, seconds=5)
