"""What a lab's program is started with by the suite: a configuration for each cast, in which the
daemons that it dials are the suite's, or the lab's right ones."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from daemons.lab.toml import toml
from daemons.settings import (
    Application,
    DaemonSettings,
    Discovery,
    IdentityFiles,
    KeyPack,
    LicenseServerSettings,
    Listen,
    ServerAddress,
    SessionDirectorySettings,
    Sessions,
    TerminalServerSettings,
)
from tests.conformance.ears import Ear
from tests.conformance.in_process_kinds import BROKEN, SCOPES, SERVED, STARTED, TOKENS
from tests.conformance.over_sockets import Address, Settings
from tests.conformance.stage import Cast
from tsproto import limits
from tsproto.messages import Role

# A terminal server of these is licensed by the lab's, and joins no directory.
DIALS_RIGHT_ONES = (Cast.OUTSIDE_A_LAB, Cast.BUSY, Cast.ONE_SESSION)


class Configuration:
    """`own` is the target, which lives in the folder `own.lab`; `right` are the lab's daemons."""

    def __init__(
        self, own: Settings, cast: Cast, ears: Sequence[Ear], right: Mapping[Role, Address]
    ) -> None:
        assert own.lab is not None and own.trust is not None and own.discovery is not None
        self._own = own
        self._folder = own.lab
        self._trust = own.trust
        self._queries = own.discovery
        self._cast = cast
        self._ears = ears
        self._right = right

    def as_toml(self) -> str:
        keys: dict[str, Any] = msgspec.to_builtins(self.settings())
        return toml({key: value for key, value in keys.items() if value is not None})

    def settings(self) -> DaemonSettings:
        match self._own.role:
            case Role.LICENSE_SERVER:
                return self._license_server()
            case Role.SESSION_DIRECTORY:
                return SessionDirectorySettings(**self._daemon(), serves=self._serves())
        return self._terminal_server()

    def _license_server(self) -> LicenseServerSettings:
        return LicenseServerSettings(
            **self._daemon(),
            discovery=self._discovery(),
            key_packs=(KeyPack(key_pack="bought", tokens=TOKENS),),
            serves=self._serves(),
        )

    def _terminal_server(self) -> TerminalServerSettings:
        directories = self._listed(Role.SESSION_DIRECTORY)
        has_grace = self._cast is Cast.GRACE
        applications = dict.fromkeys(STARTED, Application(command=("sleep", "3600")))
        applications[BROKEN] = Application(command=(str(self._folder / BROKEN),))
        return TerminalServerSettings(
            **self._daemon(),
            accounts=str(self._folder / "accounts"),
            discovery=self._discovery(),
            directory=directories[0] if directories else None,
            product_version=2 if self._cast is Cast.SECOND_VERSION else 1,
            grace_days=limits.GRACE_DAYS if has_grace else 0,
            sessions=Sessions(
                shell=("/usr/bin/env", "sh"),  # no login shell, which may take its time
                allow_root=os.geteuid() == 0,
                applications=applications,
                sessions_max=1 if self._cast is Cast.ONE_SESSION else 1_000,
            ),
        )

    def _daemon(self) -> dict[str, Any]:
        """The keys that all daemons have."""
        own = self._own
        files = self._trust.files(own.role, own.name)
        in_lab = self._cast is not Cast.OUTSIDE_A_LAB
        return {
            "farm": self._trust.farm,
            "state": "state",
            "clock_file": str(self._folder / "clock") if in_lab else "",
            "listen": Listen(host=own.address.host, port=own.address.port, tls=own.tls),
            "identity": IdentityFiles(
                certificate=str(files.certificate),
                key=str(files.key),
                authority=str(self._trust.authority_file),
            ),
        }

    def _discovery(self) -> Discovery:
        searched = SCOPES if self._cast is Cast.SEARCHED else Discovery()
        listed = () if self._cast is Cast.SEARCHED else self._license_servers()
        where = self._queries
        return replace(searched, broadcast=where.host, port=where.port, servers=listed)

    def _license_servers(self) -> tuple[ServerAddress, ...]:
        if self._own.role is Role.TERMINAL_SERVER and self._cast in DIALS_RIGHT_ONES:
            right = self._right[Role.LICENSE_SERVER]
            return (ServerAddress(host=right.host, port=right.port),)
        return self._listed(Role.LICENSE_SERVER)

    def _listed(self, role: Role) -> tuple[ServerAddress, ...]:
        """Where the suite plays this role."""
        return tuple(
            ServerAddress(host=ear.address.host, port=ear.address.port, name=ear.name)
            for ear in self._ears
            if ear.role is role
        )

    def _serves(self) -> tuple[str, ...]:
        return (SERVED,) if self._cast is Cast.CHOOSY else ()
