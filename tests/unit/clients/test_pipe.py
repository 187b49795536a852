from __future__ import annotations

import asyncio
import os
import signal
import termios
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import cast

import pytest

from clients.client import Client
from clients.logon.steps import Attached
from clients.pipe import Pipe, TypedInput
from clients.prompts import Prompts
from tests.unit.clients.test_interactive import ScriptedClient
from tsproto.errors import TsfarmError

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio"])

Script = Callable[[ScriptedClient], Awaitable[None]]


async def run(pipe: Pipe, script: Script) -> int:
    async def attach_and_do() -> None:
        pipe.on_attached(Attached("ts1", 7, "user1", False))
        await script(client)
        client.is_attached = False

    client = ScriptedClient(attach_and_do)
    _, number = await pipe.run(cast(Client, client))
    return number


class Pipes:
    """A pipe for either direction, as a shell would make them."""

    def __init__(self) -> None:
        self.stdin, self.feed = os.pipe()
        self.result, self.stdout = os.pipe()
        self.pipe = Pipe(Prompts(b"secret"), self.stdin, self.stdout)


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        (b"", b"\x04"),
        (b"one\ntwo\n", b"one\ntwo\n\x04"),
        (b"one\nno end", b"one\nno end\x04\x04"),
    ],
    ids=["nothing", "lines", "a cut line"],
)
async def test_the_end_of_input_is_typed_as_a_person_would(text: bytes, sent: bytes) -> None:
    pipes = Pipes()
    os.write(pipes.feed, text)
    os.close(pipes.feed)

    async def script(client: ScriptedClient) -> None:
        await client.until(lambda: client.sent == sent)

    await run(pipes.pipe, script)


@pytest.mark.parametrize("text", [b"", b"one\n" * 20_000])
async def test_input_may_be_a_file(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "input").write_bytes(text)
    pipes = Pipes()
    with (tmp_path / "input").open("rb") as file:

        async def script(client: ScriptedClient) -> None:
            await client.until(lambda: client.sent == text + b"\x04")

        await run(Pipe(Prompts(b"secret"), file.fileno(), pipes.stdout), script)


async def test_the_output_is_printed_exactly() -> None:
    pipes = Pipes()

    async def script(client: ScriptedClient) -> None:
        pipes.pipe.on_output(b"\x00binary\r\n\xff")

    await run(pipes.pipe, script)
    assert os.read(pipes.result, 100) == b"\x00binary\r\n\xff"


async def test_a_reader_that_is_gone_ends_the_command() -> None:
    pipes = Pipes()
    os.close(pipes.result)

    async def script(client: ScriptedClient) -> None:
        pipes.pipe.on_output(b"x")
        await client.until(lambda: client.told == ["cancel"])

    await run(pipes.pipe, script)


async def test_ctrl_c_ends_the_command() -> None:
    async def script(client: ScriptedClient) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        await client.until(lambda: client.told == ["cancel"])

    assert await run(Pipes().pipe, script) == signal.SIGINT


async def test_a_password_is_asked_for_on_a_terminal_only() -> None:
    pipes = Pipes()
    pipe = Pipe(Prompts(descriptor=pipes.stdin), pipes.stdin, pipes.stdout)
    with pytest.raises(TsfarmError, match="--password-file"):
        await pipe.ask_password("user1", "ts1", again=False)


async def test_every_byte_arrives_through_the_line_mode_of_a_real_terminal() -> None:
    person, program = os.openpty()
    attributes = termios.tcgetattr(program)
    attributes[3] &= ~termios.ECHO
    termios.tcsetattr(program, termios.TCSANOW, attributes)
    data = bytes(range(256)) * 4 + b"x" * 10_000 + b"\n\n" + bytes(range(255, -1, -1))
    received = bytearray()
    at_end = asyncio.Event()

    def on_readable() -> None:
        piece = os.read(program, 65536)
        received.extend(piece)
        if not piece:
            at_end.set()

    loop = asyncio.get_running_loop()
    loop.add_reader(program, on_readable)
    keys = TypedInput()
    for start in range(0, len(data), 700):
        os.write(person, keys.encode(data[start : start + 700]))
        await asyncio.sleep(0)
    os.write(person, keys.end())
    await at_end.wait()
    loop.remove_reader(program)
    assert bytes(received) == data
    for descriptor in (person, program):
        os.close(descriptor)
