"""Daemons as processes: ready, asked over TLS, stopped; and what their exit status says."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from daemons import accounts, descriptors
from tests.integration.far_end import dialled
from tsproto import deny_list
from tsproto.authorities import Authorities, endorse
from tsproto.certificates import certificate_der, create_authority, issue_certificate
from tsproto.deny_list import DenyKind, DenyList
from tsproto.identity import load_key
from tsproto.messages import (
    DAEMONS,
    AdministratorRole,
    Message,
    Pools,
    QueryPools,
    QueryServers,
    QuerySessions,
    Refused,
    Role,
    Servers,
    Sessions,
    WarpClock,
)
from tsproto.transport import daemon_tls

ROOT = Path(__file__).parents[2]
PACKAGES = {
    Role.LICENSE_SERVER: "daemons.license_server",
    Role.SESSION_DIRECTORY: "daemons.session_directory",
    Role.TERMINAL_SERVER: "daemons.terminal_server",
}
EVERY_ROLE = pytest.mark.parametrize("role", list(PACKAGES), ids=lambda role: role.name)
ACCOUNTS = 'accounts = "accounts"\nsessions.allow_root = true'


class Farm:
    """Certificates and configurations in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._authority = create_authority("north", time.time())
        (folder / "ca.crt").write_bytes(self._authority[0])
        self.issue(Role.ADMINISTRATOR, "root")

    def configuration(self, role: Role, more: str = "") -> Path:
        self.issue(role, "one")
        if role is Role.TERMINAL_SERVER:  # it runs as the owner
            (self.folder / "state").mkdir(exist_ok=True)
        path = self.folder / "one.toml"
        path.write_text(
            'farm = "north"\nstate = "state"\n'
            'identity = { certificate = "one.crt", key = "one.key", authority = "ca.crt" }\n'
            f"listen = {{ port = 0 }}\n{more}\n"
        )
        return path

    async def ask(self, port: int, message: Message) -> Message:
        files = (self.folder / name for name in ("root.crt", "root.key", "ca.crt"))
        async with dialled(port, tls=daemon_tls(*files)) as who:
            who.request(message)
            return await who.answer()

    def rotate(self) -> None:
        """Give the farm another authority beside the one it has; the file holds both."""
        old, old_key = self._authority
        new, new_key = create_authority("north", time.time())
        ders = certificate_der(new), certificate_der(old)
        both = Authorities(ders, endorse(ders[0], load_key(old_key)))
        self._authority = new, new_key
        (self.folder / "ca.crt").write_bytes(both.to_pem())

    def denying(self, *certificates: bytes) -> bytes:
        """A deny list of these SHA-256, signed by the newest authority."""
        content = DenyList(
            farm="north",
            kind=DenyKind.CERTIFICATES,
            number=deny_list.next_number(0, time.time()),
            entries=[*certificates],
        )
        return deny_list.sign(content, load_key(self._authority[1]))

    def issue(self, role: Role, name: str) -> None:
        """Makes or replaces the certificate and key in NAME.crt and NAME.key."""
        at = ("127.0.0.1",) if role in DAEMONS else ()
        certificate, key = issue_certificate(
            *self._authority,
            role,
            name,
            time.time(),
            addresses=at,
            administrator_role=AdministratorRole.OPERATOR,
        )
        (self.folder / f"{name}.crt").write_bytes(certificate)
        (self.folder / f"{name}.key").touch(mode=0o600)
        (self.folder / f"{name}.key").write_bytes(key)


@pytest.fixture
def farm(tmp_path: Path) -> Farm:
    return Farm(tmp_path)


@contextmanager
def daemon(role: Role, config: Path, *before: str) -> Iterator[subprocess.Popen[bytes]]:
    """A daemon, started by the command `before` if there is one."""
    command = [*before, sys.executable, "-m", PACKAGES[role], "--config", str(config)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, cwd=ROOT) as process:
        try:
            yield process
        finally:
            process.kill()


def line_with(process: subprocess.Popen[bytes], event: str) -> dict[str, Any]:
    """The next line of the log with this event; fails when the daemon ends before."""
    assert process.stderr is not None
    for line in process.stderr:
        found: dict[str, Any] = json.loads(line)
        if found["event"] == event:
            return found
    raise AssertionError(f"the daemon ended without {event}")


