"""`tsfarm user …`: keeps the accounts file of a farm, through a process of `daemons.accounts`."""

from __future__ import annotations

import json
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from clients.examples import example
from clients.options import printed_json
from clients.say import say
from clients.tables import Row, print_rows

# Their headings follow from the names (`clients.tables`).
COLUMNS = "user_name system_user state password ssh_keys pam applications servers changed_at"
KEY_COLUMNS = "kind fingerprint comment"

_KEY_FILE = click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)

name_argument = click.argument("name")


def on_accounts(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options that choose the file, and the form of what is printed."""
    for decorate in (
        printed_json,
        click.option("--farm", default="", help="The farm's name, for a new file or an old one."),
        click.option(
            "--accounts",
            type=click.Path(path_type=Path),
            required=True,
            help="The accounts file.",
        ),
    ):
        command = decorate(command)
    return command


class _UserGroup(click.Group):
    """Imports `push`, which needs the network, only when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), "push"])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name != "push":
            return super().get_command(ctx, cmd_name)
        from clients.user_push import push

        return push


@click.group(
    cls=_UserGroup,
    epilog=example(
        "tsfarm user add user1 --accounts accounts --farm lab1 --system-user alice",
        "tsfarm user list --accounts accounts",
    ),
)
def user() -> None:
    """Keep the accounts of a farm's users.

    The accounts file is root's on each terminal server. It holds no secret: a password's key is
    public, and the password opens it. `tsfarm user push` tells changes to the other hosts.
    """


@user.command(
    "add",
    epilog=example(
        "tsfarm user add user1 --accounts accounts --farm lab1 --system-user alice",
        "tsfarm user add user1 --accounts accounts --no-password --ssh-key ~/.ssh/id_ed25519.pub",
        "tsfarm user add user1 --accounts accounts --replace --no-password --server ts1",
        "echo secret | tsfarm user add user1 --accounts accounts",
    ),
)
@name_argument
@click.option("--system-user", help="The system user that runs the sessions.")
@click.option(
    "--ssh-key", "key_files", type=_KEY_FILE, multiple=True, help="A .pub file; may be repeated."
)
@click.option("--pam/--no-pam", default=None, help="Let the hosts' PAM prove the user.")
@click.option(
    "--application",
    "applications",
    multiple=True,
    help="Only this one may be run, '' is the shell, '*' all; may be repeated.",
)
@click.option(
    "--server", "servers", multiple=True, help="Only on this host, '*' is all; may be repeated."
)
@click.option("--no-password", is_flag=True, help="Ask for none; one that is there stays.")
@click.option("--replace", is_flag=True, help="Change what is given, of a user who is there.")
@on_accounts
def user_add(
    name: str,
    system_user: str | None,
    key_files: tuple[Path, ...],
    pam: bool | None,
    applications: tuple[str, ...],
    servers: tuple[str, ...],
    no_password: bool,
    replace: bool,
    accounts: Path,
    farm: str,
    as_json: bool,
) -> None:
    """Add a user; the password is asked for, or read from standard input."""
    given = {
        "system_user": system_user,
        "ssh_keys": _key_lines(key_files) or None,
        "pam": pam,
        "applications": applications or None,
        "servers": servers or None,
        "password": None if no_password else _new_password(),
    }
    named = {key: value for key, value in given.items() if value is not None}
    show("add", accounts, farm, as_json, name=name, change_known=replace, **named)


@user.command(
    "passwd",
    epilog=example(
        "tsfarm user passwd user1 --accounts accounts",
        "echo secret | tsfarm user passwd user1 --accounts accounts",
    ),
)
@name_argument
@on_accounts
def user_passwd(name: str, accounts: Path, farm: str, as_json: bool) -> None:
    """Give a user a new password. Users change their own with `tsfarm passwd`."""
    show("passwd", accounts, farm, as_json, name=name, password=_new_password())


