"""The command `tsfarm load`: options, files, exit status.

Errors in the command line, in a file that it names, or in this machine's capacity are one line
before the run starts.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from clients.examples import example
from clients.exit_codes import ExitCode
from clients.load import target
from clients.load.pacing.arrivals import length
from clients.load.preparing import LINKS, SEED_MAX, STDOUT, Options, prepare
from clients.load.report import writing
from clients.load.report.writing import NotWritten
from clients.load.run import Outcome, perform
from clients.load.scenario import IN_FLIGHT_MAX, RATE_MAX, reading
from clients.options import duration, hosts_at
from clients.say import complain
from clients.tables import Row, print_rows
from tsproto import limits
from tsproto.errors import TsfarmError

LINKS_MAX = 65_536  # four times what a daemon accepts
WORKERS_MAX = 256

_EXISTING = click.Path(exists=True, dir_okay=False, path_type=Path)
_WRITTEN = click.Path(path_type=Path)
_FOLDER = click.Path(file_okay=False, path_type=Path)


def _hosts(
    option: str, name: str, port: int, text: str, several: str = "[,…]"
) -> Callable[[click.decorators.FC], click.decorators.FC]:
    return click.option(
        option, name, type=hosts_at(port), metavar=f"HOST[:PORT]{several}", help=text
    )


@click.command(
    "load",
    epilog=example(
        "tsfarm lab up --load-users 200",
        "tsfarm load storm --lab .lab --html storm.html",
        "tsfarm load steady --lab .lab --users 50 --duration 5m --threshold 'p99(logon) < 1s'",
        "tsfarm load license-only --lab .lab --rate 2000 --links 32 --workers 2",
        "tsfarm load roam.toml --hosts ts1.example,ts2.example --ca authority.crt"
        " --users-file users",
        "tsfarm load lunch.py --lab .lab --json -",
        "tsfarm load --list",
        "tsfarm load storm --show > mine.toml",
    ),
)
@click.argument("scenario", required=False)
@click.option("--list", "list_only", is_flag=True, help="List the built-in scenarios.")
@click.option("--show", is_flag=True, help="Print a built-in scenario, as a start for your own.")
@click.option("--lab", type=_FOLDER, help="The lab to load; replaces the options below.")
@_hosts("--hosts", "terminal_servers", limits.TERMINAL_PORT, "The farm's terminal servers.")
@_hosts("--license-server", "license_servers", limits.LICENSE_PORT, "Its license servers.")
@_hosts("--directory", "directory", limits.DIRECTORY_PORT, "Its session directory.", several="")
@click.option("--ca", "authority", type=_EXISTING, help="The farm's authority, PEM.")
@click.option(
    "--identity",
    "identities",
    type=_EXISTING,
    nargs=2,
    multiple=True,
    metavar="CERT KEY",
    help="Act as this terminal server (license-only, directory-only); may be given again.",
)
@click.option(
    "--admin",
    type=_EXISTING,
    nargs=2,
    metavar="CERT KEY",
    help="Check the farm's rules as this administrator.",
)
@click.option("--plain", is_flag=True, help="TCP without TLS, to loopback addresses.")
@click.option(
    "--users-file",
    type=_EXISTING,
    help="The users to log on: lines `name password`, or `name` of a lab's synthetic user.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, WORKERS_MAX),
    default=1,
    show_default=True,
    metavar="N",
    help="Processes that share the work.",
)
@click.option(
    "--rate",
    type=click.FloatRange(0, RATE_MAX, min_open=True),
    metavar="R",
    help="Highest rate, in journeys a second.",
)
@click.option(
    "--users",
    type=click.IntRange(1, IN_FLIGHT_MAX),
    metavar="N",
    help="Largest number of users at one time.",
)
@click.option("--duration", type=duration, help="Time in which journeys begin: 30s, 5m.")
@click.option(
    "--threshold",
    "thresholds",
    multiple=True,
    metavar="EXPR",
    help="Replaces the scenario's thresholds: `p99(logon) < 200ms`; may be given again.",
)
@click.option(
    "--links",
    type=click.IntRange(1, LINKS_MAX),
    metavar="N",
    help=f"Links of each worker (license-only, directory-only).  [default: {LINKS}]",
)
@click.option("--devices", type=_FOLDER, help="Keep devices in this folder instead of memory.")
@click.option(
    "--source",
    "sources",
    multiple=True,
    metavar="ADDR",
    help="Dial from this address; may be given again.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, SEED_MAX),
    metavar="N",
    help="Repeat the random choices of an earlier run.",
)
@click.option("--json", "json_file", type=_WRITTEN, help="Write JSON for programs; - prints it.")
@click.option("--html", "html_file", type=_WRITTEN, help="Write a page with plots.")
@click.option("--hdr", "hdr_file", type=_WRITTEN, help="Write an HdrHistogram log.")
def load(scenario: str | None, list_only: bool, show: bool, **options: Any) -> None:
    """Load a farm, and measure it.

    The load is users who log on, or bare requests to one kind of server.

    SCENARIO is a built-in scenario's name, a FILE.toml, or a FILE.py[:CLASS]. It sets the arrivals,
    the journeys, and the thresholds; a missed threshold gives exit status 7.
    """
    if list_only:
        list_built_in()
        return
    if scenario is None:
        raise click.UsageError("which SCENARIO? `tsfarm load --list` lists the built-in ones")
    if show:
        with _told_before_the_start():
            click.echo(reading.source(scenario), nl=False)
        return
    given = Options(**options)
    with tempfile.TemporaryDirectory(prefix="tsfarm-load-") as scratch:
        with _told_before_the_start():
            run, notice = prepare(scenario, given, Path(scratch))
            administrator = target.administrator_of(run.farm)
        seconds = length(run.scenario)
        warm_up_seconds = run.scenario.warm_up_seconds
        name = run.scenario.name
        from clients.load.report.progress import progress

        with progress(name, seconds, sys.stderr, warm_up_seconds=warm_up_seconds) as shown:
            if notice:
                shown.line(notice)
            outcome = perform(run, administrator, shown)
    unwritten = write_files(outcome, given)
    print_summary(outcome, given)
    for fault in unwritten:
        complain(fault)
    raise click.exceptions.Exit(ExitCode.FAILED if unwritten else exit_status(outcome))


def list_built_in() -> None:
    rows: list[Row] = [
        {"scenario": each.name, "drives": each.drives, "about": each.about}
        for each in reading.built_in()
    ]
    print_rows(rows, "scenario drives about", as_json=False)


def write_files(outcome: Outcome, given: Options) -> list[str]:
    """Write each file that the options name; returns the errors."""
    faults = []
    for path, content in _contents(outcome, given):
        try:
            writing.write(path, content)
        except NotWritten as fault:
            faults.append(str(fault))
    return faults


def _contents(outcome: Outcome, given: Options) -> Iterator[tuple[Path, bytes]]:
    result = outcome.result
    if given.json_file is not None and given.json_file != STDOUT:
        yield given.json_file, writing.json_of(result)
    if given.html_file is not None:
        # It warns where it cannot keep its cache of fonts: of no interest to this command's user.
        logging.getLogger("matplotlib").setLevel(logging.ERROR)
        from clients.load.report.page import page

        yield given.html_file, page(result).encode()
    if given.hdr_file is not None:
        yield given.hdr_file, writing.hdr_of(outcome.totals, result.started_at).encode()


def print_summary(outcome: Outcome, given: Options) -> None:
    """On standard output; on standard error where JSON is printed on standard output."""
    from clients.load.report.progress import coloured
    from clients.load.report.summary import summary

    result = outcome.result
    json_printed = given.json_file == STDOUT
    stream = sys.stderr if json_printed else sys.stdout
    click.echo(summary(result, coloured(stream)), file=stream)
    if json_printed:
        click.echo(writing.json_of(result), nl=False)
    if outcome.failure is not None:
        complain(str(outcome.failure))


def exit_status(outcome: Outcome) -> int:
    if outcome.failure is not None:
        return ExitCode.FAILED
    if outcome.stopped_by:
        return 128 + outcome.stopped_by
    return ExitCode.OK if outcome.result.passed else ExitCode.THRESHOLD


@contextlib.contextmanager
def _told_before_the_start() -> Iterator[None]:
    try:
        yield
    except TsfarmError as error:
        complain(str(error))
        raise click.exceptions.Exit(ExitCode.USAGE) from None
