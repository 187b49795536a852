"""Checks before users come that the farm's hosts answer and have the right identity."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

from clients.ask import asking_through
from clients.logon.steps import Host
from clients.trust import FarmDialler
from tsproto.errors import TsfarmError


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
    try:
        async with asking_through(partial(dialler.dial, host), host):
            return ""
    except TsfarmError as error:
        return str(error)
