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
from tsproto import certificates, identity, transport
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
    run = secrets.token_hex(RUN_BYTES)  # tells apart two runs at one time
    if lab.tls:
        farm = msgspec.structs.replace(
            farm,
            authority=pki / "authority.crt",
            administrator=Credentials(pki / "admin.crt", pki / "admin.key"),
            as_terminal_servers=tuple(
                issued(pki, scratch, Role.TERMINAL_SERVER, f"load-{run}-{number}")
                for number in range(identities)
            ),
        )
    return farm, _people_of(folder, lab)


def _people_of(folder: Path, lab: KnownLab) -> tuple[Person, ...]:
    """The users made by `tsfarm lab up --load-users`, whose keys come from one secret. The lab's
    other users are left alone: a run would log off their sessions."""
    if not lab.load_users:
        return ()
    file = folder / "users" / "load"
    with _bad_input(file):
        secret = bytes.fromhex(_content(file).decode())
    numbers = range(1, lab.load_users + 1)
    return tuple(Person(f"load{number:05}", secret, is_synthetic=True) for number in numbers)


def issued(pki: Path, folder: Path, role: Role, name: str) -> Credentials:
    """A new certificate of the authority in `pki`, written into `folder`. Raises BadInput."""
    authority, authority_key = _content(pki / "authority.crt"), _content(pki / "authority.key")
    certificate, key = certificates.issue_certificate(
        authority, authority_key, role, name, time.time()
    )
    own = Credentials(folder / f"{name}.crt", folder / f"{name}.key")
    own.certificate.write_bytes(certificate)
    own.key.touch(mode=0o600)
    own.key.write_bytes(key)
    return own


# --- any farm -------------------------------------------------------------------------------------


def named(farm: Farm) -> Farm:
    """Names it by authority or first address. Raises BadInput for a certificate's wrong role."""
    if farm.authority is None:
        hosts = [host for role in DRIVEN.values() for host in farm.hosts(role)]
        return msgspec.structs.replace(farm, name=str(hosts[0]) if hosts else "")
    for own in farm.as_terminal_servers:
        _check_role(own.certificate, Role.TERMINAL_SERVER)
    if farm.administrator is not None:
        _check_role(farm.administrator.certificate, Role.ADMINISTRATOR)
    with _bad_input(farm.authority):
        der = certificates.certificate_der(_content(farm.authority))
        return msgspec.structs.replace(farm, name=certificates.farm_of(der))


def people_in(file: Path, synthetic: Sequence[Person] = ()) -> tuple[Person, ...]:
    """Reads lines `name password`, or `name` of a synthetic user; skips blank ones, and those with
    `#`. Raises BadInput."""
    known = {person.name: person for person in synthetic}
    people: dict[str, Person] = {}
    for number, line in enumerate(_content(file).decode("utf-8", "replace").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, password = line.strip().partition(" ")
        if not password.strip() and name not in known:
            raise BadInput(
                f"{file}:{number}: a line is `name password`, or the name of a lab's synthetic user"
            )
        if name in people:
            raise BadInput(f"{file}:{number}: {name} stands there twice")
        given = password.strip().encode()
        people[name] = Person(name, given) if given else known[name]
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
    """Raises BadInput for what the farm lacks; `identities` counts links with certificates."""
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


def _check_role(certificate: Path, role: Role) -> None:
    with _bad_input(certificate):
        own = certificates.identity_of(certificates.certificate_der(_content(certificate)))
    if own.role is not role:
        word = identity.ROLE_WORDS[role]
        raise BadInput(
            f"{certificate} is no {word}'s certificate: make one with `tsfarm pki issue {word}"
            " NAME`"
        )


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
