"""How many links the descriptors are enough for."""

from __future__ import annotations

import pytest

from daemons.descriptors import RESERVED, connections_max
from tsproto import limits


@pytest.mark.parametrize(
    ("limit", "sessions_max", "links"),
    [
        (1_048_576, 1_000, limits.CONNECTIONS_MAX),
        (4_096, 0, (4_096 - RESERVED) * 4 // 5),
        (8_192, 1_000, (8_192 - RESERVED - 3_000) * 4 // 5),
        (4_096, 100_000, 1_024),
    ],
)
def test_links_get_what_sessions_and_the_daemon_itself_leave(
    limit: int, sessions_max: int, links: int
) -> None:
    assert connections_max(limit, sessions_max) == links
