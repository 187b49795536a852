"""A terminal server that is started as root: the part that faces the network is not root."""

from __future__ import annotations

import contextlib
import os
import pwd
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemons.config import ConfigError
from daemons.keeper.supervisor import keeper_folder, user_of
from tests.integration.keepers import (
    command_that_all_can_run,
    end_process,
    keeper_pid,
    wait_until_gone,
    write_host,
)

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root has privilege to separate")
NOBODY = pwd.getpwnam("nobody")
USAGE = 2


class Host:
    """A terminal server whose state folder is nobody's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = write_host(folder, system_user="nobody", sessions={"allow_root": False})
        os.chown(folder / "ts1.key", NOBODY.pw_uid, -1)
        (folder / "ts1.key").chmod(0o600)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        text = self.config.read_text().replace("port = 0", f"port = {self.port}")
        self.config.write_text(text)
        self.state = folder / "state"
        self.state.mkdir()
        os.chown(self.state, NOBODY.pw_uid, NOBODY.pw_gid)

    def start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "daemons.terminal_server", "--config", str(self.config)]
        room = Path(tempfile.mkdtemp(dir=self.folder))
        with open(self.log, "wb") as log:
            process = subprocess.Popen(command_that_all_can_run(command, room), stderr=log)
        self._wait_for_port(process)
        return process

    def _wait_for_port(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + 20
        while process.poll() is None:
            assert time.monotonic() < deadline, "the terminal server does not listen"
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def keeper(self) -> int | None:
        return keeper_pid(keeper_folder(self.state))

    def end_keeper(self) -> None:
        if self.keeper is not None:
            end_process(self.keeper, signal.SIGTERM)


@pytest.fixture
def host() -> Iterator[Host]:
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        host = Host(Path(folder))
        try:
            yield host
        finally:
            host.end_keeper()


def uids(pid: int) -> set[int]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("Uid:")]
    return {int(each) for each in line.split()[1:]}


def only_child(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text())


def test_only_the_keeper_and_the_supervisor_are_root(host: Host) -> None:
    supervisor = host.start()
    try:
        assert supervisor.poll() is None, host.log.read_text()
        server = only_child(supervisor.pid)
        assert uids(server) == {NOBODY.pw_uid}
        assert host.keeper is not None
        assert uids(host.keeper) == uids(supervisor.pid) == {0}
        groups = Path(f"/proc/{server}/status").read_text()
        assert f"Groups:\t{NOBODY.pw_gid} \n" in groups
        assert os.stat(f"/proc/{server}/mem").st_uid == 0  # of a process that is not dumped
        folder = keeper_folder(host.state)
        assert (folder.stat().st_uid, folder.stat().st_mode & 0o777) == (0, 0o711)
        assert (folder / "keeper.sock").stat().st_uid == NOBODY.pw_uid
    finally:
        supervisor.terminate()
        assert supervisor.wait(20) == 0


def test_a_keeper_that_dies_is_started_again(host: Host) -> None:
    supervisor = host.start()
    try:
        first = host.keeper
        assert first is not None
        end_process(first, signal.SIGKILL)
        deadline = time.monotonic() + 20
        while host.keeper in (first, None):
            assert time.monotonic() < deadline, host.log.read_text()
            select.select([], [], [], 0.01)
        assert host.keeper is not None
        assert uids(host.keeper) == {0}
        assert supervisor.poll() is None
    finally:
        supervisor.terminate()
        assert supervisor.wait(20) == 0


def test_the_keeper_stays_for_the_next_terminal_server(host: Host) -> None:
    keepers = []
    for _ in range(2):
        supervisor = host.start()
        keepers.append(host.keeper)
        supervisor.terminate()
        assert supervisor.wait(20) == 0
    assert keepers[0] == keepers[1] is not None


def test_a_terminal_server_does_not_outlive_its_supervisor(host: Host) -> None:
    supervisor = host.start()
    server = only_child(supervisor.pid)
    supervisor.kill()
    supervisor.wait(20)
    wait_until_gone(Path(f"/proc/{server}"))


def refusal(host: Host) -> str:
    process = host.start()
    assert process.wait(20) == USAGE
    return host.log.read_text()


def test_roots_own_state_folder_is_refused(host: Host) -> None:
    os.chown(host.state, 0, 0)
    told = refusal(host)
    assert f"state: {host.state} is root's, and a terminal server must not run as root" in told
    assert "chown tsfarm" in told


def test_the_keeper_refuses_files_that_others_can_write(host: Host) -> None:
    host.config.chmod(0o666)
    assert f"others may write {host.config} (mode 0666): chmod go-w {host.config}" in refusal(host)


def test_the_keeper_refuses_accounts_that_others_own(host: Host) -> None:
    os.chown(host.folder / "accounts", NOBODY.pw_uid, -1)
    told = refusal(host)
    assert f"user {NOBODY.pw_uid} owns {host.folder}/accounts: chown root" in told


def test_a_folder_that_others_can_write_is_refused(host: Host) -> None:
    host.folder.chmod(0o777)
    assert f"others may write {host.folder} (mode 0777)" in refusal(host)


def test_without_a_state_folder_it_is_made_for_the_products_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemons.keeper.supervisor.USER_NAME", "nobody")
    assert user_of(tmp_path / "state") == NOBODY
    found = (tmp_path / "state").stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (
        NOBODY.pw_uid,
        NOBODY.pw_gid,
        0o700,
    )


def test_without_the_products_user_the_next_step_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemons.keeper.supervisor.USER_NAME", "no-such-user")
    with pytest.raises(ConfigError, match="make the user with `useradd --system no-such-user`"):
        user_of(tmp_path / "state")
    assert not (tmp_path / "state").exists()
