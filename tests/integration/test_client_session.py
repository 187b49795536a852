"""One person at one client, played by a machine, at a scripted terminal server."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from clients.load.visitors.client_session import ClientSession, StepFailed
from clients.load.visitors.devices import Devices
from clients.load.visitors.watches import Text
from clients.logon.steps import Host, Plan
from clients.trust import FarmDialler
from clients.user_keys import UserKeys
from tests.integration.scripted_server import Farm, ScriptedServer
from tsproto.errors import ErrorCode
from tsproto.messages import LogonRefused


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ScriptedServer]:
    async with ScriptedServer(Farm(tmp_path / "pki")) as server:
        yield server


def sit_down(server: ScriptedServer, password: bytes | None = b"secret") -> ClientSession:
    hosts = (Host("127.0.0.1", server.port),)
    plan = Plan(hosts=hosts, user_name="user1", password_attempts=1, reconnect_seconds=0.0)
    device = Devices(1, None).usual("user1")
    dialler = FarmDialler(device.name, server.farm.authority, source="127.0.0.9")
    return ClientSession(plan, password, device, dialler, random.Random(1), UserKeys(), 20.0)


async def test_what_is_typed_is_seen(server: ScriptedServer) -> None:
    client = sit_down(server)
    await client.begun()
    assert (client.shown.session_id, client.is_attached) == (7, True)
    assert client.host == Host("127.0.0.1", server.port)
    assert server.links[-1].host == "127.0.0.9"
    client.expect(Text(b"hel"), Text(b"lo"))
    client.type("hello")
    await client.seen()
    assert server.typed == b"hello"
    await client.disconnect()
    assert not client.is_attached


async def test_without_a_password_the_device_is_only_licensed(server: ScriptedServer) -> None:
    client = sit_down(server, password=None)
    await client.begun()
    await client.hang_up()
    assert (len(server.infos), server.logons) == (1, [])


async def test_a_refused_password_is_not_given_again(server: ScriptedServer) -> None:
    server.on_logon = lambda link, request: link.send(
        LogonRefused(code=ErrorCode.LOGON_FAILED, attempts_left=2)
    )
    client = sit_down(server)
    with pytest.raises(StepFailed) as failed:
        await client.begun()
    assert (failed.value.code, len(server.logons)) == (ErrorCode.LOGON_FAILED, 1)


async def test_after_the_end_nothing_is_waited_for(server: ScriptedServer) -> None:
    client = sit_down(server)
    await client.begun()
    server.links[-1].abort()
    with pytest.raises(StepFailed) as failed:
        await client.lasts(60.0)
    assert failed.value.code is ErrorCode.CONNECTION_LOST
    client.expect(Text(b"x"))
    with pytest.raises(StepFailed, match="without a Goodbye"):
        await client.seen()


async def test_it_may_be_over_before_it_has_begun(server: ScriptedServer) -> None:
    await sit_down(server).hang_up()
    assert server.links == []
