"""Client programs of ours and of peers, driven as a person or a script drives them."""

from __future__ import annotations

import os
import select
import subprocess
import termios
import time
import tty
from collections.abc import Sequence
from types import TracebackType

PATIENCE_SECONDS = 60.0
STOP_SECONDS = 5.0
READ_BYTES = 64 * 1024  # what a pipe holds; larger buffers cost more than they save
SHOWN_BYTES = 400  # of what was last seen, in an error


class Program:
    """Runs inside a `with` block, on pipes or, `on_terminal`, on a terminal of 80 columns and 24
    rows, which passes every byte on unless it is not `raw`. Raises OSError when nothing comes, or
    the end too early."""

    def __init__(
        self, words: Sequence[str], *, on_terminal: bool = False, raw: bool = True
    ) -> None:
        self._words = words
        self._last = b""
        environment = {**os.environ, "TERM": "xterm-256color"}
        self.started_at = time.perf_counter()
        if on_terminal:
            self._input, slave = os.openpty()
            termios.tcsetwinsize(slave, (24, 80))
            if raw:
                tty.setraw(slave)
            self._process = subprocess.Popen(
                words, stdin=slave, stdout=slave, stderr=slave, env=environment
            )
            os.close(slave)
            self._output = self._input
        else:
            self._process = subprocess.Popen(
                words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
            )
            assert self._process.stdin is not None and self._process.stdout is not None
            self._input = self._process.stdin.fileno()
            self._output = self._process.stdout.fileno()
        self._readable = select.poll()
        self._readable.register(self._output, select.POLLIN)

    def __enter__(self) -> Program:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
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
        """What has come, at least a byte."""
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
        """Take output until it holds the mark; gives how many bytes came in all."""
        count, last = 0, b""
        while mark not in last:
            data = self.read()
            count += len(data)
            last = last[-len(mark) + 1 :] + data
        return count
