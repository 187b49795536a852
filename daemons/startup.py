"""How every daemon starts and ends: configuration, identity, store, event loop, exit status."""

from __future__ import annotations

import argparse
import asyncio
import secrets
import signal
import socket
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Generic, TypeVar

import uvloop

from daemons import descriptors, events, logs
from daemons.clock import Clock
from daemons.config import ConfigError, read_settings
from daemons.credentials import Credentials, load_credentials, local_identity
from daemons.denials import DenyListRecord
from daemons.effects import Record, Records
from daemons.files import core_dumps, private
from daemons.files.clock_file import ClockFileError
from daemons.settings import DaemonSettings, Listen, Log, TerminalServerSettings
from daemons.shell import EXIT_BROKEN, EXIT_STOPPED, EXIT_STORE, STOP_SIGNALS, Resources
from daemons.store import Store, StoreError
from daemons.store.sqlite import SqliteStore
from tsproto import limits
from tsproto.deny_list import DenyLists
from tsproto.error_text import words_of
from tsproto.errors import TsfarmError
from tsproto.messages import Role
from tsproto.transport import LocalIdentity, bind

S = TypeVar("S", bound=DaemonSettings)

EXIT_USAGE = 2  # the configuration, or a file that it names, must be changed first
LEDGER_FILE = "ledger.sqlite"


class Start(Resources, Generic[S], frozen=True, kw_only=True):
    """What a daemon is started with: `config` is its configuration file. `records` is what the
    store held, by kind, until a core has taken it."""

    config: Path
    settings: S
    records: dict[type[Record], Sequence[Record]]
    rng: secrets.SystemRandom

    @property
    def port(self) -> int:
        """That it listens on."""
        port: int = self.listening.getsockname()[1]
        return port

    def take_records(self) -> Records:
        """Once: a license server's journal is long, and is not to stay in memory."""
        taken = dict(self.records)
        self.records.clear()
        return taken


Serve = Callable[[Start[S]], Awaitable[int]]


def run(
    config: Path, kind: type[S], role: Role, records: Sequence[type[Record]], serve: Serve[S]
) -> int:
    """Start a daemon of this role, let `serve` run it to its end, and give the exit status.

    0 clean, 1 the store failed, 2 something must be configured otherwise, 70 a fault of our own.
    """
    try:
        core_dumps.forbid()
        _stop_by_signal()
        settings = read_settings(config, kind)
        with logs.configured(settings.log), asyncio.Runner(loop_factory=_loop(settings)) as runner:
            return runner.run(_run(config, settings, role, records, serve))
    except ConfigError as error:  # before there is the log that the settings ask for
        with logs.configured(Log()):
            logs.log(events.DaemonMisconfigured(error=str(error)))
        return EXIT_USAGE


def _check_state(folder: Path) -> None:
    """Raises ConfigError when others could change what the daemon remembers."""
    if folder.exists() and (intrusion := private.intrusion(folder)):
        raise ConfigError(f"state: {intrusion}")


