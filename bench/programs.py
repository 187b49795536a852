"""Runs client programs, ours and peers', as a person or a script does."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import termios
import time
import tty
from collections.abc import Sequence
from pathlib import Path

import msgspec

from clients.load.measuring.results import Result

PATIENCE_SECONDS = 60.0
STOP_SECONDS = 5.0
READ_BYTES = 64 * 1024  # a pipe's capacity; larger buffers are slower
SHOWN_BYTES = 400  # of the last output, in an error


def tsfarm() -> str:
    """The path of our own command."""
    return str(Path(sys.executable).with_name("tsfarm"))


def load(*words: str) -> Result:
    """Run `tsfarm load` with these arguments. Raises OSError when it fails."""
    done = subprocess.run([tsfarm(), "load", *words, "--json", "-"], capture_output=True)
    if done.returncode:
        raise OSError(f"tsfarm load: status {done.returncode}: {done.stderr.decode()[-2000:]}")
    return msgspec.json.decode(done.stdout, type=Result)


class Program:
    """Runs inside a `with` block, on pipes, or `on_terminal` of 80 columns and 24 rows, in `raw`
    mode by default. Raises OSError when output does not come, or ends too early."""

    def __init__(
        self, words: Sequence[str], *, on_terminal: bool = False, raw: bool = True
    ) -> None:
        self._words = words
        self._last = b""
        self.started_at = time.perf_counter()
        if on_terminal:
            self._input, slave = os.openpty()
            termios.tcsetwinsize(slave, (24, 80))
            if raw:
                tty.setraw(slave)
            self._process = self._started(slave, slave, slave)
            os.close(slave)
            self._output = self._input
        else:
            self._process = self._started(subprocess.PIPE, subprocess.PIPE, subprocess.DEVNULL)
            assert self._process.stdin is not None and self._process.stdout is not None
            self._input = self._process.stdin.fileno()
            self._output = self._process.stdout.fileno()
        self._readable = select.poll()
        self._readable.register(self._output, select.POLLIN)

    def _started(self, stdin: int, stdout: int, stderr: int) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "TERM": "xterm-256color"}
        return subprocess.Popen(
            self._words, stdin=stdin, stdout=stdout, stderr=stderr, env=environment
        )

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdin is None:
            os.close(self._input)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def send(self, data: bytes) -> None:
        os.write(self._input, data)

    def read(self) -> bytes:
        """The output that has come, at least a byte."""
        if not self._readable.poll(PATIENCE_SECONDS * 1000):
            raise OSError(f"{self._words[0]} shows nothing")
        try:
            data = os.read(self._output, READ_BYTES)
        except OSError:  # the end of a terminal
            data = b""
        if not data:
            raise OSError(f"{self._words[0]} ended after {self._last.decode(errors='replace')!r}")
        self._last = data[-SHOWN_BYTES:]
        return data

    def read_until(self, mark: bytes) -> int:
        """Read until the output has the mark; returns the number of bytes."""
        count, last = 0, b""
        while mark not in last:
            data = self.read()
            count += len(data)
            last = last[-len(mark) + 1 :] + data
        return count
