from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from clients.cli import main
from clients.decode import CHUNK_BYTES, Found, read_frames
from tsproto import codec
from tsproto.errors import ErrorCode
from tsproto.messages import (
    Goodbye,
    Heartbeat,
    InventoryRow,
    LicenseServerRow,
    LicenseServers,
    LogonProof,
    QueryPools,
    ResizeSession,
)
from tsproto.printable import printable

RESIZE = codec.encode(ResizeSession(columns=132, rows=43))
ASKED = codec.encode(QueryPools(), 7)
TYPED = codec.session_header(3) + b"ls\r"
UNKNOWN = codec.HEADER.pack(codec.EXT32, 3, codec.MESSAGE_KIND) + b"\x92\x63\x00"


def decode(data: bytes, *options: str) -> Result:
    return CliRunner().invoke(main, ["decode", *options, "-"], input=data)


def shown(data: bytes, *options: str) -> list[str]:
    done = decode(data, *options)
    assert done.exit_code == 0, done.output
    return done.output.splitlines()


def objects(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in decode(data, "--json").output.splitlines()]


# --- frames ---------------------------------------------------------------------------------------


def test_a_frame_is_a_line_with_its_offset() -> None:
    assert shown(RESIZE + ASKED + TYPED) == [
        "       0  ResizeSession  columns=132  rows=43",
        "      12  QueryPools #7",
        "      21  session bytes, 3  b'ls\\r'",
    ]


def test_a_frame_is_an_object_a_line() -> None:
    assert objects(RESIZE + ASKED + TYPED) == [
        {
            "offset": 0,
            "length": 12,
            "message": "ResizeSession",
            "request_id": 0,
            "fields": {"columns": 132, "rows": 43},
        },
        {"offset": 12, "length": 9, "message": "QueryPools", "request_id": 7, "fields": {}},
        {"offset": 21, "length": 9, "session": b"ls\r".hex()},
    ]


def test_rows_enumerations_and_bytes_are_readable() -> None:
    row = LicenseServerRow(
        name="ls1",
        address="ls1.example",
        port=5601,
        found="list",
        verified_at=0,
        inventory=[InventoryRow(product="p", product_version=1, available=2)],
    )
    goodbye = Goodbye(code=ErrorCode.BUSY, detail='"quoted"')
    first, second = shown(codec.encode(LicenseServers(servers=[row]), 3) + codec.encode(goodbye))
    assert first.endswith(
        'LicenseServers #3  servers=[(name="ls1"  address="ls1.example"  port=5601  found="list"'
        '  verified_at=0  chosen=false  inventory=[(product="p"  product_version=1  available=2)])]'
        "  grace_ends_at=0"
    )
    assert 'code=busy  detail="\\"quoted\\""' in second


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["text", "json"])
def test_a_command_line_commands_no_terminal(options: tuple[str, ...]) -> None:
    command = "printf \x1b[2J\x7f\x9b\u202e"
    [line] = shown(codec.encode(LogonProof(method=1, command=command)), *options)
    assert printable(line) == line
    assert r"\u001b[2J\u007f\u009b\u202e" in line


def test_long_bytes_are_cut_for_a_person_and_whole_for_a_program() -> None:
    data = bytes(100)
    frame = codec.session_header(100) + data
    [line] = shown(frame)
    assert line.endswith("\\x00'…")
    assert len(line) < 200
    assert objects(frame)[0]["session"] == data.hex()


def test_an_empty_file_holds_no_frame() -> None:
    assert shown(b"") == []


# --- faults ---------------------------------------------------------------------------------------


def test_a_bad_message_is_named_with_offset_and_code_and_the_next_is_shown() -> None:
    done = decode(RESIZE + UNKNOWN + RESIZE)
    assert done.exit_code == 1
    assert done.output.splitlines()[1:] == [
        "      12  UNKNOWN_MESSAGE  no message has the number 99",
        "      21  ResizeSession  columns=132  rows=43",
    ]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"HTTP/1.1 400 Bad Request", ErrorCode.MALFORMED_FRAME),
        (codec.HEADER.pack(codec.EXT32, 2, 7) + b"\x90\x90", ErrorCode.UNKNOWN_FRAME_KIND),
        (codec.HEADER.pack(codec.EXT32, 2**32 - 1, 0), ErrorCode.FRAME_TOO_LONG),
        (RESIZE[:-1], ErrorCode.MALFORMED_FRAME),
        (RESIZE[:3], ErrorCode.MALFORMED_FRAME),
    ],
)
def test_what_is_no_frame_is_the_last_thing_found(data: bytes, code: ErrorCode) -> None:
    done = decode(RESIZE + data, "--json")
    assert done.exit_code == 1
    _, fault = (json.loads(line) for line in done.output.splitlines())
    assert (fault["offset"], fault["code"]) == (12, code.name)


