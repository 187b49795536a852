"""The command line of `tsfarm load`: what is wrong with it is told before anything starts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from clients.cli import main
from clients.exit_codes import ExitCode

TOML = """
[closed]
users = 3
seconds = 1

[[journeys]]
acts = [{ do = "logon" }]
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "users").write_text("user1 secret\nuser2 secret\n")
    (tmp_path / "mine.toml").write_text(TOML)
    return tmp_path


def load(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["load", *arguments])


FARM = ("--hosts", "127.0.0.1:1", "--plain", "--users-file", "users")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("strom", "--lab", "."), "strom: no built-in scenario; did you mean storm?"),
        (("none.toml", *FARM), "none.toml: cannot be read"),
        (("storm", "--lab", "nowhere"), "no lab in"),
        (("storm", "--plain"), "give the terminal-server with --hosts, or --lab DIR"),
        (("license-only", "--plain"), "give the license-server with --license-server"),
        (("storm", "--hosts", "ts1"), "give --lab DIR, or --ca FILE, or --plain"),
        (("storm", "--hosts", "127.0.0.1", "--plain"), "no users to log on"),
        (("storm", "--lab", ".", "--plain", "--hosts", "a"), "leave out --hosts, --plain"),
        (("mine.toml", *FARM), "3 users need an account each, and there are 2: give --users 2"),
        (("storm", *FARM, "--workers", "3"), "give --workers 2"),
        (("storm", *FARM, "--rate", "nan"), "--rate: expected a number above 0, found nan"),
        (("storm", *FARM, "--duration", "0"), "--duration: expected a number above 0"),
        (("storm", *FARM, "--source", "here"), "--source here: expected an address"),
        (("storm", *FARM, "--source", "192.0.2.1"), "as `ip address` lists them"),
        (("storm", *FARM, "--devices", "mine.toml/x"), "mine.toml/x cannot be used"),
        (("steady", *FARM, "--rate", "5"), "has a closed model and no rate"),
        (("storm", *FARM, "--threshold", "fast"), "--threshold fast: expected METRIC(STEP)"),
        (("storm", *FARM, "--threshold", "p99(login) < 1s"), "'login' is no step"),
        (("storm", *FARM, "--json", "nowhere/x.json"), "there is no folder nowhere"),
        (("storm", *FARM, "--html", "x", "--hdr", "x"), "x is named twice"),
        (
            ("directory-only", "--plain", "--directory", "127.0.0.1,127.0.0.2"),
            "a farm has one session directory",
        ),
    ],
)
def test_a_run_that_cannot_be_meant_is_one_line_and_status_2(
    arguments: tuple[str, ...], said: str
) -> None:
    done = load(*arguments)
    assert done.exit_code == ExitCode.USAGE
    [line] = done.stderr.splitlines()
    assert line.startswith("tsfarm: ") and said in line
    assert done.stdout == ""


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("storm", "--workers", "0"),
        ("storm", "--rate", "0"),
        ("storm", "--users", "0"),
        ("storm", "--duration", "soon"),
        ("storm", "--ca", "nowhere"),
        ("storm", "--identity", "users"),
        ("storm", "--seed", "-1"),
    ],
)
def test_options_that_cannot_be_read_are_status_2(arguments: tuple[str, ...]) -> None:
    done = load(*arguments)
    assert done.exit_code == ExitCode.USAGE
    assert "Error: " in done.stderr


def test_more_connections_than_this_machine_has_files_are_told_before_the_start(
    monkeypatch: pytest.MonkeyPatch, here: Path
) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda which: (64, 64))
    monkeypatch.setattr("resource.setrlimit", lambda which, limits: None)
    done = load("storm", *FARM)
    assert done.exit_code == ExitCode.USAGE
    assert "3 connections are 67 open files a worker, and a process may open 64" in done.stderr


def test_the_built_in_scenarios_are_listed_with_what_they_are_for() -> None:
    lines = load("--list").stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == [
        "directory-only",
        "license-only",
        "roam",
        "steady",
        "storm",
    ]
    assert "Eight in the morning" in lines[-1]


def test_a_scenario_shows_its_file_to_begin_ones_own_with(here: Path) -> None:
    shown = load("storm", "--show").stdout
    assert shown.startswith("# Eight in the morning: ")
    (here / "own.toml").write_text(shown)
    assert "no users to log on" in load("own.toml", "--hosts", "127.0.0.1", "--plain").stderr
    assert load("strom", "--show").exit_code == ExitCode.USAGE


def test_a_farm_that_is_not_there_is_a_failure_and_not_a_result(here: Path) -> None:
    done = load("license-only", "--plain", "--license-server", "127.0.0.1:1", "--json", "x.json")
    assert done.exit_code == ExitCode.FAILED
    assert "127.0.0.1:1" in done.stderr.splitlines()[-1]
    assert not (here / "x.json").exists()


def test_a_lab_that_is_missing_its_files_is_told(here: Path) -> None:
    daemons = [{"name": "license-a", "role": "license_server", "host": "127.0.9.31", "port": 1}]
    (here / "lab.json").write_text(
        json.dumps({"farm": "lab", "net": 9, "users": [], "daemons": daemons})
    )
    done = load("license-only", "--lab", ".")
    assert done.exit_code == ExitCode.USAGE
    assert "authority.crt: No such file" in done.stderr
