"""Keys are timed from when they were due, whoever was late. The clock is made up."""

from __future__ import annotations

import pytest

from clients.load.visitors import shell
from clients.load.visitors.client_session import StepFailed
from clients.load.visitors.shell import Shell
from clients.load.visitors.watches import Watch
from tsproto.errors import ErrorCode


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


class Terminal:
    """A client whose `cat` echoes each key at once, after it took `typing_seconds` to type it."""

    patience_seconds = 30.0
    is_over = False
    came_at = 0.0

    def __init__(self, clock: Clock, typing_seconds: float, *, echoes: bool = True) -> None:
        self._clock = clock
        self._typing_seconds = typing_seconds
        self._echoes = echoes
        self._watches: list[Watch] = []
        self.typed = ""

    def expect(self, *watches: Watch) -> None:
        self._watches = list(watches)

    async def seen(self, longer_seconds: float = 0.0) -> None:
        pass

    def type(self, keys: str) -> None:
        self.typed += keys
        if len(keys) == 1:
            if self._echoes:
                echo = keys.replace("\r", "\r\n").encode()
                self._watches[0].feed(echo, self._clock.now)
            self._clock.now += self._typing_seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(shell, "time", clock)
    return clock


async def latencies(terminal: Terminal, keys: int) -> list[float]:
    """Of keys that are all due at once."""
    took: list[float] = []
    await Shell("token").type_keys(terminal, 0.0, keys, took.append)  # type: ignore[arg-type]
    return took


async def test_a_key_that_is_typed_late_is_timed_from_when_it_was_due(clock: Clock) -> None:
    assert await latencies(Terminal(clock, 1.0), 4) == [0.0, 1.0, 2.0, 3.0]


async def test_what_a_timer_is_late_does_not_count(clock: Clock) -> None:
    assert await latencies(Terminal(clock, 0.001), 2) == [0.0, 0.0]


async def test_keys_are_typed_into_cat_and_lines_have_an_end(clock: Clock) -> None:
    terminal = Terminal(clock, 0.0)
    await latencies(terminal, 61)
    command, keys = terminal.typed.split("cat >/dev/null\r")
    assert "token" in command and "token-1:" not in command
    assert (len(keys), keys[59], keys[-2:]) == (63, "\r", "\r\x04")


async def test_typing_ends_when_a_key_has_waited_too_long(clock: Clock) -> None:
    with pytest.raises(StepFailed) as failed:
        await latencies(Terminal(clock, 16.0, echoes=False), 100)
    assert failed.value.code is ErrorCode.UNANSWERED
