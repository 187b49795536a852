"""The memory of the session directory.

Durable are the secret of its receipts, and changed passwords. Each terminal server keeps its own
sessions, and sends all of them again whenever its link comes up.
"""

from __future__ import annotations

import msgspec

from daemons.effects import Peer, Record
from daemons.statements import PasswordRecord
from tsproto import limits
from tsproto.messages import ServerState, SessionRow


class DirectoryRecord(Record, table="directory", key=("name",)):
    """One row. `secret` is 32 random bytes, see `receipts`."""

    name: str
    secret: bytes


RECORDS: tuple[type[Record], ...] = (DirectoryRecord, PasswordRecord)

# The answer to QueryServers is one message.
SERVERS_MAX = limits.PAGE_ROWS
# Bounds the memory for one terminal server's rows; none may have more (daemons.settings).
SESSIONS_OF_SERVER_MAX = 100_000
# A thousand logons a second that never become sessions, for RESERVATION_SECONDS.
RESERVATIONS_MAX = 65_536

JOIN_RETRY_SECONDS = 1  # a terminal server synchronises within a second or so
FULL_RETRY_SECONDS = 30  # half of RESERVATION_SECONDS: half a table is free


class Server(msgspec.Struct, kw_only=True):
    """A terminal server that joined over the connection to `peer`.

    While it is SYNCHRONIZING, its list grows in `incoming`; None stands for a session that ended
    before the list was complete. `updated` holds the session ids that were reported since it
    joined.
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
    updated: set[int] = set()


class Reservation(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A session that `server` was told to start under the number `placement`."""

    user_name: str
    application: str
    server: str
    placement: int
    expires_at: float
