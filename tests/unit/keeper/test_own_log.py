from __future__ import annotations

import pytest

from daemons.keeper.own_log import tell


def test_a_line_says_who_tells_it_and_holds_nothing_that_moves_a_cursor(
    capsys: pytest.CaptureFixture[str],
) -> None:
    tell("accounts: \x1b[2J is no name")
    assert capsys.readouterr().err == "keeper: accounts: \\u001b[2J is no name\n"
