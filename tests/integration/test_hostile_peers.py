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
from tsproto.connection import PHASE_SECONDS, Closed, Opened
from tsproto.errors import ErrorCode
from tsproto.messages import LinkState
from tsproto.transport import handshake_seconds


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
        version = limits.PROTOCOL_VERSION_MAX
        assert (await there.next(Opened))[1] == Opened(ADMIN, "admin", version, "lab")


async def test_one_silent_network_takes_no_other_networks_turn(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "TLS_HANDSHAKE_SECONDS", TEST_SECONDS)
    monkeypatch.setattr(limits, "TLS_HANDSHAKE_SECONDS_MIN", TEST_SECONDS)
    here = Recorder()
    async with listening(Recorder(), farm.server(LS, "ls1"), handshakes_max=2) as found:
        with contextlib.ExitStack() as silent:
            for number in range(10):
                silent.enter_context(_silent(found.port, f"127.0.2.{number + 1}"))
            async with dialled(found.port, here, farm.daemon(ADMIN, "admin")):
                await here.opened()


async def test_clients_behind_one_address_take_turns(farm: Farm) -> None:
    tls = farm.server(TS, "ts1")
    more = {"role": TS, "name": "ts1", "handshakes_max": 1}
    async with listening(Recorder(), tls, **more) as listener, asyncio.TaskGroup() as clients:
        for number in range(10):
            clients.create_task(_visit(listener.port, farm.client(), f"laptop{number}"))


async def _visit(port: int, tls: ssl.SSLContext, name: str) -> None:
    here = Recorder()
    async with dialled(port, here, tls, role=CLIENT, name=name):
        await here.opened()


async def test_of_too_many_that_wait_for_a_handshake_the_oldest_of_the_largest_network_is_cut(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "TLS_HANDSHAKE_SECONDS", TEST_SECONDS)
    monkeypatch.setattr(limits, "TLS_HANDSHAKE_SECONDS_MIN", TEST_SECONDS)
    bounds = {"handshakes_max": 1, "waiting_max": 2}
    async with listening(Recorder(), farm.server(LS, "ls1"), **bounds) as listener:
        with contextlib.ExitStack() as silent:
            silent.enter_context(_silent(listener.port, "127.0.2.1"))
            reader, writer = await asyncio.open_connection(
                HOST, listener.port, local_addr=("127.0.2.2", 0)
            )
            silent.enter_context(_silent(listener.port, "127.0.2.3"))
            silent.enter_context(_silent(listener.port, "127.0.3.1"))
            assert await reader.read() == b""
            writer.close()


async def test_of_too_many_without_a_logon_one_of_the_largest_network_gives_way() -> None:
    there = Recorder()
    more = {"role": TS, "name": "ts1", "unauthenticated_max": 2}
    async with listening(there, None, **more) as listener, contextlib.AsyncExitStack() as links:
        told = []
        for source in ("127.0.2.1", "127.0.2.2", "127.0.3.1"):
            here = Recorder()
            opened = dialled(listener.port, here, None, role=CLIENT, name="laptop", source=source)
            await links.enter_async_context(opened)
            await here.opened()
            told.append(here)
        link, closed = await there.next(Closed)
        assert link.host.startswith("127.0.2.")
        assert isinstance(closed, Closed) and closed.code is ErrorCode.TOO_MANY_CONNECTIONS
        refused = await told[int(link.host[-1]) - 1].closed()
        assert refused.code is ErrorCode.TOO_MANY_CONNECTIONS
        assert refused.retry_after_seconds > 0


async def test_links_with_a_role_leave_the_share_of_those_without() -> None:
    there = Recorder()
    async with listening(there, None, unauthenticated_max=1) as listener:
        async with contextlib.AsyncExitStack() as links:
            for _ in range(3):
                await links.enter_async_context(dialled(listener.port, Recorder(), None))
                await there.opened()
            assert len(listener.links) == 3


async def test_an_eighth_of_all_links_is_kept_for_peers_with_certificates(farm: Farm) -> None:
    more = {"role": TS, "name": "ts1", "connections_max": 8}
    async with listening(Recorder(), farm.server(TS, "ts1"), **more) as listener:
        async with contextlib.AsyncExitStack() as links:
            last = Recorder()
            for number in range(8):
                last = Recorder()
                options = {"role": CLIENT, "name": f"laptop{number}"}
                client = dialled(listener.port, last, farm.client(), **options)
                await links.enter_async_context(client)
            assert (await last.closed()).code is ErrorCode.TOO_MANY_CONNECTIONS
            here = Recorder()
            async with dialled(listener.port, here, farm.daemon(ADMIN, "admin")):
                await here.opened()


def test_a_handshake_may_take_the_less_time_the_more_run() -> None:
    most, least = limits.TLS_HANDSHAKE_SECONDS, limits.TLS_HANDSHAKE_SECONDS_MIN
    assert [handshake_seconds(load) for load in (0, 0.5, 0.75, 1)] == [
        most,
        most,
        (most + least) / 2,
        least,
    ]


def _silent(port: int, source: str) -> socket.socket:
    return socket.create_connection((HOST, port), source_address=(source, 0))


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
