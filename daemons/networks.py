"""The IPv4 networks that this machine is in, from the kernel's table of routes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

LOOPBACK = IPv4Network("127.0.0.0/8")  # stands in no table of routes
READ_AGAIN_SECONDS = 60.0  # a network may come up after the daemon
_UP, _GATEWAY = 1, 2  # RTF_UP and RTF_GATEWAY of <linux/route.h>


class OwnNetworks:
    """The networks of this machine that hold `address`; all of its networks when none does, as for
    0.0.0.0. `ticks` is a clock in seconds. Raises OSError when the table cannot be read."""

    def __init__(
        self, address: str, ticks: Callable[[], float], routes: Path = Path("/proc/net/route")
    ) -> None:
        self._address = IPv4Address(address)
        self._ticks = ticks
        self._routes = routes
        self._read()

    def hold(self, host: str) -> bool:
        if self._ticks() - self._read_at >= READ_AGAIN_SECONDS:
            with suppress(OSError):
                self._read()
        address = IPv4Address(host)
        return any(address in network for network in self._networks)

    def _read(self) -> None:
        self._read_at = self._ticks()
        networks = [LOOPBACK, *on_link(self._routes.read_text(encoding="ascii"))]
        self._networks = [n for n in networks if self._address in n] or networks


def on_link(routes: str) -> list[IPv4Network]:
    """The networks that are reached without a gateway, of the text of /proc/net/route.

    A default route without a gateway, as of a tunnel, leads everywhere and is no network.
    """
    found = []
    for line in routes.splitlines()[1:]:
        _, destination, _, flags, _, _, _, mask, *_ = line.split()
        is_on_link = int(flags, 16) & (_UP | _GATEWAY) == _UP
        if is_on_link and int(mask, 16):
            found.append(IPv4Network((_address(destination), str(_address(mask)))))
    return found


def _address(digits: str) -> IPv4Address:
    """The kernel prints the four bytes of an address as one number, in the machine's order."""
    return IPv4Address(int(digits, 16).to_bytes(4, sys.byteorder))
