"""The dissector in tshark: every vector, and a session that went over loopback."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from clients.client import Client
from clients.device import Device
from clients.logon.steps import Attached, Host, Plan
from clients.trust import Dialler, Stranger
from clients.user_keys import UserKeys
from tests.conformance.vectors import files
from tests.integration.captures import (
    Recorded,
    capturing,
    tcp_packets,
    tshark,
    udp_packet,
    write_pcap,
)
from tests.integration.scripted_server import Farm, ScriptedServer
from tsproto import codec, limits
from tsproto.errors import ErrorCode
from tsproto.messages import TABLE, Goodbye, PamQuestion

UNTESTED = "that the dissector shows every message, and a session over loopback"
pytestmark = pytest.mark.skipif(
    shutil.which("tshark") is None, reason=f"tshark is missing; not tested: {UNTESTED}"
)
OUTPUT = bytes(range(256)) * 800  # many segments, and frames that begin and end within them
TYPED = b"echo \xff\r"


def vectors(part: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each vector of this part of the messages' files, with its file."""
    for name, text in files.read().items():
        if name.startswith("message-"):
            written = json.loads(text)
            yield from ((written, vector) for vector in written[part])


def column(lines: list[str], index: int) -> list[str]:
    """One field of each frame; a packet's frames stand beside each other."""
    cells = (line.split("\t")[index] for line in lines)
    return [each for cell in cells if cell for each in cell.split(",")]


# --- vectors --------------------------------------------------------------------------------------


def test_every_valid_message_is_shown_whole(tmp_path: Path) -> None:
    shown = list(vectors("valid"))
    capture = tmp_path / "valid.pcap"
    frames = [(True, bytes.fromhex(vector["frame"])) for _, vector in shown]
    write_pcap(capture, tcp_packets(frames, limits.TERMINAL_PORT))
    lines = tshark(capture, "-T", "fields", "-e", "tsfarm.message", "-e", "tsfarm.request_id")
    assert column(lines, 0) == [str(written["number"]) for written, _ in shown]
    assert column(lines, 1) == [str(vector["values"]["request_id"]) for _, vector in shown]
    assert tshark(capture, "-Y", "tsfarm.malformed") == []


def test_what_is_wrong_in_type_or_cut_is_marked(tmp_path: Path) -> None:
    wrong = [
        vector
        for _, vector in vectors("invalid")
        if vector["id"].endswith(("/nil", "/cut", "/byte-too-many", "/map", "/bytes"))
    ]
    capture = tmp_path / "invalid.pcap"
    frames = [(True, bytes.fromhex(vector["frame"])) for vector in wrong]
    write_pcap(capture, tcp_packets(frames, limits.TERMINAL_PORT))
    assert len(tshark(capture, "-Y", "tsfarm.malformed")) == len(wrong)


def test_what_is_no_frame_or_message_is_marked(tmp_path: Path) -> None:
    # A packet does not tell its connection's state: a frame in bounds of the later ones may come.
    written = json.loads(files.read()["frames.json"])
    most = f"frame/longer-than-{limits.FRAME_BYTES}"
    lawful_later = {f"frame/longer-than-{n}" for n in written["frame_bytes"].values()} - {most}
    frames = [bytes.fromhex(v["frame"]) for v in written["invalid"] if v["id"] not in lawful_later]
    capture = tmp_path / "broken.pcap"
    connections = (
        tcp_packets([(True, frame)], limits.TERMINAL_PORT, port)
        for port, frame in enumerate(frames, 40_000)
    )
    write_pcap(capture, itertools.chain.from_iterable(connections))
    marked = tshark(capture, "-Y", "tsfarm.malformed", "-T", "fields", "-e", "tcp.srcport")
    assert marked == [str(port) for port, _ in enumerate(frames, 40_000)]


def test_discovery_is_shown(tmp_path: Path) -> None:
    written = json.loads(files.read()["discovery.json"])
    datagrams = [bytes.fromhex(v["datagram"]) for v in written["queries"] + written["answers"]]
    capture = tmp_path / "discovery.pcap"
    write_pcap(capture, (udp_packet(each, limits.DISCOVERY_PORT) for each in datagrams))
    names = ("tsfarm.query.scope_name", "tsfarm.answer.name")
    lines = tshark(capture, "-T", "fields", *(part for name in names for part in ("-e", name)))
    scopes = [vector["values"]["scope_name"] for vector in written["queries"]]
    assert column(lines, 0) == scopes
    assert column(lines, 1) == [vector["values"]["name"] for vector in written["answers"]]
    assert tshark(capture, "-Y", "tsfarm.malformed") == []


