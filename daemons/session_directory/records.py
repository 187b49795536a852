"""What the session directory remembers, all of it in memory.

Nothing is durable: a terminal server is the one that knows its sessions, and tells all of them
again whenever its link comes up.
"""

from __future__ import annotations

import msgspec

from daemons.effects import Peer, Record
from tsproto import limits
from tsproto.messages import ServerState, SessionRow

RECORDS: tuple[type[Record], ...] = ()

# The answer to QueryServers is one message.
SERVERS_MAX = limits.PAGE_ROWS
# Memory for the rows of one terminal server; none may have more sessions (daemons.settings).
SESSIONS_OF_SERVER_MAX = 100_000
# A thousand logons a second that never become sessions, for RESERVATION_SECONDS.
RESERVATIONS_MAX = 65_536
# Two thousand redirects a second that nobody follows, for TICKET_SECONDS.
TICKETS_MAX = 65_536
# Microseconds since 1970 reach it in 2112. A reported placement above it is no directory's, and no
# directory gives one: numbers that had to follow would soon leave the bounds of the field.
PLACEMENT_MAX = 2**52

JOIN_RETRY_SECONDS = 1  # a terminal server synchronises within a second or so
FULL_RETRY_SECONDS = 30  # half of RESERVATION_SECONDS, all of TICKET_SECONDS: half a table is free


class Server(msgspec.Struct, kw_only=True):
    """A terminal server that joined over the connection to `peer`.

    While it is SYNCHRONIZING, its list grows in `incoming`; None stands for a session that ended
    before the list was complete. `news` are the numbers there that were reported since it joined.
    """

    name: str
    peer: Peer
    address: str
    port: int
    incarnation: bytes
    weight: int
    sessions_max: int
    joined_at: int
    state: ServerState = ServerState.SYNCHRONIZING
    incoming: dict[int, SessionRow | None] = {}
    news: set[int] = set()


class Reservation(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A session that is to come: `host` was told to start it under `placement`."""

    user_name: str
    application: str
    host: str
    placement: int
    expires_at: float


class Ticket(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a redirect promised: this user, from this device, at this host, once."""

    user_name: str
    application: str
    device_id: bytes
    host: str
    session_id: int
    placement: int
    expires_at: float
