"""The adapter for pyghostty, a terminal emulator in native code.

Pyghostty's formatter dumps a whole terminal inexactly: with scrollback, without blank rows, modes
before text. So the dump here writes row by row, then sets modes, then the cursor.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import Any

from pyghostty import Terminal, ffi, lib
from pyghostty.core import check, init_sized, read_buf, union_fn

# The longest unfinished control sequence, such as a title, that a dump repeats.
CONTINUATION_BYTES = 4096
# Scrollback is not needed, but allowed while a program prints much: without it the library frees
# and allocates memory all the time, and takes three to six times as long. It is dropped before the
# screen grows, or its lines would come back.
HISTORY_LINES = 2000
MUCH_BYTES = 16 * 1024
# The dump enters the alternate screen first; a synchronized update (2026) would freeze a client.
_NOT_REPEATED = re.compile(r"\x1b\[\?(?:47|1047|1049|2026)h")
PEN = ("style", "hyperlink", "protection", "kitty_keyboard", "charsets")
_grid_ref = union_fn(
    "ghostty_terminal_grid_ref", "GhosttyResult(*)(GhosttyTerminal, GhosttyPointS, GhosttyGridRef*)"
)
_UNTOUCHED = 0
_INSERT, _NO_WRAP, _ORIGIN = "\x1b[4h", "\x1b[?7l", "\x1b[?6h"


class GhosttyEmulator:
    def __init__(self, columns: int, rows: int) -> None:
        self._terminal: Any = Terminal(columns, rows, scrollback=0)
        self._has_history = False
        self._set("CONTINUATION_MAX_BYTES", CONTINUATION_BYTES)
        self._scratch = (
            ffi.new("GhosttyPointS*"),
            init_sized("GhosttyGridRef"),
            ffi.new("GhosttyCell*"),
        )
        # Images would take memory without a limit.
        self._set("KITTY_IMAGE_STORAGE_LIMIT", 0, "uint64_t")

    @property
    def is_alternate(self) -> bool:
        return bool(self._terminal.get("active_screen", "int"))

    @property
    def is_between_sequences(self) -> bool:
        return bool(self._terminal.get("vt_ground", "bool"))

    def feed(self, data: bytes) -> None:
        if len(data) >= MUCH_BYTES:
            self._keep_history(True)
        self._terminal.feed(data)

    def give_back(self) -> None:
        self._keep_history(False)

    def resize(self, columns: int, rows: int) -> None:
        self._keep_history(False)
        self._terminal.resize(columns, rows)

    def _keep_history(self, keeps: bool) -> None:
        if keeps is not self._has_history:
            self._has_history = keeps
            self._set("SCROLLBACK_MAX_LINES", HISTORY_LINES if keeps else 0)

    def dump(self) -> bytes:
        parts = ["\x1b[?1049h\x1b[H\x1b[2J" if self.is_alternate else "", *self._text()]
        parts += self._modes_and_cursor()
        return "".join(parts).encode() + self._continuation()

    def _text(self) -> list[str]:
        """The text row by row.

        The formatter gives unwritten cells the colours of the text before them, and leaves out rows
        that were erased to a colour: both are drawn over.
        """
        columns, rows = self._terminal.size
        parts = []
        erased: dict[int, str] = {_UNTOUCHED: ""}
        for y in range(rows):
            row = self._format((0, y), (columns - 1, y))
            parts.append(f"\x1b[{y + 1}H{row}" if row else "")
            cells = [self._cell(x, y) for x in range(columns)]
            for cell, group in itertools.groupby(range(columns), cells.__getitem__):
                if cell not in erased:
                    erased[cell] = self._colour_of_erased(cell)
                if (cell == _UNTOUCHED and "\x1b" in row) or erased[cell]:
                    x, *more = group
                    width = 1 + len(more)
                    blank = f"{' ' * width}\x1b[m" if erased[cell] else f"\x1b[{width}X"
                    parts.append(f"\x1b[{y + 1};{x + 1}H{erased[cell]}{blank}")
        return parts

    def _colour_of_erased(self, cell: int) -> str:
        """The sequence for the colour that a cell was erased to; empty for any other cell."""
        match self._of_cell(cell, "CONTENT_TAG", "GhosttyCellContentTag"):
            case lib.GHOSTTY_CELL_CONTENT_BG_COLOR_PALETTE:
                index = self._of_cell(cell, "COLOR_PALETTE", "GhosttyColorPaletteIndex")
                return f"\x1b[48;5;{index}m"
            case lib.GHOSTTY_CELL_CONTENT_BG_COLOR_RGB:
                rgb = self._of_cell(cell, "COLOR_RGB", "GhosttyColorRgb")
                return f"\x1b[48;2;{rgb.r};{rgb.g};{rgb.b}m"
        return ""

    def _cell(self, x: int, y: int) -> int:
        """A cell in the emulator's own encoding."""
        point, ref, cell = self._scratch
        point.value.x, point.value.y = x, y
        check(_grid_ref(self._terminal._t[0], point[0], ref), "cell")
        check(lib.ghostty_grid_ref_cell(ref, cell), "cell")
        return int(cell[0])

    def _modes_and_cursor(self) -> list[str]:
        """Modes and margins come before the cursor: margins move it, origin mode changes its
        address. A cursor that wraps at the next character is made by printing the last cell."""
        tabstops = self._properties(["tabstops"])
        region = self._properties(["scrolling_region"])
        modes = _NOT_REPEATED.sub("", self._properties(["modes"]))
        late = [mode for mode in (_INSERT, _NO_WRAP) if mode in modes]
        for mode in late:
            modes = modes.replace(mode, "")
        pen = self._properties(["keyboard"]) + self._properties(of_screen=PEN)
        cursor = self._cursor(region, _ORIGIN in modes)
        return [self._title(), tabstops, modes, region, *cursor, *late, pen]

    def _title(self) -> str:
        title = self._terminal.get("title", "GhosttyString")
        if not title.len:
            return ""
        text = bytes(ffi.buffer(title.ptr, title.len)).decode("utf-8", "replace")
        return f"\x1b]2;{text}\x1b\\"

    def _cursor(self, region: str, origin: bool) -> list[str]:
        x, y = self._terminal.cursor
        top, left = _origin_of(region) if origin else (1, 1)
        address = f"\x1b[{y + 2 - top};{x + 2 - left}H"
        if not self._terminal.get("cursor_pending_wrap", "bool"):
            return [address]
        half = self._of_cell(self._cell(x, y), "WIDE", "GhosttyCellWide")
        wide = int(half == lib.GHOSTTY_CELL_WIDE_SPACER_TAIL)
        last = self._format((x - wide, y), (x, y)) or " "
        return [f"\x1b[{y + 2 - top};{x + 2 - left - wide}H{last}"]

    def _of_cell(self, cell: int, what: str, ctype: str) -> Any:
        found = ffi.new(f"{ctype}*")
        check(lib.ghostty_cell_get(cell, getattr(lib, f"GHOSTTY_CELL_DATA_{what}"), found), what)
        return found[0]

    def _properties(self, of_terminal: Sequence[str] = (), of_screen: Sequence[str] = ()) -> str:
        """The sequences that set these properties; the formatter puts them before or after text."""
        text = self._format((0, 0), (0, 0))
        formatted = self._format((0, 0), (0, 0), of_terminal, of_screen)
        if formatted.startswith(text):
            return formatted.removeprefix(text)
        return formatted.removesuffix(text)

    def _format(
        self,
        start: tuple[int, int],
        end: tuple[int, int],
        of_terminal: Sequence[str] = (),
        of_screen: Sequence[str] = (),
    ) -> str:
        """The cells from `start` to `end`, (column, row) from 0, as text with its colours."""
        options = init_sized("GhosttyFormatterTerminalOptions")
        options.emit = lib.GHOSTTY_FORMATTER_FORMAT_VT
        selection = init_sized("GhosttySelection")
        selection.start = self._terminal.ref(*start)[0]
        selection.end = self._terminal.ref(*end)[0]
        options.selection = selection
        for extra in of_terminal:
            setattr(options.extra, extra, True)
        for extra in of_screen:
            setattr(options.extra.screen, extra, True)
        formatter = ffi.new("GhosttyFormatter*")
        terminal = self._terminal._t[0]
        check(lib.ghostty_formatter_terminal_new(ffi.NULL, formatter, terminal, options[0]), "dump")
        try:
            return str(read_buf(lambda b, n, out: _formatted(formatter[0], b, n, out)))
        finally:
            lib.ghostty_formatter_free(formatter[0])

    def _continuation(self) -> bytes:
        """The written part of a control sequence that the program has not finished."""
        if self.is_between_sequences:
            return b""
        terminal = self._terminal._t[0]
        size = ffi.new("size_t*")
        buffer = ffi.new("uint8_t[]", CONTINUATION_BYTES)
        check(
            lib.ghostty_terminal_continuation_buf(terminal, buffer, len(buffer), size),
            "continuation",
        )
        return bytes(ffi.buffer(buffer, size[0]))

    def _set(self, option: str, value: int, ctype: str = "size_t") -> None:
        number = getattr(lib, f"GHOSTTY_TERMINAL_OPT_{option}")
        check(
            lib.ghostty_terminal_set(self._terminal._t[0], number, ffi.new(f"{ctype}*", value)),
            option,
        )


def _formatted(formatter: Any, buffer: Any, size: int, written: Any) -> Any:
    return lib.ghostty_formatter_format_buf(formatter, buffer, size, written)


def _origin_of(region: str) -> tuple[int, int]:
    """Row and column, from 1, where a formatted scrolling region begins."""
    rows = re.search(r"\x1b\[(\d+);\d*r", region)
    columns = re.search(r"\x1b\[(\d+);\d*s", region)
    return (int(rows[1]) if rows else 1), (int(columns[1]) if columns else 1)
