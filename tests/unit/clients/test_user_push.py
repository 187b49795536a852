from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from clients.administrator import Daemon
from clients.ask import AskFailed
from clients.cli import main
from clients.logon.steps import Host
from clients.user_push import signed, tell
from tsproto import certificates
from tsproto.account import Account, PasswordKey
from tsproto.errors import ErrorCode, TsfarmError
from tsproto.messages import (
    AccountStatement,
    AdministratorRole,
    Done,
    Message,
    Role,
    ServerRow,
    ServerState,
)
from tsproto.statements import stated_account

NOW = 1_800_000_000.0
STATEMENT = AccountStatement(account=b"{}", signer=b"", signature=bytes(64))
DIRECTORY = Daemon(Role.SESSION_DIRECTORY, Host("sd", 5602))
TS1 = Daemon(Role.TERMINAL_SERVER, Host("192.0.2.1", 5600, "ts1"))


class Administrator:
    """Notes what each host is told; hosts in `away` fail."""

    def __init__(self, *away: str, servers: Sequence[str] = ("ts1", "ts2")) -> None:
        self.away = away
        self.told: dict[str, list[AccountStatement]] = {}
        self.known = [
            ServerRow(name=name, address=f"192.0.2.{name[-1]}", port=5600, state=ServerState.LOST)
            for name in servers
        ]

    async def servers(self, daemon: Daemon) -> list[ServerRow]:
        self._reach(daemon)
        return self.known

    @asynccontextmanager
    async def asking(self, daemon: Daemon) -> AsyncIterator[Any]:
        self._reach(daemon)
        told = self.told.setdefault(str(daemon.host), [])

        async def ask(message: Message, wanted: type[Message]) -> Message:
            assert wanted is Done
            assert isinstance(message, AccountStatement)
            told.append(message)
            return Done()

        yield ask

    def _reach(self, daemon: Daemon) -> None:
        if str(daemon.host) in self.away:
            raise AskFailed(ErrorCode.UNREACHABLE, f"{daemon.host} is away")


def push(
    administrator: Administrator, directories: Sequence[Daemon], daemons: Sequence[Daemon] = ()
) -> tuple[dict[str, str], list[AskFailed]]:
    given: Any = administrator
    rows, failures = asyncio.run(tell(given, directories, daemons, [STATEMENT, STATEMENT]))
    return {row["host"]: row["state"] for row in rows}, failures


def test_the_directory_and_all_its_hosts_are_told_every_statement() -> None:
    administrator = Administrator()
    states, failures = push(administrator, [DIRECTORY])
    assert states == dict.fromkeys(("sd:5602", "ts1", "ts2"), "stored")
    assert failures == []
    assert administrator.told == dict.fromkeys(states, [STATEMENT, STATEMENT])


def test_a_host_that_is_named_twice_is_told_once() -> None:
    administrator = Administrator(servers=("ts1",))
    push(administrator, [DIRECTORY], [TS1])
    assert len(administrator.told["ts1"]) == 2


def test_a_host_that_is_away_has_the_old_accounts_and_the_others_are_told() -> None:
    states, failures = push(Administrator("ts1"), [DIRECTORY])
    assert states == {"sd:5602": "stored", "ts1": "old", "ts2": "stored"}
    assert [failed.code for failed in failures] == [ErrorCode.UNREACHABLE]


def test_a_directory_that_is_away_is_a_failure_too() -> None:
    states, failures = push(Administrator("sd:5602"), [DIRECTORY], [TS1])
    assert states == {"ts1": "stored", "sd:5602": "old"}
    assert failures


def test_accounts_are_signed_with_the_administrators_key(tmp_path: Path) -> None:
    authority, authority_key = certificates.create_authority("lab", NOW)
    pem, key = certificates.issue_certificate(
        authority,
        authority_key,
        Role.ADMINISTRATOR,
        "me",
        NOW,
        administrator_role=AdministratorRole.ADMIN,
    )
    (tmp_path / "me.crt").write_bytes(pem)
    (tmp_path / "me.key").write_bytes(key)
    row = {
        "name": "ann",
        "generation": 5,
        "password": {
            "public_key": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
            "salt": "AAAAAAAAAAAAAAAAAAAAAA==",
            "memory_kib": 65_536,
            "passes": 3,
            "lanes": 1,
        },
    }
    exported = {"farm": "lab", "rows": [row]}
    [statement] = signed(exported, tmp_path / "me.crt", tmp_path / "me.key")
    trusted = (certificates.certificate_der(authority),)
    password = PasswordKey(
        public_key=bytes(32), salt=bytes(16), memory_kib=65_536, passes=3, lanes=1
    )
    expected = Account(name="ann", generation=5, password=password)
    assert stated_account("lab", statement, trusted, NOW) == expected
    with pytest.raises(TsfarmError, match=r"other\.key: No such file or directory$"):
        signed(exported, tmp_path / "me.crt", tmp_path / "other.key")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "give --identity CERT KEY with --ca FILE, or --lab DIR"),
        (("--server", "ts1"), "give --identity CERT KEY with --ca FILE, or --lab DIR"),
    ],
)
def test_what_is_missing_is_named(words: tuple[str, ...], says: str) -> None:
    done = CliRunner().invoke(main, ["user", "push", "--accounts", "acc", *words])
    assert done.exit_code == 2
    assert says in done.output
