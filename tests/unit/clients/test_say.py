"""Lines on the user's terminal."""

from __future__ import annotations

import io

import pytest

from clients.say import complain, prompt, say, show

HOSTILE = "no \x1b[31mlicense\r\n\u202e"
SHOWN = r"no \u001b[31mlicense\u000d"


def test_a_line_about_a_session_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    say(HOSTILE)
    say(HOSTILE, raw=True)
    line = f"[tsfarm] {SHOWN}\\u000a\\u202e"
    assert capsys.readouterr() == ("", f"{line}\n{line}\r\n")


def test_what_a_host_says_cannot_command_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    show(HOSTILE)
    show(HOSTILE, err=True)
    complain(HOSTILE)
    prompt(HOSTILE)
    lines = f"{SHOWN}\n\\u202e"
    assert capsys.readouterr() == (f"{lines}\n", f"{lines}\ntsfarm: {lines}\n{lines}")


def test_a_terminal_that_is_gone_ends_no_session(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError("gone")

    monkeypatch.setattr("sys.stderr", Gone())
    say("disconnected")
