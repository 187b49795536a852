from __future__ import annotations

import click
import pytest

from clients.logon.steps import Host
from clients.options import Duration, Hosts


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("ts1", [Host("ts1", 5600)]),
        ("ts1:7000,127.0.1.102", [Host("ts1", 7000), Host("127.0.1.102", 5600)]),
        ("[::1]:7000, [::1]", [Host("::1", 7000), Host("::1", 5600)]),
    ],
)
def test_hosts_are_read(text: str, hosts: list[Host]) -> None:
    assert Hosts(5600).convert(text, None, None) == tuple(hosts)


@pytest.mark.parametrize("text", ["", "ts1,", "ts1:0", "ts1:65536", "ts1:x", "::1", "a b", "a/b"])
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not HOST or HOST:PORT"):
        Hosts(5600).convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30", 30), ("30s", 30), ("15m", 900), ("12h", 43_200), ("60d", 5_184_000), ("1.5d", 129_600)],
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert Duration().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "d", "-1d", "1w", "1 d", "1e9d", "99999999d"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is no duration"):
        Duration().convert(text, None, None)
