"""`tsfarm decode`: shows a file of frames to a person, or as JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from enum import Enum
from typing import Any, BinaryIO, TypeVar

import click
import msgspec

from clients.examples import example
from clients.exit_codes import ExitCode
from clients.say import show
from clients.tables import plain_row
from clients.trace import HEADING, VERSION
from tsproto import codec, limits
from tsproto.codec import HEADER, SESSION_KIND
from tsproto.errors import ErrorCode, ProtocolError, TsfarmError
from tsproto.messages import Message

CHUNK_BYTES = 64 * 1024
LINE_BYTES_MAX = 4 * limits.FRAME_BYTES  # one line of a trace holds one frame in hex
BYTES_SHOWN = 32  # of each value, in the text for people

Line = TypeVar("Line", "Heading", "TraceLine")


class Found(msgspec.Struct, frozen=True):
    """A frame, or bytes that should be one. `place` is its `offset`, or its place in a trace.
    Exactly one of `message`, `session` and `code` is set."""

    place: dict[str, Any]
    length: int
    message: Message | None = None
    session: bytes | None = None
    code: ErrorCode | None = None
    detail: str = ""


class Heading(msgspec.Struct):
    """The first line of a trace."""

    trace: str
    version: int
    redacted: bool


class TraceLine(msgspec.Struct, omit_defaults=True):
    """Any other line of a trace."""

    time: float
    link: int
    host: str
    port: int
    direction: str
    bytes: str
    broken: bool = False
    redacted: bool = False


@click.command(
    epilog=example(
        "tsfarm decode session.trace", "echo 'c9 00000003 00 920300' | tsfarm decode --hex -"
    )
)
@click.argument("file", type=click.File("rb"))
@click.option("--hex", "as_hex", is_flag=True, help="FILE holds hex digits and blanks.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line.")
def decode(file: BinaryIO, as_hex: bool, as_json: bool) -> None:
    """Show the frames in a file.

    FILE holds the bytes of one direction, or is a trace of `tsfarm connect --trace`; - is standard
    input. Bytes that are no frame or no message are shown with their offset and error code, and
    the exit status is 1.
    """
    has_faults = False
    for found in read(file, as_hex):
        has_faults = has_faults or found.code is not None
        show(json.dumps(plain(found)) if as_json else line(found))
    if has_faults:
        raise click.exceptions.Exit(ExitCode.FAILED)


# --- reading --------------------------------------------------------------------------------------


def read(file: BinaryIO, as_hex: bool) -> Iterator[Found]:
    """The frames of a file. Raises TsfarmError when it should be hex or a trace, and is not."""
    if as_hex:
        return read_frames(_unhexed(_chunks(file)))
    begin = file.read(len(HEADING))
    if begin == HEADING:
        return _read_trace(begin + file.readline(LINE_BYTES_MAX), file)
    return read_frames(_chunks(file, begin))


def read_frames(chunks: Iterable[bytes]) -> Iterator[Found]:
    """The frames of a stream; after a fault nothing more, because the next frame's beginning is
    unknown."""
    reader = codec.FrameReader(limits.FRAME_BYTES)
    offset = taken = 0
    for chunk in chunks:
        taken += len(chunk)
        try:
            for kind, body in reader.feed(chunk):
                yield _in_frame({"offset": offset}, kind, body)
                offset += HEADER.size + len(body)
        except ProtocolError as error:
            yield Found({"offset": offset}, taken - offset, code=error.code, detail=str(error))
            return
    if taken > offset:
        detail = "it ends within a frame"
        code = ErrorCode.MALFORMED_FRAME
        yield Found({"offset": offset}, taken - offset, code=code, detail=detail)


def _in_frame(place: dict[str, Any], kind: int, body: bytes) -> Found:
    length = HEADER.size + len(body)
    if kind == SESSION_KIND:
        return Found(place, length, session=body)
    try:
        return Found(place, length, message=codec.decode_message(body))
    except ProtocolError as error:
        return Found(place, length, code=error.code, detail=str(error))


def _chunks(file: BinaryIO, begin: bytes = b"") -> Iterator[bytes]:
    yield begin
    while chunk := file.read(CHUNK_BYTES):
        yield chunk


def _unhexed(chunks: Iterator[bytes]) -> Iterator[bytes]:
    odd = b""
    for chunk in chunks:
        digits = odd + b"".join(chunk.split())
        even = len(digits) // 2 * 2
        odd = digits[even:]
        yield _bytes_of(digits[:even])
    if odd:
        raise TsfarmError("not hex: the number of digits is odd")


def _bytes_of(digits: bytes) -> bytes:
    try:
        return bytes.fromhex(digits.decode("ascii"))
    except ValueError:
        raise TsfarmError("not hex: only digits, a to f, and blanks are") from None


def _read_trace(heading: bytes, file: BinaryIO) -> Iterator[Found]:
    found = _of_line(1, heading, Heading)
    if found.version != VERSION:
        raise TsfarmError(f"a trace of version {found.version}; this tsfarm reads {VERSION}")
    number = 1
    while text := file.readline(LINE_BYTES_MAX):
        number += 1
        traced = _of_line(number, text, TraceLine)
        place = {"line": number, **msgspec.structs.asdict(traced)}
        data = _bytes_of(place.pop("bytes").encode())
        place = {name: value for name, value in place.items() if value is not False}
        for each in read_frames([data]):
            yield msgspec.structs.replace(each, place=place)


def _of_line(number: int, text: bytes, kind: type[Line]) -> Line:
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise TsfarmError(f"line {number} is not of a trace: {error}") from None


# --- showing --------------------------------------------------------------------------------------


def plain(found: Found) -> dict[str, Any]:
    """The value for JSON: bytes in hex, enumerations by their names in lower case."""
    row = {**found.place, "length": found.length}
    if found.message is not None:
        fields = plain_row(found.message)
        request_id = fields.pop("request_id")
        name = type(found.message).__name__
        return {**row, "message": name, "request_id": request_id, "fields": fields}
    if found.session is not None:
        return {**row, "session": found.session.hex()}
    assert found.code is not None
    return {**row, "code": found.code.name, "detail": found.detail}


def line(found: Found) -> str:
    return f"{_place(found.place)}  {_content(found)}"


def _place(place: dict[str, Any]) -> str:
    if "offset" in place:
        return f"{place['offset']:>8}"
    arrow = {"sent": ">", "received": "<"}.get(place["direction"], "?")
    return f"{place['line']:>6}  {place['time']:.3f}  {place['link']} {arrow}"


def _content(found: Found) -> str:
    hidden = "  (redacted)" if found.place.get("redacted") else ""
    if found.message is not None:
        name, request_id = type(found.message).__name__, found.message.request_id
        request = f" #{request_id}" if request_id else ""
        return f"{name}{request}{_fields(found.message)}{hidden}"
    if found.session is not None:
        data = found.session
        rest = "…" if len(data) > BYTES_SHOWN else ""
        return f"session bytes, {len(data)}  {data[:BYTES_SHOWN]!r}{rest}{hidden}"
    assert found.code is not None
    return f"{found.code.name}  {found.detail}{hidden}"


def _fields(struct: msgspec.Struct) -> str:
    names = [name for name in struct.__struct_fields__ if name != "request_id"]
    return "".join(f"  {name}={_shown(getattr(struct, name))}" for name in names)


def _shown(value: Any) -> str:
    if isinstance(value, Enum):
        return value.name.lower()
    if isinstance(value, bytes):
        rest = f"… ({len(value)} bytes)" if len(value) > BYTES_SHOWN else ""
        return f"{value[:BYTES_SHOWN].hex() or '-'}{rest}"
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value))}]"
    if isinstance(value, msgspec.Struct):
        return f"({_fields(value).strip()})"
    return json.dumps(value, ensure_ascii=False)
