"""Records the frames of a client's links in a file: `tsfarm connect --trace FILE`.

A trace is JSON lines. The first is `{"trace": "tsfarm", "version": 1, "redacted": true}`; each
further one has the Unix `time`, the `link` (its number in this client, and `host` and `port`), the
`direction`, `sent` or `received`, and `bytes` in hex: one frame, as it is inside TLS. Bytes
that are no frame have `"broken": true`, and are the last of their link and direction.

A user's proofs, answers to PAM and typed keys are recorded only with `--trace-secrets`. Otherwise
their frames say `"redacted": true` and hold other values in their place: from a proof its user's
password can be guessed. The session's output is always recorded, so only the file's owner may read
it.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

import msgpack
import msgspec

from clients.say import say
from tsproto import codec, limits
from tsproto.codec import HEADER, SESSION_KIND
from tsproto.errors import ProtocolError, TsfarmError
from tsproto.messages import ChangePassword, LogonProof, Message, PamAnswers
from tsproto.transport.link import Link

VERSION = 1
HEADING = b'{"trace": "tsfarm", '
BROKEN_BYTES_MAX = 1024  # of bytes that are no frame: enough to recognise them
SECRETS: dict[type[Message], dict[str, Any]] = {
    LogonProof: {"signature": b"redacted"},
    PamAnswers: {"answers": [b"redacted"]},
    # Both let a reader guess a password: the present one, and the new one.
    ChangePassword: {"signature": b"redacted".ljust(64), "public_key": b"redacted".ljust(32)},
}
SECRET_NUMBERS = {message.__struct_config__.tag for message in SECRETS}


class Trace:
    """An observer of links that records them. `clock` gives Unix seconds.

    A file that cannot be written ends the trace, not the session; `error` says why.
    """

    def __init__(
        self, file: TextIO, clock: Callable[[], float], *, with_secrets: bool = False
    ) -> None:
        self.error = ""
        self._file = file
        self._clock = clock
        self._with_secrets = with_secrets
        self._numbers: dict[int, int] = {}
        self._streams: dict[tuple[int, str], _Stream] = {}
        self._write({"trace": "tsfarm", "version": VERSION, "redacted": not with_secrets})

    def on_sent(self, link: Link, data: bytes) -> None:
        self._record(link, "sent", data)

    def on_received(self, link: Link, data: bytes) -> None:
        self._record(link, "received", data)

    def close(self) -> None:
        """Records incomplete frames, and closes the file."""
        for stream in self._streams.values():
            if stream.pending:
                self._write({**stream.line, **self._cut(stream.pending)})
        try:
            self._file.close()
        except OSError as error:
            self.error = self.error or error.strerror or str(error)

    def _record(self, link: Link, direction: str, data: bytes) -> None:
        stream = self._streams.get((link.id, direction))
        if stream is None:
            number = self._numbers.setdefault(link.id, len(self._numbers) + 1)
            place = {"link": number, "host": link.host, "port": link.port, "direction": direction}
            stream = self._streams[link.id, direction] = _Stream(place)
        stream.line["time"] = round(self._clock(), 6)
        for frame in stream.feed(data):
            self._write({**stream.line, **self._shown(frame, direction)})
        if stream.broken:
            self._write({**stream.line, "broken": True, "bytes": stream.broken.hex()})
            stream.broken = b""

    def _shown(self, frame: bytes, direction: str) -> dict[str, Any]:
        other = frame if self._with_secrets else redacted(frame, direction == "sent")
        return {"bytes": other.hex(), **({"redacted": True} if other != frame else {})}

    def _cut(self, pending: bytes) -> dict[str, Any]:
        """An incomplete frame: all but its header is left out, because it may hold secrets."""
        if self._with_secrets:
            return {"broken": True, "bytes": pending.hex()}
        return {"broken": True, "redacted": True, "bytes": pending[: HEADER.size].hex()}

    def _write(self, line: dict[str, Any]) -> None:
        if self.error:
            return
        try:
            self._file.write(json.dumps(line) + "\n")
        except OSError as error:
            self.error = error.strerror or str(error)


@contextlib.contextmanager
def recording(file: Path, clock: Callable[[], float], with_secrets: bool) -> Iterator[Trace]:
    """Context manager: a trace in this file, and at the end a line for the user about its content.

    Raises TsfarmError when the path is no regular file, or OSError.
    """
    trace = Trace(_emptied(file), clock, with_secrets=with_secrets)
    try:
        yield trace
    finally:
        trace.close()
        held = f"{'with' if with_secrets else 'without'} proofs and input"
        say(f"trace in {file}, {f'not whole: {trace.error}' if trace.error else held}")


class _Stream:
    """One direction of one link, cut into frames."""

    def __init__(self, line: dict[str, Any]) -> None:
        self.line = line
        self.pending = b""
        self.broken = b""
        self._reader: codec.FrameReader | None = codec.FrameReader(limits.FRAME_BYTES)

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that `data` completes. Bytes that are no frame go to `broken`; what follows is
        dropped."""
        if self._reader is None:
            return []
        self.pending += data
        frames = []
        try:
            for _, body in self._reader.feed(data):
                length = HEADER.size + len(body)
                frames.append(self.pending[:length])
                self.pending = self.pending[length:]
        except ProtocolError:
            self.broken, self.pending = self.pending[:BROKEN_BYTES_MAX], b""
            self._reader = None
        return frames


def redacted(frame: bytes, is_sent: bool) -> bytes:
    """The frame without its secrets: typed bytes become as many asterisks; an unreadable message
    that may hold secrets is cut after the header."""
    kind, body = frame[HEADER.size - 1], frame[HEADER.size :]
    if kind == SESSION_KIND:
        return frame[: HEADER.size] + b"*" * len(body) if is_sent else frame
    try:
        message = codec.decode_message(body)
    except ProtocolError:
        return frame[: HEADER.size] if _number(body) in SECRET_NUMBERS else frame
    secrets = {
        field: other
        for field, other in SECRETS.get(type(message), {}).items()
        if getattr(message, field)
    }
    if not secrets:
        return frame
    return codec.encode(msgspec.structs.replace(message, **secrets), message.request_id)


def _number(body: bytes) -> object:
    """The element in the place of the message number, or None."""
    unpacker = msgpack.Unpacker()
    unpacker.feed(body)
    try:
        return unpacker.unpack() if unpacker.read_array_header() else None
    except (ValueError, msgpack.exceptions.UnpackException):
        return None


def _emptied(file: Path) -> TextIO:
    """Opens an empty file that only its owner can read; each line is written at once."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise TsfarmError(f"{file} is no regular file: a trace holds all output of a session")
    os.fchmod(descriptor, 0o600)
    os.ftruncate(descriptor, 0)
    return open(descriptor, "w", encoding="utf-8", buffering=1)
