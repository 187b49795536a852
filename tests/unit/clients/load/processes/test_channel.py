from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from clients.load.processes import channel
from clients.load.processes.assignment import (
    Assignment,
    Credentials,
    Ended,
    Failed,
    Farm,
    Person,
    Ready,
    Report,
    Start,
    Violated,
)
from clients.load.processes.channel import ChannelBroken, packed, receive, receive_now
from clients.load.scenario import Closed, Scenario
from clients.steps import Host

ASSIGNMENT = Assignment(
    share=1,
    shares=2,
    farm=Farm(
        name="lab",
        license_servers=(Host("127.0.0.1", 5601, "license-a"),),
        authority=Path("/pki/authority.crt"),
        as_terminal_servers=(Credentials(Path("a.crt"), Path("a.key")),),
    ),
    scenario=Scenario(name="one", closed=Closed(users=1, seconds=1.0)),
    people=(Person("user1", b"\xff secret"),),
    devices=Path("devices"),
)


def fed(*parts: bytes) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    for part in parts:
        reader.feed_data(part)
    reader.feed_eof()
    return reader


async def test_reports_come_as_they_were_sent_whatever_the_pieces() -> None:
    reports: list[Report] = [Ready(), Violated("rule", "detail"), Failed("no"), Ended()]
    data = b"".join(packed(report) for report in reports)
    reader = fed(*(data[at : at + 3] for at in range(0, len(data), 3)))
    for report in reports:
        assert await receive(reader, channel.REPORTS) == report
    assert await receive(reader, channel.REPORTS) is None


async def test_half_a_message_is_the_end() -> None:
    assert await receive(fed(packed(Ready())[:-1]), channel.REPORTS) is None


@pytest.mark.parametrize(
    "said", [b"Traceback (most recent call last):\n", b"\0\0\0\1\xc1", b"\0\0\0\2\xa1\xff"]
)
async def test_what_somebody_else_wrote_to_the_pipe_is_no_message(said: bytes) -> None:
    with pytest.raises(ChannelBroken):
        await receive(fed(said + bytes(16)), channel.REPORTS)


def test_an_assignment_arrives_whole_with_its_paths_and_people() -> None:
    reading, writing = os.pipe()
    os.write(writing, packed(ASSIGNMENT) + packed(Start(12.5)))
    os.close(writing)
    assert receive_now(reading, channel.ASSIGNMENTS) == ASSIGNMENT
    assert receive_now(reading, channel.STARTS) == Start(12.5)
    assert receive_now(reading, channel.STARTS) is None
    os.close(reading)


async def test_a_sender_has_written_all_when_it_is_closed() -> None:
    """More than a pipe holds: what is written first waits for its reader."""
    reading, writing = os.pipe()
    sender = await channel.Sender().open(writing)
    violated = Violated("rule", "x" * 300_000)
    sender.send(violated)
    sender.send(Ended())
    closing = asyncio.create_task(sender.close())
    async with channel.reading(reading) as reader:
        assert await receive(reader, channel.REPORTS) == violated
        assert await receive(reader, channel.REPORTS) == Ended()
        await closing
        assert await receive(reader, channel.REPORTS) is None
