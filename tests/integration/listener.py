"""A listener made in one call, as the tests of links and clients want it."""

from __future__ import annotations

import ssl
from typing import Any

from tsproto.messages import Role
from tsproto.transport import LinkOwner, Listener, LocalIdentity, bind


async def listen(
    host: str,
    port: int,
    owner: LinkOwner,
    *,
    role: Role,
    name: str,
    farm: str,
    tls: ssl.SSLContext | None,
    plain_anywhere: bool = False,
    **bounds: Any,
) -> Listener:
    local = LocalIdentity(
        role=role, name=name, farm=farm, listen_tls=tls, plain_anywhere=plain_anywhere
    )
    return Listener(bind(host, port, local), owner, local, **bounds)
