"""`tsfarm query …`: an administrator's questions to the daemons of a farm."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import click
import msgspec

from clients.administrator import Administrator, Daemon
from clients.ask import AskFailed
from clients.examples import example
from clients.exit_codes import exit_code_of
from clients.known_lab import KnownLab, lab_in
from clients.logon.steps import Host
from clients.options import hosts_at, printed_json, text_of
from clients.say import complain
from clients.tables import Row, plain_row, print_rows
from tsproto import deny_list, identity, limits
from tsproto.errors import TsfarmError
from tsproto.messages import LicenseServerRow, LicenseServers, Role

PORTS = {
    Role.TERMINAL_SERVER: limits.TERMINAL_PORT,
    Role.LICENSE_SERVER: limits.LICENSE_PORT,
    Role.SESSION_DIRECTORY: limits.DIRECTORY_PORT,
}
# Their headings follow from the names (`clients.tables`).
SESSION_COLUMNS = (
    "user_name host session_id state application device_name created_at disconnected_at"
)
USER_COLUMNS = "user_name sessions active hosts since_at"
SERVER_COLUMNS = "name address port state weight sessions pending joined_at"
LICENSE_COLUMNS = "server kind product device_name user_name issued_at expires_at validated lender"
POOL_COLUMNS = "server product product_version total available issued lent temporary"
DENY_LIST_COLUMNS = "server certificates certificates_signed_at devices devices_signed_at lags"
LICENSE_SERVER_COLUMNS = "of name address port found chosen verified_at grace_ends_at"

RowsOf = Callable[[Administrator, Daemon], Awaitable[list[Row]]]


class Target(msgspec.Struct, frozen=True):
    """The daemons that a query asks, a lab's or the command line's, and the certificate to show."""

    identity: tuple[Path, Path] | None
    authority: Path | None
    lab: KnownLab | None
    hosts: tuple[Host, ...]

    def identity_files(self) -> tuple[Path, Path]:
        """The administrator's certificate and key. Raises UsageError without one."""
        if self.lab is not None:
            return self.lab.folder / "pki" / "admin.crt", self.lab.folder / "pki" / "admin.key"
        if self.identity is None:
            raise click.UsageError("give --identity CERT KEY with --ca FILE, or --lab DIR")
        return self.identity

    def administrator(self) -> Administrator:
        """Raises TsfarmError when the certificate's files are missing or unusable."""
        if self.lab is not None:
            return self.lab.administrator()
        if self.identity is None or self.authority is None:
            raise click.UsageError("give --identity CERT KEY with --ca FILE, or --lab DIR")
        return Administrator.certified(*self.identity, self.authority)

    def all_daemons(self) -> list[Daemon]:
        """Those of the command line, whatever their role, or all of the lab."""
        if self.hosts:
            return [
                Daemon(None, Host(host.address, host.port or limits.TERMINAL_PORT))
                for host in self.hosts
            ]
        return [] if self.lab is None else list(self.lab.daemons)

    def daemons(self, role: Role) -> list[Daemon]:
        """The daemons of this role to ask. Raises TsfarmError when there are none."""
        if self.hosts:
            return [
                Daemon(role, host if host.port else Host(host.address, PORTS[role]))
                for host in self.hosts
            ]
        if self.lab is None:
            raise click.UsageError("give --server HOST[:PORT], or --lab DIR")
        found = [daemon for daemon in self.lab.daemons if daemon.role is role]
        if not found:
            raise TsfarmError(f"the lab in {self.lab.folder} has no {identity.ROLE_WORDS[role]}")
        return found