# --- a session ------------------------------------------------------------------------------------


class Screen:
    """A surface that keeps what a session shows."""

    def __init__(self) -> None:
        self.output = b""
        self.has_shown = asyncio.Event()
        self.attached = asyncio.Event()

    async def confirm(self, stranger: Stranger) -> bool:
        return False

    async def ask_password(self, user_name: str, host: str, again: bool) -> bytes | None:
        return b"secret"

    async def answer(self, prompts: Sequence[PamQuestion]) -> list[bytes] | None:
        return None

    async def ask_passphrase(self, key: Path, again: bool) -> bytes | None:
        return None

    def say(self, text: str) -> None: ...
    def on_detached(self) -> None: ...
    def on_input_wanted(self) -> None: ...

    def on_attached(self, attached: Attached) -> None:
        self.attached.set()

    def on_output(self, data: bytes) -> bool:
        self.output += data
        if len(self.output) == len(TYPED) + len(OUTPUT):
            self.has_shown.set()
        return True


async def live_through(server: ScriptedServer, device: Device, observer: Recorded) -> None:
    """Log on, type, see much, resize, disconnect; all of it without TLS."""
    screen = Screen()
    dialler = Dialler(
        device.known_farms, device.name, screen.confirm, screen.say, plain=True, observer=observer
    )
    plan = Plan(hosts=(Host("127.0.0.1", server.port),), user_name="user1")
    client = Client(plan, device, dialler, screen, random.Random(1), UserKeys())
    running = asyncio.create_task(client.run())
    await screen.attached.wait()
    client.send(TYPED)
    server.links[-1].send_session_bytes(OUTPUT)
    await screen.has_shown.wait()
    client.resize(132, 43)
    client.disconnect()
    await running


async def test_a_session_over_loopback_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server = ScriptedServer(Farm(tmp_path / "pki"))
    await server.listen(tls=False)
    device, recorded = Device.open(tmp_path / "device", "laptop1"), Recorded()
    file = tmp_path / "session.pcap"
    goodbye = codec.encode(Goodbye(code=ErrorCode.DISCONNECTED_BY_USER))
    async with capturing(f"tcp port {server.port}") as capture:
        await live_through(server, device, recorded)
        if capture is not None:
            await capture.until_it_holds(goodbye)
            file.write_bytes(capture.content)
    await server.close()
    if capture is None:
        with capsys.disabled():
            print("\nno capture is possible here: the file is written from recorded bytes")
        write_pcap(file, tcp_packets(recorded.segments, server.port))
    await asyncio.to_thread(assert_is_shown, file, server.port)


def assert_is_shown(file: Path, port: int) -> None:
    fields = ("tsfarm.message", "tsfarm.session_bytes", "tsfarm.logon_start.user_name")
    options = ["-T", "fields", *(part for field in fields for part in ("-e", field))]
    of_client = tshark(file, "-Y", f"tsfarm && tcp.dstport == {port}", *options)
    of_server = tshark(file, "-Y", f"tsfarm && tcp.srcport == {port}", *options)
    assert names(of_client) == [
        "Hello",
        "LicenseInfo",
        "LogonStart",
        "LogonProof",
        "ResizeSession",
        "DisconnectSession",
    ]
    assert names(of_server) == [
        "Welcome",
        "LicenseRequest",
        "LicenseAccepted",
        "LogonChallenge",
        "LogonAccepted",
        "Goodbye",
    ]
    assert "".join(column(of_client, 1)) == TYPED.hex()
    assert sorted(bytes.fromhex("".join(column(of_server, 1)))) == sorted(TYPED + OUTPUT)
    assert column(of_client, 2) == ["user1"]
    assert tshark(file, "-Y", "tsfarm.malformed") == []
    [end] = tshark(file, "-Y", "tsfarm.goodbye.code == 400")
    assert "Goodbye DISCONNECTED_BY_USER" in end


def names(lines: list[str]) -> list[str]:
    return [TABLE[int(number)].__name__ for number in column(lines, 0)]


def test_a_capture_that_began_late_is_shown_where_its_port_is_named(tmp_path: Path) -> None:
    data = codec.session_header(len(TYPED)) + TYPED
    capture = tmp_path / "late.pcap"
    write_pcap(capture, tcp_packets([(True, data)], 45_678))
    shown = ("-T", "fields", "-e", "tsfarm.session_bytes")
    assert column(tshark(capture, *shown), 0) == []
    named = tshark(capture, "-d", "tcp.port==45678,tsfarm", *shown)
    assert column(named, 0) == [TYPED.hex()]
