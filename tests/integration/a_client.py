"""A person at a client, and the client, for tests with scripted terminal servers."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clients.client import Client
from clients.device import Device
from clients.known_hashings import KnownHashings
from clients.logon.steps import Attached, Finished, Host, Plan
from clients.trust import Dialler, Stranger
from clients.user_keys import UserKeys
from tests.integration.scripted_server import ScriptedServer
from tsproto import identity, transport
from tsproto.connection import Event
from tsproto.messages import (
    PamQuestion,
)


class Person:
    """A surface that answers at once and remembers what it saw."""

    def __init__(self, password: bytes | None = b"secret", says_yes: bool = True) -> None:
        self.password = password
        self.says_yes = says_yes
        self.asked: list[Stranger] = []
        self.passwords_asked = 0
        self.questions: list[str] = []
        self.answers: list[bytes] | None = []
        self.said: list[str] = []
        self.output = b""
        self.takes_output = True
        self.attached = asyncio.Event()
        self.got_output = asyncio.Event()

    async def confirm(self, stranger: Stranger) -> bool:
        self.asked.append(stranger)
        return self.says_yes

    async def ask_password(self, user_name: str, host: str, again: bool) -> bytes | None:
        self.passwords_asked += 1
        return self.password

    async def answer(self, prompts: Sequence[PamQuestion]) -> list[bytes] | None:
        self.questions += [question.words for question in prompts]
        return self.answers

    async def ask_passphrase(self, key: Path, again: bool) -> bytes | None:
        return None

    def say(self, text: str) -> None:
        self.said.append(text)

    def on_attached(self, attached: Attached) -> None:
        self.attached.set()

    def on_detached(self) -> None:
        self.attached.clear()

    def on_output(self, data: bytes) -> bool:
        self.output += data
        self.got_output.set()
        return self.takes_output

    def on_input_wanted(self) -> None:
        pass


class Silent:
    """Owns a link and does nothing with it."""

    def on_events(self, link: transport.Link, events: list[Event]) -> None:
        pass

    def on_writable(self, link: transport.Link) -> None:
        pass


def client(
    device: Device,
    person: Person,
    *servers: ScriptedServer,
    authority: bytes | None = None,
    plain: bool = False,
    keys: UserKeys | None = None,
    **plan: Any,
) -> Client:
    hosts = tuple(Host("127.0.0.1", server.port) for server in servers)
    dialler = Dialler(
        device.known_farms,
        device.name,
        person.confirm,
        person.say,
        authority=authority,
        plain=plain,
    )
    wanted = Plan(hosts=hosts, user_name="user1", **plan)
    keys = keys or UserKeys(memory=KnownHashings(device.folder))
    return Client(wanted, device, dialler, person, random.Random(1), keys)


async def disconnected(client: Client, person: Person) -> Finished:
    """Connect, and disconnect as soon as the session is shown."""
    running = asyncio.create_task(client.run())
    attached = asyncio.create_task(person.attached.wait())
    await asyncio.wait({running, attached}, return_when=asyncio.FIRST_COMPLETED)
    attached.cancel()
    client.disconnect()
    return await running


def check_proof(server: ScriptedServer) -> None:
    info = server.infos[-1]
    device_id = identity.verify_device_proof(
        info.public_key, info.signature, b"n" * 32, server.certificate
    )
    assert device_id == hashlib.sha256(info.public_key).digest()
