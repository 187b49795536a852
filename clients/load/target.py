"""Finds a run's farm and users: a lab on this machine, or the farm that the options describe."""

from __future__ import annotations

import contextlib
import secrets
import ssl
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from clients.administrator import Administrator
from clients.known_lab import KnownLab, lab_in
from clients.load.processes.assignment import Credentials, Farm, Person
from clients.load.scenario import Drives
from clients.logon.steps import Host
from tsproto import certificates, identity, limits, transport
from tsproto.errors import TsfarmError
from tsproto.messages import Role

DRIVEN: dict[Drives, Role] = {
    "users": Role.TERMINAL_SERVER,
    "licenses": Role.LICENSE_SERVER,
    "directory": Role.SESSION_DIRECTORY,
}
OPTIONS = {
    Role.TERMINAL_SERVER: "--hosts",
    Role.LICENSE_SERVER: "--license-server",
    Role.SESSION_DIRECTORY: "--directory",
}
RUN_BYTES = 3


class BadInput(TsfarmError):
    """The command line, or a file that it names, lacks something or is wrong."""


# --- a lab ----------------------------------------------------------------------------------------


def of_lab(folder: Path, scratch: Path, identities: int) -> tuple[Farm, tuple[Person, ...]]:
    """The lab's farm and its synthetic users. Issues `identities` certificates of terminal servers
    with the lab's authority, into `scratch`. Raises BadInput."""
    with _bad_input():
        lab = lab_in(folder)
    directories = lab.hosts(Role.SESSION_DIRECTORY)
    farm = Farm(
        name=lab.farm,
        terminal_servers=lab.hosts(Role.TERMINAL_SERVER),
        license_servers=lab.hosts(Role.LICENSE_SERVER),
        directory=directories[0] if directories else None,
    )
    pki = folder / "pki"
    if lab.tls:
        farm = msgspec.structs.replace(
            farm,
            authority=pki / "authority.crt",
            administrator=Credentials(pki / "admin.crt", pki / "admin.key"),
            as_terminal_servers=tuple(_issued(pki, scratch, identities)),
        )
    return farm, _people_of(folder, lab)


def _people_of(folder: Path, lab: KnownLab) -> tuple[Person, ...]:
    """The users made by `tsfarm lab up --load-users`, who share a password. The lab's other users
    are left alone: a run would log off their sessions."""
    if not lab.load_users:
        return ()
    password = _first_line(folder / "users" / "load")
    numbers = range(1, lab.load_users + 1)
    return tuple(Person(f"load{number:05}", password) for number in numbers)


def _issued(pki: Path, scratch: Path, count: int) -> list[Credentials]:
    authority, key = _content(pki / "authority.crt"), _content(pki / "authority.key")
    made = []
    run = secrets.token_hex(RUN_BYTES)  # tells apart two runs at one time
    for number in range(count):
        name = f"load-{run}-{number}"
        own = Credentials(scratch / f"{name}.crt", scratch / f"{name}.key")
        certificate, own_key = certificates.issue_certificate(
            authority, key, Role.TERMINAL_SERVER, name, time.time(), years=1
        )
        own.certificate.write_bytes(certificate)
        own.key.write_bytes(own_key)
        made.append(own)
    return made


# --- any farm -------------------------------------------------------------------------------------


def named(
    *,
    terminal_servers: Sequence[Host] = (),
    license_servers: Sequence[Host] = (),
    directory: Host | None = None,
    authority: Path | None = None,
    identities: Sequence[Credentials] = (),
    administrator: Credentials | None = None,
) -> Farm:
    """The farm at these addresses; without `authority` over plain TCP. Raises BadInput for a
    certificate of the wrong role."""
    all_hosts = [*terminal_servers, *license_servers, *([directory] if directory else [])]
    name = str(all_hosts[0]) if all_hosts else ""
    if authority is not None:
        name = _farm_of(authority)
        for own in identities:
            _check_role(own.certificate, Role.TERMINAL_SERVER)
        if administrator is not None:
            _check_role(administrator.certificate, Role.ADMINISTRATOR)
    return Farm(
        name=name,
        terminal_servers=tuple(terminal_servers),
        license_servers=tuple(license_servers),
        directory=directory,
        authority=authority,
        as_terminal_servers=tuple(identities),
        administrator=administrator,
    )