def _stop_by_signal() -> None:
    """Until the loop runs, a stop signal exits at once, with the status of a stopped daemon. A
    SIGHUP has no effect before the files are read: it asks to read them again."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(EXIT_STOPPED)

    for number in STOP_SIGNALS:
        signal.signal(number, leave)
    signal.signal(signal.SIGHUP, lambda number, frame: None)  # programs do not inherit a handler


def _cancel_by_signal() -> None:
    """Until the shell takes the signals over, the first one cancels this task."""
    task = asyncio.current_task()
    assert task is not None

    def cancel() -> None:
        if not task.cancelling():
            task.cancel()

    for number in STOP_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, cancel)


def _clock(settings: DaemonSettings) -> Clock:
    if not settings.clock_file:
        return Clock()
    clock = Clock(Path(settings.clock_file))
    if not Path(settings.clock_file).exists():
        raise ConfigError(f"clock_file: {clock.file}: expected a file with a number of seconds")
    try:
        clock.reload()
    except ClockFileError as error:
        raise ConfigError(f"clock_file: {error}") from None
    return clock


def _loop(settings: DaemonSettings) -> Callable[[], asyncio.AbstractEventLoop]:
    return uvloop.new_event_loop if settings.loop == "uvloop" else asyncio.new_event_loop


async def _run(
    config: Path,
    settings: S,
    role: Role,
    records: Sequence[type[Record]],
    serve: Serve[S],
) -> int:
    store: Store = SqliteStore(Path(settings.state, LEDGER_FILE))
    _cancel_by_signal()
    try:
        _check_state(Path(settings.state))
        credentials = load_credentials(settings.identity, settings.farm, role)
        clock = _clock(settings)
        await store.open([*records, DenyListRecord])
        loaded: dict[type[Record], Sequence[Record]] = {}
        for record in records:
            loaded[record] = await store.load(record)
        held = [row.signed for row in await store.load(DenyListRecord)]
        deny_lists = DenyLists(settings.farm, credentials.trusted.certificates, held)
        local = local_identity(settings, credentials, role, deny_lists)
        with bound(settings.listen, local) as listening:
            start = Start(
                config=config,
                settings=settings,
                credentials=credentials,
                identity=local,
                reload=lambda: _reloaded(settings, credentials, role, deny_lists),
                listening=listening,
                connections_max=_connections_max(settings),
                store=store,
                records=loaded,
                clock=clock,
                rng=secrets.SystemRandom(),
            )
            return await serve(start)
    except asyncio.CancelledError:
        logs.log(events.DaemonStopping(name=credentials.name))
        return EXIT_STOPPED
    except ConfigError as error:
        logs.log(events.DaemonMisconfigured(error=f"{config}: {error}"))
        return EXIT_USAGE
    except StoreError as error:
        logs.log(events.StoreFailed(error=str(error)))
        return EXIT_STORE
    except TsfarmError as error:  # what the store held cannot be used
        logs.log(events.DaemonUnstartable(error=str(error)))
        return EXIT_STORE
    except Exception as error:
        logs.report_fault(error)
        return EXIT_BROKEN
    finally:
        await store.close()


def bound(listen: Listen, identity: LocalIdentity) -> socket.socket:
    """A socket that listens; links are accepted once a shell runs. Raises ConfigError."""
    try:
        return bind(listen.host, listen.port, identity)
    except OSError as error:
        raise ConfigError(
            "listen.host, listen.port: expected an address of this machine and a free port, found"
            f" {listen.host} port {listen.port}: {words_of(error)}"
        ) from None


def config_argument(program: str, arguments: Sequence[str] | None = None) -> Path:
    """The path given with `--config`, the one argument of every daemon."""
    parser = argparse.ArgumentParser(prog=program)
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="a TOML file")
    config: Path = parser.parse_args(arguments).config
    return config


def _reloaded(
    settings: DaemonSettings, former: Credentials, role: Role, deny_lists: DenyLists
) -> tuple[LocalIdentity, Credentials]:
    """Raises ConfigError, also for a certificate of another name, under which nobody knows this
    daemon."""
    found = load_credentials(settings.identity, settings.farm, role)
    if found.name != former.name:
        raise ConfigError(
            f"identity.certificate: {settings.identity.certificate}: expected a certificate of"
            f" {former.name}, found one of {found.name}: restart the daemon to rename it"
        )
    local = local_identity(settings, found, role, deny_lists)
    deny_lists.trust(found.trusted.certificates)
    return local, found


def _connections_max(settings: DaemonSettings) -> int:
    sessions_max = (
        settings.sessions.sessions_max if isinstance(settings, TerminalServerSettings) else 0
    )
    limit = descriptors.raise_limit()
    links = descriptors.connections_max(limit, sessions_max)
    if links < limits.CONNECTIONS_MAX:
        logs.log(events.DescriptorsLow(limit=limit, connections_max=links))
    return links
