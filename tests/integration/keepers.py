"""A real keeper for one test, and the means to talk to it and to end it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import resource
import select
import shlex
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import tomli_w
from msgspec.structs import replace

from daemons import accounts
from daemons.effects import (
    Challenge,
    Challenged,
    NotProved,
    ProgramFailed,
    Prompted,
    Prove,
    Proved,
    StartProgram,
)
from daemons.keeper.client import HeldProgram, KeeperClient
from daemons.keeper.launch import Program
from tsproto import certificates
from tsproto.messages import Role
from tsproto.user_proof import (
    ED25519,
    Asked,
    Cost,
    Method,
    Methods,
    Statement,
    key_of_tag,
)

DASH = ("/bin/dash",)  # unlike bash it opens no terminal by itself
RING_BYTES = 4096
FARM, SERVER, USER = "farm", "ts1", "user1"
DEVICE = bytes(range(32))
PLAIN = bytes(32)
TAG = b"t" * 32  # stands for argon2id over the users' passwords


# --- the host's own files -------------------------------------------------------------------------


def write_host(
    folder: Path,
    *,
    sessions: dict[str, Any] | None = None,
    asks_secrets: bool = False,
    **account: Any,
) -> Path:
    """Configuration, certificate and accounts of a terminal server with one user; gives the path of
    the configuration. Sessions run dash as this process's user, unless the test says otherwise."""
    certificate, key = certificate_of(SERVER, asks_secrets)
    (folder / "ts1.crt").write_bytes(certificate)
    (folder / "ts1.key").write_bytes(key)
    (folder / "authority.crt").write_bytes(_authority()[0])
    usual = {"shell": DASH, "allow_root": True, "replay_bytes": RING_BYTES}
    config = {
        "farm": FARM,
        "state": "state",
        "accounts": "accounts",
        "listen": {"host": "127.0.0.1", "port": 0, "tls": False},
        "identity": {"certificate": "ts1.crt", "key": "ts1.key", "authority": "authority.crt"},
        "sessions": {**usual, **(sessions or {})},
    }
    path = folder / "config.toml"
    path.write_text(tomli_w.dumps(config))
    write_account(folder, **account)
    return path


def certificate_of(name: str, asks_secrets: bool = False) -> tuple[bytes, bytes]:
    """A new certificate of a terminal server of the farm, and its key, in PEM."""
    now = time.time()
    return certificates.issue_certificate(
        *_authority(), Role.TERMINAL_SERVER, name, now, asks_secrets=asks_secrets
    )


@cache
def _authority() -> tuple[bytes, bytes]:
    return certificates.create_authority(FARM, time.time())


