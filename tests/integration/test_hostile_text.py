"""Real commands against a daemon of the farm that sends hostile text in every field; that every
command and field is like these, unit tests of the same name and of the table show."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.listener import listen
from tests.integration.scripted_server import Farm, ScriptedServer
from tests.unit.clients.hostile import assert_printable, hostile
from tsproto import transport
from tsproto.connection import Event, Received
from tsproto.messages import (
    LicenseAccepted,
    Licenses,
    LogonRefused,
    Message,
    Refused,
    Role,
    Sessions,
)


class HostileDaemon:
    """Answers every question with this message."""

    def __init__(self, answer: Message) -> None:
        self._answer = answer

    def on_events(self, link: transport.Link, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Received) and event.message.request_id:
                link.send(self._answer, event.message.request_id)

    def on_writable(self, link: transport.Link) -> None:
        """Answers are short."""


async def tsfarm(*words: str | Path) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("tsfarm"),
        *map(str, words),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


@pytest.fixture
def farm(tmp_path: Path) -> Farm:
    return Farm(tmp_path / "pki")


@pytest.fixture
async def server(farm: Farm) -> AsyncIterator[ScriptedServer]:
    async with ScriptedServer(farm) as server:
        yield server


@pytest.mark.parametrize(
    ("query", "role", "kind"),
    [
        (("session",), Role.SESSION_DIRECTORY, Sessions),
        (("session", "--json"), Role.SESSION_DIRECTORY, Sessions),
        (("license", "--json"), Role.LICENSE_SERVER, Licenses),
        (("pool",), Role.LICENSE_SERVER, Refused),
    ],
)
async def test_a_query_ends_with_the_fault_and_prints_nothing_hostile(
    farm: Farm, query: tuple[str, ...], role: Role, kind: type[Message]
) -> None:
    listener = await listen(
        "127.0.0.1",
        0,
        HostileDaemon(hostile(kind)),
        role=role,
        name="fake",
        farm=farm.name,
        tls=transport.server_tls(*farm.files(role, "fake")),
    )
    certificate, key, authority = farm.files(Role.ADMINISTRATOR, "admin")
    address = f"127.0.0.1:{listener.port}"
    identity = ("--identity", certificate, key, "--ca", authority)
    status, out, err = await tsfarm("query", *query, "--server", address, *identity)
    await listener.close()
    assert (status, out) == (1, "")
    assert err.startswith(f"tsfarm: {address}: {kind.__name__}: ")
    assert_printable(err)


@pytest.mark.parametrize("kind", [LicenseAccepted, LogonRefused])
async def test_a_logon_ends_with_the_fault_and_prints_nothing_hostile(
    farm: Farm, server: ScriptedServer, tmp_path: Path, kind: type[Message]
) -> None:
    password = tmp_path / "password"
    password.write_text("secret\n")
    password.chmod(0o600)
    if kind is LicenseAccepted:
        server.push = lambda info: hostile(kind)
    server.on_logon = lambda link, request: link.send(hostile(kind))
    status, out, err = await tsfarm(
        *("connect", f"127.0.0.1:{server.port}", "--user", "user1", "--store", tmp_path / "device"),
        *("--ca", tmp_path / "pki" / "authority.crt", "--password-file", password, "--", "true"),
    )
    assert (status, out) == (1, "")
    assert f"{kind.__name__}: " in err
    assert_printable(err)
