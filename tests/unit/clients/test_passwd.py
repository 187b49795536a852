from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from clients import passwd
from clients.licensed_device import License, LicensedDevice
from clients.logon.steps import Hashing, Host
from clients.passwd import Visit, WrongPassword, change
from tsproto import limits
from tsproto.account import Account, PasswordKey
from tsproto.connection import Closed, Opened, Received
from tsproto.errors import ErrorCode, PeerError
from tsproto.identity import DeviceKey
from tsproto.messages import (
    ChangePassword,
    LicenseAccepted,
    LicenseInfo,
    LicenseKind,
    LicenseRequest,
    LogonChallenge,
    LogonRefused,
    LogonStart,
    Message,
    PasswordChanged,
    PasswordStatement,
    Role,
    SessionEnded,
)
from tsproto.statements import with_password
from tsproto.user_proof import Cost, CostRefused, key_of_tag

HOST = Host("ts1.example", 5600)
NOW = 1_800_000_000
OPENED = Opened(role=Role.TERMINAL_SERVER, name="ts1", version=2, farm="lab")
REQUEST = LicenseRequest(nonce=bytes(32), product="terminal-server", product_version=1)
CHALLENGE = LogonChallenge(
    nonce=bytes(32), time=NOW, methods=3, salt=b"s" * 16, memory_kib=65_536, passes=3, lanes=1
)
LICENSED = (REQUEST, LicenseAccepted(kind=LicenseKind.FULL))


class NoLicenses:
    def find(self, farm: str, product: str) -> License | None:
        return None

    def keep(self, held: License) -> None:
        raise AssertionError


class Link:
    peer_identity = None
    peer_certificate = bytes(32)

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.closed: ErrorCode | None = None

    def send(self, message: Message) -> None:
        self.sent.append(message)

    def flush(self) -> None:
        pass

    def close(self, code: ErrorCode) -> None:
        self.closed = code

    async def wait_closed(self) -> None:
        pass


class Dialler:
    """Gives a link on which the host says these, one after the other."""

    def __init__(self, *says: Message | Closed, unreachable: int = 0) -> None:
        self.link = Link()
        self.says = says
        self.unreachable = unreachable

    async def dial(self, host: Host, owner: Visit) -> Link:
        if self.unreachable:
            self.unreachable -= 1
            raise PeerError(ErrorCode.UNREACHABLE, f"{host} is away")
        owner.on_events(self.link, [OPENED])  # type: ignore[arg-type]
        for said in self.says:
            event = said if isinstance(said, Closed) else Received(said)
            owner.on_events(self.link, [event])  # type: ignore[arg-type]
        return self.link


class Prompts:
    present: bytes | None = b"old"
    fresh: bytes | None = b"new"

    async def password(self, user_name: str, host: str, again: bool) -> bytes | None:
        assert (user_name, host, again) == ("ann", "ts1.example:5600", False)
        return self.present

    async def new_password(self) -> bytes | None:
        return self.fresh


async def tag(password: bytes, salt: bytes, cost: Cost) -> bytes:
    return (password + salt).ljust(32, b"\0")[:32]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwd, "argon2id", tag)


class Memory:
    def __init__(self) -> None:
        self.kept: list[tuple[str, str, Hashing]] = []

    def find(self, farm: str, user_name: str) -> Hashing | None:
        return None

    def keep(self, farm: str, user_name: str, hashing: Hashing) -> None:
        self.kept.append((farm, user_name, hashing))


def run(
    dialler: Dialler,
    prompts: Prompts | None = None,
    hosts: Sequence[Host] = (HOST,),
    memory: Memory | None = None,
) -> str:
    device = LicensedDevice(DeviceKey(b"d" * 32), "laptop", NoLicenses())
    given: Any = dialler
    asked: Any = prompts or Prompts()
    return asyncio.run(change(given, device, tuple(hosts), "ann", asked, memory or Memory()))


def test_the_host_gets_a_key_of_the_new_password_signed_with_that_of_the_old() -> None:
    dialler = Dialler(*LICENSED, CHALLENGE, PasswordChanged())
    assert run(dialler) == "ts1"
    info, start, said = dialler.link.sent
    assert isinstance(info, LicenseInfo)
    assert start == LogonStart(user_name="ann")
    assert isinstance(said, ChangePassword)
    old_key = key_of_tag("lab", "ann", asyncio.run(tag(b"old", CHALLENGE.salt, Cost())))
    known = Account(
        name="ann",
        generation=1,
        password=PasswordKey(
            public_key=old_key.public_key().public_bytes_raw(),
            salt=CHALLENGE.salt,
            memory_kib=65_536,
            passes=3,
            lanes=1,
        ),
    )
    fields = {name: getattr(said, name) for name in said.__struct_fields__ if name != "request_id"}
    changed = with_password("lab", known, PasswordStatement(user_name="ann", **fields), NOW)
    assert changed is not None
    assert changed.password is not None
    new_key = key_of_tag("lab", "ann", asyncio.run(tag(b"new", said.salt, Cost())))
    assert changed.password.public_key == new_key.public_key().public_bytes_raw()
    assert changed.password.cost == Cost()
    assert said.salt != CHALLENGE.salt
    assert dialler.link.closed is ErrorCode.NORMAL