def ended(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    """Exit status, and the rest of what it said."""
    _, said = process.communicate(timeout=20)
    return process.returncode, said.decode()


async def test_a_license_server_serves_and_remembers(farm: Farm) -> None:
    config = farm.configuration(
        Role.LICENSE_SERVER, 'key_packs = [{ key_pack = "pack-1", tokens = 5 }]'
    )
    for _ in range(2):
        with daemon(Role.LICENSE_SERVER, config) as process:
            pools = await farm.ask(line_with(process, "daemon.ready")["port"], QueryPools())
            assert isinstance(pools, Pools)
            assert [pool.total for pool in pools.pools] == [5]
            process.send_signal(signal.SIGTERM)
            assert ended(process)[0] == 0


async def test_a_session_directory_serves(farm: Farm) -> None:
    config = farm.configuration(Role.SESSION_DIRECTORY, 'loop = "asyncio"')
    with daemon(Role.SESSION_DIRECTORY, config) as process:
        port = line_with(process, "daemon.ready")["port"]
        assert await farm.ask(port, QueryServers()) == Servers(request_id=1, servers=[])
        assert isinstance(await farm.ask(port, WarpClock()), Refused)
        process.send_signal(signal.SIGINT)
        assert ended(process)[0] == 0


def test_a_daemon_whose_log_nobody_reads_stops_all_the_same(farm: Farm) -> None:
    config = farm.configuration(Role.SESSION_DIRECTORY)
    with daemon(Role.SESSION_DIRECTORY, config) as process:
        line_with(process, "daemon.ready")
        assert process.stderr is not None
        process.stderr.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0


@pytest.fixture
def keepers_end(farm: Farm) -> Iterator[None]:
    """Ends the keeper that a terminal server leaves behind."""
    yield
    keeper = int((farm.folder / "state" / "keeper.pid").read_text())
    ended_process = os.pidfd_open(keeper)
    os.kill(keeper, signal.SIGTERM)
    assert select.select([ended_process], [], [], 10.0)[0]
    os.close(ended_process)


@pytest.mark.usefixtures("keepers_end")
async def test_a_terminal_server_serves_and_leaves_its_sessions_to_its_keeper(farm: Farm) -> None:
    accounts.change(farm.folder / "accounts", "north", lambda _: [])
    config = farm.configuration(Role.TERMINAL_SERVER, ACCOUNTS)
    keepers = []
    for _ in range(2):
        with daemon(Role.TERMINAL_SERVER, config) as process:
            port = line_with(process, "daemon.ready")["port"]
            assert await farm.ask(port, QuerySessions()) == Sessions(request_id=1, sessions=[])
            process.send_signal(signal.SIGTERM)
            assert ended(process)[0] == 0
        keepers.append((farm.folder / "state" / "keeper.pid").read_text())
    assert keepers[0] == keepers[1]


def test_accounts_that_cannot_be_read_end_the_daemon_with_status_2(farm: Farm) -> None:
    config = farm.configuration(Role.TERMINAL_SERVER, ACCOUNTS)
    with daemon(Role.TERMINAL_SERVER, config) as process:
        said = line_with(process, "daemon.misconfigured")
        assert said["error"].startswith(f"{config}: {farm.folder}/accounts: there is no such file")
        assert ended(process)[0] == 2


def test_a_second_daemon_on_the_same_state_ends_with_status_1(farm: Farm) -> None:
    config = farm.configuration(Role.LICENSE_SERVER)
    with daemon(Role.LICENSE_SERVER, config) as first:
        line_with(first, "daemon.ready")
        with daemon(Role.LICENSE_SERVER, config) as second:
            said = line_with(second, "store.failed")
            assert said["error"].startswith(
                f"{farm.folder}/state/ledger.sqlite: another process owns this store"
            )
            assert ended(second)[0] == 1


def test_a_damaged_ledger_ends_the_daemon_with_status_1(farm: Farm) -> None:
    config = farm.configuration(Role.LICENSE_SERVER)
    (farm.folder / "state").mkdir()
    (farm.folder / "state" / "ledger.sqlite").write_bytes(b"no ledger" * 1000)
    with daemon(Role.LICENSE_SERVER, config) as process:
        said = line_with(process, "store.failed")
        assert "ledger.sqlite: the file is damaged" in said["error"]
        assert ended(process)[0] == 1


def test_the_state_of_another_kind_of_daemon_is_refused(farm: Farm) -> None:
    with daemon(Role.LICENSE_SERVER, farm.configuration(Role.LICENSE_SERVER)) as process:
        line_with(process, "daemon.ready")
        process.send_signal(signal.SIGTERM)
        assert ended(process)[0] == 0
    (farm.folder / "accounts").touch()
    with daemon(Role.TERMINAL_SERVER, farm.configuration(Role.TERMINAL_SERVER, ACCOUNTS)) as other:
        said = line_with(other, "store.failed")
        assert said["error"] == (
            f"{farm.folder}/state/ledger.sqlite: another kind of daemon keeps key_packs, licenses,"
            " loans, journal here: give this one a `state` folder of its own"
        )
        assert ended(other)[0] == 1


@pytest.mark.parametrize("state", ["state", "state/below"])
def test_a_state_that_is_a_file_is_told_as_that(farm: Farm, state: str) -> None:
    (farm.folder / "state").touch()
    config = farm.configuration(Role.LICENSE_SERVER)
    config.write_text(config.read_text().replace('"state"', f'"{state}"'))
    with daemon(Role.LICENSE_SERVER, config) as process:
        said = line_with(process, "store.failed")
        assert said["error"].startswith(
            f"{farm.folder}/{state}: a file is where a folder must be: "
        )
        assert ended(process)[0] == 1


@EVERY_ROLE
def test_a_configuration_that_is_missing_ends_the_daemon_with_status_2(
    farm: Farm, role: Role
) -> None:
    with daemon(role, farm.folder / "none.toml") as process:
        said = line_with(process, "daemon.misconfigured")
        assert (
            said["error"] == f"{farm.folder}/none.toml: cannot be read: No such file or directory"
        )
        assert ended(process) == (2, "")


@pytest.mark.parametrize("role", [Role.LICENSE_SERVER, Role.SESSION_DIRECTORY])
@pytest.mark.parametrize(
    ("host", "why"),
    [("192.0.2.1", "Cannot assign requested address"), ("nosuch.invalid", "")],
)
def test_an_address_that_cannot_be_had_ends_the_daemon_with_status_2(
    farm: Farm, role: Role, host: str, why: str
) -> None:
    config = farm.configuration(role)
    config.write_text(config.read_text().replace("port = 0", f'host = "{host}", port = 1'))
    with daemon(role, config) as process:
        said = line_with(process, "daemon.misconfigured")
        assert said["error"].startswith(
            f"{config}: listen.host, listen.port: expected an address of this machine and a free"
            f" port, found {host} port 1: {why}"
        )
        assert "Unknown error" not in said["error"]
        assert ended(process)[0] == 2


@pytest.mark.parametrize(
    ("key", "host", "expected"),
    [
        ("broadcast", "nosuch.invalid", "an IPv4 address: "),
        ("broadcast", "ff02::1", "an IPv4 address: "),
        ("broadcast", "10.0.0.256", "an IPv4 address: "),
        ("source", "ff02::1", "an address of this machine and a free port, found ff02::1 port 0: "),
    ],
)
def test_an_address_for_discovery_that_cannot_be_used_ends_the_daemon_with_status_2(
    farm: Farm, key: str, host: str, expected: str
) -> None:
    config = farm.configuration(Role.LICENSE_SERVER, f'discovery = {{ {key} = "{host}" }}')
    with daemon(Role.LICENSE_SERVER, config) as process:
        said = line_with(process, "daemon.misconfigured")["error"]
        assert said.startswith(f"{config}: discovery.{key}: expected {expected}")
        assert host in said
        assert "Errno" not in said
        assert ended(process)[0] == 2


def test_a_key_pack_that_contradicts_the_ledger_ends_the_daemon_with_status_2(farm: Farm) -> None:
    role = Role.LICENSE_SERVER
    pack = 'key_packs = [{{ key_pack = "pack-1", tokens = {} }}]'
    with daemon(role, farm.configuration(role, pack.format(5))) as first:
        line_with(first, "daemon.ready")
    config = farm.configuration(role, pack.format(6))
    with daemon(role, config) as second:
        said = line_with(second, "daemon.misconfigured")
        assert said["error"].startswith(f"{config}: key_packs: ")
        assert ended(second)[0] == 2


def test_more_pools_than_a_ledger_holds_end_the_daemon_with_status_2(farm: Farm) -> None:
    role = Role.LICENSE_SERVER
    packs = [
        f'{{ key_pack = "pack-{n}", product = "product-{n}", tokens = 5 }}' for n in range(257)
    ]
    config = farm.configuration(role, f"key_packs = [{', '.join(packs)}]")
    with daemon(role, config) as process:
        said = line_with(process, "daemon.misconfigured")
        expected = f"{config}: key_packs: a license server keeps at most 256 pools"
        assert said["error"].startswith(expected)
        assert ended(process)[0] == 2


def test_a_key_that_is_missing_is_told_with_file_and_key_of_the_configuration(farm: Farm) -> None:
    config = farm.configuration(Role.LICENSE_SERVER)
    (farm.folder / "one.key").unlink()
    with daemon(Role.LICENSE_SERVER, config) as process:
        place = f"{config}: identity.key: {farm.folder}/one.key"
        said = line_with(process, "daemon.misconfigured")
        assert said["error"] == f"{place}: cannot be read: No such file or directory"
        assert ended(process) == (2, "")


@EVERY_ROLE
def test_a_key_that_others_could_read_ends_the_daemon_with_status_2(farm: Farm, role: Role) -> None:
    config = farm.configuration(role, ACCOUNTS if role is Role.TERMINAL_SERVER else "")
    key = farm.folder / "one.key"
    key.chmod(0o644)
    with daemon(role, config) as process:
        said = line_with(process, "daemon.misconfigured")
        assert said["error"] == (
            f"{config}: identity.key: {key} is open to others (mode 0644), who could pass for this"
            f" daemon: run `chmod 600 {key}`"
        )
        assert ended(process) == (2, "")


@EVERY_ROLE
def test_a_state_that_others_could_change_ends_the_daemon_with_status_2(
    farm: Farm, role: Role
) -> None:
    config = farm.configuration(role, ACCOUNTS if role is Role.TERMINAL_SERVER else "")
    state = farm.folder / "state"
    state.mkdir(exist_ok=True)
    state.chmod(0o770)
    with daemon(role, config) as process:
        said = line_with(process, "daemon.misconfigured")
        assert said["error"] == (
            f"{config}: state: others can write in {state} (mode 0770): run `chmod go-w {state}`"
        )
        assert ended(process) == (2, "")


def test_a_log_that_cannot_be_written_is_told_on_standard_error(farm: Farm) -> None:
    config = farm.configuration(Role.LICENSE_SERVER, 'log = { file = "ca.crt/log" }')
    with daemon(Role.LICENSE_SERVER, config) as process:
        assert f"{farm.folder}/ca.crt" in line_with(process, "daemon.misconfigured")["error"]
        assert ended(process) == (2, "")


@pytest.mark.parametrize("content", [None, "soon"], ids=["missing", "no-number"])
def test_a_clock_file_that_is_none_ends_the_daemon_with_status_2(
    farm: Farm, content: str | None
) -> None:
    config = farm.configuration(Role.LICENSE_SERVER, 'clock_file = "clock"')
    if content is not None:
        (farm.folder / "clock").write_text(content)
    with daemon(Role.LICENSE_SERVER, config) as process:
        said = line_with(process, "daemon.misconfigured")
        place = f"{config}: clock_file: {farm.folder}/clock"
        assert said["error"].startswith(f"{place}: expected a ")
        assert ended(process) == (2, "")


def test_a_shell_that_is_none_ends_the_daemon_with_status_2(farm: Farm) -> None:
    config = farm.configuration(Role.TERMINAL_SERVER, f'{ACCOUNTS}\nsessions.shell = ["/bin/none"]')
    with daemon(Role.TERMINAL_SERVER, config) as process:
        said = line_with(process, "daemon.misconfigured")
        assert said["error"].startswith(f"{config}: sessions.shell: expected an executable ")
        assert ended(process)[0] == 2


# --- told to stop before it is ready --------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_daemon_that_still_reads_its_configuration_stops_with_status_0(
    farm: Farm, number: int
) -> None:
    config = farm.folder / "slow.toml"
    os.mkfifo(config)
    with daemon(Role.LICENSE_SERVER, config) as process, config.open("w"):
        process.send_signal(number)
        assert ended(process) == (0, "")


