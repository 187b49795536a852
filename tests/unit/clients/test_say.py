from __future__ import annotations

from clients.say import printable


def test_what_a_host_says_cannot_command_the_terminal() -> None:
    assert printable("no \x1b[31mlicense\r\n") == "no ?[31mlicense??"
