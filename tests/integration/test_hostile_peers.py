"""Links to hostile peers, and to too many, over real sockets and real TLS."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from pathlib import Path

import pytest

from tests.conftest import TEST_SECONDS
from tests.integration.both_ends import (
    ADMIN,
    CLIENT,
    HOST,
    INVENTORY,
    LS,
    TS,
    code_of,
    dialled,
    hello,
    last_words,
    listening,
)
from tests.integration.farm import Farm, Recorder
from tsproto import limits
from tsproto.codec import FrameReader, decode_message
from tsproto.connection import PHASE_SECONDS, Opened
from tsproto.errors import ErrorCode
from tsproto.messages import LinkState


@pytest.fixture
def farm(tmp_path: Path) -> Farm:
    return Farm(tmp_path)


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
async def test_a_client_that_says_nothing_is_told_that_time_is_up(
    farm: Farm, secure: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PHASE_SECONDS, LinkState.OPENING, 0.05)
    monkeypatch.setattr(limits, "GOODBYE_SECONDS", 0.2)
    tls = farm.server(LS, "ls1") if secure else None
    async with listening(Recorder(), tls) as listener:
        reader, writer = await asyncio.open_connection(
            HOST, listener.port, ssl=farm.client() if secure else None
        )
        assert code_of(await last_words(reader)) is ErrorCode.TIMED_OUT
        writer.close()


async def test_a_client_that_never_shakes_hands_is_cut_and_makes_others_wait_no_longer(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "TLS_HANDSHAKE_SECONDS", 0.2)
    here, there = Recorder(), Recorder()
    async with listening(there, farm.server(LS, "ls1"), handshakes_max=1) as listener:
        reader, writer = await asyncio.open_connection(HOST, listener.port)
        async with dialled(listener.port, here, farm.daemon(ADMIN, "admin")):
            await here.opened()
        assert await reader.read() == b""
        writer.close()
        assert (await there.next(Opened))[1] == Opened(ADMIN, "admin", 1, "lab")


async def test_one_silent_address_takes_no_other_addresses_turn(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "TLS_HANDSHAKE_SECONDS", TEST_SECONDS)
    tls = farm.server(LS, "ls1")
    async with listening(Recorder(), tls, handshakes_max=3, handshakes_per_address_max=2) as found:
        here = Recorder()
        with contextlib.ExitStack() as silent:
            for _ in range(10):
                source = ("127.0.0.2", 0)
                connection = socket.create_connection((HOST, found.port), source_address=source)
                silent.enter_context(connection)
            async with dialled(found.port, here, farm.daemon(ADMIN, "admin")):
                await here.opened()


async def test_clients_behind_one_address_take_turns(farm: Farm) -> None:
    tls = farm.server(TS, "ts1")
    more = {"role": TS, "name": "ts1", "handshakes_per_address_max": 1}
    async with listening(Recorder(), tls, **more) as listener, asyncio.TaskGroup() as clients:
        for number in range(10):
            clients.create_task(_visit(listener.port, farm.client(), f"laptop{number}"))


async def _visit(port: int, tls: ssl.SSLContext, name: str) -> None:
    here = Recorder()
    async with dialled(port, here, tls, role=CLIENT, name=name):
        await here.opened()


async def test_more_unfinished_handshakes_than_connections_are_cut_at_once(farm: Farm) -> None:
    tls = farm.server(LS, "ls1")
    more = {"connections_per_address_max": 1, "handshakes_per_address_max": 1}
    async with listening(Recorder(), tls, **more) as listener:
        with socket.create_connection((HOST, listener.port)):
            reader, writer = await asyncio.open_connection(HOST, listener.port)
            async with asyncio.timeout(limits.TLS_HANDSHAKE_SECONDS / 2):
                assert await reader.read() == b""
            writer.close()


async def test_what_is_no_tls_is_nobodys_concern(farm: Farm) -> None:
    there = Recorder()
    async with listening(there, farm.server(LS, "ls1")) as listener:
        reader, writer = await asyncio.open_connection(HOST, listener.port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n" * 100)
        while await reader.read(100):  # an alert, then the end
            pass
        writer.close()
        assert there.told.empty()


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
async def test_a_goodbye_reaches_a_peer_that_is_still_sending(farm: Farm, secure: bool) -> None:
    there = Recorder()
    tls = farm.server(LS, "ls1") if secure else None
    async with listening(there, tls) as listener:
        reader, writer = await asyncio.open_connection(
            HOST, listener.port, ssl=farm.client() if secure else None
        )
        writer.write(b"\xc9\x01\x00\x00\x00\x00" + bytes(1 << 24))
        await writer.drain()  # a reset by the listener would end this, and take the Goodbye along
        data = await reader.read(1 << 16)
        (body,) = (body for _, body in FrameReader(limits.FRAME_BYTES).feed(data))
        assert code_of([decode_message(body)]) is ErrorCode.FRAME_TOO_LONG
        writer.transport.abort()
        assert (await there.closed()).code is ErrorCode.FRAME_TOO_LONG


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
async def test_a_peer_that_never_reads_is_cut_within_a_bound(
    farm: Farm, secure: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "GOODBYE_SECONDS", 0.1)
    there = Recorder()
    tls = farm.server(LS, "ls1") if secure else None
    client = farm.daemon(LS, "ls2") if secure else None
    async with listening(there, tls) as listener:
        reader, writer = await asyncio.open_connection(HOST, listener.port, ssl=client)
        # A StreamReader that nobody reads stops its transport at 128 kB.
        writer.write(hello(LS, "ls2"))
        link = await there.opened()
        sent = 0
        while link.connection.state is not LinkState.CLOSED:
            link.send(INVENTORY)
            link.flush()
            sent += 1
            await asyncio.sleep(0)
        assert (await there.closed()).code is ErrorCode.PEER_TOO_SLOW
        assert limits.OUTBOX_BYTES / 12_000 < sent < 4 * limits.OUTBOX_BYTES / 12_000
        await link.wait_closed()
        writer.transport.abort()


async def test_strangers_above_the_limit_are_told_so() -> None:
    async with listening(Recorder(), None, connections_max=1) as listener:
        here = Recorder()
        async with dialled(listener.port, here, None):
            await here.opened()
            refused = Recorder()
            async with dialled(listener.port, refused, None):
                closed = await refused.closed()
                assert closed.code is ErrorCode.TOO_MANY_CONNECTIONS
                assert closed.retry_after_seconds > 0
            assert len(listener.links) == 1


async def test_an_address_has_a_limit_of_its_own_and_gets_its_place_back() -> None:
    there = Recorder()
    async with listening(there, None, connections_per_address_max=1) as listener:
        here = Recorder()
        async with dialled(listener.port, here, None):
            await here.opened()
            refused = Recorder()
            async with dialled(listener.port, refused, None):
                assert (await refused.closed()).code is ErrorCode.TOO_MANY_CONNECTIONS
        await there.closed()
        again = Recorder()
        async with dialled(listener.port, again, None):
            await again.opened()
