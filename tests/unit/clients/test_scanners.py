from __future__ import annotations

import pytest

from clients.scanners import Command, EscapeScanner, ModeTracker, Typed


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (b"ls\r", [b"ls\r"]),
        (b"\x1dd", [Command.DISCONNECT]),
        (b"\x1d?", [Command.HELP]),
        (b"\x1d\x1d", [b"\x1d"]),
        (b"a\x1d\x1db", [b"a\x1db"]),
        (b"\x1d\x1d\x1dd", [b"\x1d", Command.DISCONNECT]),
        (b"\x1dx", [b"\x1dx"]),
        (b"a\x1ddb\x1d?c", [b"a", Command.DISCONNECT, b"b", Command.HELP, b"c"]),
        (b"d?", [b"d?"]),
        (b"\x1d", []),
        (b"", []),
    ],
)
def test_keys_after_the_escape_are_the_clients_and_all_others_the_sessions(
    typed: bytes, meant: list[Typed]
) -> None:
    assert EscapeScanner().feed(typed) == meant


def test_it_makes_no_difference_how_keys_arrive() -> None:
    scanner = EscapeScanner()
    one_by_one = [scanner.feed(bytes([key])) for key in b"a\x1d\x1db\x1dxc\x1dd"]
    assert sum(one_by_one, []) == [b"a", b"\x1d", b"b", b"\x1dx", b"c", Command.DISCONNECT]


RESET = b"\x1b[0m"


@pytest.mark.parametrize(
    ("output", "restoring"),
    [
        (b"plain text\r\n", b""),
        (b"\x1b[?1049h", b"\x1b[?1049l"),
        (b"\x1b[?1049h text \x1b[?1049l", b""),
        (b"\x1b[?25l", b"\x1b[?25h"),
        (b"\x1b[?2004h\x1b[?1000;1006h", b"\x1b[?1000l\x1b[?1006l\x1b[?2004l"),
        (b"\x1b[?1h\x1b=", b"\x1b[?1l\x1b>"),
        (b"\x1b[?1h\x1b=\x1bc", b""),
        (b"\x1b[?7727h\x1b[4h\x1b[?h\x1b[?;;h", b""),
    ],
)
def test_what_a_program_left_changed_is_put_back(output: bytes, restoring: bytes) -> None:
    whole, bytewise = ModeTracker(), ModeTracker()
    whole.feed(output)
    for byte in output:
        bytewise.feed(bytes([byte]))
    assert whole.restoring() == bytewise.restoring() == restoring + RESET


def test_what_was_put_back_is_forgotten() -> None:
    tracker = ModeTracker()
    tracker.feed(b"\x1b[?1049h")
    tracker.restoring()
    assert tracker.restoring() == RESET


def test_a_sequence_without_end_is_not_kept_for_ever() -> None:
    tracker = ModeTracker()
    for _ in range(100):
        tracker.feed(b"\x1b[?" + b"1" * 1000)
    tracker.feed(b"h\x1b[?25l")
    assert tracker.restoring() == b"\x1b[?25h" + RESET
