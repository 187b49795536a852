"""How many new devices a terminal server may bring."""

from __future__ import annotations

import pytest

from tests.unit.license_server.scenario import START, TEMPORARY, Server, acquire, device, peer
from tsproto import limits
from tsproto.errors import ErrorCode
from tsproto.messages import Role


def test_new_devices_of_one_terminal_server_are_limited_a_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "TEMPORARY_PER_SERVER_PER_MINUTE", 2)
    server = Server("a")
    server.issued(acquire(device(1)))
    server.now += 10
    server.issued(acquire(device(2)))
    refused = server.refused(acquire(device(3)))
    assert (refused.code, refused.retry_after_seconds) == (ErrorCode.TOO_MANY_DEVICES, 50)
    assert server.issued(acquire(device(1))).kind is TEMPORARY
    assert server.issued(acquire(device(4)), peer("ts2", Role.TERMINAL_SERVER)).kind is TEMPORARY
    server.now = START + 59.0
    assert server.refused(acquire(device(3))).retry_after_seconds == 1
    server.now = START + 60.0
    assert server.issued(acquire(device(3))).kind is TEMPORARY
