"""Moves the bytes of one session between its PTY and the client that shows it, if any.

The PTY is read without a client too, so that the program goes on. A client that does not take its
bytes stops its program, as a terminal does, and fills no memory.
"""

from __future__ import annotations

import asyncio
import errno
import os
import termios
from collections.abc import Callable
from typing import Protocol

from daemons.screen.screen import Screen
from tsproto import limits
from tsproto.errors import ErrorCode

READ_BYTES = 64 * 1024  # a wake-up's share; Linux gives at most 4 KiB of a PTY at once
LITTLE_BYTES = 256  # the echo of a key; after a longer read the program is likely to write on
# Input that the program has not read. From its first byte on the link is not read either, so no
# more can follow than has already arrived.
INPUT_BYTES = 4 * limits.FRAME_BYTES
# After the program's end other programs may write to its terminal: their output is read until the
# terminal is quiet for QUIET_SECONDS, or for DRAIN_SECONDS in all.
QUIET_SECONDS = 0.25
DRAIN_SECONDS = 2.0
STALLED_SECONDS = 10.0  # a client that takes nothing for so long misses the last output
NUDGE_SECONDS = 0.05  # long enough for a program to see both of two changes of its size


class SessionLink(Protocol):
    """The part of `tsproto.transport.Link` that a pump uses."""

    @property
    def id(self) -> int: ...
    def send_session_bytes(self, data: bytes) -> bool: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def close(
        self, code: ErrorCode, detail: str = "", trace_id: str = "", retry_after_seconds: int = 0
    ) -> None: ...


