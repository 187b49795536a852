"""Checks before a run that this machine can hold its connections: file descriptors, and ports of
the source addresses."""

from __future__ import annotations

import ipaddress
import math
import resource
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from clients.load.report import figures
from clients.load.scenario import Scenario
from clients.load.target import BadInput
from clients.logon.steps import Host
from tsproto import limits
from tsproto.errors import TsfarmError

# Of a worker, besides its connections: pipes, event loop, libraries, an administrator's links.
RESERVED_DESCRIPTORS = 64
# A redirected user has two connections for a moment; about one user in ten at a time.
REDIRECTED_SHARE = 0.1
PORT_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
PORT_RANGE_DEFAULT = (32_768, 60_999)
PORTS_SHARE = 0.9  # other programs and connections in TIME_WAIT hold the rest
# Source addresses on loopback; a lab's daemons have addresses below 127.0.250.
LOOPBACK_FIRST = ipaddress.IPv4Address("127.0.250.1")
LOOPBACK_LAST = ipaddress.IPv4Address("127.0.255.254")


class CapacityExceeded(TsfarmError):
    """This machine cannot hold the run; the text says what the run needs."""


class Machine(msgspec.Struct, frozen=True):
    """What this machine allows: descriptors for one process, local ports for one source address."""

    descriptors: int
    ports: int


def this_machine() -> Machine:
    """Also raises the soft limit of descriptors to the hard one; workers inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        first, last = (int(word) for word in PORT_RANGE.read_text().split())
    except (OSError, ValueError):
        first, last = PORT_RANGE_DEFAULT
    return Machine(hard, last - first + 1)


def connections(scenario: Scenario, people: int, links: int, workers: int) -> int:
    """The largest number of connections that all workers have open at one time."""
    if scenario.drives != "users":
        return links * workers
    at_once = min(scenario.at_once, people)
    return at_once + math.ceil(at_once * REDIRECTED_SHARE)


def check_descriptors(wanted: int, workers: int, machine: Machine) -> None:
    """Raises CapacityExceeded when a worker may not open that many descriptors."""
    each = math.ceil(wanted / workers) + RESERVED_DESCRIPTORS
    if each <= machine.descriptors:
        return
    for_connections = machine.descriptors - RESERVED_DESCRIPTORS
    more = f"--workers {math.ceil(wanted / for_connections)}, or " if for_connections > 0 else ""
    raise CapacityExceeded(
        f"{wanted:,} connections are {each:,} open files a worker, and a process may open"
        f" {machine.descriptors:,} here: give {more}a higher limit (`ulimit -Hn {each}`, or"
        f" LimitNOFILE={each} of a service)"
    )


def check_sources(given: Sequence[str], targets: Sequence[Host]) -> None:
    """Raises BadInput for an address of another machine, or of another IP version."""
    kinds = {found.version for target in targets if (found := _address(target.address))}
    for source in given:
        address = _address(source)
        if address is None:
            raise BadInput(f"--source {source}: expected an address of this machine, as 192.0.2.7")
        if kinds and address.version not in kinds:
            kind = " or ".join(f"IPv{version}" for version in sorted(kinds))
            raise BadInput(f"--source {source}: the farm's addresses are {kind}: give one of these")
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        try:
            with socket.socket(family) as probe:
                probe.bind((source, 0))
        except OSError as error:
            raise BadInput(
                f"--source {source}: {error.strerror}: give an address of this machine, as"
                " `ip address` lists them, or leave it out"
            ) from None


def sources(
    wanted: int, given: Sequence[str], targets: Sequence[Host], machine: Machine
) -> tuple[str, ...]:
    """The addresses to dial from; with none the system chooses its own.

    The `given` ones; for targets on loopback, by default as many of 127.0.x.y as the run needs.
    Raises CapacityExceeded when they have too few ports.
    """
    if not given and _are_loopback(targets):
        each = min(_usable_ports(machine), limits.CONNECTIONS_PER_ADDRESS_MAX)
        return tuple(_loopback_sources(math.ceil(wanted / each)))
    each = _usable_ports(machine)
    needed = math.ceil(wanted / each)
    have = max(1, len(given))
    if needed > have:
        raise CapacityExceeded(
            f"{wanted:,} connections take {needed} source addresses, of {each:,} ports each, and"
            f" there {'is' if have == 1 else 'are'} {have}: give {needed} addresses of this machine"
            " with --source, or let fewer users be under way"
        )
    return tuple(given)


def warning(wanted: int, chosen: Sequence[str], targets: Sequence[Host]) -> str:
    """A warning when daemons may refuse connections that this machine can hold; empty otherwise."""
    if wanted > len(targets) * limits.CONNECTIONS_MAX:
        return (
            f"{wanted:,} connections to {figures.counted(len(targets), 'daemon')}: each accepts"
            f" {limits.CONNECTIONS_MAX:,}"
        )
    addresses = max(1, len(chosen))
    each = limits.CONNECTIONS_PER_ADDRESS_MAX
    if wanted <= addresses * each * len(targets):
        return ""
    return (
        f"{wanted:,} connections from {figures.counted(addresses, 'address', 'addresses')} to"
        f" {figures.counted(len(targets), 'daemon')}: each accepts {each:,} from one address; give"
        " more of them with --source"
    )


def _usable_ports(machine: Machine) -> int:
    return max(1, int(machine.ports * PORTS_SHARE))


def _are_loopback(targets: Sequence[Host]) -> bool:
    found = [_address(target.address) for target in targets]
    return all(each is not None and each.version == 4 and each.is_loopback for each in found)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """None for a host name."""
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _loopback_sources(count: int) -> Iterator[str]:
    last = int(LOOPBACK_LAST) - int(LOOPBACK_FIRST) + 1
    for number in range(min(count, last)):
        yield str(LOOPBACK_FIRST + number)
