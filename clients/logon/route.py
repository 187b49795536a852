"""Chooses the host of the next try, and its time.

A first connection tries every host once, and repeats only hosts that said when to come back. A lost
session is looked for on its own host first: while that host restarts, another could only offer a
new session. Waits double, and are spread at random so that many clients do not come at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from clients.logon.steps import Host
from tsproto import limits
from tsproto.errors import ErrorCode

FIRST_WAIT_SECONDS = 1.0
# A host that was lost longer than the directory keeps its sessions is unlikely to return soon.
STAY_SECONDS = limits.SERVER_LOST_SECONDS + 5.0
# Failures of a link or host after which another host may serve the user.
GONE = frozenset(
    {
        ErrorCode.CERTIFICATE_REVOKED,
        ErrorCode.UNREACHABLE,
        ErrorCode.CONNECTION_LOST,
        ErrorCode.PEER_SILENT,
        ErrorCode.TIMED_OUT,
        ErrorCode.SHUTTING_DOWN,
    }
)


class Randomness(Protocol):
    def random(self) -> float: ...


class Route:
    """The tries of one logon. `reason` is the most informative failure so far: its code and
    detail."""

    def __init__(self, hosts: Sequence[Host], rng: Randomness) -> None:
        self._hosts = tuple(hosts)
        self._rng = rng
        self.begin(0.0, 0.0)

    @property
    def is_reconnecting(self) -> bool:
        return self._session_host is not None

    def begin(self, now: float, seconds: float, session_host: Host | None = None) -> None:
        """A first connection, or the search for a session lost on its host; to be given up
        `seconds` from `now`."""
        self._session_host = session_host
        self._began_at = now
        self._give_up_at = now + seconds
        self._rounds = 0
        self._waiting: list[Host] = []
        self._hint_seconds = 0
        self.reason: tuple[ErrorCode, str] | None = None

    def extend(self, now: float, seconds: float) -> None:
        """The user has typed a password; that time does not count towards giving up."""
        self._give_up_at = max(self._give_up_at, now + seconds)

    def first_of_round(self, now: float) -> Host:
        self._hint_seconds = 0
        own = [] if self._session_host is None else [self._session_host]
        stays = bool(own) and now < self._began_at + STAY_SECONDS
        others = [] if stays else [host for host in self._hosts if host not in own]
        self._waiting = [*own, *others]
        return self._waiting.pop(0)

    def next_of_round(self) -> Host | None:
        return self._waiting.pop(0) if self._waiting else None

    def end_round(self) -> None:
        """Try no other host before the wait: this host has the user's session."""
        self._waiting = []

    def failed(self, code: ErrorCode, detail: str, retry_after_seconds: int) -> None:
        self._hint_seconds = max(self._hint_seconds, retry_after_seconds)
        # What a host said tells more than that another host did not answer.
        if self.reason is None or self.reason[0] in GONE or code not in GONE:
            self.reason = code, detail

    def wait(self, now: float, hint_seconds: int = 0) -> float | None:
        """Seconds until the next try; None when it is time to give up."""
        hint = max(hint_seconds, self._hint_seconds)
        if not hint and not self.is_reconnecting:
            return None
        ceiling = limits.RECONNECT_SECONDS_MAX
        backed_off = min(ceiling, FIRST_WAIT_SECONDS * 2.0 ** min(self._rounds, 16))
        self._rounds += 1
        # Between a half and the whole of the back-off; never before the hint.
        seconds = hint + backed_off * (1.0 + self._rng.random()) / 2.0
        return seconds if now + seconds <= self._give_up_at else None