def test_a_daemon_that_still_reads_its_configuration_is_not_ended_by_a_hang_up(farm: Farm) -> None:
    config = farm.folder / "slow.toml"
    os.mkfifo(config)
    with daemon(Role.LICENSE_SERVER, config) as process, config.open("w"):
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        assert ended(process) == (0, "")


STOPPED_EARLY = """
import asyncio, os, signal, sys
from pathlib import Path
from daemons import startup
from daemons.settings import LicenseServerSettings
from tsproto.messages import Role

async def serve(start):
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.Event().wait()

kind = LicenseServerSettings
sys.exit(startup.run(Path(sys.argv[1]), kind, Role.LICENSE_SERVER, [], serve))
"""


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_a_daemon_that_is_not_ready_yet_stops_with_status_0(farm: Farm, loop: str) -> None:
    config = farm.configuration(Role.LICENSE_SERVER, f'loop = "{loop}"')
    command = [sys.executable, "-c", STOPPED_EARLY, str(config)]
    ending = subprocess.run(command, stderr=subprocess.PIPE, cwd=ROOT, timeout=20, check=False)
    assert ending.returncode == 0
    assert json.loads(ending.stderr.splitlines()[-1])["event"] == "daemon.stopping"


# --- descriptors ----------------------------------------------------------------------------------


def test_a_daemon_takes_the_descriptors_that_it_may_and_says_when_they_are_few(farm: Farm) -> None:
    config = farm.configuration(Role.LICENSE_SERVER)
    few = ("/bin/sh", "-c", 'ulimit -Sn 300 && ulimit -Hn 1000 && exec "$@"', "sh")
    with daemon(Role.LICENSE_SERVER, config, *few) as process:
        said = line_with(process, "descriptors.low")
        assert (said["limit"], said["connections_max"]) == (
            1000,
            (1000 - descriptors.RESERVED) * 4 // 5,
        )
