"""The suite from the command line.

    python -m tests.conformance 10.0.0.5:5601 --role license-server \\
        --ca farm.crt --identity ts9.crt ts9.key
    python -m tests.conformance license-a --role license-server --lab ./lab
    python -m tests.conformance in-process --role session-directory
    python -m tests.conformance 127.0.0.1:5600 --role client \\
        --run "tsfarm connect {host}:{port} --ca {ca} --user user1 --password-file secret"

Exits with 0 when everything passed, 1 when a case failed, 2 when the run could not be made.
"""

from __future__ import annotations

import argparse
import sys
import tomllib
from pathlib import Path

from msgspec.structs import replace

from daemons import lab
from tests.conformance import report
from tests.conformance.case import Case
from tests.conformance.catalogue import cases_for, pick
from tests.conformance.coverage import BY_ID
from tests.conformance.listening import Listening, OneClient
from tests.conformance.over_sockets import Address, OneTarget, OverSockets, Settings
from tests.conformance.runner import InProcessSource, Result, Source, Verdict, play_all
from tests.conformance.scenarios import NOT_BUILT
from tests.conformance.stage import User
from tests.conformance.trust import Files, Trust
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
    except (TsfarmError, OSError, ValueError) as error:
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
    made.add_argument("--ca", type=Path, metavar="FILE", help="the farm's authority (PEM)")
    made.add_argument("--identity", nargs=2, type=Path, metavar=("CERT", "KEY"))
    made.add_argument("--plain", action="store_true", help="TCP without TLS")
    made.add_argument("--farm", default="farm", help="the farm's name where there is no TLS")
    made.add_argument("--user", nargs=2, action="append", default=[], metavar=("NAME", "PASSWORD"))
    made.add_argument("--run", default="", metavar="COMMAND", help="starts the client under test")
    made.add_argument("--leave", default="", metavar="KEYS", help="typed to leave its session")
    return made


def source_of(options: argparse.Namespace, role: Role) -> Source:
    if options.target == IN_PROCESS:
        return InProcessSource(role, all_points=not options.some_points)
    if role is Role.CLIENT:
        keys = options.leave.encode().decode("unicode_escape").encode("latin-1")
        client = Listening(settings_of(options, role), command=options.run, leave_keys=keys)
        return OneClient(client)
    daemon = OverSockets(settings_of(options, role))
    daemon.check_is_there()
    return OneTarget(daemon)


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
    return at_address(common, options)


def at_address(common: Settings, options: argparse.Namespace) -> Settings:
    host, _, port = options.target.rpartition(":")
    address = Address(host, int(port))
    if options.plain:
        return replace(common, address=address)
    if options.ca is None:
        if common.role is not Role.CLIENT:
            raise ValueError("name the farm's authority (--ca), a lab (--lab), or say --plain")
        return replace(common, address=address, trust=Trust.invented(options.farm))
    given = Files(*options.identity) if options.identity else None
    return replace(common, address=address, trust=Trust(options.ca, given=given))


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
    for result in play_all(cases, source):
        results.append(result)
        if result.verdict is Verdict.FAILED:
            print(report.explained(result), flush=True)
    source.stop()
    return results


if __name__ == "__main__":
    sys.exit(main())