def write_account(folder: Path, name: str = USER, **given: Any) -> None:
    """Put the user's account into the host's accounts file."""
    (made,) = accounts.synthetic(FARM, [name], TAG, "", time.time_ns() // 1000)
    accounts.change(folder / "accounts", FARM, lambda _: [replace(made, **given)])


def statement_of(
    said: Challenged, asked: Asked, user_name: str = USER, certificate: bytes = PLAIN
) -> Statement:
    """What a client signs for this challenge."""
    return Statement(
        farm=FARM,
        server=SERVER,
        certificate=certificate,
        nonce=said.nonce,
        time=said.time,
        device_id=DEVICE,
        user_name=user_name,
        method=Method.PASSWORD,
        methods=Methods(said.methods),
        salt=said.salt,
        cost=Cost(said.memory_kib, said.passes, said.lanes),
        asked=asked,
    )


def signature_of(statement: Statement, signer: str = USER) -> bytes:
    return key_of_tag(FARM, signer, TAG).sign(statement.signed_bytes())


async def prove(
    client: KeeperClient, asked: Asked, user_name: str = USER, signer: str = USER
) -> Prompted | Proved | NotProved:
    """Ask for a challenge, and prove the user with the key that the password gives."""
    said = await client.challenge(Challenge(user_name, DEVICE, PLAIN, (), 0))
    assert isinstance(said, Challenged), said
    signature = signature_of(statement_of(said, asked, user_name), signer)
    return await client.prove(Prove(said.nonce, Method.PASSWORD, ED25519, signature, asked, 0))


async def proof_of(client: KeeperClient, asked: Asked, user_name: str = USER) -> int:
    outcome = await prove(client, asked, user_name, user_name)
    assert isinstance(outcome, Proved), outcome
    return outcome.proof_id


def start_of(session_id: int, proof_id: int, asked: Asked, columns: int = 80) -> StartProgram:
    return StartProgram(
        session_id=session_id,
        proof_id=proof_id,
        asked=asked,
        columns=columns,
        rows=24,
        terminal="xterm-256color",
        lang="",
        tz="",
        colorterm="",
        question_id=0,
    )


# --- processes ------------------------------------------------------------------------------------


@contextlib.contextmanager
def folder_with_keeper(folder: Path) -> Iterator[Path]:
    """The files of a host; in the end its keeper and all its sessions are ended."""
    write_host(folder)
    try:
        yield folder
    finally:
        if (pid := keeper_pid(folder)) is not None:
            end_process(pid, signal.SIGTERM)


def keeper_pid(folder: Path) -> int | None:
    try:
        return int((folder / "keeper.pid").read_text())
    except (FileNotFoundError, ValueError):
        return None


def end_process(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        pidfd = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(pidfd, number)
            assert is_readable(pidfd, 20), f"process {pid} goes on"
        finally:
            os.close(pidfd)


@contextlib.contextmanager
def room_for_descriptors(count: int) -> Iterator[None]:
    """This process can open so many more, and then no other."""
    names = os.listdir("/proc/self/fd")
    used = {int(name) for name in names if os.path.exists(f"/proc/self/fd/{name}")}
    free = (number for number in itertools.count() if number not in used)
    limit = next(itertools.islice(free, count, None))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def is_readable(descriptor: int, seconds: float) -> bool:
    """Within so many seconds; of a pidfd it says that the process has ended."""
    return bool(select.select([descriptor], [], [], seconds)[0])


def wait_until_gone(path: Path) -> None:
    """Until nothing lies there any more; poll of a file that another process removes."""
    deadline = time.monotonic() + 20
    while path.exists():
        assert time.monotonic() < deadline, f"{path} is still there"
        select.select([], [], [], 0.01)


def command_that_all_can_run(arguments: list[str], room: Path) -> list[str]:
    """The command with Python's folder in a place where every user can reach it: in a container it
    is often below /root. The place is seen by this command alone."""
    real = Path(sys.executable).resolve()
    closed = [folder for folder in reversed(real.parents) if not folder.stat().st_mode & 0o001]
    if not closed:
        return arguments
    inner = closed[0] / real.relative_to(closed[0]).parts[0]
    room.chmod(0o755)
    (room / inner.name).mkdir()
    bind = f"mount --bind {inner} {room}/{inner.name} && mount --rbind {room} {closed[0]}"
    return ["unshare", "-m", "sh", "-c", f"{bind} && exec {shlex.join(arguments)}"]


class Terminal:
    """The user's end of a PTY, read as far as a text that must come."""

    def __init__(self, held: HeldProgram) -> None:
        self.pid = held.pid
        self._held = held
        self.output = b""

    def type(self, text: bytes) -> None:
        os.write(self._held.master, text)

    def until(self, text: bytes) -> bytes:
        """All output up to `text`, which is consumed."""
        deadline = time.monotonic() + 20
        while text not in self.output:
            assert select.select([self._held.master], [], [], deadline - time.monotonic())[0], (
                f"no {text!r} in {self.output!r}"
            )
            try:
                self.output += os.read(self._held.master, 65536)
            except OSError as error:
                raise AssertionError(f"no {text!r} in {self.output!r}: {error}") from None
        before, self.output = self.output.split(text, 1)
        return before

    def until_end(self) -> bytes:
        """All output until the program has closed its terminal."""
        deadline = time.monotonic() + 20
        while select.select([self._held.master], [], [], deadline - time.monotonic())[0]:
            try:
                self.output += os.read(self._held.master, 65536)
            except OSError:
                return self.output
        raise AssertionError(f"the terminal stays open after {self.output!r}")

    def close(self) -> None:
        self._held.close()


class Keeping:
    """A client of the keeper, its notices, and the terminals that it opened."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.ended: asyncio.Queue[tuple[int, int]] = asyncio.Queue()
        self.lost = asyncio.Event()
        self.client = KeeperClient(
            folder / "config.toml",
            folder,
            on_ended=lambda session_id, status: self.ended.put_nowait((session_id, status)),
            on_lost=self.lost.set,
            **options,
        )
        self._terminals: list[Terminal] = []

    async def try_to_start(
        self, session_id: int = 1, *, columns: int = 80, command: str = "", application: str = ""
    ) -> HeldProgram | ProgramFailed:
        asked = Asked(application, command)
        proof_id = await proof_of(self.client, asked)
        return await self.client.start(start_of(session_id, proof_id, asked, columns))

    async def start(
        self, session_id: int = 1, *, columns: int = 80, command: str = "", application: str = ""
    ) -> Terminal:
        return self.opened(
            await self.try_to_start(
                session_id, columns=columns, command=command, application=application
            )
        )

    async def fetch(self, session_id: int = 1) -> Terminal:
        return self.opened(await self.client.fetch(session_id))

    def opened(self, started: HeldProgram | ProgramFailed) -> Terminal:
        assert isinstance(started, HeldProgram), started
        terminal = Terminal(started)
        self._terminals.append(terminal)
        return terminal

    def close(self) -> None:
        self.client.close()
        for terminal in self._terminals:
            terminal.close()


def program(session_id: int = 1, **given: object) -> Program:
    """A shell as this process's user, whoever that is."""
    usual: dict[str, object] = {"system_user": "", "allow_root": True, "shell": DASH}
    return Program(**{"session_id": session_id, **usual, **given})  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def keeping(folder: Path, **options: Any) -> AsyncIterator[Keeping]:
    kept = Keeping(folder, **options)
    try:
        await kept.client.connect()
        yield kept
    finally:
        kept.close()
