"""The bench of discovery beside python-zeroconf, in as little as shows that it works."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.__main__ import run
from bench.peers import zeroconf

CASE = ("one license server, found by broadcast", "cold start to in use")
needs_zeroconf = pytest.mark.skipif(
    not zeroconf.is_there(), reason="python-zeroconf is missing; not tested: discovery beside it"
)


@needs_zeroconf
def test_ours_and_a_lookup_of_zeroconf_are_measured() -> None:
    (row,) = run("discovery", smoke=True, repetitions=1)
    assert (row.case, row.figure) == CASE
    assert row.peer == "python-zeroconf"
    assert row.ours.median > 0
    assert row.beside is not None and row.beside.median > 0


def test_without_zeroconf_ours_is_measured_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zeroconf, "is_there", lambda: False)
    (row,) = run("discovery", smoke=True, repetitions=1)
    assert row.note == "not compared: python-zeroconf is missing"
    assert row.ours.median > 0 and row.ratio is None


@needs_zeroconf
def test_the_process_with_the_service_is_gone_after_its_block(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), zeroconf.zeroconf(tmp_path / "zeroconf") as process:
        os.kill(process.pid, 0)
        raise RuntimeError
    assert process.returncode == 0
