"""The installed command, from its very first line."""

from __future__ import annotations

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
