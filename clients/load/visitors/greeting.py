"""Whether the hosts of a farm answer, and are whom they should be: asked before users come."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

from clients.ask import asking_through
from clients.steps import Host
from clients.trust import FarmDialler
from tsproto.errors import TsfarmError


class NobodyAnswers(TsfarmError):
    """No host of the farm can be logged on to; the text says why."""


async def greet(hosts: Sequence[Host], dialler: FarmDialler) -> list[str]:
    """Open a connection to each, and close it. Gives why some cannot be used; raises NobodyAnswers
    where none can."""
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
    """Why this host cannot be used; empty when it has welcomed us."""
    try:
        async with asking_through(partial(dialler.dial, host), host):
            return ""
    except TsfarmError as error:
        return str(error)