def test_salt_and_cost_are_remembered_once_the_host_has_stored_the_password() -> None:
    memory, dialler = Memory(), Dialler(*LICENSED, CHALLENGE, PasswordChanged())
    run(dialler, memory=memory)
    said = dialler.link.sent[-1]
    assert isinstance(said, ChangePassword)
    assert memory.kept == [("lab", "ann", Hashing(said.salt, Cost()))]
    refused = LogonRefused(code=ErrorCode.LOGON_FAILED)
    forgetful = Memory()
    with pytest.raises(WrongPassword):
        run(Dialler(*LICENSED, CHALLENGE, refused), memory=forgetful)
    assert forgetful.kept == []


def test_the_generation_is_of_the_hosts_clock() -> None:
    dialler = Dialler(*LICENSED, CHALLENGE, PasswordChanged())
    run(dialler)
    said = dialler.link.sent[-1]
    assert isinstance(said, ChangePassword)
    assert said.generation // 1_000_000 == NOW


def test_a_host_that_cannot_be_reached_gives_way_to_the_next() -> None:
    dialler = Dialler(*LICENSED, CHALLENGE, PasswordChanged(), unreachable=1)
    assert run(dialler, hosts=(Host("ts0", 5600), HOST)) == "ts1"
    with pytest.raises(PeerError, match="is away") as failed:
        run(Dialler(unreachable=1))
    assert failed.value.code is ErrorCode.UNREACHABLE


def test_a_wrong_password_is_told_apart() -> None:
    refused = LogonRefused(code=ErrorCode.LOGON_FAILED, detail="wrong")
    dialler = Dialler(*LICENSED, CHALLENGE, refused)
    with pytest.raises(WrongPassword, match="ts1.example:5600: wrong"):
        run(dialler)
    assert dialler.link.closed is ErrorCode.NORMAL


@pytest.mark.parametrize(
    ("says", "code"),
    [
        ((Closed(ErrorCode.NO_LICENSE, "none left"),), ErrorCode.NO_LICENSE),
        ((*LICENSED, LogonRefused(code=ErrorCode.LOGON_BUSY)), ErrorCode.LOGON_BUSY),
        (
            (*LICENSED, CHALLENGE, LogonRefused(code=ErrorCode.NOT_PERMITTED)),
            ErrorCode.NOT_PERMITTED,
        ),
        ((*LICENSED, PasswordChanged()), ErrorCode.OUT_OF_ORDER),
        ((PasswordChanged(),), ErrorCode.OUT_OF_ORDER),
        ((*LICENSED, CHALLENGE, SessionEnded(exit_status=0)), ErrorCode.OUT_OF_ORDER),
    ],
)
def test_what_else_a_host_says_ends_it_with_its_code(says: Any, code: ErrorCode) -> None:
    with pytest.raises(PeerError) as failed:
        run(Dialler(*says))
    assert failed.value.code is code


def test_no_password_is_hashed_at_a_cost_out_of_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object) -> bytes:
        raise AssertionError

    monkeypatch.setattr(passwd, "argon2id", refuse)
    cheap = LogonChallenge(
        nonce=bytes(32),
        time=NOW,
        methods=3,
        salt=bytes(16),
        memory_kib=limits.ARGON2_MEMORY_KIB_MIN - 1,
        passes=3,
        lanes=1,
    )
    dialler = Dialler(*LICENSED, cheap)
    with pytest.raises(CostRefused):
        run(dialler)
    assert not any(isinstance(each, ChangePassword) for each in dialler.link.sent)


@pytest.mark.parametrize("missing", ["present", "fresh"])
def test_a_user_who_gives_no_password_has_given_up(missing: str) -> None:
    prompts = Prompts()
    setattr(prompts, missing, None)
    dialler = Dialler(*LICENSED, CHALLENGE)
    with pytest.raises(KeyboardInterrupt):
        run(dialler, prompts)
    assert not any(isinstance(each, ChangePassword) for each in dialler.link.sent)
