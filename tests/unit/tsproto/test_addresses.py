from __future__ import annotations

import pytest

from tsproto.addresses import is_loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "127.255.0.9", "::1", "localhost"])
def test_these_reach_this_machine_alone(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["192.0.2.1", "0.0.0.0", "::", "ts1", "localhost.example", ""])
def test_these_may_reach_others(host: str) -> None:
    assert not is_loopback(host)