class Pump:
    """Owns the master's descriptor. `on_drained` is called once, when the program has ended and all
    its output was read.

    The output of a new program waits in the PTY for its first client, until `attach`; `detach` and
    `release` say that none will come.
    """

    def __init__(
        self, master: int, screen: Screen, *, on_drained: Callable[[], None], is_new: bool
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._master = master
        self._screen = screen
        self._on_drained = on_drained
        self._link: SessionLink | None = None
        self._link_is_full = False
        self._primary_is_owed = False  # to the client, once the alternate screen is left
        self._input = bytearray()
        self._is_reading = False
        self._is_at_end = False
        self._is_ending = False
        self._is_unattended = False
        self._is_closed = False
        self._ends_at = 0.0
        self._stalls_at = 0.0
        self._size = termios.tcgetwinsize(master)
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._is_held = is_new
        self._read_or_wait()

    @property
    def link_id(self) -> int | None:
        return self._link.id if self._link else None

    # --- the client ---

    def attach(self, link: SessionLink, columns: int, rows: int, *, fresh: bool) -> None:
        """Show the session to this client, in place of the one before."""
        self.detach()
        self._link = link
        self.resize(columns, rows)
        if fresh:
            self._send(self._screen.output_so_far())
        else:
            self._send(self._screen.restore())
            self._primary_is_owed = self._screen.hides_primary
            if not self._screen.is_exact:
                self._nudge()
            if not self._primary_is_owed:
                self._screen.rest()
        self.release()

    def detach(self) -> None:
        link, self._link = self._link, None
        if link is not None and self._input:
            link.resume_reading()
        self._link_is_full = False
        self._primary_is_owed = False
        self._screen.rest()
        self.release()

    def on_writable(self) -> None:
        self._link_is_full = False
        self._stalls_at = self._loop.time() + STALLED_SECONDS
        self._read_or_wait()

    def resize(self, columns: int, rows: int) -> None:
        """Clients send their size right after they were attached: a nudge under way goes on, and
        ends with this size."""
        self._screen.resize(columns, rows)
        self._size = (rows, columns)
        if "nudge" not in self._timers:
            self._apply_size()

    def _nudge(self) -> None:
        """Give the terminal another height for a moment: a full-screen program draws anew."""
        rows, columns = self._size
        termios.tcsetwinsize(self._master, (rows - 1 if rows > 1 else 2, columns))
        self._after(NUDGE_SECONDS, "nudge", self._apply_size)

    def _apply_size(self) -> None:
        if not self._is_closed:
            termios.tcsetwinsize(self._master, self._size)

    def _send(self, data: bytes) -> None:
        if self._link is not None and data and not self._link.send_session_bytes(data):
            self._link_is_full = True

    # --- from the program ---

    def release(self) -> None:
        """Read a new program's output from now on, with or without a client."""
        was_held, self._is_held = self._is_held, False
        self._read_or_wait()
        if was_held and self._is_ending:
            self._drain()

    def _read_or_wait(self) -> None:
        waits = self._is_held or self._link_is_full or self._is_at_end or self._is_closed
        if waits and self._is_reading:
            self._loop.remove_reader(self._master)
        elif not waits and not self._is_reading:
            self._loop.add_reader(self._master, self._on_readable)
        self._is_reading = not waits

    def _on_readable(self) -> None:
        self._take_output()
        if self._is_at_end and self._is_unattended:
            self._is_ending = True
        if self._is_ending and (self._is_at_end or self._loop.time() >= self._ends_at):
            self._finish()
        elif self._is_ending:
            self._wait_for_quiet()
        if not self._is_closed:
            self._read_or_wait()

    def _take_output(self) -> bool:
        """Read once; False when there was no output."""
        data = self._read()
        if not data:
            return False
        self._screen.feed(data)
        self._send(data)
        if self._primary_is_owed:
            self._send_owed_primary()
        return True

    def _read(self) -> bytes:
        """Read until a short read or READ_BYTES. A further read that finds nothing costs as much as
        one that finds output, and output that is left wakes the loop again. Once the program has
        ended everything is read."""
        chunks: list[bytes] = []
        room = READ_BYTES
        try:
            while room > 0:
                chunk = os.read(self._master, room)
                chunks.append(chunk)
                room -= len(chunk)
                if not chunk:
                    self._is_at_end = True
                if not chunk or (len(chunk) <= LITTLE_BYTES and not self._is_ending):
                    break
        except BlockingIOError:
            pass
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            self._is_at_end = True
        return b"".join(chunks)

    def _send_owed_primary(self) -> None:
        if not self._screen.hides_primary and self._screen.is_between_sequences:
            self._primary_is_owed = False
            self._send(self._screen.restore())
            self._screen.rest()

    # --- to the program ---

    def on_input(self, data: bytes) -> None:
        """Write the client's bytes; its link is not read while the program does not take them."""
        if self._is_at_end or self._is_closed:
            return
        if self._input:
            self._keep_input(data)
            return
        written = self._write(data)
        if written < len(data):
            self._loop.add_writer(self._master, self._on_writable_master)
            if self._link is not None:
                self._link.pause_reading()
            self._keep_input(data[written:])

    def _keep_input(self, data: bytes) -> None:
        if len(self._input) + len(data) <= INPUT_BYTES:
            self._input += data
        elif self._link is not None:
            self._link.close(ErrorCode.BUSY, "the session's program does not read its input")

    def _on_writable_master(self) -> None:
        del self._input[: self._write(bytes(self._input[:READ_BYTES]))]
        if not self._input:
            self._loop.remove_writer(self._master)
            if self._link is not None:
                self._link.resume_reading()

    def _write(self, data: bytes) -> int:
        try:
            return os.write(self._master, data)
        except BlockingIOError:
            return 0
        except OSError:  # the terminal is gone: this input has no reader
            return len(data)

    # --- the end ---

    def on_program_ended(self) -> None:
        """Read the output that is left, then call `on_drained`; a new program's first client gets
        its output before."""
        if self._is_ending:
            return
        self._is_ending = True
        self._stalls_at = self._loop.time() + STALLED_SECONDS
        if not self._is_held:
            self._drain()

    def end_at_end_of_file(self) -> None:
        """No keeper will report the program's end: take the terminal's end of file for it."""
        self._is_unattended = True
        if self._is_at_end:
            self.on_program_ended()

    def _drain(self) -> None:
        if self._is_at_end:
            self._finish()
            return
        self._ends_at = self._loop.time() + DRAIN_SECONDS
        self._wait_for_quiet()

    def _wait_for_quiet(self) -> None:
        self._after(QUIET_SECONDS, "quiet", self._on_quiet)

    def _on_quiet(self) -> None:
        if self._link_is_full and self._loop.time() >= self._stalls_at:
            self._finish()
        elif self._link_is_full:
            # The client is still taking what the program wrote in its last moments.
            self._drain()
        elif self._take_output() and not self._is_at_end:
            self._wait_for_quiet()
        else:
            self._finish()

    def _finish(self) -> None:
        self.close()
        self._on_drained()

    def close(self) -> None:
        """The program notices nothing: the keeper holds another descriptor of the PTY."""
        if self._is_closed:
            return
        self._is_closed = True
        for name in list(self._timers):
            self._cancel(name)
        if self._is_reading:
            self._loop.remove_reader(self._master)
            self._is_reading = False
        if self._input:
            self._loop.remove_writer(self._master)
            if self._link is not None:
                self._link.resume_reading()
        self._screen.close()
        os.close(self._master)

    def _after(self, seconds: float, name: str, call: Callable[[], None]) -> None:
        self._cancel(name)
        self._timers[name] = self._loop.call_later(seconds, self._on_time, name, call)

    def _on_time(self, name: str, call: Callable[[], None]) -> None:
        del self._timers[name]
        call()

    def _cancel(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()
