"""Statements about accounts at a real keeper: it verifies them itself, whatever its client says."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import tomli_w
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from daemons import accounts
from daemons.effects import NotTaken, Take, Taken
from daemons.keeper.client import KeeperClient
from tsproto import certificates, identity
from tsproto.account import Account, PasswordKey
from tsproto.errors import ErrorCode
from tsproto.messages import AccountStatement, AdministratorRole, PasswordStatement, Role
from tsproto.statements import Standing, account_statement, password_statement
from tsproto.user_proof import Cost, key_of_tag

FARM = "lab"
PRESENT, FRESH = b"p" * 32, b"f" * 32  # stand for argon2id over a password
MICROSECONDS = 1_000_000

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio"])


class Host:
    """A terminal server's files, its keeper, and the client that the terminal server has."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = time.time()
        self.authority = certificates.create_authority(FARM, self.now)
        (folder / "authority.crt").write_bytes(self.authority[0])
        own, key = certificates.issue_certificate(
            *self.authority, Role.TERMINAL_SERVER, "ts1", self.now
        )
        (folder / "ts1.crt").write_bytes(own)
        self.own = certificates.certificate_der(own), identity.load_key(key)
        config = {
            "farm": FARM,
            "state": str(folder),
            "accounts": str(folder / "accounts"),
            "listen": {"host": "127.0.0.1", "port": 0},
            "identity": {
                "certificate": str(folder / "ts1.crt"),
                "key": str(folder / "ts1.key"),
                "authority": str(folder / "authority.crt"),
            },
        }
        (folder / "config.toml").write_text(tomli_w.dumps(config))
        self.generation = int(self.now * MICROSECONDS)
        made = accounts.synthetic(FARM, ["user1"], PRESENT, "ada", self.generation - 10)
        accounts.change(folder / "accounts", FARM, lambda _: made)
        self.client = KeeperClient(
            folder / "config.toml",
            folder,
            on_ended=lambda session_id, status: None,
            on_lost=lambda: None,
        )

    @property
    def account(self) -> Account:
        return accounts.read(self.folder / "accounts").accounts["user1"]

    def administrator(
        self,
        role: AdministratorRole = AdministratorRole.ADMIN,
        authority: tuple[bytes, bytes] | None = None,
    ) -> tuple[bytes, Ed25519PrivateKey]:
        pem, key = certificates.issue_certificate(
            *(authority or self.authority),
            Role.ADMINISTRATOR,
            "me",
            self.now,
            administrator_role=role,
        )
        return certificates.certificate_der(pem), identity.load_key(key)

    def rooted(self, signer: tuple[bytes, Ed25519PrivateKey]) -> AccountStatement:
        """The user's sessions are to run as root."""
        changed = replace(self.account, system_user="root", generation=self.generation)
        return account_statement(FARM, changed, *signer)

    def changed(self, by: bytes = PRESENT, generation: int = 0) -> PasswordStatement:
        key = key_of_tag(FARM, "user1", FRESH)
        cost = Cost()
        password = PasswordKey(
            public_key=key.public_key().public_bytes_raw(),
            salt=bytes(16),
            memory_kib=cost.memory_kib,
            passes=cost.passes,
            lanes=cost.lanes,
            changed=generation or self.generation,
        )
        return password_statement(FARM, "user1", password, key_of_tag(FARM, "user1", by))

    async def take(self, statement: AccountStatement | PasswordStatement) -> Taken | NotTaken:
        return await self.client.take(Take(statement, 0))


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    made = Host(tmp_path)
    await made.client.connect()
    try:
        yield made
    finally:
        made.client.close()
        os.kill(int((tmp_path / "keeper.pid").read_text()), signal.SIGTERM)


async def test_the_keeper_stores_what_an_administrator_states(host: Host) -> None:
    assert await host.take(host.rooted(host.administrator())) == Taken(Standing.NEW)
    assert host.account.system_user == "root"
    assert await host.take(host.rooted(host.administrator())) == Taken(Standing.KNOWN)


async def test_the_keeper_stores_a_password_that_its_user_changed(host: Host) -> None:
    assert await host.take(host.changed()) == Taken(Standing.NEW)
    password = host.account.password
    assert password is not None
    key = key_of_tag(FARM, "user1", FRESH)
    assert password.public_key == key.public_key().public_bytes_raw()
    assert host.account.system_user == "ada"


async def test_a_terminal_server_cannot_make_a_user_root(host: Host) -> None:
    before = (host.folder / "accounts").read_bytes()
    strangers = certificates.create_authority(FARM, host.now)
    certificate, _ = host.administrator()
    forged = [
        host.rooted(host.own),
        host.rooted(host.administrator(AdministratorRole.OPERATOR)),
        host.rooted(host.administrator(authority=strangers)),
        replace(host.rooted(host.own), signer=certificate),
        replace(host.rooted(host.administrator()), account=b'{"name":"user1","generation":9}'),
        replace(host.rooted(host.own), signer=b""),
    ]
    for statement in forged:
        outcome = await host.take(statement)
        assert isinstance(outcome, NotTaken)
        assert outcome.code is ErrorCode.NOT_PERMITTED
    assert (host.folder / "accounts").read_bytes() == before


async def test_a_terminal_server_cannot_change_a_password(host: Host) -> None:
    before = (host.folder / "accounts").read_bytes()
    outcome = await host.take(host.changed(by=FRESH))
    assert outcome == NotTaken(ErrorCode.LOGON_FAILED, "user name or password is wrong")
    ahead = host.generation + 2 * 86_400 * MICROSECONDS
    outcome = await host.take(host.changed(generation=ahead))
    assert isinstance(outcome, NotTaken)
    assert outcome.code is ErrorCode.NOT_PERMITTED
    assert (host.folder / "accounts").read_bytes() == before


async def test_a_statement_of_before_cannot_be_played_again(host: Host) -> None:
    rooted, changed = host.rooted(host.administrator()), host.changed()
    await host.take(rooted)
    await host.take(changed)
    later = replace(host.account, system_user="bob", generation=host.generation + 1, stated=0)
    given = accounts.synthetic(FARM, ["user1"], PRESENT, "", 1)[0].password
    assert given is not None
    later = replace(later, password=replace(given, given=host.generation + 1))
    await host.take(account_statement(FARM, later, *host.administrator()))
    before = (host.folder / "accounts").read_bytes()
    assert await host.take(rooted) == Taken(Standing.OVERTAKEN)
    outcome = await host.take(changed)
    assert isinstance(outcome, NotTaken)
    assert (host.folder / "accounts").read_bytes() == before
    assert host.account.system_user == "bob"


async def test_a_farm_without_its_authoritys_certificate_stores_nothing_now(host: Host) -> None:
    statement = host.rooted(host.administrator())
    (host.folder / "authority.crt").unlink()
    outcome = await host.take(statement)
    assert isinstance(outcome, NotTaken)
    assert outcome.code is ErrorCode.BUSY
    assert "authority.crt" in outcome.detail
