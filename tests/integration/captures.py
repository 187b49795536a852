"""Captures of loopback traffic for tshark: by dumpcap where it may, else written from bytes that
were recorded."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import struct
import subprocess
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path

import tsproto
from tsproto.transport.link import Link

TSFARM_LUA = Path(tsproto.__file__).with_name("tsfarm.lua")

LOOPBACK = b"\x7f\x00\x00\x01"
RAW_IP = 101  # the link type of packets that begin with their IP header
SEGMENT_BYTES = 16_000
TSHARK_SECONDS = 30
CAPTURE_SECONDS = 10
PIPE_BYTES = 1024 * 1024


class Recorded:
    """An observer of one link; `segments` are (was sent, bytes)."""

    def __init__(self) -> None:
        self.segments: list[tuple[bool, bytes]] = []

    def on_sent(self, link: Link, data: bytes) -> None:
        self.segments.append((True, data))

    def on_received(self, link: Link, data: bytes) -> None:
        self.segments.append((False, data))


# --- files ----------------------------------------------------------------------------------------


def write_pcap(file: Path, packets: Iterable[bytes]) -> None:
    header = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 0x40000, RAW_IP)
    records = [struct.pack("<IIII", 0, 0, len(packet), len(packet)) + packet for packet in packets]
    file.write_bytes(header + b"".join(records))


def tcp_packets(
    segments: Iterable[tuple[bool, bytes]], port: int, dialler_port: int = 40_000
) -> Iterator[bytes]:
    """One connection; the end that sent `True` segments has dialled `port`."""
    next_byte = {True: 1, False: 1}
    for is_dialler, data in segments:
        ports = (dialler_port, port) if is_dialler else (port, dialler_port)
        for start in range(0, len(data), SEGMENT_BYTES):
            piece = data[start : start + SEGMENT_BYTES]
            numbers = next_byte[is_dialler], next_byte[not is_dialler]
            next_byte[is_dialler] += len(piece)
            yield _ip(6, struct.pack(">HHIIHHHH", *ports, *numbers, 0x5018, 65_535, 0, 0) + piece)


def udp_packet(datagram: bytes, port: int) -> bytes:
    return _ip(17, struct.pack(">HHHH", 40_000, port, 8 + len(datagram), 0) + datagram)


def _ip(protocol: int, payload: bytes) -> bytes:
    length = 20 + len(payload)
    header = struct.pack(">BBHIBBH", 0x45, 0, length, 0, 64, protocol, 0)
    return header + LOOPBACK + LOOPBACK + payload


def tshark(capture: Path, *options: str) -> list[str]:
    """The lines that tshark prints with the dissector, and none that is no field's."""
    command = ["tshark", "-n", "-X", f"lua_script:{TSFARM_LUA}", "-r", str(capture)]
    done = subprocess.run(
        [*command, *options], capture_output=True, text=True, timeout=TSHARK_SECONDS
    )
    assert done.returncode == 0, done.stderr
    assert "Lua" not in done.stderr, done.stderr
    return done.stdout.splitlines()


# --- live -----------------------------------------------------------------------------------------


class Capture:
    """A running dumpcap, and what it has captured so far; all of it once `capturing` is left."""

    def __init__(self, dumpcap: asyncio.subprocess.Process) -> None:
        self._dumpcap = dumpcap
        self._more = asyncio.Event()
        self.content = b""

    async def begin(self) -> bool:
        """Whether it captures now: it names its file once the interface is open, or ends."""
        assert self._dumpcap.stderr is not None
        async with asyncio.timeout(CAPTURE_SECONDS):
            async for line in self._dumpcap.stderr:
                if line.startswith(b"File: "):
                    return True
        return False

    async def read_on(self) -> None:
        """To the end: a dumpcap whose pipe is full loses packets."""
        assert self._dumpcap.stdout is not None
        while more := await self._dumpcap.stdout.read(PIPE_BYTES):
            self.content += more
            self._more.set()

    async def until_it_holds(self, data: bytes) -> None:
        async with asyncio.timeout(CAPTURE_SECONDS):
            while data not in self.content:
                self._more.clear()
                await self._more.wait()


@contextlib.asynccontextmanager
async def capturing(what: str) -> AsyncIterator[Capture | None]:
    """Capture what this capture filter lets through on loopback; None where that is not
    possible."""
    if shutil.which("dumpcap") is None:
        yield None
        return
    dumpcap = await asyncio.create_subprocess_exec(
        *("dumpcap", "-q", "-i", "lo", "-f", what, "-w", "-"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    capture = Capture(dumpcap)
    reading = asyncio.create_task(capture.read_on())
    try:
        yield capture if await capture.begin() else None
    finally:
        with contextlib.suppress(ProcessLookupError):
            dumpcap.send_signal(signal.SIGINT)
        await reading
        await dumpcap.wait()
