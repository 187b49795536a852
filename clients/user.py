"""`tsfarm user …`: keeps the password file of a terminal server, through `daemons.accounts`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click

from clients.examples import example


@click.group(epilog=example("tsfarm user add user1 --accounts accounts"))
def user() -> None:
    """Keep the password file of a terminal server."""


@user.command(
    "add",
    epilog=example(
        "tsfarm user add user1 --accounts /etc/tsfarm/accounts --system-user alice",
        "echo secret | tsfarm user add user1 --accounts accounts",
    ),
)
@click.argument("name")
@click.option(
    "--accounts", type=click.Path(path_type=Path), required=True, help="The password file."
)
@click.option(
    "--system-user",
    default="",
    help="The system user that runs the sessions, on a server run by root.",
)
@click.option("--replace", is_flag=True, help="Give a new password to a user who exists.")
def user_add(name: str, accounts: Path, system_user: str, replace: bool) -> None:
    """Add a user; the password is asked for, or read from standard input."""
    if sys.stdin.isatty():
        typed = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        password = str(typed).encode(errors="replace")
    else:
        password = sys.stdin.buffer.readline().rstrip(b"\r\n")
    command = [sys.executable, "-m", "daemons.accounts", "add", "--accounts", str(accounts)]
    command += ["--system-user", system_user] if system_user else []
    command += ["--replace"] if replace else []
    done = subprocess.run([*command, "--", name], input=password + b"\n")
    raise click.exceptions.Exit(done.returncode)
