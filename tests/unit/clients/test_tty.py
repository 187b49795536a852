from __future__ import annotations

import asyncio
import os
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients import tty


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """A pseudo-terminal as (the person's end, the program's end)."""
    person, program = os.openpty()
    yield person, program
    for descriptor in (person, program):
        os.close(descriptor)


def test_raw_mode_is_undone_exactly_however_often_it_was_entered(
    terminal: tuple[int, int],
) -> None:
    _, program = terminal
    before = termios.tcgetattr(program)
    raw = tty.RawMode(program)
    raw.enter()
    assert not termios.tcgetattr(program)[3] & (termios.ECHO | termios.ICANON | termios.ISIG)
    raw.enter()
    raw.leave()
    raw.leave()
    assert termios.tcgetattr(program) == before
    assert not raw.is_raw


async def test_a_password_is_read_without_echo_and_the_echo_comes_back(
    terminal: tuple[int, int],
) -> None:
    person, program = terminal
    before = termios.tcgetattr(program)
    with tty.silent(program):
        reading = asyncio.create_task(tty.read_line(program))
        os.write(person, b"sec\x7fcret\n")
        assert await reading == "secret"
    assert termios.tcgetattr(program) == before
    os.set_blocking(person, False)
    with pytest.raises(BlockingIOError):
        os.read(person, 100)


async def test_the_end_of_input_is_no_line(terminal: tuple[int, int]) -> None:
    person, program = terminal
    reading = asyncio.create_task(tty.read_line(program))
    os.write(person, b"\x04")
    assert await reading is None


async def test_a_cancelled_question_leaves_the_echo_on(terminal: tuple[int, int]) -> None:
    _, program = terminal
    before = termios.tcgetattr(program)

    async def ask() -> None:
        with tty.silent(program):
            await tty.read_line(program)

    asking = asyncio.create_task(ask())
    await asyncio.sleep(0)
    assert termios.tcgetattr(program) != before
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert termios.tcgetattr(program) == before


async def test_output_that_is_not_read_waits_and_comes_whole() -> None:
    reader, writer = os.pipe()
    room = asyncio.Event()
    output = tty.Output(writer, room.set, room.set)
    content = b"".join(b"%06d\n" % number for number in range(100_000))
    assert not output.write(content)
    received = bytearray()

    def on_readable() -> None:
        received.extend(os.read(reader, 65536))

    asyncio.get_running_loop().add_reader(reader, on_readable)
    await room.wait()
    await output.drain(5.0)
    asyncio.get_running_loop().remove_reader(reader)
    output.close()
    os.set_blocking(reader, False)
    while len(received) < len(content):
        received += os.read(reader, 65536)
    assert bytes(received) == content
    assert os.get_blocking(writer)
    for descriptor in (reader, writer):
        os.close(descriptor)


async def test_a_reader_that_is_gone_is_told_of_once() -> None:
    reader, writer = os.pipe()
    gone = asyncio.Event()
    output = tty.Output(writer, lambda: None, gone.set)
    os.close(reader)
    assert output.write(b"x")
    await gone.wait()
    assert output.write(b"x" * 1_000_000)
    assert str(output.error) == "[Errno 32] Broken pipe: 'standard output'"
    output.close()
    os.close(writer)


async def test_a_file_is_appended_to_where_the_shell_had_it(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"before\n")
    with path.open("ab") as log:
        output = tty.Output(log.fileno(), lambda: None, lambda: None)
        assert output.write(b"after\n")
        await output.drain(5.0)
        output.close()
    assert path.read_bytes() == b"before\nafter\n"


async def test_a_terminal_that_is_stopped_does_not_keep_us() -> None:
    reader, writer = os.pipe()
    output = tty.Output(writer, lambda: None, lambda: None)
    output.write(b"x" * 1_000_000)
    await output.drain(0.0)
    output.close()
    for descriptor in (reader, writer):
        os.close(descriptor)


def test_a_size_is_known_even_where_there_is_no_terminal(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        assert tty.size_of(file.fileno()) == (80, 24)
