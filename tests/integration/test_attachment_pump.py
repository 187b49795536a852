"""One pump on a PTY whose other end is the test's."""

from __future__ import annotations

import asyncio
import os
import termios
import tty
from collections.abc import AsyncIterator, Callable

import pytest

from daemons import attachment_pump
from daemons.attachment_pump import DRAIN_SECONDS, QUIET_SECONDS, Pump
from daemons.screen.ring import Ring, create_ring
from daemons.screen.screen import RESET, Screen
from tests.integration.sessions import Client

PICTURE = b"<picture>"


class Picture:
    """An emulator that is in the alternate screen, and in a sequence, as the test says."""

    is_alternate = False
    is_between_sequences = True

    def __init__(self) -> None:
        self.size = (0, 0)
        self.made = 0

    def make(self, columns: int, rows: int) -> Picture:
        self.size = (columns, rows)
        self.made += 1
        return self

    def feed(self, data: bytes) -> None:
        pass

    def give_back(self) -> None:
        pass

    def resize(self, columns: int, rows: int) -> None:
        self.size = (columns, rows)

    def dump(self) -> bytes:
        return PICTURE


class WatchedRing(Ring):
    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor)
        self.output = b""
        self.was_written = asyncio.Event()

    def write(self, data: bytes) -> None:
        super().write(data)
        self.output += data
        self.was_written.set()


class Rig:
    def __init__(self, *, is_new: bool = False, has_emulator: bool = True) -> None:
        master, self.slave = os.openpty()
        tty.setraw(self.slave)
        os.set_blocking(master, False)
        descriptor = create_ring(4096)
        self.ring = WatchedRing(descriptor)
        os.close(descriptor)
        self.emulator = Picture()
        self.drained = asyncio.Event()
        self.pump = Pump(
            master,
            Screen(self.ring, 10, 10, self.emulator.make if has_emulator else None),
            on_drained=self.drained.set,
            is_new=is_new,
        )

    def write(self, data: bytes) -> None:
        os.write(self.slave, data)

    def attach(self, client: Client, *, fresh: bool = False) -> None:
        self.pump.attach(client, 80, 24, fresh=fresh)

    def close(self) -> None:
        self.pump.close()
        os.close(self.slave)


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    rig = Rig()
    yield rig
    rig.close()


async def test_output_that_nobody_sees_is_kept(rig: Rig) -> None:
    first, second = Client(1), Client(2)
    rig.attach(first)
    rig.pump.detach()
    rig.write(b"unseen")
    await rig.ring.was_written.wait()
    rig.attach(second)
    assert first.received == second.received == RESET + PICTURE


async def test_a_new_programs_output_waits_for_its_client() -> None:
    rig = Rig(is_new=True)
    rig.write(b"\x1b[c exact")
    for _ in range(10):
        await asyncio.sleep(0)
    assert rig.ring.output == b""
    client = Client(1)
    rig.attach(client, fresh=True)
    await client.until(b"\x1b[c exact")
    rig.close()


async def test_it_waits_when_the_program_has_ended_too() -> None:
    rig = Rig(is_new=True)
    rig.write(b"exact")
    rig.pump.on_program_ended()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(rig.drained.wait(), DRAIN_SECONDS + 2 * QUIET_SECONDS)
    client = Client(1)
    rig.attach(client, fresh=True)
    await rig.drained.wait()
    assert client.received == b"exact"
    rig.close()


@pytest.mark.parametrize("nobody_comes", [Pump.detach, Pump.release])
async def test_it_waits_for_nobody_who_will_not_come(
    nobody_comes: Callable[[Pump], None],
) -> None:
    rig = Rig(is_new=True)
    rig.write(b"unseen")
    nobody_comes(rig.pump)
    await rig.ring.was_written.wait()
    rig.close()


async def test_a_client_that_takes_nothing_does_not_hold_up_the_end(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attachment_pump, "STALLED_SECONDS", 0.0)
    rig.attach(Client(1, takes=0))
    rig.pump.on_program_ended()
    await rig.drained.wait()


async def test_the_hidden_screen_is_sent_when_it_comes_to_light(rig: Rig) -> None:
    rig.emulator.is_alternate = True
    client = Client(1)
    rig.attach(client)
    await client.until(PICTURE)
    rig.write(b"drawing")
    await client.until(b"drawing")
    rig.emulator.is_alternate = False
    rig.write(b"leaving")
    await client.until(b"leaving" + RESET + PICTURE)
    rig.write(b"after")
    await client.until(b"after")
    assert client.received == b""


