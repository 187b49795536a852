"""`tsfarm license …`: the licenses of this device."""

from __future__ import annotations

import time
from pathlib import Path

import click

from clients.device import default_folder, held_licenses
from clients.examples import example
from clients.licensed_device import License
from clients.options import printed_json
from clients.say import show
from clients.tables import Row, plain_row, print_rows
from tsproto.limits import DAY_SECONDS

COLUMNS = "farm product product_version kind issuer device_name expires_at days_left"


@click.group("license", epilog=example("tsfarm license show"))
def license_group() -> None:
    """Look at the licenses of this device."""


@license_group.command("show", epilog=example("tsfarm license show --store DIR --json"))
@click.option("--store", type=click.Path(path_type=Path), help="The device's folder.")
@printed_json
def license_show(store: Path | None, as_json: bool) -> None:
    """List the licenses of this device and the days left of each."""
    folder = store or default_folder()
    rows = [license_row(held, time.time()) for held in held_licenses(folder)]
    if not rows and not as_json:
        show(f"no license in {folder}")
        return
    print_rows(rows, COLUMNS, as_json)


def license_row(held: License, now: float) -> Row:
    """A license's claims and its `days_left`: whole days, negative after its end."""
    row = plain_row(held.claims)
    return {**row, "days_left": int((held.claims.expires_at - now) // DAY_SECONDS)}
