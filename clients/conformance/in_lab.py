"""A lab's daemon as a target: as it runs, or started once more with a configuration of the suite.

A target that the suite starts is one process with its own folder, state and clock: a lab of one
daemon, so that it is started, killed and warped as any lab's. It is dialled on loopback and has a
certificate of the lab's authority; the lab itself is left as it is.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import tempfile
import time
import tomllib
from collections.abc import Iterable
from pathlib import Path

import msgspec
import tomli_w
from msgspec.structs import replace

from clients.conformance.acting import CaseContext
from clients.conformance.linking import NAMES
from clients.conformance.listeners import Listener
from clients.conformance.over_sockets import Address, OverSockets, Settings
from clients.conformance.own_configuration import BROKEN, SCOPES, STARTED, USERS, Configuration
from clients.conformance.playing import Playing
from clients.conformance.target import DIALS_THE_SUITE, Setup, Target, word_of
from clients.conformance.trust import Trust
from clients.conformance.user import User
from clients.known_lab import warp
from tsproto.account import Account, PasswordKey
from tsproto.messages import Role

LOOPBACK = "127.0.0.1"
BROADCAST = "127.255.255.255"
NAME = "under-test"
SECOND_LICENSE_SERVER = "conformance-ls2"


class DaemonOfALab(OverSockets):
    """A daemon that its lab can kill, start and warp."""

    def now(self) -> float:
        from daemons import lab

        return time.time() + lab.clock_offset(self._lab())

    def move_clock(self, seconds: float) -> None:
        warp(self._lab(), seconds)

    def restart(self) -> None:
        from daemons import lab

        lab.kill(self._lab(), self.name)
        lab.start(self._lab(), self.name)

    def _lab(self) -> Path:
        assert self._settings.lab is not None
        return self._settings.lab


class OwnDaemon(DaemonOfALab, Playing):
    """A target that the suite starts for one case, with the settings of a lab's daemon."""

    def __init__(self, of_lab: Settings, setup: Setup) -> None:
        assert of_lab.trust is not None and of_lab.lab is not None
        self._setup = setup
        self._folder = Path(tempfile.mkdtemp(prefix="conformance-own-"))
        listeners = _listeners(of_lab.role, setup, of_lab.trust if of_lab.tls else None)
        settings = replace(
            of_lab,
            name=NAME,
            address=Address(LOOPBACK, _free_port(socket.SOCK_STREAM)),
            lab=self._folder,
            users=USERS,
            applications=STARTED,
            broken_application=BROKEN,
            beside={},
            discovery=Address(BROADCAST, _free_port(socket.SOCK_DGRAM)),
            scopes=dict(enumerate(SCOPES.values(), start=1)),
        )
        super().__init__(settings, listeners)
        from daemons import lab

        _make(settings, of_lab.lab, Configuration(settings, setup, listeners, of_lab.beside))
        try:
            lab.start(self._folder, NAME)
            if setup is Setup.BUSY:
                self._take_its_keeper()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        super().stop()
        from daemons import lab

        if lab.pid_of(self._folder, NAME) is not None:
            lab.kill(self._folder, NAME)
        lab.down(self._folder)
        shutil.rmtree(self._folder)

    def _take_its_keeper(self) -> None:
        """Ends the keeper, once the target serves clients; without accounts none can be started."""
        context = CaseContext(self, self._setup, random.Random(1))
        context.licensing()
        context.leave()
        (self._folder / "accounts").unlink()
        pid = (self._folder / NAME / "state" / "keeper.pid").read_text()
        os.kill(int(pid), signal.SIGKILL)


class InLab:
    """The source of a lab's daemon. A case of another set-up than RIGHT gets a target of the
    suite's own."""

    def __init__(self, daemon: Target, settings: Settings) -> None:
        self._daemon = daemon
        self._settings = settings

    def target(self, setup: Setup, fresh: bool) -> Target:
        if setup is Setup.RIGHT:
            return self._daemon
        return OwnDaemon(self._settings, setup)

    def done(self, target: Target, has_failed: bool) -> None:
        if target is not self._daemon:
            target.stop()

    def stop(self) -> None:
        self._daemon.stop()


