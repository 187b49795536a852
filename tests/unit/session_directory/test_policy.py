"""The policy that places a user's new session."""

from __future__ import annotations

import pytest

from daemons.session_directory.policy import Load, stay_where_landed


@pytest.mark.parametrize(("sessions", "chosen"), [(0, "ts1"), (9, "ts1"), (10, ""), (11, "")])
def test_a_user_stays_where_they_landed_unless_it_is_full(sessions: int, chosen: str) -> None:
    landed = Load("ts1", weight=100, sessions=sessions, sessions_max=10)
    idle = Load("ts2", weight=10_000, sessions=0, sessions_max=10)
    assert stay_where_landed(landed, "", lambda: [landed, idle]) == chosen


def test_the_other_terminal_servers_are_not_read() -> None:
    def loads() -> list[Load]:
        raise AssertionError("a step per terminal server, for each logon")

    assert stay_where_landed(Load("ts1", 100, 0, 1), "", loads) == "ts1"
