from __future__ import annotations

import os
from collections.abc import Iterator

import pyte
import pytest

from daemons.screen.emulator import GhosttyEmulator
from daemons.screen.ring import Ring, create_ring
from daemons.screen.screen import RESET, Screen, installed_emulator

COLUMNS, ROWS = 20, 6


@pytest.fixture
def ring() -> Iterator[Ring]:
    descriptor = create_ring(256)
    ring = Ring(descriptor)
    os.close(descriptor)
    yield ring
    ring.close()


class Dead:
    """An emulator of which one method fails."""

    def __init__(self, fails: str = "") -> None:
        self._fails = fails
        self.fed = b""

    def _do(self, name: str) -> None:
        if name == self._fails:
            raise RuntimeError(name)

    @property
    def is_alternate(self) -> bool:
        self._do("is_alternate")
        return True

    @property
    def is_between_sequences(self) -> bool:
        self._do("is_between_sequences")
        return False

    def feed(self, data: bytes) -> None:
        self._do("feed")
        self.fed += data

    def give_back(self) -> None:
        self._do("give_back")

    def resize(self, columns: int, rows: int) -> None:
        self._do("resize")

    def dump(self) -> bytes:
        self._do("dump")
        return b"the picture"


def screen_of(ring: Ring, emulator: Dead | None = None) -> Screen:
    return Screen(ring, COLUMNS, ROWS, (lambda *_: emulator) if emulator else None)


def shown(data: bytes) -> list[str]:
    """The screen of an independent terminal after this output."""
    terminal = pyte.Screen(COLUMNS, ROWS)
    pyte.ByteStream(terminal).feed(data)
    return [row.rstrip() for row in terminal.display]


def test_without_an_emulator_the_output_is_replayed(ring: Ring) -> None:
    screen = screen_of(ring)
    screen.feed(b"one\r\ntwo")
    assert screen.restore() == RESET + b"one\r\ntwo"
    assert not screen.is_exact


def test_a_replay_begins_with_a_whole_line(ring: Ring) -> None:
    screen = screen_of(ring)
    for number in range(50):
        screen.feed(b"line %d\r\n" % number)
    first, *_, last = screen.restore().removeprefix(RESET).split(b"\r\n")
    assert first.startswith(b"line ")
    assert last == b""


@pytest.mark.parametrize(
    "query",
    [
        b"\x05",
        b"\x1bZ",
        b"\x1b[c",
        b"\x1b[>0c",
        b"\x1b[6n",
        b"\x1b[?6n",
        b"\x1b[?2026$p",
        b"\x1b[>q",
        b"\x1b[?u",
        b"\x1b[18t",
        b"\x1b]11;?\x07",
        b"\x1b]4;1;?\x1b\\",
        b"\x1bP$qm\x1b\\",
        b"\x1bP+q544e\x1b\\",
    ],
)
def test_a_replay_asks_the_terminal_nothing(ring: Ring, query: bytes) -> None:
    screen = screen_of(ring)
    screen.feed(b"a" + query + b"b")
    assert screen.restore() == RESET + b"ab"
    assert screen.output_so_far() == b"a" + query + b"b"


@pytest.mark.parametrize(
    "kept", [b"\x1b[31m", b"\x1b[4 q", b"\x1b[u", b"\x1b[8;24;80t", b"\x1b[5n"[:2]]
)
def test_a_replay_keeps_what_is_no_query(ring: Ring, kept: bytes) -> None:
    screen = screen_of(ring)
    screen.feed(b"a" + kept)
    assert screen.restore() == RESET + b"a" + kept


def test_an_emulator_gives_the_picture(ring: Ring) -> None:
    screen = screen_of(ring, Dead())
    screen.feed(b"x")
    assert (screen.is_exact, screen.hides_primary, screen.is_between_sequences) == (
        True,
        True,
        False,
    )
    assert screen.restore() == RESET + b"the picture"


@pytest.mark.parametrize(
    "fails", ["feed", "resize", "dump", "is_alternate", "is_between_sequences"]
)
def test_a_failed_emulator_leaves_the_replay(ring: Ring, fails: str) -> None:
    screen = screen_of(ring, Dead(fails))
    screen.feed(b"x")
    screen.resize(10, 10)
    assert isinstance(screen.hides_primary, bool)
    assert isinstance(screen.is_between_sequences, bool)
    assert screen.restore() == RESET + b"x"
    assert (screen.is_exact, screen.hides_primary, screen.is_between_sequences) == (
        False,
        False,
        True,
    )


def test_a_new_emulator_is_fed_what_was_kept_but_is_not_exact(ring: Ring) -> None:
    ring.write(b"before")
    emulator = Dead()
    screen = screen_of(ring, emulator)
    screen.feed(b"after")
    screen.restore()
    assert emulator.fed == b"beforeafter"
    assert ring.contents() == b"beforeafter"
    assert not screen.is_exact


def test_output_that_ended_a_terminal_server_is_fed_to_no_emulator(ring: Ring) -> None:
    ring.write(b"deadly")
    ring.feeding = True
    emulator = Dead()
    screen = screen_of(ring, emulator)
    assert screen.restore() == RESET + b"deadly"
    assert emulator.fed == b""
    assert not ring.feeding


def test_the_emulators_work_is_marked_only_while_it_lasts(ring: Ring) -> None:
    marks: dict[str, bool] = {}

    class Watching(Dead):
        def _do(self, name: str) -> None:
            marks[name] = ring.feeding

    screen = screen_of(ring, Watching())
    screen.feed(b"x")
    assert not ring.feeding
    screen.resize(10, 10)
    screen.restore()
    assert marks == {"feed": True, "resize": True, "dump": True}
    assert not ring.feeding


def test_an_emulator_that_cannot_be_made_is_done_without(ring: Ring) -> None:
    def make(columns: int, rows: int) -> Dead:
        raise MemoryError

    assert not Screen(ring, COLUMNS, ROWS, make).is_exact


def test_the_installed_emulator_is_the_native_one() -> None:
    assert installed_emulator() is GhosttyEmulator


@pytest.mark.parametrize(
    "output",
    [
        b"plain\r\ntext",
        b"".join(b"line %d\r\n" % number for number in range(20)),
        b"\x1b[3;5Hhere\x1b[1;31mred\x1b[0m\x1b[2;2Hthere",
        b"abcdefghijklmnopqrstuvwxyz",
        b"12345\x1b[3D\x1b[Kx\ty",
        b"one\r\ntwo\r\nthree\x1b[2;3r\x1b[2;1H\x1b[Ltop\x1b[r",
    ],
)
def test_the_restored_screen_is_what_another_terminal_shows(ring: Ring, output: bytes) -> None:
    screen = Screen(ring, COLUMNS, ROWS, GhosttyEmulator)
    screen.feed(output)
    dump = screen.restore().removeprefix(RESET)
    assert shown(dump) == shown(output)


def test_the_picture_of_a_vast_screen_is_not_drawn(ring: Ring) -> None:
    assert Screen(ring, 400, 250, lambda *_: Dead()).is_exact
    assert not Screen(ring, 401, 250, lambda *_: Dead()).is_exact


def test_a_screen_that_grows_vast_is_replayed(ring: Ring) -> None:
    screen = screen_of(ring, Dead())
    screen.resize(1000, 1000)
    screen.feed(b"x")
    assert screen.restore() == RESET + b"x"