def people_in(file: Path) -> tuple[Person, ...]:
    """The users of a file with lines `name password`; blank lines and lines that begin with `#` are
    skipped. Raises BadInput."""
    people: dict[str, Person] = {}
    for number, line in enumerate(_content(file).decode("utf-8", "replace").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, password = line.strip().partition(" ")
        if not password.strip():
            raise BadInput(f"{file}:{number}: a line is `name password`")
        if name in people:
            raise BadInput(f"{file}:{number}: {name} stands there twice")
        people[name] = Person(name, password.strip().encode())
    if not people:
        raise BadInput(f"{file} names no users: its lines are `name password`")
    return tuple(people.values())


def administrator_of(farm: Farm) -> Administrator | None:
    """The administrator of the checks; None with TLS but without a certificate. Raises BadInput."""
    if farm.authority is None:
        return Administrator("load", None)
    if farm.administrator is None:
        return None
    own = farm.administrator
    with _bad_input():
        return Administrator.certified(own.certificate, own.key, farm.authority)


def check(farm: Farm, drives: Drives, people: Sequence[Person], identities: int) -> None:
    """Raises BadInput when the farm lacks what the scenario drives; `identities` is the number of
    links that need a certificate of their own."""
    role = DRIVEN[drives]
    if not farm.hosts(role):
        word = identity.ROLE_WORDS[role]
        raise BadInput(f"nobody to ask: give the {word} with {OPTIONS[role]}, or --lab DIR")
    if drives == "users" and not people:
        raise BadInput(
            "no users to log on: give --users-file FILE, with lines `name password`, or a lab that"
            " was made with `tsfarm lab up --load-users N`"
        )
    if farm.authority is None or drives == "users":
        return
    have = len(farm.as_terminal_servers)
    needed = identities if drives == "directory" else 1
    if have < needed:
        raise BadInput(
            f"{needed} links pass for as many terminal servers, and there are certificates for"
            f" {have}: give --identity CERT KEY for each (`tsfarm pki issue terminal-server NAME`),"
            " fewer --links, or --lab DIR"
        )
    for own in farm.as_terminal_servers:
        with _bad_input():
            transport.daemon_tls(own.certificate, own.key, farm.authority)


def _farm_of(authority: Path) -> str:
    with _bad_input(authority):
        return certificates.farm_of(certificates.certificate_der(_content(authority)))


def _check_role(certificate: Path, role: Role) -> None:
    with _bad_input(certificate):
        own = certificates.identity_of(certificates.certificate_der(_content(certificate)))
    if own.role is not role:
        word = identity.ROLE_WORDS[role]
        raise BadInput(
            f"{certificate} is no {word}'s certificate: make one with `tsfarm pki issue {word}"
            " NAME`"
        )


def _first_line(file: Path) -> bytes:
    lines = _content(file).splitlines()
    if not lines or not 0 < len(lines[0]) <= limits.PASSWORD_BYTES:
        raise BadInput(f"{file} is no password file: its first line must be a password")
    return lines[0]


def _content(file: Path) -> bytes:
    with _bad_input(file):
        return file.read_bytes()


@contextlib.contextmanager
def _bad_input(file: Path | None = None) -> Iterator[None]:
    """Turns errors of a file into BadInput."""
    where = f"{file}: " if file else ""
    try:
        yield
    except BadInput:
        raise
    except (TsfarmError, ValueError) as error:
        raise BadInput(f"{where}{error}") from None
    except (OSError, ssl.SSLError) as error:
        raise BadInput(f"{where}{error.strerror or error}") from None