def test_the_pieces_in_which_bytes_come_change_nothing() -> None:
    data = RESIZE + UNKNOWN + TYPED + RESIZE[:4]
    whole = list(read_frames([data]))
    assert [found.place["offset"] for found in whole] == [0, 12, 21, 30]
    assert list(read_frames([bytes([byte]) for byte in data])) == whole
    assert whole[-1] == Found(
        {"offset": 30}, 4, code=ErrorCode.MALFORMED_FRAME, detail="it ends within a frame"
    )


def test_a_file_longer_than_a_chunk_is_read_to_its_end() -> None:
    frames = CHUNK_BYTES // len(RESIZE) + 2
    assert len(shown(RESIZE * frames)) == frames


# --- hex ------------------------------------------------------------------------------------------


def test_hex_may_have_blanks_anywhere() -> None:
    text = b"c9 0000 0006 00\n94 1300 cc 84\t2b"
    assert shown(text, "--hex") == ["       0  ResizeSession  columns=132  rows=43"]
    assert shown(b" ".join(bytes([c]) for c in RESIZE.hex().encode()), "--hex") == [
        "       0  ResizeSession  columns=132  rows=43"
    ]


@pytest.mark.parametrize(("text", "why"), [(b"c9 0", "is odd"), (b"c9 zz", "only digits")])
def test_what_is_not_hex_is_refused(text: bytes, why: str) -> None:
    done = decode(text, "--hex")
    assert done.exit_code == 1
    assert "tsfarm: not hex: " in done.stderr and why in done.stderr


# --- traces ---------------------------------------------------------------------------------------

HEADING = {"trace": "tsfarm", "version": 1, "redacted": True}
LINE: dict[str, Any] = {"time": 1.5, "link": 1, "host": "h", "port": 5600, "direction": "sent"}


def trace(*lines: dict[str, Any], **heading: Any) -> bytes:
    written = [{**HEADING, **heading}, *({**LINE, **line} for line in lines)]
    return "".join(json.dumps(line) + "\n" for line in written).encode()


def test_a_trace_is_shown_with_line_time_link_and_direction() -> None:
    beat = codec.encode(Heartbeat())
    assert shown(
        trace(
            {"bytes": RESIZE.hex(), "redacted": True},
            {"bytes": beat.hex(), "direction": "received", "link": 2},
        )
    ) == [
        "     2  1.500  1 >  ResizeSession  columns=132  rows=43  (redacted)",
        "     3  1.500  2 <  Heartbeat",
    ]


def test_a_trace_as_json_keeps_what_a_line_says() -> None:
    [found] = objects(trace({"bytes": TYPED.hex(), "redacted": True}))
    assert found == {
        **{"line": 2, "redacted": True, "length": 9, "session": b"ls\r".hex()},
        **LINE,
    }


def test_what_is_broken_in_a_trace_is_named_with_its_line() -> None:
    done = decode(trace({"bytes": b"HTTP".hex(), "broken": True}, {"bytes": RESIZE.hex()}))
    assert done.exit_code == 1
    first, second = done.output.splitlines()
    assert first.startswith("     2  1.500  1 >  MALFORMED_FRAME")
    assert "ResizeSession" in second


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (trace(version=2), "a trace of version 2; this tsfarm reads 1"),
        (trace({"bytes": 7}), "line 2 is not of a trace"),
        (trace() + b"\xff\n", "line 2 is not of a trace"),
        (trace({"bytes": "zz"}), "not hex"),
    ],
)
def test_what_is_no_trace_is_refused_in_a_line(data: bytes, why: str) -> None:
    done = decode(data)
    assert done.exit_code == 1
    assert why in done.stderr


def test_a_file_is_read_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "frames").write_bytes(RESIZE)
    runner = CliRunner()
    assert "ResizeSession" in runner.invoke(main, ["decode", str(tmp_path / "frames")]).output
    assert runner.invoke(main, ["decode", str(tmp_path / "nothing")]).exit_code == 2
