"""Starts a license server: `python -m daemons.license_server --config FILE`."""

from __future__ import annotations

import sys
from pathlib import Path

from daemons import startup
from daemons.config import ConfigError
from daemons.license_server.core import LicenseServerCore
from daemons.license_server.records import RECORDS
from daemons.refusal import Refusal
from daemons.settings import LicenseServerSettings
from daemons.shell import Shell
from tsproto.messages import Role


def main(config: Path) -> int:
    """Run until a signal or a failure; gives the exit status, see `startup.run`."""
    return startup.run(config, LicenseServerSettings, Role.LICENSE_SERVER, RECORDS, serve)


async def serve(start: startup.Start[LicenseServerSettings]) -> int:
    try:
        core = LicenseServerCore(
            start.settings,
            name=start.credentials.name,
            port=start.port,
            key=start.credentials.key,
            certificate=start.credentials.certificate,
            records=start.take_records(),
            rng=start.rng,
            instance=start.rng.randbytes(16),
        )
    except Refusal as error:
        raise ConfigError(f"key_packs: {error}") from None
    shell = Shell(
        core,
        start,
        discovery=start.settings.discovery,
        renew=lambda new: core.renew(new.key, new.certificate),
    )
    return await shell.run()


if __name__ == "__main__":
    sys.exit(main(startup.config_argument("license-server")))