async def test_it_is_sent_into_no_sequence(rig: Rig) -> None:
    rig.emulator.is_alternate = True
    client = Client(1)
    rig.attach(client)
    await client.until(PICTURE)
    rig.emulator.is_alternate = rig.emulator.is_between_sequences = False
    rig.write(b"\x1b[3")
    await client.until(b"\x1b[3")
    rig.emulator.is_between_sequences = True
    rig.write(b"1m")
    await client.until(b"1m" + RESET + PICTURE)


async def test_as_long_as_it_is_owed_the_emulator_is_kept(rig: Rig) -> None:
    rig.emulator.is_alternate = True
    client = Client(1)
    rig.attach(client)
    for key in (b"first", b"second"):
        rig.write(key)
        await client.until(key)
    assert rig.emulator.made == 1
    rig.pump.detach()
    rig.attach(Client(2))
    assert rig.emulator.made == 2


async def test_once_the_screen_is_shown_the_emulator_is_not_kept(rig: Rig) -> None:
    rig.attach(Client(1))
    rig.attach(Client(2))
    assert rig.emulator.made == 2


async def test_an_exact_picture_needs_no_nudge(rig: Rig) -> None:
    rig.attach(Client(1))
    assert termios.tcgetwinsize(rig.slave) == (24, 80)
    assert rig.emulator.size == (80, 24)


async def test_a_replay_nudges_the_program_with_another_size() -> None:
    rig = Rig(has_emulator=False)
    rig.attach(Client(1))
    assert termios.tcgetwinsize(rig.slave) == (23, 80)
    while termios.tcgetwinsize(rig.slave) != (24, 80):  # noqa: ASYNC110 (the kernel tells nobody)
        await asyncio.sleep(0.01)
    rig.close()


async def test_a_size_that_comes_during_the_nudge_is_the_one_that_stays() -> None:
    rig = Rig(has_emulator=False)
    rig.attach(Client(1))
    rig.pump.resize(90, 24)
    assert termios.tcgetwinsize(rig.slave) == (23, 80)
    while termios.tcgetwinsize(rig.slave) != (24, 90):  # noqa: ASYNC110 (the kernel tells nobody)
        await asyncio.sleep(0.01)
    rig.pump.resize(100, 30)
    assert termios.tcgetwinsize(rig.slave) == (30, 100)
    rig.close()


async def test_after_the_end_what_is_left_is_read_first(rig: Rig) -> None:
    client = Client(1)
    rig.attach(client)
    rig.write(b"last words")
    rig.pump.on_program_ended()
    await rig.drained.wait()
    assert client.received.endswith(b"last words")


async def test_an_end_of_file_ends_the_wait_at_once() -> None:
    rig = Rig()
    rig.write(b"last words")
    os.close(rig.slave)
    rig.slave = os.open(os.devnull, os.O_RDONLY)
    rig.pump.on_program_ended()
    rig.pump.on_program_ended()
    await rig.drained.wait()
    assert rig.ring.output == b"last words"
    rig.close()


async def test_an_unattended_program_ends_with_its_terminals_use() -> None:
    rig = Rig()
    rig.pump.end_at_end_of_file()
    rig.write(b"last words")
    os.close(rig.slave)
    rig.slave = os.open(os.devnull, os.O_RDONLY)
    await rig.drained.wait()
    assert rig.ring.output == b"last words"
    rig.close()


async def test_input_arrives_whole_and_in_order(rig: Rig) -> None:
    client = Client(1)
    rig.attach(client)
    sent = bytes(range(256)) * 400
    for start in range(0, len(sent), 10_000):
        rig.pump.on_input(sent[start : start + 10_000])
    assert client.is_paused
    os.set_blocking(rig.slave, False)
    read = b""
    while len(read) < len(sent):
        try:
            read += os.read(rig.slave, 65536)
        except BlockingIOError:
            await asyncio.sleep(0)
    assert read == sent
    while client.is_paused:
        await client.change()


async def test_leaving_reads_the_link_again(rig: Rig) -> None:
    client = Client(1)
    rig.attach(client)
    rig.pump.on_input(b"x" * 300_000)
    assert client.is_paused
    rig.pump.detach()
    assert not client.is_paused
