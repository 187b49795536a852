"""How every daemon starts and ends: configuration, identity, store, event loop, exit status."""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Generic, TypeVar

import msgspec
import structlog
import uvloop
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from daemons import logs
from daemons.clock import Clock
from daemons.config import ConfigError, read_settings
from daemons.effects import Record
from daemons.links import Station
from daemons.settings import DaemonSettings, IdentityFiles
from daemons.shell import EXIT_BROKEN, EXIT_STORE
from daemons.store import Store, StoreError
from daemons.store.memory import MemoryStore
from daemons.store.sqlite import SqliteStore
from tsproto import identity, transport
from tsproto.errors import TsfarmError
from tsproto.identity import ROLE_WORDS, IdentityError
from tsproto.messages import Role

S = TypeVar("S", bound=DaemonSettings)

EXIT_USAGE = 2  # the configuration, or a file that it names, must be changed first
LEDGER_FILE = "ledger.sqlite"


class Credentials(msgspec.Struct, frozen=True):
    """A daemon's identity. `certificate` and `authority` are in DER form."""

    name: str
    certificate: bytes
    key: Ed25519PrivateKey
    authority: bytes


class Start(msgspec.Struct, Generic[S], frozen=True):
    """What a daemon is started with. `records` is what its store held, by kind."""

    settings: S
    credentials: Credentials
    station: Station
    store: Store
    records: Mapping[type[Record], Sequence[Record]]
    clock: Clock
    rng: secrets.SystemRandom


Serve = Callable[[Start[S]], Awaitable[int]]


def run(
    config: Path, kind: type[S], role: Role, records: Sequence[type[Record]], serve: Serve[S]
) -> int:
    """Start a daemon of this role, let `serve` run it to its end, and give the exit status.

    0 clean, 1 the store failed, 2 something must be configured otherwise, 70 a fault of our own.
    """
    try:
        settings = read_settings(config, kind)
        credentials = load_credentials(settings.identity, settings.farm, role)
        clock = Clock(Path(settings.clock_file) if settings.clock_file else None)
        if clock.file is not None:
            clock.reload()
        with logs.configured(settings.log), asyncio.Runner(loop_factory=_loop(settings)) as runner:
            return runner.run(_run(settings, credentials, role, records, clock, serve))
    except TsfarmError as error:  # there is no log yet
        print(f"tsfarm: {error}", file=sys.stderr)
        return EXIT_USAGE


def _loop(settings: DaemonSettings) -> Callable[[], asyncio.AbstractEventLoop]:
    return uvloop.new_event_loop if settings.loop == "uvloop" else asyncio.new_event_loop


async def _run(
    settings: S,
    credentials: Credentials,
    role: Role,
    records: Sequence[type[Record]],
    clock: Clock,
    serve: Serve[S],
) -> int:
    # What remembers nothing needs no file.
    store: Store = SqliteStore(Path(settings.state, LEDGER_FILE)) if records else MemoryStore()
    log = structlog.get_logger()
    try:
        await store.open(credentials.name, records)
        start = Start(
            settings=settings,
            credentials=credentials,
            station=_station(settings, credentials, role),
            store=store,
            records={record: await store.load(record) for record in records},
            clock=clock,
            rng=secrets.SystemRandom(),
        )
        return await serve(start)
    except ConfigError as error:
        log.critical("daemon.misconfigured", error=str(error))
        return EXIT_USAGE
    except StoreError as error:
        log.critical("store.failed", error=str(error))
        return EXIT_STORE
    except TsfarmError as error:  # what the store held cannot be used
        log.critical("daemon.unstartable", error=str(error))
        return EXIT_STORE
    except Exception as error:
        logs.report_fault(error)
        return EXIT_BROKEN
    finally:
        await store.close()


def config_argument(program: str, arguments: Sequence[str] | None = None) -> Path:
    """The path given with `--config`, the one argument of every daemon."""
    parser = argparse.ArgumentParser(prog=program)
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="a TOML file")
    config: Path = parser.parse_args(arguments).config
    return config


def load_credentials(files: IdentityFiles, farm: str, role: Role) -> Credentials:
    """Raises ConfigError when a file is unusable, or not of this farm, role, key or authority."""
    certificate = _read(files.certificate, identity.certificate_der)
    authority = _read(files.authority, identity.certificate_der)
    key = _read(files.key, identity.load_key)
    found = _read(files.certificate, lambda pem: identity.identity_of(certificate))
    if found.role is not role:
        raise ConfigError(
            f"{files.certificate}: expected the certificate of a {ROLE_WORDS[role]}, found that of"
            f" the {ROLE_WORDS[found.role]} {found.name}"
        )
    if found.farm != farm:
        raise ConfigError(
            f"{files.certificate}: expected a certificate of farm {farm}, found one of {found.farm}"
        )
    parsed = identity.parse_certificate(certificate)
    if parsed.public_key() != key.public_key():
        raise ConfigError(f"{files.key}: expected the key that belongs to {files.certificate}")
    _check_signed(files, parsed, identity.parse_certificate(authority))
    return Credentials(found.name, certificate, key, authority)


T = TypeVar("T")


def _read(path: str, understand: Callable[[bytes], T]) -> T:
    try:
        return understand(Path(path).read_bytes())
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except IdentityError as error:
        raise ConfigError(f"{path}: {error}") from None


def _check_signed(
    files: IdentityFiles, certificate: x509.Certificate, authority: x509.Certificate
) -> None:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        raise ConfigError(
            f"{files.certificate}: expected a certificate that {files.authority} has signed"
        ) from None
    if certificate.not_valid_after_utc <= datetime.now(UTC):
        raise ConfigError(
            f"{files.certificate}: expired on {certificate.not_valid_after_utc:%Y-%m-%d}: issue a"
            " new one with `tsfarm pki issue`"
        )


def _station(settings: DaemonSettings, credentials: Credentials, role: Role) -> Station:
    listen, files = settings.listen, settings.identity
    paths = Path(files.certificate), Path(files.key), Path(files.authority)
    return Station(
        role=role,
        name=credentials.name,
        farm=settings.farm,
        listen_tls=transport.server_tls(*paths) if listen.tls else None,
        dial_tls=transport.daemon_tls(*paths) if listen.tls else None,
        plain_anywhere=listen.plain_anywhere,
    )
