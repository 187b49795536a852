"""Whether a farm's hosts answer, seen before a load begins: scripted servers, real links."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from clients.load.drivers.users import NobodyAnswers, greet
from clients.logon.steps import Host
from clients.trust import FarmDialler
from tests.integration.scripted_server import Farm, ScriptedServer

NOWHERE = Host("127.0.0.1", 1)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ScriptedServer]:
    async with ScriptedServer(Farm(tmp_path / "pki")) as server:
        yield server


def host(server: ScriptedServer) -> Host:
    return Host("127.0.0.1", server.port)


async def test_a_host_that_welcomes_us_is_good(server: ScriptedServer) -> None:
    assert await greet([host(server)], FarmDialler("load", server.farm.authority)) == []
    assert server.infos == [], "nobody was licensed"


async def test_one_that_is_down_is_told_and_the_others_will_do(server: ScriptedServer) -> None:
    hosts = [host(server), NOWHERE]
    faults = await greet(hosts, FarmDialler("load", server.farm.authority))
    assert faults == ["127.0.0.1:1: Connection refused"]


async def test_another_farms_authority_is_told_with_what_to_see_to(
    server: ScriptedServer, tmp_path: Path
) -> None:
    other = Farm(tmp_path / "other")
    with pytest.raises(NobodyAnswers) as caught:
        await greet([host(server)], FarmDialler("load", other.authority))
    assert "no host of the farm can be logged on to (127.0.0.1:" in str(caught.value)
    assert "that their addresses, --ca and --plain are right" in str(caught.value)


async def test_plain_tcp_to_a_host_that_speaks_tls_is_told(server: ScriptedServer) -> None:
    with pytest.raises(
        NobodyAnswers, match=f"{server.port}: the peer hung up without a word: it may want TLS"
    ):
        await greet([host(server)], FarmDialler("load", None))
