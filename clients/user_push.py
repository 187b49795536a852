"""`tsfarm user push`: states accounts to all hosts of a farm, signed by an administrator."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from clients.administrator import Administrator, Daemon
from clients.ask import AskFailed
from clients.examples import example
from clients.exit_codes import exit_code_of
from clients.known_lab import lab_in
from clients.logon.steps import Host
from clients.options import hosts_at
from clients.tables import Row, print_rows
from clients.user import ask, on_accounts
from tsproto import certificates, identity, limits
from tsproto.account import Account
from tsproto.errors import TsfarmError
from tsproto.messages import AccountStatement, Done, Role
from tsproto.statements import account_statement

COLUMNS = "host state detail"

_EXISTING = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(
    "push",
    epilog=example(
        "tsfarm user push --accounts accounts --directory sd1.example --identity me.crt me.key"
        " --ca authority.crt",
        "tsfarm user push user1 --accounts .lab/accounts --lab .lab",
    ),
)
@click.argument("names", nargs=-1, metavar="[NAME...]")
@click.option(
    "--identity",
    "identity_files",
    type=_EXISTING,
    nargs=2,
    metavar="CERT KEY",
    help="The administrator's certificate and key, PEM.",
)
@click.option("--ca", "authority", type=_EXISTING, help="The farm's authority, PEM.")
@click.option(
    "--directory",
    "directories",
    type=hosts_at(limits.DIRECTORY_PORT),
    metavar="HOST[:PORT]",
    help="The session directory, and all terminal servers that it knows.",
)
@click.option(
    "--server",
    "servers",
    type=hosts_at(limits.TERMINAL_PORT),
    multiple=True,
    metavar="HOST[:PORT]",
    help="A terminal server; may be given again.",
)
@click.option("--lab", type=click.Path(file_okay=False, path_type=Path), help="All hosts of a lab.")
@on_accounts
def push(
    names: tuple[str, ...],
    identity_files: tuple[Path, Path] | None,
    authority: Path | None,
    directories: tuple[Host, ...] | None,
    servers: tuple[tuple[Host, ...], ...],
    lab: Path | None,
    accounts: Path,
    farm: str,
    as_json: bool,
) -> None:
    """Tell the accounts of these users, or of all, to the other hosts.

    A host takes what is newer than its own; a password that its user has changed since stays. The
    hosts that still have the old accounts are named, and the exit status is not 0.
    """
    daemons = [Daemon(Role.TERMINAL_SERVER, host) for group in servers for host in group]
    if lab is not None:
        known = lab_in(lab)
        administrator, pki = known.administrator(), known.folder / "pki"
        identity_files = identity_files or (pki / "admin.crt", pki / "admin.key")
        told = (Role.TERMINAL_SERVER, Role.SESSION_DIRECTORY)
        daemons += [daemon for daemon in known.daemons if daemon.role in told]
    elif identity_files is None or authority is None:
        raise click.UsageError("give --identity CERT KEY with --ca FILE, or --lab DIR")
    else:
        administrator = Administrator.certified(*identity_files, authority)
    directory = [Daemon(Role.SESSION_DIRECTORY, host) for host in directories or ()]
    if not daemons and not directory:
        raise click.UsageError("give --directory HOST, --server HOST or --lab DIR")
    statements = signed(ask("export", accounts, farm, names=names), *identity_files)
    rows, failures = asyncio.run(tell(administrator, directory, daemons, statements))
    print_rows(rows, COLUMNS, as_json)
    if failures:
        raise click.exceptions.Exit(exit_code_of(failures[-1]))


def signed(exported: Row, certificate: Path, key: Path) -> list[AccountStatement]:
    """The accounts that `daemons.accounts` has exported, as statements. Raises TsfarmError."""
    try:
        der = certificates.certificate_der(certificate.read_bytes())
        private = identity.load_key(key.read_bytes())
    except OSError as error:
        raise TsfarmError(f"{error.filename}: {error.strerror}") from None
    return [
        account_statement(exported["farm"], msgspec.convert(row, Account), der, private)
        for row in exported["rows"]
    ]


async def tell(
    administrator: Administrator,
    directories: Sequence[Daemon],
    daemons: Sequence[Daemon],
    statements: Sequence[AccountStatement],
) -> tuple[list[Row], list[AskFailed]]:
    """Tells the daemons, the directories, and the terminal servers that these know. Gives a row for
    each, and the failures."""
    failures: list[AskFailed] = []
    to_tell = {str(daemon.host): daemon for daemon in daemons}
    for directory in directories:
        to_tell[str(directory.host)] = directory
        try:
            known = await administrator.servers(directory)
        except AskFailed as failed:
            failures.append(failed)
            continue
        for server in known:
            host = Host(server.address, server.port, server.name)
            to_tell.setdefault(server.name, Daemon(Role.TERMINAL_SERVER, host))

    async def tell_one(name: str, daemon: Daemon) -> Row:
        try:
            async with administrator.asking(daemon) as asking:
                for statement in statements:
                    await asking(msgspec.structs.replace(statement), Done)
        except AskFailed as failed:
            failures.append(failed)
            return {"host": name, "state": "old", "detail": str(failed)}
        return {"host": name, "state": "stored", "detail": ""}

    rows = await asyncio.gather(*(tell_one(*each) for each in to_tell.items()))
    return rows, failures
