r"""Plays cases against a client or server, and says which requirements of PROTOCOL.md it breaks.

Example:
    tsfarm conformance license-a --role license-server --lab ./lab
    tsfarm conformance 10.0.0.5:5602 --role session-directory \
        --ca farm.crt --ca-key farm.key
    tsfarm conformance 10.0.0.5:5600 --role terminal-server \
        --ca farm.crt --ca-key farm.key --user user1 secret \
        --play license-server=10.0.0.9:5601 --play session-directory=10.0.0.9:5602 \
        --fresh "ssh 10.0.0.5 start-anew"
    tsfarm conformance 127.0.0.1:5600 --role client \
        --run "tsfarm connect {host}:{port} --ca {ca} --store {folder} --user user1
               --password-file secret" --leave '\x1dd'

A lab's daemon is tested as it runs. In some cases the suite plays the daemons that the target
dials: for these it starts the lab's program once more, with a configuration of its own. Another
implementation needs two runs: one as it is, and one configured to dial the suite, at the addresses
given with --play.

With the key of the farm's authority (--ca-key) the suite makes its own certificates. Without the
key most cases need certificates given with --identity, and some cases are skipped.

Exit status: 0 when every case passed, 1 when one failed, 2 when the run could not be made, 130 when
it was interrupted (Ctrl-C, SIGTERM), the results until then being reported, 141 when the reader of
standard output has closed the pipe.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import signal
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import click

from clients.conformance import plan, report
from clients.conformance.at_address import add_options, settings_at_address, source_at_address
from clients.conformance.case import EVERYBODY, Case
from clients.conformance.client_process import PLACEHOLDERS
from clients.conformance.in_lab import DaemonOfALab, InLab, settings_in_lab
from clients.conformance.linking import NAMES
from clients.conformance.listening import Listening, OneClient
from clients.conformance.over_sockets import Address, Settings
from clients.conformance.picking import picked
from clients.conformance.progress import Progress
from clients.conformance.runner import Result, Source, Verdict, play
from clients.conformance.target import Unavailable, word_of
from clients.conformance.user import SshKey, User
from clients.say import show
from tsproto.error_text import words_of
from tsproto.errors import TsfarmError
from tsproto.messages import Role

ROLES = {word_of(role): role for role in EVERYBODY}
PASSED, FAILED, UNUSABLE, CUT = 0, 1, 2, 130
ANSWER_SECONDS = 5.0

SourceOf: TypeAlias = Callable[[argparse.Namespace, Role, Callable[[str], None]], Source]


@click.command(
    "conformance", add_help_option=False, context_settings={"ignore_unknown_options": True}
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def conformance(arguments: tuple[str, ...]) -> None:
    """Test a server or client, anybody's, against PROTOCOL.md."""
    # SIGTERM too ends the processes that the suite has started.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    raise click.exceptions.Exit(main(arguments))


def main(arguments: Sequence[str] | None = None, source_of: SourceOf | None = None) -> int:
    """Returns the exit status. `source_of` gives the source of targets, by default from the
    options."""
    options = parser().parse_args(arguments)
    try:
        return run(options, source_of or named_source)
    except BrokenPipeError:
        raise  # it has one exit status for all commands
    except (TsfarmError, OSError, ValueError, Unavailable) as error:
        file = f"{error.filename}: " if isinstance(error, OSError) and error.filename else ""
        show(f"the suite cannot be run: {file}{words_of(error)}", err=True)
        return UNUSABLE
    except KeyboardInterrupt:  # before the first case, or while reports are written
        return CUT


def run(options: argparse.Namespace, source_of: SourceOf) -> int:
    """Plays the cases that the options choose. Raises ValueError, OSError, TsfarmError or
    Unavailable, each with one line of text, when the run cannot be made."""
    role = ROLES[options.role]
    cases = picked(role, options.strict, options.only, options.exclude)
    if options.dry_run:
        show("\n".join(plan.listed(role, cases, options.timeout)))
        return PASSED
    for option in ("junit", "html"):
        report.check_can_be_written(f"--{option}", getattr(options, option))
    progress = Progress(len(cases), sys.stdout, sys.stderr)
    results = play_on(source_of(options, role, progress.tell), cases, progress)
    made = report.Run(options.target, role, results, len(cases))
    show(report.summary(made))
    if options.junit:
        report.write_junit(options.junit, made)
    if options.html:
        report.write_html(options.html, made)
    if made.is_cut:
        return CUT
    return FAILED if any(r.verdict is Verdict.FAILED for r in results) else PASSED


