"""The installed command, from its very first line."""

from __future__ import annotations

import contextlib
import sys

import pytest

from clients import cli, entry


def test_an_interrupt_before_anything_ran_is_a_status_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "main", interrupted)
    with pytest.raises(SystemExit) as ended:
        entry.main()
    assert ended.value.code == 130


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_a_full_standard_output_is_one_line_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["tsfarm", option])
    with open("/dev/full", "w", buffering=1) as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(SystemExit) as ended:
            entry.main()
        monkeypatch.undo()
        with contextlib.suppress(OSError):
            full.close()
    assert ended.value.code == "tsfarm: standard output: No space left on device"