def _listeners(role: Role, setup: Setup, trust: Trust | None) -> list[Listener]:
    """The suite's listening sockets for a target of this role and set-up."""
    played: list[tuple[Role, str]] = []
    if setup in DIALS_THE_SUITE:
        played.append((Role.LICENSE_SERVER, NAMES[Role.LICENSE_SERVER]))
        if setup is Setup.TWO_LICENSE_SERVERS:
            played.append((Role.LICENSE_SERVER, SECOND_LICENSE_SERVER))
        if role is Role.TERMINAL_SERVER:
            played.append((Role.SESSION_DIRECTORY, NAMES[Role.SESSION_DIRECTORY]))
    return [Listener(own_role, name, Address(LOOPBACK, 0), trust) for own_role, name in played]


def _make(own: Settings, of_lab: Path, configuration: Configuration) -> None:
    """Makes the target's folder as `daemons.lab` reads it, with the users and the clock of
    `of_lab`."""
    from daemons import lab

    folder = own.lab
    assert folder is not None
    daemon = lab.Daemon(own.name, own.role.name.lower(), own.address.host, own.address.port)
    lab_of_one = replace(lab.load(of_lab), daemons=(daemon,))
    (folder / "lab.json").write_bytes(msgspec.json.encode(lab_of_one))
    (folder / "pki").symlink_to(of_lab / "pki")
    (folder / "clock").write_text(f"{lab.clock_offset(of_lab)}\n")
    _make_accounts(folder / "accounts", lab_of_one.farm, own.users)
    (folder / BROKEN).write_text("#!/no/such/interpreter\n")
    (folder / BROKEN).chmod(0o755)
    (folder / own.name / "state").mkdir(parents=True)  # ours: as root too it runs as we do
    (folder / own.name / "config.toml").write_text(tomli_w.dumps(configuration.keys()))


def _make_accounts(path: Path, farm: str, users: Iterable[User]) -> None:
    system_user = "root" if os.geteuid() == 0 else ""
    made: list[object] = [{"accounts_of_farm": farm, "version": 2, "secret": bytes(32)}]
    for user in users:
        public_key = user.key(farm).public_key().public_bytes_raw()
        account = Account(
            name=user.name,
            generation=1,
            system_user=system_user,
            password=PasswordKey(public_key=public_key, **user.salted),
            ssh_keys=tuple(key.line for key in user.ssh_keys),
            applications=user.applications or None,
        )
        made.append(account)
    path.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in made))
    path.chmod(0o600)


def _users_of(folder: Path, names: Iterable[str]) -> tuple[User, ...]:
    """A lab's users, with salt and cost of their accounts."""
    _, *lines = (folder / "accounts").read_bytes().splitlines()
    known = {account.name: account for account in map(_account_in, lines)}
    users = []
    for name in names:
        user = User(name, (folder / "users" / name).read_bytes().strip())
        key = known[name].password
        salted = {} if key is None else {field: getattr(key, field) for field in user.salted}
        users.append(replace(user, **salted))
    return tuple(users)


def _account_in(line: bytes) -> Account:
    return msgspec.json.decode(line, type=Account)


def _free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def settings_in_lab(common: Settings, folder: Path, name: str) -> Settings:
    """The settings of a daemon of a running lab; the lab's authority signs certificates for the
    suite."""
    from daemons import lab

    farm = lab.load(folder)
    if ":" in name:
        known = ", ".join(daemon.name for daemon in farm.daemons)
        raise ValueError(
            f"{name} is an address: a lab's daemon is called by its name ({known}); what runs at an"
            " address needs --ca and --ca-key instead of --lab"
        )
    daemon = farm.daemon(name)
    if Role[daemon.role.upper()] is not common.role:
        raise ValueError(f"{name} is a {word_of(Role[daemon.role.upper()])}: say so with --role")
    config = tomllib.loads((folder / name / "config.toml").read_text())
    where = config.get("discovery", {})
    scopes = {n: where.get(key, "") for n, key in ((1, "workgroup"), (2, "domain"), (3, "site"))}
    beside = {Role[other.role.upper()]: Address(other.host, other.port) for other in farm.daemons}
    pki = folder / "pki"
    return replace(
        common,
        name=name,
        address=Address(daemon.host, daemon.port),
        trust=Trust(pki / "authority.crt", pki / "authority.key"),
        tls=farm.tls,
        users=_users_of(folder, farm.users),
        beside=beside,
        discovery=Address(where["broadcast"], where["port"]) if where else None,
        scopes={number: scope for number, scope in scopes.items() if scope},
        lab=folder,
    )
