"""`tsfarm load` as it is typed, on one small lab: every built-in scenario, for seconds, and nothing
of it timed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daemons import lab

TSFARM = str(Path(sys.executable).with_name("tsfarm"))
SECONDS = 60.0
PLAN = lab.Plan(
    terminal_servers=("ts1", "ts2"),
    license_servers=(lab.LicenseServerPlan("license-a", tokens=2),),
    load_users=8,
)
PYTHON = """
from clients.load.scenario import Closed
from clients.load.script import Script


class Lunch(Script):
    closed = Closed(users=2, seconds=1)

    async def journey(self, visitor):
        print("somebody is here")
        await visitor.logon()
        await visitor.disconnect()
        await visitor.reconnect()
        await visitor.logoff()
"""
# The steps that a built-in scenario shows, and how it is kept small.
SMALL = {
    "storm": (("--rate", "4", "--duration", "3"), {"first-visit", "keystroke", "output"}),
    "steady": (("--users", "4", "--duration", "4"), {"disconnect", "keystroke"}),
    "roam": (("--rate", "1.5", "--duration", "3"), {"logon", "roam", "logoff"}),
    "license-only": (("--rate", "50", "--duration", "2"), {"issue", "validate", "upgrade"}),
    "directory-only": (("--rate", "50", "--duration", "2"), {"place", "query", "report", "end"}),
}


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


def load(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [TSFARM, "load", *map(str, words)], capture_output=True, text=True, timeout=SECONDS
    )


def counts(result: dict[str, Any]) -> dict[str, int]:
    return {step["step"]: step["count"] for step in result["steps"]}


def broken(result: dict[str, Any]) -> list[str]:
    """Rules that were not seen kept."""
    return [check["rule"] for check in result["checks"] if check["passed"] is not True]


@pytest.mark.parametrize("name", sorted(SMALL))
def test_a_built_in_scenario_runs_and_the_farm_keeps_its_rules(farm: Path, name: str) -> None:
    size, steps = SMALL[name]
    done = load(name, "--lab", farm, *size, "--threshold", "errors < 0.1%", "--json", "-")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert steps <= counts(result).keys()
    assert all(count > 0 for count in counts(result).values())
    assert [step["errors"] for step in result["steps"] if step["errors"]] == []
    assert broken(result) == []
    assert (result["scenario"], result["complete"], result["passed"]) == (name, True, True)
    assert result["finished"] > 0
    assert f"{name} on " in done.stderr


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
    done = load(file, "--lab", farm, "--json", "-")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert {"logon", "disconnect", "reconnect", "logoff"} <= counts(result).keys()
    assert broken(result) == []
    assert "somebody is here" in done.stderr


def test_a_run_that_is_given_up_gives_what_it_measured(farm: Path, tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    words = ("license-only", "--lab", farm, "--rate", "200", "--duration", "1h", "--json", file)
    with subprocess.Popen(
        [TSFARM, "load", *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as run:
        assert run.stderr is not None
        assert b"license-only" in run.stderr.readline()  # how it is getting on
        run.send_signal(signal.SIGINT)
        said, _ = run.communicate(timeout=SECONDS)
    assert run.returncode == 130
    result = json.loads(file.read_text())
    assert result["complete"] is False
    assert result["finished"] > 0
    assert broken(result) == []
    assert b"stopped before its end" in said


def test_the_command_line_loads_none_of_it_before_it_is_asked_to() -> None:
    code = (
        "import sys, click.testing, clients.cli;"
        "done = click.testing.CliRunner().invoke(clients.cli.main, ['--help']);"
        "assert ' load ' in done.output, done.output;"
        "click.testing.CliRunner().invoke(clients.cli.main, ['connect', '--help']);"
        "print([name for name in ('rich', 'hdrh', 'plotext') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr
