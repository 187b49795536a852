from __future__ import annotations

import asyncio
import multiprocessing
import os
from pathlib import Path

from clients.load.processes.assignment import (
    Assignment,
    Credentials,
    Ended,
    Farm,
    Person,
    Ready,
    Report,
    Violated,
)
from clients.load.processes.channel import receive
from clients.load.scenario import Closed, Scenario
from clients.logon.steps import Host

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


async def test_messages_come_as_they_were_sent_and_then_the_end() -> None:
    ours, theirs = multiprocessing.Pipe()
    reports: list[Report] = [Ready(), Violated("rule", "detail"), Ended()]
    with ours, theirs:
        for sent in (ASSIGNMENT, *reports):
            ours.send(sent)
        ours.close()
        assert await receive(theirs) == ASSIGNMENT
        assert [await receive(theirs) for _ in reports] == reports
        assert await receive(theirs) is None


async def test_a_message_of_a_process_that_died_in_it_is_the_end() -> None:
    ours, theirs = multiprocessing.Pipe()
    with ours, theirs:
        os.write(ours.fileno(), (64).to_bytes(4, "big") + bytes(10))
        ours.close()
        assert await receive(theirs) is None


async def test_the_loop_goes_on_while_nothing_comes() -> None:
    ours, theirs = multiprocessing.Pipe()
    with ours, theirs:
        waiting = asyncio.create_task(receive(theirs))
        asyncio.get_running_loop().call_soon(ours.send, "now")
        assert await waiting == "now"
