"""Deliberately wrong targets: they test the suite."""

from __future__ import annotations

from tests.conformance.wrong import (
    accounts,
    clients,
    connections,
    deny_lists,
    directories,
    license_servers,
    terminal_servers,
)
from tests.conformance.wrong.fault import Fault

__all__ = ["FAULTS", "Fault"]

FAULTS: tuple[Fault, ...] = (
    *connections.FAULTS,
    *license_servers.FAULTS,
    *directories.FAULTS,
    *terminal_servers.FAULTS,
    *clients.FAULTS,
    *deny_lists.FAULTS,
    *accounts.FAULTS,
)
