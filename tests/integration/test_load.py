"""`tsfarm load` as it is typed, on one small lab: every built-in scenario, for seconds and at once,
with users of its own; and nothing of it timed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from daemons import lab

TSFARM = str(Path(sys.executable).with_name("tsfarm"))
SECONDS = 60.0
PLAN = lab.Plan(
    terminal_servers=("ts1", "ts2"),
    license_servers=(lab.LicenseServerPlan("license-a", tokens=2),),
    load_users=24,
)
PYTHON = """
from clients.load import Closed, Script, Visitor


class Lunch(Script):
    closed = Closed(users=2, seconds=1)

    async def journey(self, visitor: Visitor) -> None:
        print("somebody is here")
        await visitor.logon()
        await visitor.disconnect()
        await visitor.reconnect()
        await visitor.logoff()


class Siesta(Lunch):
    closed = Closed(users=2, seconds=3600)
"""


CHANCE = """
drives = "licenses"

[open]
arrivals = "poisson"
stages = [{ seconds = 0.5, rate = 200 }]

[[journeys]]
acts = [{ do = "issue" }]

[[journeys]]
acts = [{ do = "issue" }, { do = "validate" }, { do = "upgrade" }]
"""


class Small(msgspec.Struct, frozen=True):
    """How a built-in scenario is kept small, which of the lab's users it has, the steps that it
    shows, and a rule that only it can show."""

    options: tuple[str, ...]
    users: range
    steps: set[str]
    rule: str


SMALL = {
    "steady": Small(
        ("--users", "4", "--duration", "4"),
        range(1, 5),
        {"disconnect", "keystroke"},
        "keys come back once and in order",
    ),
    "roam": Small(
        ("--rate", "1.5", "--duration", "3"),
        range(5, 11),
        {"logon", "roam", "logoff"},
        "session kept",
    ),
    "storm": Small(
        ("--rate", "4", "--duration", "3"),
        range(11, 21),
        {"first-visit", "keystroke", "output"},
        "output complete",
    ),
    "license-only": Small(
        ("--rate", "50", "--duration", "2"),
        range(0),
        {"issue", "validate", "upgrade"},
        "no full token before a logon",
    ),
    "directory-only": Small(
        ("--rate", "50", "--duration", "2"),
        range(0),
        {"place", "query", "report", "end"},
        "a later placement has a higher number",
    ),
}
PYTHON_USERS, GIVEN_UP_USERS = range(21, 23), range(23, 25)
EVERY_RUN = ("tokens are conserved", "never two sessions of a user")


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("lab")
    lab.up(folder, PLAN, say=lambda line: None)
    try:
        yield folder
        for daemon in lab.load(folder).daemons:
            assert lab.pid_of(folder, daemon.name), f"{daemon.name} ended"
            assert "Traceback" not in (folder / daemon.name / "log").read_text()
    finally:
        lab.down(folder)


@pytest.fixture(scope="module")
def runs(farm: Path) -> Iterator[dict[str, subprocess.Popen[str]]]:
    """All built-in scenarios under way; other tests go on beside the longest."""
    started = {}
    for name, small in SMALL.items():
        words: list[str | Path] = [
            name,
            "--lab",
            farm,
            *small.options,
            "--threshold",
            "errors < 0.1%",
            "--json",
            "-",
        ]
        if small.users:
            words += ["--users-file", users_file(farm, small.users)]
        started[name] = start(*words)
    try:
        yield started
    finally:
        for run in started.values():
            run.kill()
            run.communicate()


def users_file(farm: Path, numbers: range) -> Path:
    """These of the lab's users, whom nobody else takes."""
    file = farm / f"users-from-{numbers[0]}"
    file.write_text("".join(f"{lab.load_user(number)}\n" for number in numbers))
    return file


def start(*words: str | Path) -> subprocess.Popen[str]:
    command = [TSFARM, "load", *map(str, words)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    )


def load(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [TSFARM, "load", *map(str, words)], capture_output=True, text=True, timeout=SECONDS
    )


def counts(result: dict[str, Any]) -> dict[str, int]:
    return {step["step"]: step["count"] for step in result["steps"]}


def rules(result: dict[str, Any], passed: bool) -> set[str]:
    return {check["rule"] for check in result["checks"] if check["passed"] is passed}


# --- beside the built-in scenarios ----------------------------------------------------------------