def asking(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options that choose the daemons to ask; the command gets them as one `target`."""

    def with_target(
        identity_files: tuple[Path, Path] | None,
        authority: Path | None,
        lab: Path | None,
        servers: tuple[tuple[Host, ...], ...],
        **others: object,
    ) -> None:
        hosts = tuple(host for group in servers for host in group)
        known = None if lab is None else lab_in(lab)
        command(target=Target(identity_files, authority, known, hosts), **others)

    with_target.__doc__ = command.__doc__
    with_target.__name__ = command.__name__
    existing = click.Path(exists=True, dir_okay=False, path_type=Path)
    decorators = (
        printed_json,
        click.option(
            "--server",
            "servers",
            type=hosts_at(0),
            multiple=True,
            metavar="HOST[:PORT]",
            help="Ask this daemon; may be given again.",
        ),
        click.option(
            "--lab",
            type=click.Path(file_okay=False, path_type=Path),
            help="Ask the lab in this folder, with its administrator's certificate.",
        ),
        click.option("--ca", "authority", type=existing, help="The farm's authority, PEM."),
        click.option(
            "--identity",
            "identity_files",
            type=existing,
            nargs=2,
            metavar="CERT KEY",
            help="The administrator's certificate and key, PEM.",
        ),
    )
    wrapped: Callable[..., None] = with_target
    for decorate in decorators:
        wrapped = decorate(wrapped)
    return wrapped


def show(
    target: Target,
    daemons: Sequence[Daemon],
    rows_of: RowsOf,
    columns: str,
    as_json: bool,
    summary: Callable[[list[Row]], list[Row]] = list,
) -> None:
    """Prints the `summary` of the rows of all daemons. A daemon that fails is named on standard
    error and sets the exit status; the others' rows are printed, if there are others."""
    administrator = target.administrator()
    failures: list[AskFailed] = []

    async def ask_all() -> list[Row]:
        rows: list[Row] = []
        for daemon in daemons:
            try:
                rows += await rows_of(administrator, daemon)
            except AskFailed as failed:
                failures.append(failed)
                complain(str(failed))
        return rows

    rows = asyncio.run(ask_all())
    if len(failures) < len(daemons):
        print_rows(summary(rows), columns, as_json)
    if failures:
        raise click.exceptions.Exit(exit_code_of(failures[-1]))


# --- query --------------------------------------------------------------------------------------


@click.group(epilog=example("tsfarm query session --lab .lab"))
def query() -> None:
    """Ask the daemons of a farm what they know."""


@query.command(
    "session",
    epilog=example(
        "tsfarm query session --server directory.example --identity admin.crt admin.key"
        " --ca authority.crt"
    ),
)
@click.option(
    "--user", type=text_of(limits.USER_NAME_CHARACTERS), default="", help="Only of this user."
)
@asking
def query_session(target: Target, user: str, as_json: bool) -> None:
    """Sessions of the farm, as its session directory knows them."""
    daemons = target.daemons(Role.SESSION_DIRECTORY)
    show(target, daemons, _sessions_of(user), SESSION_COLUMNS, as_json)


@query.command("user", epilog=example("tsfarm query user --lab .lab"))
@asking
def query_user(target: Target, as_json: bool) -> None:
    """Users who have sessions, and where."""
    daemons = target.daemons(Role.SESSION_DIRECTORY)
    show(target, daemons, _sessions_of(""), USER_COLUMNS, as_json, by_user)


@query.command("server", epilog=example("tsfarm query server --lab .lab --json"))
@asking
def query_server(target: Target, as_json: bool) -> None:
    """Terminal servers of the farm, as its session directory knows them."""

    async def rows_of(administrator: Administrator, daemon: Daemon) -> list[Row]:
        return [plain_row(row) for row in await administrator.servers(daemon)]

    show(target, target.daemons(Role.SESSION_DIRECTORY), rows_of, SERVER_COLUMNS, as_json)


@query.command("license", epilog=example("tsfarm query license --lab .lab"))
@asking
def query_license(target: Target, as_json: bool) -> None:
    """The issue logs of license servers: who holds which license."""

    async def rows_of(administrator: Administrator, daemon: Daemon) -> list[Row]:
        rows = await administrator.licenses(daemon)
        return [plain_row(row, server=str(daemon.host)) for row in rows]

    show(target, target.daemons(Role.LICENSE_SERVER), rows_of, LICENSE_COLUMNS, as_json)


@query.command("pool", epilog=example("tsfarm query pool --lab .lab"))
@asking
def query_pool(target: Target, as_json: bool) -> None:
    """The pools of license servers: how many tokens there are, and where they went."""

    async def rows_of(administrator: Administrator, daemon: Daemon) -> list[Row]:
        rows = await administrator.pools(daemon)
        return [plain_row(row, server=str(daemon.host)) for row in rows]

    show(target, target.daemons(Role.LICENSE_SERVER), rows_of, POOL_COLUMNS, as_json)


@query.command("license-server", epilog=example("tsfarm query license-server --lab .lab --of ts1"))
@click.option("--of", "names", multiple=True, help="Ask this one only; may be given again.")
@asking
def query_license_server(target: Target, names: tuple[str, ...], as_json: bool) -> None:
    """License servers that terminal servers have found, and which one they use.

    A terminal server that has found none stands in a row of its own.
    """
    daemons = target.daemons(Role.TERMINAL_SERVER)
    asked = [daemon for daemon in daemons if not names or str(daemon.host) in names]
    if not asked:
        raise TsfarmError(f"no terminal server is called {' or '.join(names)}")

    async def rows_of(administrator: Administrator, daemon: Daemon) -> list[Row]:
        return found_by(daemon, await administrator.license_servers(daemon))

    show(target, asked, rows_of, LICENSE_SERVER_COLUMNS, as_json)


@query.command("deny-list", epilog=example("tsfarm query deny-list --lab .lab"))
@asking
def query_deny_list(target: Target, as_json: bool) -> None:
    """How many entries the deny lists of daemons have, of which time, and which daemon lags."""

    async def rows_of(administrator: Administrator, daemon: Daemon) -> list[Row]:
        held = await administrator.deny_lists(daemon)
        row: Row = {"server": str(daemon.host)}
        for kind, signed in (("certificates", held.certificates), ("devices", held.devices)):
            found = deny_list.read(signed) if signed else None
            number = found.number if found else 0
            row |= {
                kind: len(found.entries) if found else 0,
                f"{kind}_number": number,
                f"{kind}_signed_at": number // deny_list.MICROSECONDS,
            }
        return [row]

    daemons = target.all_daemons()
    if not daemons:
        raise click.UsageError("give --server HOST[:PORT], or --lab DIR")
    show(target, daemons, rows_of, DENY_LIST_COLUMNS, as_json, with_laggards)


def with_laggards(rows: list[Row]) -> list[Row]:
    """Marks the daemons that have not the newest list of each kind."""
    numbers = ("certificates_number", "devices_number")
    newest = {name: max(row[name] for row in rows) for name in numbers}
    return [row | {"lags": any(row[name] < newest[name] for name in numbers)} for row in rows]


def found_by(terminal_server: Daemon, known: LicenseServers) -> list[Row]:
    """A row for each license server that a terminal server knows; without any, one row with nothing
    but the terminal server."""
    head = {"of": str(terminal_server.host), "grace_ends_at": known.grace_ends_at}
    nothing = dict.fromkeys(LicenseServerRow.__struct_fields__)
    return [plain_row(row, **head) for row in known.servers] or [{**head, **nothing}]


def _sessions_of(user_name: str) -> RowsOf:
    async def rows_of(administrator: Administrator, daemon: Daemon) -> list[Row]:
        return [plain_row(row) for row in await administrator.sessions(daemon, user_name)]

    return rows_of


def by_user(sessions: Iterable[Row]) -> list[Row]:
    """One row for each user, sorted by name."""
    ordered = sorted(sessions, key=itemgetter("user_name", "created_at"))
    users = groupby(ordered, key=itemgetter("user_name"))
    return [_summed_up(user, list(own)) for user, own in users]


def _summed_up(user_name: str, sessions: list[Row]) -> Row:
    return {
        "user_name": user_name,
        "sessions": len(sessions),
        "active": sum(session["state"] == "active" for session in sessions),
        "hosts": ", ".join(dict.fromkeys(session["host"] for session in sessions)),
        "since_at": sessions[0]["created_at"],
    }
