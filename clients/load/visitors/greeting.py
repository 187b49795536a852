"""Checks before users come that the farm's hosts answer and have the right identity."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from clients.steps import Host
from clients.trust import FarmDialler
from tsproto import limits, transport
from tsproto.connection import Closed, Event, Opened
from tsproto.errors import ErrorCode, TsfarmError


class NobodyAnswers(TsfarmError):
    """No host of the farm accepts logons; the text says why."""


async def greet(hosts: Sequence[Host], dialler: FarmDialler) -> list[str]:
    """Open and close a connection to each host. Returns the errors of hosts that cannot be used;
    raises NobodyAnswers when none can."""
    said = await asyncio.gather(*(_greet(host, dialler) for host in hosts))
    faults = [fault for fault in said if fault]
    if len(faults) == len(hosts):
        more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
        raise NobodyAnswers(
            f"no host of the farm can be logged on to ({faults[0]}{more}): see that its terminal"
            " servers run, and that their addresses, --ca and --plain are right"
        )
    return faults


async def _greet(host: Host, dialler: FarmDialler) -> str:
    """The host's error; empty after a welcome."""
    greeting = _Greeting()
    try:
        link = await dialler.dial(host, greeting)
    except TsfarmError as error:
        return str(error)
    try:
        async with asyncio.timeout(limits.OPENING_SECONDS):
            why = await greeting.answer
    except TimeoutError:
        why = "did not welcome us"
    finally:
        link.close(ErrorCode.NORMAL)
    await link.wait_closed()
    return f"{host}: {why}" if why else ""


class _Greeting:
    """Owner of a link that sends nothing. `answer` is empty for a welcome."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def on_events(self, link: transport.Link, events: list[Event]) -> None:
        for event in events:
            if self.answer.done():
                return
            match event:
                case Opened():
                    self.answer.set_result("")
                case Closed():
                    self.answer.set_result(event.detail or event.code.meaning)
                case _:
                    pass  # the host begins its licensing phase

    def on_writable(self, link: transport.Link) -> None:
        """Nothing is sent."""
