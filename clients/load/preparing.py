"""Turns the options of `tsfarm load` into a run; finds all errors in them."""

from __future__ import annotations

import importlib.util
import secrets
from pathlib import Path

import msgspec

from clients.load import capacity, target
from clients.load.processes.assignment import Assignment, Credentials, Farm, Person
from clients.load.report import writing
from clients.load.scenario import Scenario, reading
from clients.load.target import BadInput
from clients.logon.steps import Host

LINKS = 8
# Links to license servers may share a name; this many are enough for a server's limits by name.
LICENSE_IDENTITIES_MAX = 256
SEED_MAX = 2**32 - 1
STDOUT = Path("-")


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The options of `tsfarm load`, by parameter name."""

    lab: Path | None
    terminal_servers: tuple[Host, ...] | None
    license_servers: tuple[Host, ...] | None
    directory: tuple[Host, ...] | None
    authority: Path | None
    identities: tuple[tuple[Path, Path], ...]
    admin: tuple[Path, Path] | None
    plain: bool
    users_file: Path | None
    workers: int
    rate: float | None
    users: int | None
    duration: float | None
    thresholds: tuple[str, ...]
    links: int | None
    devices: Path | None
    sources: tuple[str, ...]
    seed: int | None
    json_file: Path | None
    html_file: Path | None
    hdr_file: Path | None

    @property
    def files(self) -> list[Path]:
        named = (self.json_file, self.html_file, self.hdr_file)
        return [file for file in named if file is not None and file != STDOUT]


def prepare(scenario_name: str, given: Options, scratch: Path) -> tuple[Assignment, str]:
    """The run, and a notice to the user, which may be empty. `scratch` is a folder that only this
    user may read, for keys. Raises BadInput, ScenarioError, ThresholdError, CapacityExceeded or
    NotWritten."""
    _check_installed(given)
    read = reading.read(scenario_name)
    scenario = reading.adjusted(
        read.scenario,
        rate=given.rate,
        users=given.users,
        seconds=given.duration,
        thresholds=given.thresholds,
    )
    writing.check_writable(given.files)
    if given.devices is not None:
        writing.make_folder(given.devices)
    links = _links(given, scenario)
    farm, people = _farm(given, scenario, links, scratch)
    target.check(farm, scenario.drives, people, links * given.workers)
    _check_shares(scenario, len(people), given.workers)
    machine = capacity.this_machine()
    wanted = capacity.connections(scenario, len(people), links, given.workers)
    capacity.check_descriptors(wanted, given.workers, machine)
    targets = farm.hosts(target.DRIVEN[scenario.drives])
    capacity.check_sources(given.sources, targets)
    sources = capacity.sources(wanted, given.sources, targets, machine)
    run = Assignment(
        scenario=scenario,
        script=read.script,
        farm=farm,
        people=people,
        shares=given.workers,
        links=links,
        sources=sources,
        devices=given.devices.absolute() if given.devices else None,
        seed=secrets.randbelow(SEED_MAX + 1) if given.seed is None else given.seed,
    )
    return run, capacity.warning(wanted, sources, targets)


def _check_installed(given: Options) -> None:
    """The libraries for reports are imported late: a missing one must not show after the run."""
    needed = ("rich", *(("jinja2", "matplotlib") if given.html_file else ()))
    if missing := [name for name in needed if importlib.util.find_spec(name) is None]:
        raise BadInput(f"a run needs {', '.join(missing)}: install `tsfarm[load]`")


def _links(given: Options, scenario: Scenario) -> int:
    """With TLS to a directory the default is one for each certificate."""
    if given.links is not None:
        return given.links
    if scenario.drives == "directory" and given.identities:
        return max(1, min(LINKS, len(given.identities) // given.workers))
    return LINKS


def _farm(
    given: Options, scenario: Scenario, links: int, scratch: Path
) -> tuple[Farm, tuple[Person, ...]]:
    if given.lab is not None:
        return _lab(given.lab, given, scenario, links, scratch)
    if given.plain == (given.authority is not None):
        raise BadInput("is it TLS or not? give --lab DIR, or --ca FILE, or --plain")
    directory = given.directory or ()
    if len(directory) > 1:
        raise BadInput("a farm has one session directory: give --directory once")
    farm = Farm(
        name="",
        terminal_servers=given.terminal_servers or (),
        license_servers=given.license_servers or (),
        directory=directory[0] if directory else None,
        authority=given.authority,
        as_terminal_servers=tuple(Credentials(*files) for files in given.identities),
        administrator=Credentials(*given.admin) if given.admin else None,
    )
    return target.named(farm), target.people_in(given.users_file) if given.users_file else ()


def _lab(
    folder: Path, given: Options, scenario: Scenario, links: int, scratch: Path
) -> tuple[Farm, tuple[Person, ...]]:
    """The farm of a lab. Of the options that describe a farm only --users-file may be given."""
    others = {
        "--hosts": given.terminal_servers,
        "--license-server": given.license_servers,
        "--directory": given.directory,
        "--ca": given.authority,
        "--identity": given.identities,
        "--admin": given.admin,
        "--plain": given.plain,
    }
    if superfluous := [name for name, value in others.items() if value]:
        raise BadInput(f"--lab says where the farm is: leave out {', '.join(superfluous)}")
    identities = 0 if scenario.drives == "users" else links * given.workers
    if scenario.drives == "licenses":
        identities = min(identities, LICENSE_IDENTITIES_MAX)
    farm, people = target.of_lab(folder.absolute(), scratch, identities)
    if scenario.drives == "directory" and not people:
        raise BadInput(
            "a lab's directory believes nobody without a proof, and there are no users to prove:"
            " make the lab with `tsfarm lab up --load-users N`"
        )
    return farm, target.people_in(given.users_file, people) if given.users_file else people


def _check_shares(scenario: Scenario, people: int, workers: int) -> None:
    """Raises BadInput unless each worker has a user, and each user of a closed model an account."""
    closed = scenario.closed
    if closed is not None and scenario.drives == "users" and closed.users > people:
        raise BadInput(
            f"{closed.users} users need an account each, and there are {people}: give --users"
            f" {people}, a longer --users-file, or make a lab with --load-users {closed.users}"
        )
    at_once = scenario.at_once
    most = min(at_once, people) if scenario.drives == "users" else at_once
    if workers > most:
        raise BadInput(
            f"{workers} workers have nothing to share where {most} users are under way at the"
            f" most: give --workers {most}"
        )