@user.command(
    "keys",
    epilog=example(
        "tsfarm user keys user1 --accounts accounts",
        "tsfarm user keys user1 --accounts accounts --add ~/.ssh/id_ed25519.pub",
        "ssh-add -L | tsfarm user keys user1 --accounts accounts --add -",
        "tsfarm user keys user1 --accounts accounts --remove SHA256:EXAMPLE",
    ),
)
@name_argument
@click.option(
    "--add", "added", type=_KEY_FILE, multiple=True, help="A .pub file, - is standard input."
)
@click.option("--remove", "removed", multiple=True, metavar="FINGERPRINT", help="As it is listed.")
@on_accounts
def user_keys(
    name: str,
    added: tuple[Path, ...],
    removed: tuple[str, ...],
    accounts: Path,
    farm: str,
    as_json: bool,
) -> None:
    """List a user's SSH keys, after adding and removing some."""
    lines = _key_lines(added)
    rows = ask("keys", accounts, farm, name=name, added=lines, removed=removed)["rows"]
    print_rows(rows, KEY_COLUMNS, as_json)


@user.command("disable", epilog=example("tsfarm user disable user1 --accounts accounts"))
@name_argument
@on_accounts
def user_disable(name: str, accounts: Path, farm: str, as_json: bool) -> None:
    """Let a user log on no more; sessions go on."""
    show("disable", accounts, farm, as_json, name=name)


@user.command("enable", epilog=example("tsfarm user enable user1 --accounts accounts"))
@name_argument
@on_accounts
def user_enable(name: str, accounts: Path, farm: str, as_json: bool) -> None:
    """Let a disabled user log on again."""
    show("enable", accounts, farm, as_json, name=name)


@user.command("remove", epilog=example("tsfarm user remove user1 --accounts accounts"))
@name_argument
@on_accounts
def user_remove(name: str, accounts: Path, farm: str, as_json: bool) -> None:
    """Remove a user. The name stays in the file, so that `push` can tell the other hosts."""
    show("remove", accounts, farm, as_json, name=name)


@user.command("list", epilog=example("tsfarm user list --accounts accounts --json"))
@on_accounts
def user_list(accounts: Path, farm: str, as_json: bool) -> None:
    """List the users."""
    show("list", accounts, farm, as_json)


def show(command: str, accounts: Path, farm: str, as_json: bool, **fields: Any) -> None:
    rows: list[Row] = ask(command, accounts, farm, **fields)["rows"]
    print_rows([_for_people(row) for row in rows] if not as_json else rows, COLUMNS, as_json)


def ask(command: str, accounts: Path, farm: str, **fields: Any) -> dict[str, Any]:
    """The reply of `daemons.accounts`, whose notes are printed. Its error ends the command."""
    request = {"command": command, "accounts": str(accounts), "farm": farm, **fields}
    done = subprocess.run(
        [sys.executable, "-m", "daemons.accounts"],
        input=json.dumps(request).encode(),
        stdout=subprocess.PIPE,
    )
    if done.returncode:
        raise click.exceptions.Exit(done.returncode)
    reply: dict[str, Any] = json.loads(done.stdout)
    for note in reply["notes"]:
        say(note)
    return reply


def _for_people(row: Row) -> Row:
    lists = ("applications", "servers")
    words = {name: " ".join(each or "(shell)" for each in row[name]) for name in lists}
    return {**row, **words}


def _new_password() -> str:
    """In base64, as JSON carries bytes."""
    if sys.stdin.isatty():
        typed = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        password = str(typed).encode(errors="replace")
    else:
        password = sys.stdin.buffer.readline().rstrip(b"\r\n")
    return b64encode(password).decode()


def _key_lines(files: tuple[Path, ...]) -> list[str]:
    """The keys of .pub files, without comments and empty lines."""
    found: list[str] = []
    for file in files:
        with click.open_file(str(file), encoding="utf-8", errors="replace") as opened:
            lines = [line for line in map(str.strip, opened) if line and line[0] != "#"]
        if not lines:
            raise click.UsageError(f"{file}: there is no SSH key in it")
        found += lines
    return found
