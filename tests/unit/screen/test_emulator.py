"""A dump, fed to a terminal of the same kind, makes it show and do the same."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from pyghostty import Terminal, ffi, lib
from pyghostty.core import check

from daemons.screen.emulator import MUCH_BYTES, GhosttyEmulator
from daemons.screen.screen import RESET

COLUMNS, ROWS = 20, 6
MODES = (1, 6, 7, 25, 66, 1000, 1006, 2004)


def terminal(*fed: bytes) -> Terminal:
    made = Terminal(COLUMNS, ROWS, scrollback=0)
    for data in fed:
        made.feed(data)
    return made


def emulator(output: bytes) -> GhosttyEmulator:
    made = GhosttyEmulator(COLUMNS, ROWS)
    made.feed(output)
    return made


def state(found: Terminal) -> dict[str, object]:
    cells = [(x, y) for y in range(ROWS) for x in range(COLUMNS)]
    return {
        "text": found.text().rstrip("\n").split("\n"),
        "styles": [style(found, x, y) for x, y in cells],
        "cursor": found.cursor,
        "wraps next": found.get("cursor_pending_wrap", "bool"),
        "alternate": found.get("active_screen", "int"),
        "modes": [mode for mode in MODES if found.mode(mode)],
        "insert": found.mode(4, ansi=True),
    }


def style(found: Terminal, x: int, y: int) -> dict[str, object]:
    """As it looks: a cell that was erased to a colour is like a space of that colour."""
    shown: dict[str, object] = found.style(x, y)
    cell, tag = ffi.new("GhosttyCell*"), ffi.new("GhosttyCellContentTag*")
    check(lib.ghostty_grid_ref_cell(found.ref(x, y), cell), "cell")
    check(lib.ghostty_cell_get(cell[0], lib.GHOSTTY_CELL_DATA_CONTENT_TAG, tag), "tag")
    if tag[0] == lib.GHOSTTY_CELL_CONTENT_BG_COLOR_PALETTE:
        palette = ffi.new("GhosttyColorPaletteIndex*")
        check(lib.ghostty_cell_get(cell[0], lib.GHOSTTY_CELL_DATA_COLOR_PALETTE, palette), "colour")
        shown["bg"] = ("palette", palette[0])
    return shown


def assert_restored(output: bytes, *, before: bytes = b"", then: bytes = b"") -> None:
    """`before` is what the client's terminal showed, `then` what comes after the dump."""
    there_all_along = terminal(output, then)
    restored = terminal(before, RESET, emulator(output).dump(), then)
    assert state(restored) == state(there_all_along)


@pytest.mark.parametrize(
    "output",
    [
        b"",
        b"plain\r\ntext",
        b"scrolled\r\n" * 20,
        b"\x1b[7minverse\x1b[12Gfar",  # the cells between are not inverse
        b"\x1b[44mblue\x1b[K\r\n\x1b[0mnot",
        b"\x1b[41m\x1b[2J\x1b[3;3H\x1b[0mx\x1b[1X",
        b"\x1b[38;2;1;2;3mtrue\x1b[1;4;9mcolour",
        "中文é😀 wide".encode(),
        b"\x1b(0lqk\x1b(Bx",
        b"x" * COLUMNS,  # the cursor wraps at the next character
        b"x" * (COLUMNS - 2) + "中".encode(),
        b"\x1b[?7l" + b"x" * 30,
        b"\x1b[2;4r\x1b[?6h\x1b[2;5H",
        b"\x1b[?25l\x1b[?1h\x1b=\x1b[?2004h\x1b[?1000h\x1b[?1006h",
        b"\x1b[4habc\x1b[1G",
        b"shell\x1b[?1049h\x1b[H\x1b[32meditor",
        b"\x1b[?1049h\x1b[?1049lback",
    ],
)
def test_a_dump_restores(output: bytes) -> None:
    assert_restored(output, then=b"next\r\n\tx")


@pytest.mark.parametrize(
    "before",
    [
        b"\x1b[?1049h\x1b[?25l\x1b[2;3r\x1b[?6h\x1b[41m\x1b[4h\x1b[?1000hleft by an editor",
        b"\x1b(0\x0e\x1b[?7l\x1b[?2004h\x1b[3g",
    ],
)
def test_a_dump_replaces_what_the_client_showed_before(before: bytes) -> None:
    assert_restored(b"$ ls\r\nfile\r\n$ ", before=before, then=b"cat\tfile")


@pytest.mark.parametrize(
    ("output", "then"),
    [
        (b"a\x1b[3", b"1mred"),
        ("é".encode()[:1], "é".encode()[1:]),
        (b"\x1b]2;tit", b"le\x07text"),
    ],
)
def test_a_sequence_cut_in_two_is_completed(output: bytes, then: bytes) -> None:
    assert not emulator(output).is_between_sequences
    assert_restored(output, then=then)


def test_the_title_is_restored() -> None:
    assert b"\x1b]2;my title\x1b\\" in emulator(b"\x1b]2;my title\x07").dump()


def test_a_frame_that_is_being_drawn_does_not_hold_the_client() -> None:
    assert b"2026" not in emulator(b"\x1b[?2026hx").dump()


def test_a_new_size_is_the_size_of_the_dump() -> None:
    made = emulator(b"text")
    made.resize(40, 3)
    assert made.dump().count(b"\x1b[3g") == 1
    assert b"\x1b[33G\x1bH" in made.dump()


MUCH = b"".join(b"line %d of many\r\n" % number for number in range(5000))


@pytest.mark.parametrize("rows", [ROWS, 100])
def test_much_output_at_once_shows_what_it_shows_piece_by_piece(rows: int) -> None:
    pieces, whole = GhosttyEmulator(80, ROWS), GhosttyEmulator(80, ROWS)
    for start in range(0, len(MUCH), 100):
        pieces.feed(MUCH[start : start + 100])
    whole.feed(MUCH)
    for each in (pieces, whole):
        each.resize(80, rows)
    assert len(MUCH) > MUCH_BYTES
    assert b"line 4999 of many" in pieces.dump()
    assert whole.dump() == pieces.dump()


def private_bytes() -> int:
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))


def test_what_much_output_takes_is_given_back() -> None:
    many = [GhosttyEmulator(80, 24) for _ in range(10)]
    for each in many:
        each.feed(MUCH)
    taken = private_bytes()
    for each in many:
        each.give_back()
    assert taken - private_bytes() > len(many) * 200_000


PARTS = (
    *(b"\x1b[2;4r", b"\x1b[r", b"\x1b[?7l", b"\x1b[?7h", b"\x1b[?25l", b"\x1b[4h", b"\x1b[4l"),
    *(b"\r\n", b"\n", b"\t", b"\x08", b"\x1bM", b"\x1b[K", b"\x1b[1K", b"\x1b[J", b"\x1b[L"),
    *(b"\x1b[M", b"\x1b[2P", b"\x1b[3@", b"\x1b[5X", b"\x1b[44m", b"\x1b[0m", b"\x1b[1;31m"),
    *(b"\x1b[7m", b"\x1b[?1049h", b"\x1b[?1049l", b"\x1b[3;7H", b"\x1b[6;18H", b"some text"),
)


@pytest.mark.parametrize("seed", range(20))
def test_a_dump_restores_what_programs_may_write(seed: int) -> None:
    chosen = random.Random(seed)
    assert_restored(b"".join(chosen.choice(PARTS) for _ in range(chosen.randrange(60))))
