"""Configurations, one for each set-up, with which the suite starts a lab's program.

The daemons that the program dials are played by the suite, or are the right ones of the lab.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from clients.conformance.listeners import Listener
from clients.conformance.over_sockets import Address, Settings
from clients.conformance.target import Setup
from clients.conformance.user import User, own_ssh_keys
from tsproto import limits
from tsproto.messages import Role

# Users with accounts at the targets that the suite starts.
USERS = (
    User("user1", b"secret1", own_ssh_keys()),
    User("user2", b"secret2", salt=b"of the other one"),
    User("user3", b"secret3", applications=("app1",)),
)
TOKENS = 2
SERVED = "served"
BROKEN = "broken"
STARTED = tuple(f"app{number}" for number in range(40))
SCOPES = {"workgroup": "Conformance", "domain": "conformance.example", "site": "bench"}

# With these a terminal server uses the lab's license server, and joins no directory.
DIALS_RIGHT_ONES = (Setup.OUTSIDE_A_LAB, Setup.BUSY, Setup.ONE_SESSION)


class Configuration(msgspec.Struct, frozen=True):
    """`own` is the target, whose folder is `own.lab`; `right` are the lab's daemons."""

    own: Settings
    setup: Setup
    listeners: Sequence[Listener]
    right: Mapping[Role, Address]

    def keys(self) -> dict[str, Any]:
        """The target's configuration file, as tables and values of TOML."""
        match self.own.role:
            case Role.LICENSE_SERVER:
                packs = [{"key_pack": "bought", "tokens": TOKENS}]
                return {
                    **self._daemon(),
                    "serves": self._serves(),
                    "key_packs": packs,
                    "discovery": self._discovery(),
                }
            case Role.SESSION_DIRECTORY:
                accounts = str(self._folder / "accounts")
                return {**self._daemon(), "serves": self._serves(), "accounts": accounts}
        return self._terminal_server()

    def _terminal_server(self) -> dict[str, Any]:
        applications = {name: {"command": ["sleep", "3600"]} for name in STARTED}
        applications[BROKEN] = {"command": [str(self._folder / BROKEN)]}
        keys: dict[str, Any] = {
            **self._daemon(),
            "accounts": str(self._folder / "accounts"),
            "product_version": 2 if self.setup is Setup.SECOND_VERSION else 1,
            "grace_days": limits.GRACE_DAYS if self.setup is Setup.GRACE else 0,
            "discovery": self._discovery(),
            "sessions": {
                "shell": ["/usr/bin/env", "sh"],  # no login shell: it may start slowly
                "allow_root": os.geteuid() == 0,
                "sessions_max": 1 if self.setup is Setup.ONE_SESSION else 1_000,
                "applications": applications,
            },
        }
        for directory in self._played(Role.SESSION_DIRECTORY):
            keys["directory"] = directory
        return keys

    @property
    def _folder(self) -> Path:
        assert self.own.lab is not None
        return self.own.lab

    def _daemon(self) -> dict[str, Any]:
        """The keys that every daemon has."""
        own, trust = self.own, self.own.trust
        assert trust is not None
        files = trust.files(own.role, own.name)
        has_lab_clock = self.setup is not Setup.OUTSIDE_A_LAB
        return {
            "farm": trust.farm,
            "state": "state",
            "clock_file": str(self._folder / "clock") if has_lab_clock else "",
            "listen": {"host": own.address.host, "port": own.address.port, "tls": own.tls},
            "identity": {
                "certificate": str(files.certificate),
                "key": str(files.key),
                "authority": str(trust.authority_file),
            },
        }

    def _discovery(self) -> dict[str, Any]:
        queries = self.own.discovery
        assert queries is not None
        is_searched = self.setup is Setup.SEARCHED
        return {
            **(SCOPES if is_searched else {}),
            "broadcast": queries.host,
            "port": queries.port,
            "servers": [] if is_searched else self._license_servers(),
        }

    def _license_servers(self) -> list[dict[str, Any]]:
        if self.own.role is Role.TERMINAL_SERVER and self.setup in DIALS_RIGHT_ONES:
            right = self.right[Role.LICENSE_SERVER]
            return [{"host": right.host, "port": right.port}]
        return self._played(Role.LICENSE_SERVER)

    def _played(self, role: Role) -> list[dict[str, Any]]:
        """The address at which the suite plays this role."""
        return [
            {"host": listener.address.host, "port": listener.address.port, "name": listener.name}
            for listener in self.listeners
            if listener.role is role
        ]

    def _serves(self) -> list[str]:
        return [SERVED] if self.setup is Setup.CHOOSY else []