@pytest.mark.usefixtures("runs")
def test_several_workers_and_every_kind_of_result(farm: Path, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("x.json", "x.html", "x.hdr")]
    written = ("--json", files[0], "--html", files[1], "--hdr", files[2])
    size = ("--rate", "100", "--duration", "1", "--workers", "2")
    done = load("directory-only", "--lab", farm, *size, *written)
    assert done.returncode == 0, done.stderr
    result = json.loads(files[0].read_text())
    assert result["generator"]["workers"] == 2
    assert "directory-only on " in done.stdout
    assert files[1].read_text().startswith("<!DOCTYPE html>")
    assert "Tag=query," in files[2].read_text()


def test_a_missed_threshold_is_status_7(farm: Path) -> None:
    size = ("--rate", "20", "--duration", "1")
    done = load("license-only", "--lab", farm, *size, "--threshold", "count(issue) > 1000000")
    assert done.returncode == 7, done.stderr
    assert "FAILED" in done.stdout


def test_a_scenario_in_python_runs_and_may_print(farm: Path, tmp_path: Path) -> None:
    file = tmp_path / "lunch.py"
    file.write_text(PYTHON)
    people = users_file(farm, PYTHON_USERS)
    done = load(f"{file}:Lunch", "--lab", farm, "--users-file", people, "--json", "-")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert {"logon", "disconnect", "reconnect", "logoff"} <= counts(result).keys()
    assert rules(result, False) == set()
    assert "session kept" in rules(result, True)
    assert "somebody is here" in done.stderr


def test_a_run_that_is_given_up_gives_what_it_measured(farm: Path, tmp_path: Path) -> None:
    script, written = tmp_path / "lunch.py", tmp_path / "x.json"
    script.write_text(PYTHON)
    people = users_file(farm, GIVEN_UP_USERS)
    words = (f"{script}:Siesta", "--lab", farm, "--users-file", people, "--json", written)
    with start(*words) as run:
        assert run.stderr is not None
        for _ in range(3):  # two users begin, and one of them a second time
            assert run.stderr.readline() == "somebody is here\n"
        run.send_signal(signal.SIGINT)
        said, _ = run.communicate(timeout=SECONDS)
    assert run.returncode == 130
    result = json.loads(written.read_text())
    assert result["complete"] is False
    assert result["finished"] > 0
    assert rules(result, False) == set()
    assert {*EVERY_RUN, "sessions logged off"} <= rules(result, True)
    assert "stopped before its end" in said


def test_who_closed_all_streams_still_gets_the_files(farm: Path, tmp_path: Path) -> None:
    written = tmp_path / "x.json"
    words = f"directory-only --lab {farm} --rate 100 --duration 0.5 --json {written}"
    done = subprocess.run(["sh", "-c", f"exec {TSFARM} load {words} <&- >&- 2>&-"], timeout=SECONDS)
    assert done.returncode == 0
    assert json.loads(written.read_text())["passed"] is True


def test_the_same_seed_makes_the_same_journeys(farm: Path, tmp_path: Path) -> None:
    file = tmp_path / "chance.toml"
    file.write_text(CHANCE)
    first, second, other = (
        json.loads(load(file, "--lab", farm, "--json", "-", "--seed", seed).stdout)
        for seed in ("5", "5", "6")
    )
    assert counts(first) == counts(second) != counts(other)
    assert [result["seed"] for result in (first, second, other)] == [5, 5, 6]


def test_the_command_line_loads_none_of_it_before_it_is_asked_to() -> None:
    code = (
        "import sys, click.testing, clients.cli;"
        "done = click.testing.CliRunner().invoke(clients.cli.main, ['--help']);"
        "assert ' load ' in done.output, done.output;"
        "click.testing.CliRunner().invoke(clients.cli.main, ['connect', '--help']);"
        "print([name for name in ('rich', 'hdrh') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


# --- the built-in scenarios, the longest last -----------------------------------------------------


@pytest.mark.parametrize("name", [*reversed(SMALL)])
def test_a_built_in_scenario_runs_and_the_farm_keeps_its_rules(
    runs: dict[str, subprocess.Popen[str]], name: str
) -> None:
    printed, said = runs[name].communicate(timeout=SECONDS)
    assert runs[name].returncode == 0, said
    result = json.loads(printed)
    assert SMALL[name].steps <= counts(result).keys()
    assert all(count > 0 for count in counts(result).values())
    assert [step["errors"] for step in result["steps"] if step["errors"]] == []
    assert rules(result, False) == set()
    assert {*EVERY_RUN, SMALL[name].rule} <= rules(result, True)
    assert (result["scenario"], result["complete"], result["passed"]) == (name, True, True)
    assert result["finished"] > 0
    assert f"{name} on " in said
