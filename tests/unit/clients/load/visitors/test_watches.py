from __future__ import annotations

import pytest

from clients.load.visitors.watches import LINE_BYTES_MAX, Echoes, Line, Text


def feed_bytewise(watch: Text | Line | Echoes, data: bytes) -> bytes | None:
    """Every byte in a read of its own."""
    for index in range(len(data)):
        rest = watch.feed(data[index : index + 1], 1.0)
        if rest is not None:
            return rest + data[index + 1 :]
    return None


# --- text -----------------------------------------------------------------------------------------


def test_a_text_is_found_with_what_follows_it() -> None:
    text = Text(b"mark:")
    assert text.feed(b"before mark:after", 1.0) == b"after"
    assert text.passed == len(b"before ")


def test_a_text_is_found_wherever_reads_cut_it() -> None:
    shown = b"mamark:rest"
    for cut in range(1, shown.index(b":") + 1):
        text = Text(b"mark:")
        assert text.feed(shown[:cut], 1.0) is None
        assert text.feed(shown[cut:], 1.0) == b"rest"
        assert text.passed == 2


def test_what_passes_a_text_is_counted_once() -> None:
    text = Text(b"end")
    assert feed_bytewise(text, b"x" * 1000 + b"enend-") == b"-"
    assert text.passed == 1002


def test_a_part_of_a_text_is_not_the_text() -> None:
    assert Text(b"mark-1:").feed(b"mark-11: mark 1: mark-1", 1.0) is None


# --- a line ---------------------------------------------------------------------------------------


def test_a_line_is_all_before_its_end() -> None:
    line = Line()
    assert feed_bytewise(line, b"value\r\nprompt") == b"prompt"
    assert line.text == b"value"


def test_a_line_that_does_not_end_is_cut() -> None:
    line = Line()
    assert line.feed(b"x" * 10_000, 1.0) is not None
    assert len(line.text) == LINE_BYTES_MAX


# --- echoes ---------------------------------------------------------------------------------------


def echoes(*keys: bytes) -> tuple[Echoes, list[float]]:
    """Keys of which the first was due at 1, the next at 2, …"""
    took: list[float] = []
    watch = Echoes(len(keys), took.append)
    for index, key in enumerate(keys):
        watch.typed(key, 1.0 + index)
    return watch, took


def test_each_echo_is_timed_from_when_its_key_was_due() -> None:
    watch, took = echoes(b"a", b"\r\n", b"b")
    assert watch.feed(b"a\r", 1.5) is None
    assert watch.feed(b"\nb", 4.0) == b""
    assert took == [0.5, 2.0, 1.0]
    assert watch.strange == b""


def test_a_key_that_has_not_come_back_is_the_oldest() -> None:
    watch, _ = echoes(b"a", b"b")
    assert watch.oldest_due == 1.0
    watch.feed(b"a", 5.0)
    assert watch.oldest_due == 2.0
    watch.feed(b"b", 5.0)
    assert watch.oldest_due is None


@pytest.mark.parametrize(
    ("shown", "strange"),
    [(b"aab", b"ab"), (b"b", b"b"), (b"a\x1b[m", b"\x1b[m"), (b"ab\r\r\n", b"\r\r\n")],
    ids=["twice", "one lost", "something else", "a damaged end of line"],
)
def test_anything_but_the_echo_is_strange(shown: bytes, strange: bytes) -> None:
    watch, _ = echoes(b"a", b"b", b"\r\n")
    assert watch.feed(shown, 1.0) is not None
    assert watch.strange == strange


def test_what_comes_before_anything_was_typed_is_strange() -> None:
    watch = Echoes(1, lambda took: None)
    assert watch.feed(b"a", 1.0) == b""
    assert watch.strange == b"a"


def test_what_follows_the_last_echo_is_left_alone() -> None:
    watch, took = echoes(b"a")
    assert watch.feed(b"a$ ", 1.0) == b"$ "
    assert (watch.strange, len(took)) == (b"", 1)
