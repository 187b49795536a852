"""The networks that queries may come from."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

import pytest

from daemons.networks import READ_AGAIN_SECONDS, OwnNetworks, on_link

HEAD = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT  \n"
# As a little-endian kernel prints them: 192.0.2.0/24, and 10.0.0.0/8.
LAB = "eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0  \n"
OFFICE = "eth1\t0000000A\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0  \n"
BY_GATEWAY = "eth0\t006433C6\t010200C0\t0003\t0\t0\t0\t00FFFFFF\t0\t0\t0  \n"
DEFAULT = "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0  \n"
TUNNEL = "wg0\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0  \n"
DOWN = "eth2\t0000A8C0\t00000000\t0000\t0\t0\t0\t0000FFFF\t0\t0\t0  \n"


@pytest.fixture(autouse=True)
def little_endian(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.byteorder", "little")


def test_networks_are_those_that_no_gateway_leads_to() -> None:
    table = HEAD + DEFAULT + LAB + BY_GATEWAY + TUNNEL + DOWN + OFFICE
    assert on_link(table) == [IPv4Network("192.0.2.0/24"), IPv4Network("10.0.0.0/8")]


def test_a_machine_without_a_network_has_none() -> None:
    assert on_link(HEAD) == []


@pytest.mark.parametrize(
    ("address", "within", "outside"),
    [
        ("192.0.2.11", ["192.0.2.1", "192.0.2.255"], ["192.0.3.0", "10.1.2.3", "127.0.0.1"]),
        ("127.0.7.1", ["127.0.0.1", "127.255.255.254"], ["192.0.2.1", "10.1.2.3"]),
        ("0.0.0.0", ["192.0.2.1", "10.1.2.3", "127.0.0.1"], ["198.51.100.1", "8.8.8.8"]),
        ("203.0.113.9", ["192.0.2.1", "10.1.2.3", "127.0.0.1"], ["203.0.113.8"]),
    ],
)
def test_of_several_networks_those_of_the_own_address_count(
    address: str, within: list[str], outside: list[str], tmp_path: Path
) -> None:
    routes = tmp_path / "route"
    routes.write_text(HEAD + DEFAULT + LAB + OFFICE)
    networks = OwnNetworks(address, lambda: 0.0, routes)
    assert [host for host in within + outside if networks.hold(host)] == within


def test_a_network_that_comes_up_is_found_after_a_minute(tmp_path: Path) -> None:
    routes = tmp_path / "route"
    routes.write_text(HEAD)
    ticks = [5.0]
    networks = OwnNetworks("0.0.0.0", lambda: ticks[0], routes)
    routes.write_text(HEAD + LAB)
    ticks[0] += READ_AGAIN_SECONDS - 1
    assert not networks.hold("192.0.2.1")
    ticks[0] += 1
    assert networks.hold("192.0.2.1")


def test_a_table_that_cannot_be_read_any_more_changes_nothing(tmp_path: Path) -> None:
    routes = tmp_path / "route"
    routes.write_text(HEAD + LAB)
    ticks = [0.0]
    networks = OwnNetworks("0.0.0.0", lambda: ticks[0], routes)
    routes.unlink()
    ticks[0] += READ_AGAIN_SECONDS
    assert networks.hold("192.0.2.1")


def test_a_table_that_can_never_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        OwnNetworks("0.0.0.0", lambda: 0.0, tmp_path / "route")
