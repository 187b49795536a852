"""Every bench runs, in as little as shows that it works; nothing here is timed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench import packages
from bench.__main__ import BENCHES, DONE, USAGE, main, run

# What each of them must measure, by (figure, peer); more is welcome.
FIGURES = {
    "codec": {("encode", "msgpack"), ("decode", "JSON")},
    "echo": {("server CPU a request", "bare uvloop"), ("requests", "bare uvloop")},
    "directory": {("server CPU an operation", "Redis"), ("memory a row", "Redis")},
    "licenses": {("operations", "PostgreSQL"), ("server CPU an operation", "PostgreSQL")},
    "generator": {("requests for a second of its CPU", "wrk"), ("requests", "")},
    "storm": {("CPU of the farm a journey", "3 users"), ("first visit, p99", "")},
}
NEEDS = {"directory": "redis-server", "licenses": "initdb", "generator": "wrk"}


@pytest.mark.parametrize("name", sorted(FIGURES))
def test_a_bench_measures_what_it_is_for(name: str) -> None:
    if name in NEEDS and packages.find(NEEDS[name]) is None:
        pytest.skip(f"{NEEDS[name]} is missing; not tested: the bench {name} beside its peer")
    rows = run(name, smoke=True, repetitions=1)
    assert FIGURES[name] <= {(row.figure, row.peer) for row in rows}
    assert all(row.bench == name and row.ours.median > 0 for row in rows)
    assert all(row.beside.median > 0 for row in rows if row.beside is not None)


def test_a_peer_that_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "find", lambda command: None)
    rows = run("directory", smoke=True, repetitions=1)
    assert {row.note for row in rows} == {"not compared: Redis is missing"}
    assert all(row.ours.median > 0 and row.ratio is None for row in rows)


def test_an_unknown_bench_is_told_and_nothing_is_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["directories"]) == USAGE
    assert "no bench is called directories: there are codec, echo" in capsys.readouterr().err


def test_the_command_prints_a_table_and_writes_json(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    words = [sys.executable, "-m", "bench", "codec", "--smoke", "--json", str(file)]
    done = subprocess.run(words, capture_output=True, text=True, env=os.environ, check=False)
    assert done.returncode == DONE, done.stderr
    assert done.stdout.startswith("bench  case")
    report = json.loads(file.read_text())
    assert report["rows"][0]["bench"] == "codec"
    assert report["machine"]["cores"] == str(os.cpu_count())
    assert "codec" in BENCHES
