"""What the command line promises: which cases are played, what is printed, how it exits."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.conformance.__main__ import main
from tests.conformance.catalogue import cases_for, pick
from tests.conformance.wrong import FAULTS
from tsproto.messages import Role

DIRECTORY = ["in-process", "--role", "session-directory", "--some-points"]


def test_cases_are_picked_by_id_by_chapter_and_by_pattern() -> None:
    cases = cases_for(Role.SESSION_DIRECTORY)
    assert [c.id for c in pick(cases, ["SYNC-12"], [])] == ["SYNC-12.an-older-link-has-no-say"]
    assert {c.requirement[:4] for c in pick(cases, ["SYNC"], [])} == {"SYNC"}
    assert {c.requirement for c in pick(cases, ["*.one-over"], [])} == {"VALUE-02"}


def test_what_is_excluded_is_not_played(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*DIRECTORY, "--only", "SYNC-04", "SYNC-12", "--exclude", "SYNC-12"]) == 0
    assert "1 passed, 0 failed, 0 skipped" in capsys.readouterr().out


def test_a_dry_run_lists_and_plays_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["10.0.0.1:5600", "--role", "client", "--only", "LIC-02", "--dry-run"]) == 0
    assert "MUST   LIC-02.the-proof-of-its-key\n" in capsys.readouterr().out


def test_should_and_may_are_for_strict_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*DIRECTORY, "--only", "VALUE-12"]) == 2
    assert main([*DIRECTORY, "--only", "VALUE-12", "--strict"]) == 0
    assert "1 passed" in capsys.readouterr().out


def test_an_id_that_nobody_has_is_no_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*DIRECTORY, "--only", "NO-99"]) == 2
    assert "no case has such an id" in capsys.readouterr().err


def test_an_address_without_trust_is_no_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["127.0.0.1:1", "--role", "license-server"]) == 2
    assert "--ca" in capsys.readouterr().err


def test_a_failure_shows_requirement_bytes_and_expectation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fault = next(fault for fault in FAULTS if fault.name == "lets a host report for another")
    junit, matrix = tmp_path / "junit.xml", tmp_path / "matrix.html"
    files = ["--junit", str(junit), "--html", str(matrix)]
    with fault.plant():
        assert main([*DIRECTORY, "--only", fault.found_by, *files]) == 1
    printed = capsys.readouterr().out
    assert "A session directory MUST ignore an UpdateSession about a session of another" in printed
    assert "target <- terminal_server 1: c9 00 00 00" in printed  # what was said to it
    assert "target -> terminal_server 1: c9 00 00 00" in printed  # and what was heard
    assert "expected no session of the other host" in printed
    suite = ElementTree.parse(junit).getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("1", "1")
    assert fault.found_by in matrix.read_text()
