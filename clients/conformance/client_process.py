"""The client under test, started by its command line on a PTY, as by somebody at a terminal."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import shlex
import shutil
import signal
import string
import subprocess
import threading
from collections.abc import Mapping, Sequence

from tsproto.printable import printable_lines

KILL_SECONDS = 5.0
KEPT_BYTES = 4_096
SHOWN_LINES = 12
PLACEHOLDERS = {
    "host": "where the suite listens",
    "port": "its port there",
    "ca": "the file with the authority of its certificate (PEM); nothing with --plain",
    "folder": "an empty folder, new for each case and the same throughout it, however often the"
    " client is started; gone afterwards",
}
# Control sequences of terminals: cursor movement, colours.
_CONTROL = re.compile(rb"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[ -/]*[0-~])")


class Command:
    """The command line that starts the client: words with placeholders; no shell reads it.

    Raises ValueError for a command that cannot be split, has unknown placeholders, or names no
    program.
    """

    def __init__(self, text: str) -> None:
        self._words = _split(text)
        self.placeholders = {name for word in self._words for name in _placeholders(word)}
        unknown = sorted(self.placeholders - PLACEHOLDERS.keys())
        if unknown:
            known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
            raise ValueError(
                f"--run: there is no {{{unknown[0]}}}, only {known}; a brace itself is {{{{ or }}}}"
            )
        program = self._words[0]
        if not _placeholders(program) and shutil.which(program) is None:
            raise ValueError(
                f"--run: there is no program {program!r} (no shell reads the command: where it"
                " needs one, begin it with sh -c)"
            )

    def filled(self, where: Mapping[str, object]) -> list[str]:
        return [word.format_map(where) for word in self._words]


def _split(text: str) -> list[str]:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ValueError(f"--run: {error}") from None
    if not words:
        raise ValueError("--run: the command is empty")
    return words


def _placeholders(word: str) -> list[str]:
    try:
        parts = list(string.Formatter().parse(word))
    except ValueError as error:
        raise ValueError(f"--run: {error}; a brace itself is {{{{ or }}}}") from None
    fields = [(name, conversion, form) for _, name, form, conversion in parts if name is not None]
    return [
        name + (f"!{conversion}" if conversion else "") + (f":{form}" if form else "")
        for name, conversion, form in fields
    ]


class ClientProcess:
    """A running client on its PTY."""

    def __init__(self, words: Sequence[str]) -> None:
        self._command = shlex.join(words)
        self._shown = b""
        self._master, terminal = pty.openpty()
        try:
            self._process = subprocess.Popen(
                words, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True
            )
        except OSError:
            os.close(self._master)
            raise
        finally:
            os.close(terminal)
        self._reader = threading.Thread(target=self._read_on, daemon=True)
        self._reader.start()

    @property
    def has_failed(self) -> bool:
        """Whether the client has ended with a failure, so that it will not dial any more."""
        return self._process.poll() not in (None, 0)

    def described(self) -> str:
        """For a report: the command line, its exit status or signal, and the end of its output."""
        status = self._process.poll()
        if status is None:
            became = "is still running"
        else:
            self._reader.join(KILL_SECONDS)  # so that all output is read
            became = f"ended by signal {-status}" if status < 0 else f"ended with status {status}"
        shown = [f"  | {line}" for line in _lines(self._shown)[-SHOWN_LINES:]]
        head = f"the command was: {self._command}\nit {became}"
        return "\n".join(
            [f"{head}, and showed:", *shown] if shown else [f"{head}; it showed nothing"]
        )

    def type(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def end(self) -> None:
        """Kills the client and all processes that it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(KILL_SECONDS)
        self._reader.join(KILL_SECONDS)
        os.close(self._master)

    def _read_on(self) -> None:
        """Reads the client's output, because a client whose PTY is full would stop."""
        with contextlib.suppress(OSError):
            while data := os.read(self._master, 65_536):
                self._shown = (self._shown + data)[-KEPT_BYTES:]


def _lines(shown: bytes) -> list[str]:
    text = _CONTROL.sub(b"", shown).decode(errors="replace").replace("\r", "\n")
    return [line for line in printable_lines(text).split("\n") if line.strip()]