def play_on(source: Source, cases: Sequence[Case], progress: Progress) -> list[Result]:
    """The result of each case; after a KeyboardInterrupt, of those played until then."""
    results: list[Result] = []
    try:
        for case in cases:
            progress.begins(case.id)
            results.append(play(case, source))
            progress.came(results[-1])
    except KeyboardInterrupt:
        pass
    finally:
        progress.ends()
        source.stop()
    return results


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="tsfarm conformance",
        description=__doc__,
        epilog=_notes(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    where = "HOST:PORT, or the name of a lab's daemon; for a client, where to listen"
    add("target", help=where)
    add("--role", required=True, choices=sorted(ROLES), help="what the target is")
    strict = "play the cases of SHOULD and MAY too; one that fails there counts as failed"
    add("--strict", action="store_true", help=strict)
    ids = "the ids of cases, of requirements or of chapters (REDIR-02, REDIR), or patterns with *"
    add("--only", nargs="+", action="extend", default=[], metavar="ID", help=f"play {ids}")
    add("--exclude", nargs="+", action="extend", default=[], metavar="ID", help="do not play these")
    dry_run = "list the cases and how long they wait, without playing them"
    add("--dry-run", action="store_true", help=dry_run)
    add("--junit", type=Path, metavar="FILE", help="write the results for a build server (XML)")
    add("--html", type=Path, metavar="FILE", help="write the results as an HTML page")
    timeout = (
        "the longest that a case may wait for a deadline of the document (default: %(default)g);"
        " slower cases are skipped, and their times reported"
    )
    add("--timeout", type=_seconds, default=10.0, metavar="S", help=timeout)
    some = "cut and split frames at some bytes, not at every byte"
    add("--some-points", action="store_true", help=some)
    add("--lab", type=Path, metavar="DIR", help="the target runs in this lab")
    add_options(made)
    group = made.add_argument_group("a client")
    group.add_argument(
        "--run",
        default="",
        metavar="COMMAND",
        help="the command that starts the client, anew for each case",
    )
    leave = "the keys that disconnect its session; escapes as in Python: '\\x1dd' is Ctrl-] d"
    group.add_argument("--leave", type=_keys, default=b"", metavar="KEYS", help=leave)
    return made


def _notes() -> str:
    """The end of --help: certificates, and the command of --run."""
    names = {role: name for role, name in NAMES.items() if role is not Role.CLIENT}
    return "\n".join(
        [
            "certificates for --identity: those of the roles that the target meets.",
            *(f"  tsfarm://FARM/{word_of(role)}/{name}" for role, name in names.items()),
            _wrapped(
                "Cases in which the suite goes by further names are skipped without --ca-key."
            ),
            "",
            _wrapped(
                "the command of --run: it is split into words as a shell does it, but no shell"
                " reads it. It runs on a terminal of its own, with these in its words:"
            ),
            *(_wrapped(f"{'{' + name + '}':8}  {what}") for name, what in PLACEHOLDERS.items()),
            _wrapped(
                "Where the client keeps its device key and its licenses is the command's affair:"
                " without {folder} all cases share that place. Without --run the suite says for"
                " each case when to start the client by hand."
            ),
        ]
    )


def _wrapped(text: str) -> str:
    is_entry = text.startswith("{")
    return textwrap.fill(
        text,
        80,
        initial_indent="  " if is_entry else "",
        subsequent_indent=" " * 12 if is_entry else "",
        break_on_hyphens=False,
    )


def _seconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 < float(text) < math.inf:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")


def _keys(text: str) -> bytes:
    try:
        return text.encode().decode("unicode_escape").encode("latin-1")
    except UnicodeError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from None


def named_source(options: argparse.Namespace, role: Role, say: Callable[[str], None]) -> Source:
    """The source of the target that the options name. `say` tells a person at a client under test
    what to do."""
    if role is Role.CLIENT:
        settings = settings_of(options, role)
        client = Listening(settings, command=options.run, leave_keys=options.leave, say=say)
        return OneClient(client)
    settings = settings_of(options, role)
    if settings.lab is None:
        return source_at_address(settings, options)
    daemon = DaemonOfALab(settings)
    daemon.check_is_there()
    return InLab(daemon, settings)


def settings_of(options: argparse.Namespace, role: Role) -> Settings:
    keys = tuple(SshKey.read(path) for path in options.ssh_key)
    users = tuple(
        User(name, password.encode(), ssh_keys=keys if number == 0 else ())
        for number, (name, password) in enumerate(options.user)
    )
    common = Settings(
        role=role,
        address=Address("", 0),
        farm=options.farm,
        users=users,
        seconds=min(ANSWER_SECONDS, options.timeout),
        longest_seconds=options.timeout,
        all_points=not options.some_points,
    )
    if options.lab is not None:
        return settings_in_lab(common, options.lab.resolve(), options.target)
    return settings_at_address(common, options)
