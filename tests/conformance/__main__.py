"""The suite from the command line.

    python -m tests.conformance license-a --role license-server --lab ./lab
    python -m tests.conformance 10.0.0.5:5602 --role session-directory --ca ca.crt --ca-key ca.key
    python -m tests.conformance 10.0.0.5:5600 --role terminal-server --ca ca.crt --ca-key ca.key \\
        --play license-server=10.0.0.9:5601 --play session-directory=10.0.0.9:5602 \\
        --fresh "ssh 10.0.0.5 start-anew"
    python -m tests.conformance in-process --role session-directory
    python -m tests.conformance 127.0.0.1:5600 --role client \\
        --run "tsfarm connect {host}:{port} --ca {ca} --user user1 --password-file secret"

A lab's daemon is tested as it is; for the cases in which the suite plays whom it dials, the lab's
program is started once more beside it. Whoever tests another implementation starts that with a
configuration in which the suite is whom it dials, and says where (--play): two runs, one without.

Exits with 0 when everything passed, 1 when a case failed, 2 when the run could not be made.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tomllib
from pathlib import Path

from msgspec.structs import replace

from daemons import lab
from tests.conformance import report
from tests.conformance.at_address import add_options, settings_at_address, source_at_address
from tests.conformance.case import Case
from tests.conformance.catalogue import cases_for, pick
from tests.conformance.coverage import BY_ID
from tests.conformance.listening import Listening, OneClient
from tests.conformance.over_sockets import Address, OverSockets, Settings
from tests.conformance.own_daemons import InLab
from tests.conformance.runner import InProcessSource, Result, Source, Verdict, play_all
from tests.conformance.scenarios import NOT_BUILT
from tests.conformance.stage import Unavailable, User
from tests.conformance.trust import Trust
from tsproto.errors import TsfarmError
from tsproto.messages import Role
from tsproto.requirements import Level

ROLES = {
    role.name.lower().replace("_", "-"): role for role in Role if role is not Role.ADMINISTRATOR
}
IN_PROCESS = "in-process"
PASSED, FAILED, UNUSABLE = 0, 1, 2


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    role = ROLES[options.role]
    cases = pick(_at_level(cases_for(role), options.strict), options.only, options.exclude)
    if not cases:
        print("no case has such an id", file=sys.stderr)
        return UNUSABLE
    if options.dry_run:
        _print_plan(cases)
        return PASSED
    try:
        source = source_of(options, role)
        results = _run(cases, source)
    except (TsfarmError, OSError, ValueError, Unavailable) as error:
        print(f"the suite cannot be run: {error}", file=sys.stderr)
        return UNUSABLE
    print(report.summary(results))
    if options.junit:
        report.write_junit(options.junit, results)
    if options.html:
        report.write_html(options.html, f"{options.target}: {options.role}", results)
    return FAILED if any(r.verdict is Verdict.FAILED for r in results) else PASSED


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m tests.conformance",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("target", help=f"HOST:PORT, the name of a lab's daemon, or {IN_PROCESS}")
    made.add_argument("--role", required=True, choices=sorted(ROLES))
    made.add_argument("--strict", action="store_true", help="play SHOULD and MAY as well")
    made.add_argument("--only", nargs="+", action="extend", default=[], metavar="ID")
    made.add_argument("--exclude", nargs="+", action="extend", default=[], metavar="ID")
    made.add_argument("--dry-run", action="store_true", help="list the cases, play none")
    made.add_argument("--junit", type=Path, metavar="FILE")
    made.add_argument("--html", type=Path, metavar="FILE")
    made.add_argument("--timeout", type=float, default=10.0, metavar="S", help="longest wait")
    made.add_argument("--some-points", action="store_true", help="cut and split at some bytes")
    made.add_argument("--lab", type=Path, metavar="DIR", help="the target runs in this lab")
    made.add_argument("--run", default="", metavar="COMMAND", help="starts the client under test")
    made.add_argument("--leave", default="", metavar="KEYS", help="typed to leave its session")
    add_options(made)
    return made


def source_of(options: argparse.Namespace, role: Role) -> Source:
    if options.target == IN_PROCESS:
        return InProcessSource(role, all_points=not options.some_points)
    if role is Role.CLIENT:
        keys = options.leave.encode().decode("unicode_escape").encode("latin-1")
        client = Listening(settings_of(options, role), command=options.run, leave_keys=keys)
        return OneClient(client)
    settings = settings_of(options, role)
    if settings.lab is None:
        return source_at_address(settings, options)
    daemon = OverSockets(settings)
    daemon.check_is_there()
    return InLab(daemon, settings)


def settings_of(options: argparse.Namespace, role: Role) -> Settings:
    users = tuple(User(name, password.encode()) for name, password in options.user)
    common = Settings(
        role=role,
        address=Address("", 0),
        farm=options.farm,
        users=users,
        seconds=min(5.0, options.timeout),
        longest_seconds=options.timeout,
        all_points=not options.some_points,
    )
    if options.lab is not None:
        return in_lab(common, options.lab.resolve(), options.target)
    return settings_at_address(common, options)


def in_lab(common: Settings, folder: Path, name: str) -> Settings:
    """A daemon of a running lab; the lab's authority signs whatever the suite wants to be."""
    farm = lab.load(folder)
    daemon = farm.daemon(name)
    config = tomllib.loads((folder / name / "config.toml").read_text())
    where = config.get("discovery", {})
    scopes = {n: where.get(key, "") for n, key in ((1, "workgroup"), (2, "domain"), (3, "site"))}
    beside = {Role[other.role.upper()]: Address(other.host, other.port) for other in farm.daemons}
    users = [(user, (folder / "users" / user).read_bytes().strip()) for user in farm.users]
    pki = folder / "pki"
    return replace(
        common,
        name=name,
        address=Address(daemon.host, daemon.port),
        trust=Trust(pki / "authority.crt", pki / "authority.key"),
        tls=farm.tls,
        users=tuple(User(user, password) for user, password in users),
        beside=beside,
        discovery=Address(where["broadcast"], where["port"]) if where else None,
        scopes={number: scope for number, scope in scopes.items() if scope},
        lab=folder,
    )


def _at_level(cases: list[Case], strict: bool) -> list[Case]:
    return [case for case in cases if strict or BY_ID[case.requirement].level is Level.MUST]


def _print_plan(cases: list[Case]) -> None:
    for case in cases:
        print(f"{BY_ID[case.requirement].level:7}{case.id}")
    for id, what in NOT_BUILT.items():
        print(f"not built yet: {id}: {what}")


def _run(cases: list[Case], source: Source) -> list[Result]:
    results = []
    try:
        for result in play_all(cases, source):
            results.append(result)
            if result.verdict is Verdict.FAILED:
                print(report.explained(result), flush=True)
    finally:
        source.stop()
    return results


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started is ended
    sys.exit(main())
