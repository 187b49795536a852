from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from clients.ssh import keys as ssh_keys
from clients.ssh.agent import Agent, AgentFailed, AgentKey
from clients.ssh.key_file import KeyFileError, read
from clients.ssh.keys import PASSPHRASES_ASKED, SshKeys, shown
from clients.user_keys import KeyRefused
from tests.unit.clients.ssh.private_keys import written
from tsproto import limits
from tsproto.ssh_keys import SshKey
from tsproto.user_proof import prefixed

SIGNATURE = ("ssh-ed25519", b"S" * 64)
SECURITY_KEY = AgentKey(prefixed(b"sk-ssh-ed25519@openssh.com", b"k" * 32, b"ssh:"), "yellow")


class FakeAgent(Agent):
    """Holds `held`, and signs unless it `refuses`."""

    def __init__(self, *held: AgentKey, refuses: bool = False) -> None:
        super().__init__(Path("/agent"))
        self.held = list(held)
        self.refuses = refuses
        self.signed: list[AgentKey] = []

    async def keys(self) -> list[AgentKey]:
        return self.held

    async def sign(self, key: AgentKey, data: bytes) -> tuple[str, bytes]:
        self.signed.append(key)
        if self.refuses:
            raise AgentFailed("the SSH agent at /agent refuses")
        return SIGNATURE


class Person:
    """Types these passphrases, and reads what is said."""

    def __init__(self, *passphrases: bytes) -> None:
        self.passphrases = list(passphrases)
        self.asked: list[tuple[str, bool]] = []
        self.said: list[str] = []

    async def type(self, key: Path, again: bool) -> bytes | None:
        self.asked.append((key.name, again))
        return self.passphrases.pop(0) if self.passphrases else None


def held(public: SshKey) -> AgentKey:
    return AgentKey(public.blob, "laptop")


def keys(person: Person, agent: FakeAgent | None = None, files: Sequence[Path] = ()) -> SshKeys:
    listed = agent.held.copy() if agent else []
    return SshKeys(agent, listed, [read(file) for file in files], person.type, person.said.append)


# --- signing --------------------------------------------------------------------------------------


async def test_a_file_signs_what_its_public_key_verifies(tmp_path: Path) -> None:
    public = written(tmp_path / "key")
    of_user = keys(Person(), files=[tmp_path / "key"])
    algorithm, signature = await of_user.sign(public.fingerprint, b"statement")
    assert public.is_signed(b"statement", algorithm, signature)


async def test_the_agent_is_asked_before_a_file_with_the_same_key(tmp_path: Path) -> None:
    public = written(tmp_path / "key", passphrase=b"open sesame")
    person, agent = Person(), FakeAgent(held(public))
    of_user = keys(person, agent, [tmp_path / "key"])
    assert of_user.fingerprints == (public.fingerprint,)
    assert await of_user.sign(public.fingerprint, b"statement") == SIGNATURE
    assert person.asked == []


async def test_a_file_signs_where_the_agent_refuses(tmp_path: Path) -> None:
    public = written(tmp_path / "key")
    of_user = keys(Person(), FakeAgent(held(public), refuses=True), [tmp_path / "key"])
    algorithm, signature = await of_user.sign(public.fingerprint, b"statement")
    assert public.is_signed(b"statement", algorithm, signature)


async def test_a_passphrase_is_asked_for_once(tmp_path: Path) -> None:
    public = written(tmp_path / "key", passphrase=b"open sesame")
    person = Person(b"sesame", b"open sesame")
    of_user = keys(person, files=[tmp_path / "key"])
    for statement in (b"one", b"two"):
        algorithm, signature = await of_user.sign(public.fingerprint, statement)
        assert public.is_signed(statement, algorithm, signature)
    assert person.asked == [("key", False), ("key", True)]


@pytest.mark.parametrize("typed", [(), (b"wrong",) * PASSPHRASES_ASKED])
async def test_without_its_passphrase_a_key_stays_locked(
    tmp_path: Path, typed: tuple[bytes, ...]
) -> None:
    public = written(tmp_path / "key", passphrase=b"open sesame")
    person = Person(*typed)
    with pytest.raises(KeyRefused, match="key stays locked"):
        await keys(person, files=[tmp_path / "key"]).sign(public.fingerprint, b"statement")
    assert len(person.asked) == max(1, len(typed))


async def test_a_security_key_is_to_be_touched() -> None:
    person = Person()
    await keys(person, FakeAgent(SECURITY_KEY)).sign(SECURITY_KEY.fingerprint, b"statement")
    assert person.said == ["touch the security key yellow"]


async def test_a_key_that_nobody_holds_does_not_sign() -> None:
    with pytest.raises(KeyRefused, match=f"no SSH key {shown(bytes(32))}"):
        await keys(Person()).sign(bytes(32), b"statement")


# --- refusals -------------------------------------------------------------------------------------


async def test_a_refusal_of_an_agent_is_explained(tmp_path: Path) -> None:
    laptop = held(written(tmp_path / "key"))
    for key, left, why in (
        (laptop, [laptop], "constrained to destinations"),
        (laptop, [], "it is locked"),
        (laptop, [SECURITY_KEY], "was removed from it"),
        (SECURITY_KEY, [SECURITY_KEY], "was not touched in time"),
    ):
        agent = FakeAgent(key, refuses=True)
        of_user = keys(Person(), agent)
        agent.held = left
        with pytest.raises(KeyRefused, match=why):
            await of_user.sign(key.fingerprint, b"statement")


# --- finding --------------------------------------------------------------------------------------


async def found(home: Path, *identity_files: Path) -> SshKeys:
    person = Person()
    return await ssh_keys.find({}, home, identity_files, person.type, person.said.append)


async def test_named_files_come_before_those_of_ssh(tmp_path: Path) -> None:
    (tmp_path / ".ssh").mkdir()
    usual = written(tmp_path / ".ssh" / "id_ed25519", seed=1)
    named = written(tmp_path / "named", seed=2)
    of_user = await found(tmp_path, tmp_path / "named")
    assert of_user.fingerprints == (named.fingerprint, usual.fingerprint)


async def test_a_usual_file_that_is_unusable_is_left_out_and_a_named_one_an_error(
    tmp_path: Path,
) -> None:
    (tmp_path / ".ssh").mkdir()
    usual = tmp_path / ".ssh" / "id_rsa"
    usual.write_text("nonsense")
    assert (await found(tmp_path)).fingerprints == ()
    with pytest.raises(KeyFileError, match="no private key"):
        await found(tmp_path, usual)


async def test_a_host_is_told_of_a_bounded_number(tmp_path: Path) -> None:
    held = [AgentKey(prefixed(b"ssh-ed25519", bytes([n]) * 32), "") for n in range(9)]
    of_user = keys(Person(), FakeAgent(*held))
    assert of_user.fingerprints == tuple(
        key.fingerprint for key in held[: limits.KEY_FINGERPRINTS_MAX]
    )


async def test_an_agent_that_is_not_there_is_no_word_worth(tmp_path: Path) -> None:
    person = Person()
    environment = {"SSH_AUTH_SOCK": str(tmp_path / "gone")}
    of_user = await ssh_keys.find(environment, tmp_path, (), person.type, person.said.append)
    assert (of_user.fingerprints, person.said) == ((), [])
