from __future__ import annotations

import click
import pytest

from clients.logon.steps import Host
from clients.options import duration, hosts_at, text_of


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("ts1", [Host("ts1", 5600)]),
        ("ts1:7000,127.0.1.102", [Host("ts1", 7000), Host("127.0.1.102", 5600)]),
        ("[::1]:7000, [::1]", [Host("::1", 7000), Host("::1", 5600)]),
    ],
)
def test_hosts_are_read(text: str, hosts: list[Host]) -> None:
    assert hosts_at(5600)(text) == tuple(hosts)


@pytest.mark.parametrize("text", ["", "ts1,", "ts1:0", "ts1:65536", "ts1:x", "::1", "a b", "a/b"])
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not HOST or HOST:PORT"):
        hosts_at(5600)(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30", 30), ("30s", 30), ("15m", 900), ("12h", 43_200), ("60d", 5_184_000), ("1.5d", 129_600)],
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "d", "-1d", "1w", "1 d", "1e9d", "99999999d"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is no duration"):
        duration(text)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("aaaa", "longer than 3"),
        ("\udc80", "not text"),
        ("a\n", "control"),
        ("\u202e", "invisible"),
    ],
)
def test_text_for_the_farm_is_bounded_and_printable(text: str, fault: str) -> None:
    assert text_of(3)("abc") == "abc"
    with pytest.raises(click.BadParameter, match=fault):
        text_of(3)(text)
