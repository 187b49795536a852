from __future__ import annotations

from typing import Any

import pytest

from clients.load.scenario.validation import ScenarioError, steps_timed, validated

STAGES = [{"seconds": 60, "rate": 5}]
JOURNEYS = [{"acts": [{"do": "logon"}, {"do": "work", "seconds": 5}]}]


def scenario(**changes: Any) -> dict[str, Any]:
    """A scenario as TOML gives it; None takes a key away."""
    raw = {"name": "mine", "open": {"stages": STAGES}, "journeys": JOURNEYS} | changes
    return {key: value for key, value in raw.items() if value is not None}


def journey(**act: Any) -> list[dict[str, Any]]:
    return [{"acts": [{"do": "logon"}, act]}]


def refusal(raw: object) -> str:
    with pytest.raises(ScenarioError) as caught:
        validated(raw, "mine.toml")
    return str(caught.value)


def test_a_lawful_scenario_is_taken() -> None:
    read = validated(scenario(thresholds=["p99(keystroke) < 50ms"]), "mine.toml")
    assert read.open is not None
    assert (read.open.stages[0].rate, read.journeys[0].acts[1].seconds) == (5, 5)


def test_a_journey_that_is_never_answered_is_refused() -> None:
    acts = [{"do": "report"}, {"do": "end"}]
    said = refusal(scenario(drives="directory", journeys=[{"acts": acts}]))
    assert said == (
        "mine.toml: journeys[0]: nothing in it is ever answered; let it `query` as well"
    )


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (scenario(name=5), "name: expected text of 1 to 64 characters, found 5"),
        (
            scenario(drives="cars"),
            'drives: expected one of directory, licenses, users, found "cars"',
        ),
        (scenario(journey=[]), "journey: unknown key; did you mean journeys?"),
        (
            scenario(open={"stages": [*STAGES, {"seconds": 1, "rate": "5"}]}),
            'open.stages[1].rate: expected a number from 0 to 1000000.0, found "5"',
        ),
        (
            scenario(open={"stages": [*STAGES, {"seconds": 1, "tempo": 5}]}),
            "open.stages[1].tempo: unknown key; expected one of seconds, rate, start_rate",
        ),
        (
            scenario(open={"stages": STAGES, "arrivals": "odd"}),
            'open.arrivals: expected one of even, poisson, found "odd"',
        ),
        (
            scenario(open={"stages": []}),
            "open.stages: expected a list of 1 to 1000 elements, found []",
        ),
        (
            scenario(open={"stages": [{"seconds": 1, "rate": float("nan")}]}),
            "open.stages[0].rate: expected a number from 0 to 1000000.0, found NaN",
        ),
        (
            scenario(journeys=journey(do="work", keystroke=3)),
            "journeys[0].acts[1].keystroke: unknown key; did you mean keystrokes?",
        ),
        (scenario(name=None), "name: missing; expected text of 1 to 64 characters"),
        (scenario(open=5), "open: expected a table, found 5"),
    ],
)
def test_a_field_that_does_not_fit_is_told_with_its_place(raw: object, said: str) -> None:
    assert refusal(raw) == f"mine.toml: {said}"


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (
            scenario(open=None),
            "open, closed: one of them says who arrives when; found neither",
        ),
        (
            scenario(closed={"users": 1, "seconds": 1}),
            "open, closed: one of them says who arrives when; found both",
        ),
        (
            scenario(open={"stages": [{"seconds": 60, "rate": 0}]}),
            "open.stages: nobody ever arrives; give a stage a rate",
        ),
        (
            scenario(open=None, closed={"users": 2, "seconds": 5, "ramp_seconds": 6}),
            "closed.ramp_seconds: 6 are longer than the run's 5",
        ),
        (
            scenario(warm_up_seconds=60),
            "warm_up_seconds: 60 leave nothing of 60 to measure",
        ),
        (
            scenario(journeys=[]),
            "journeys: missing; at least one, of one act or more, as [[journeys]]",
        ),
        (
            scenario(journeys=journey(do="logof")),
            "journeys[0].acts[1].do: 'logof' is no act of users; did you mean logoff?",
        ),
        (
            scenario(drives="directory"),
            "journeys[0].acts[0].do: 'logon' is no act of directory;"
            " expected one of place, report, query, end",
        ),
        (
            scenario(journeys=journey(do="think", keystrokes=3)),
            "journeys[0].acts[1].keystrokes: think takes none; only work may have it",
        ),
        (
            scenario(journeys=journey(do="roam", seconds=3)),
            "journeys[0].acts[1].seconds: roam takes none; only work and think may have it",
        ),
        (
            scenario(thresholds=["errors < 1%", "p99(logon) < 1"]),
            "thresholds[1]: p99(logon) < 1: p99 needs a unit; known are us, ms, s;"
            " write p99(logon) < 1ms",
        ),
        (
            scenario(thresholds=["p99(login) < 1s"]),
            "thresholds[0]: p99(login) < 1s: 'login' is no step; did you mean logon?",
        ),
    ],
)
def test_parts_that_do_not_fit_each_other_are_told_with_their_place(raw: object, said: str) -> None:
    assert refusal(raw) == f"mine.toml: {said}"


def test_a_scripted_scenario_has_its_journey_elsewhere() -> None:
    assert validated(scenario(journeys=None), "mine.py", is_scripted=True).journeys == ()


def test_parts_of_work_are_timed_and_thinking_is_not() -> None:
    assert {"work", "keystroke", "output"} < {*steps_timed("users")}
    assert "think" not in steps_timed("users")
    assert steps_timed("licenses") == ("issue", "validate", "upgrade", "renew")
