"""`tsfarm lab …`: a whole farm on this machine, for learning and for tests.

The commands hand everything to `daemons.lab`, which is loaded only when one of them runs.
"""

from __future__ import annotations

import json
import signal
from functools import partial
from pathlib import Path
from typing import Any

import click

from clients.examples import example
from clients.known_lab import warp
from clients.options import duration, printed_json
from clients.say import show
from tsproto.limits import DAY_SECONDS

FOLDER = Path(".lab")
LOAD_USERS_MAX = 99_999  # their names have five digits


def _lab() -> Any:
    from daemons import lab

    return lab


def _as_its_owner(context: click.Context, parameter: click.Parameter, folder: Path) -> Path:
    _lab().become_owner(folder)
    return folder


folder_of_lab = partial(
    click.option,
    "--dir",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=FOLDER,
    show_default=True,
    help="The lab's folder.",
)
in_folder = folder_of_lab(callback=_as_its_owner)


@click.group(epilog=example("tsfarm lab up", "tsfarm lab warp 60d", "tsfarm lab down"))
def lab() -> None:
    """Run a whole farm on this machine."""


@lab.command("up", epilog=example("tsfarm lab up --dir .lab"))
@click.option("--foreground", is_flag=True, help="Stay in the foreground; Ctrl-C stops the lab.")
@click.option("--plain", is_flag=True, help="Make it without TLS, so that its traffic can be read.")
@click.option(
    "--load-users",
    type=click.IntRange(0, LOAD_USERS_MAX),
    default=0,
    metavar="N",
    help="Make N users for `tsfarm load` as well, load00001 and so on. They share one password, in"
    " users/load, is hashed cheaply (8 KiB, once): for a lab only.",
)
@click.option(
    "--as-root",
    is_flag=True,
    help="Run daemons and sessions as root when root starts the lab; else a user without privilege"
    " runs them: the one who called sudo, tsfarm, or nobody.",
)
@folder_of_lab()
def lab_up(folder: Path, foreground: bool, plain: bool, load_users: int, as_root: bool) -> None:
    """Make the lab unless it is there, and start what does not run."""
    _lab().make_folder(folder, as_root=as_root)
    _lab().become_owner(folder)
    made = _lab().up(folder, _lab().Plan(tls=not plain, load_users=load_users), say=show)
    show(f"\nthe lab is in {folder}; connect with\n  {_lab().connect_hint(folder, made)}")
    if not foreground:
        return
    show("Ctrl-C stops it")
    ending = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, ending)
    signal.sigwait(ending)
    _lab().down(folder)


@lab.command("status", epilog=example("tsfarm lab status --json"))
@printed_json
@in_folder
def lab_status(folder: Path, as_json: bool) -> None:
    """Which daemons run, and where."""
    status = _lab().status(folder)
    if as_json:
        show(json.dumps(status, indent=2))
        return
    days = status["clock_offset_seconds"] / DAY_SECONDS
    show(f"farm {status['farm']} in {status['folder']}, clock {days:g} days ahead")
    for daemon in status["daemons"]:
        pid = daemon["pid"] or "-"
        show(f"{daemon['name']:<12} {daemon['role']:<18} {daemon['address']:<22} {pid}")


@lab.command("start", epilog=example("tsfarm lab start ts1"))
@click.argument("name")
@in_folder
def lab_start(folder: Path, name: str) -> None:
    """Start one daemon."""
    show(f"{name} runs, process {_lab().start(folder, name)}")


@lab.command("stop", epilog=example("tsfarm lab stop ts1"))
@click.argument("name")
@in_folder
def lab_stop(folder: Path, name: str) -> None:
    """Stop one daemon in good order; its sessions go on."""
    _lab().stop(folder, name)


@lab.command("kill", epilog=example("tsfarm lab kill ts1"))
@click.argument("name")
@in_folder
def lab_kill(folder: Path, name: str) -> None:
    """End one daemon as a crash would; its sessions go on."""
    _lab().kill(folder, name)


@lab.command("down", epilog=example("tsfarm lab down"))
@in_folder
def lab_down(folder: Path) -> None:
    """Stop every daemon, and end all sessions."""
    _lab().down(folder)


@lab.command("warp", epilog=example("tsfarm lab warp 60d"))
@click.argument("duration", type=duration)
@in_folder
def lab_warp(folder: Path, duration: float) -> None:
    """Move the clock of the lab's daemons forward, by 60d, 12h or 30s."""
    show(f"the lab's clock is {warp(folder, duration) / DAY_SECONDS:g} days ahead")
