"""The limits of this process on open files and connections."""

from __future__ import annotations

import resource

from tsproto import limits

# The store, the log, the loop, discovery and dialled links; handshakes, which are no links yet.
RESERVED = 64 + limits.HANDSHAKES_MAX
PER_SESSION = 3  # a PTY's master, the ring of its output, and the mapping of the ring
WAITING_SHARE = 4  # one socket may wait for its handshake for so many links


def raise_limit() -> int:
    """Raise the soft limit, usually 1,024 for the sake of select(), to the hard one; gives it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def connections_max(limit: int, sessions_max: int = 0) -> int:
    """The number of links that may be accepted: at least a quarter of the descriptors, for not all
    `sessions_max` sessions run at the same time."""
    left = limit - RESERVED - PER_SESSION * sessions_max
    links = left * WAITING_SHARE // (WAITING_SHARE + 1)
    return min(limits.CONNECTIONS_MAX, max(links, limit // 4))
