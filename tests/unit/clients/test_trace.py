from __future__ import annotations

import errno
import io
import json
import os
import stat
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from clients.trace import SECRETS, Trace, recording, redacted
from tsproto import codec
from tsproto.errors import TsfarmError
from tsproto.messages import (
    TABLE,
    LicenseInfo,
    LogonProof,
    Message,
    PamAnswers,
    ResizeSession,
    Role,
)
from tsproto.transport.link import Link

NOW = 1_700_000_000.0
PROOF = b"sixty-four bytes"
RESIZE = codec.encode(ResizeSession(columns=132, rows=43))
LOGON = codec.encode(LogonProof(method=1, algorithm="ed25519", signature=PROOF))


class FakeLink(msgspec.Struct):
    id: int = 31
    host: str = "127.0.0.1"
    port: int = 5600


def link(number: int = 31) -> Link:
    return cast(Link, FakeLink(number))


def session_frame(data: bytes) -> bytes:
    return codec.session_header(len(data)) + data


class Kept(io.StringIO):
    """A file whose content can be read when it was closed."""

    def close(self) -> None:
        pass


class Full(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def file() -> Kept:
    return Kept()


@pytest.fixture
def trace(file: Kept) -> Trace:
    return Trace(file, lambda: NOW)


def lines(file: Kept) -> list[dict[str, Any]]:
    """What was traced, without the heading."""
    return [json.loads(line) for line in file.getvalue().splitlines()[1:]]


def message_of(line: dict[str, Any]) -> Message:
    return codec.decode_message(bytes.fromhex(line["bytes"])[codec.HEADER.size :])


# --- lines ----------------------------------------------------------------------------------------


def test_a_trace_begins_with_what_it_is(trace: Trace, file: Kept) -> None:
    assert file.getvalue() == '{"trace": "tsfarm", "version": 1, "redacted": true}\n'


def test_a_frame_is_a_line_with_time_link_and_direction(trace: Trace, file: Kept) -> None:
    trace.on_received(link(), RESIZE)
    assert lines(file) == [
        {
            "link": 1,
            "host": "127.0.0.1",
            "port": 5600,
            "direction": "received",
            "time": NOW,
            "bytes": RESIZE.hex(),
        }
    ]


def test_frames_are_put_together_in_each_direction(trace: Trace, file: Kept) -> None:
    trace.on_received(link(), RESIZE[:5])
    trace.on_sent(link(), RESIZE + RESIZE)
    trace.on_received(link(), RESIZE[5:] + RESIZE[:1])
    assert [(line["direction"], line["bytes"]) for line in lines(file)] == [
        ("sent", RESIZE.hex()),
        ("sent", RESIZE.hex()),
        ("received", RESIZE.hex()),
    ]


def test_links_are_numbered_in_their_order(trace: Trace, file: Kept) -> None:
    for number in (90, 44, 90):
        trace.on_sent(link(number), RESIZE)
    assert [line["link"] for line in lines(file)] == [1, 2, 1]


def test_what_is_no_frame_is_recorded_once_and_ends_its_direction(trace: Trace, file: Kept) -> None:
    trace.on_received(link(), RESIZE + b"HTTP/1.1 400 Bad Request\r\n")
    trace.on_received(link(), RESIZE)
    trace.on_sent(link(), RESIZE)
    _, broken, sent = lines(file)
    assert (broken["broken"], bytes.fromhex(broken["bytes"])[:4]) == (True, b"HTTP")
    assert sent["direction"] == "sent"


def test_of_a_frame_that_never_became_whole_the_header_is_recorded(
    trace: Trace, file: Kept
) -> None:
    trace.on_received(link(), LOGON[:-1])
    trace.close()
    [line] = lines(file)
    assert line["broken"] and line["redacted"]
    assert line["bytes"] == LOGON[:6].hex()


# --- secrets --------------------------------------------------------------------------------------


def test_a_proof_is_not_recorded(trace: Trace, file: Kept) -> None:
    trace.on_sent(link(), LOGON)
    [line] = lines(file)
    assert line["redacted"]
    assert message_of(line) == LogonProof(method=1, algorithm="ed25519", signature=b"redacted")


def test_answers_to_pam_are_not_recorded(trace: Trace, file: Kept) -> None:
    trace.on_sent(link(), codec.encode(PamAnswers(round=2, answers=[b"open sesame", b"123456"])))
    [line] = lines(file)
    assert line["redacted"]
    assert message_of(line) == PamAnswers(round=2, answers=[b"redacted"])


def test_of_what_was_typed_the_length_is_recorded(trace: Trace, file: Kept) -> None:
    trace.on_sent(link(), session_frame(b"secret\r"))
    [line] = lines(file)
    assert line["redacted"]
    assert bytes.fromhex(line["bytes"]) == session_frame(b"*******")


def test_what_a_session_shows_is_recorded(trace: Trace, file: Kept) -> None:
    trace.on_received(link(), session_frame(b"hello"))
    [line] = lines(file)
    assert "redacted" not in line
    assert bytes.fromhex(line["bytes"]) == session_frame(b"hello")


def test_a_proof_that_cannot_be_read_loses_its_body() -> None:
    body = msgspec.msgpack.encode([25, 0, 99, "ed25519", PROOF])
    frame = codec.HEADER.pack(codec.EXT32, len(body), codec.MESSAGE_KIND) + body
    assert redacted(frame, is_sent=True) == frame[:6]
    assert redacted(frame[:6] + body[:-3], is_sent=True) == frame[:6]


def test_another_message_that_cannot_be_read_stays() -> None:
    for body in (b"", b"\xc0", b"\x92\x13\xc0", b"\x92\xcd\xff\xff\x00"):
        frame = codec.HEADER.pack(codec.EXT32, len(body), codec.MESSAGE_KIND) + body
        assert redacted(frame, is_sent=False) == frame


def test_what_was_asked_for_is_recorded_as_it_is(file: Kept) -> None:
    trace = Trace(file, lambda: NOW, with_secrets=True)
    typed = session_frame(b"secret\r")
    trace.on_sent(link(), LOGON + typed + LOGON[:9])
    trace.close()
    assert [line["bytes"] for line in lines(file)] == [LOGON.hex(), typed.hex(), LOGON[:9].hex()]
    assert json.loads(file.getvalue().splitlines()[0])["redacted"] is False


def test_every_secret_of_a_clients_messages_is_known() -> None:
    secret_names = {"answers", "credential", "password", "public_key", "signature"}
    for message in TABLE.values():
        entry = message.entry
        ends = entry.senders | entry.receivers
        if Role.CLIENT in ends and len(ends) == 2:
            if message is LicenseInfo:
                continue  # a device's key and signature: no secret can be guessed from them
            secrets = secret_names.intersection(message.__struct_fields__)
            assert secrets == SECRETS.get(message, {}).keys(), message.__name__


# --- the file -------------------------------------------------------------------------------------


def test_a_trace_is_for_its_owner_alone_even_over_another_file(tmp_path: Path) -> None:
    file = tmp_path / "trace"
    file.write_text("something long that was here before" * 9)
    file.chmod(0o644)
    with recording(file, lambda: NOW, False):
        pass
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text().count("\n") == 1


def test_a_device_is_no_place_for_a_trace() -> None:
    mode = os.stat("/dev/null").st_mode
    refused = pytest.raises(TsfarmError, match="/dev/null is no regular file")
    with refused, recording(Path("/dev/null"), lambda: NOW, False):
        pass
    assert os.stat("/dev/null").st_mode == mode


def test_a_full_disk_ends_the_trace_and_nothing_else() -> None:
    trace = Trace(Full(), lambda: NOW)
    trace.on_sent(link(), RESIZE)
    trace.close()
    assert trace.error == "No space left on device"


def test_the_user_is_told_what_a_trace_holds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "trace"
    for with_secrets, word in ((False, "without"), (True, "with")):
        with recording(file, lambda: NOW, with_secrets):
            pass
        told = f"[tsfarm] trace in {file}, {word} proofs and input\n"
        assert capsys.readouterr().err == told
