"""Proofs by keys that ssh-keygen has made and that ssh-agent holds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.ssh import keys as ssh_keys
from clients.ssh.keys import SshKeys
from clients.user_keys import KeyRefused
from tests.integration import ssh
from tests.integration.ssh import Agent
from tsproto.ssh_keys import SshKey

pytestmark = ssh.needs_openssh

KINDS = {
    "ed25519": ("-t", "ed25519"),
    "ecdsa-256": ("-t", "ecdsa", "-b", "256"),
    "ecdsa-384": ("-t", "ecdsa", "-b", "384"),
    "ecdsa-521": ("-t", "ecdsa", "-b", "521"),
    "rsa": ("-t", "rsa", "-b", "2048"),
}


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    with ssh.running(tmp_path) as running:
        yield running


async def found(home: Path, *files: Path, agent: Agent | None = None) -> SshKeys:
    async def type_passphrase(key: Path, again: bool) -> bytes | None:
        return b"open sesame"

    environment = agent.environment if agent else {}
    return await ssh_keys.find(environment, home, files, type_passphrase, lambda text: None)


async def check(of_user: SshKeys, public: SshKey) -> None:
    assert of_user.fingerprints == (public.fingerprint,)
    for statement in (b"one", b"two"):
        algorithm, signature = await of_user.sign(public.fingerprint, statement)
        assert public.is_signed(statement, algorithm, signature)
        assert not public.is_signed(b"another", algorithm, signature)


@pytest.mark.parametrize("kind", KINDS)
async def test_the_agent_signs_with_each_kind_of_key(
    agent: Agent, tmp_path: Path, kind: str
) -> None:
    public = ssh.made(tmp_path / "key", *KINDS[kind])
    agent.add(tmp_path / "key")
    await check(await found(tmp_path, agent=agent), public)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_file_of_each_kind_of_key_signs(tmp_path: Path, kind: str) -> None:
    public = ssh.made(tmp_path / "key", *KINDS[kind])
    await check(await found(tmp_path, tmp_path / "key"), public)


async def test_an_encrypted_file_signs_with_its_passphrase(tmp_path: Path) -> None:
    public = ssh.made(tmp_path / "key", "-t", "ed25519", "-a", "1", passphrase="open sesame")
    await check(await found(tmp_path, tmp_path / "key"), public)


async def test_a_locked_agent_is_named_as_the_reason(agent: Agent, tmp_path: Path) -> None:
    public = ssh.made(tmp_path / "key", "-t", "ed25519")
    agent.add(tmp_path / "key")
    of_user = await found(tmp_path, agent=agent)
    agent.add("-x", passphrase="lock")
    with pytest.raises(KeyRefused, match="it is locked .*ssh-add -X"):
        await of_user.sign(public.fingerprint, b"statement")
    assert (await found(tmp_path, agent=agent)).fingerprints == ()


async def test_a_key_that_was_removed_is_named_as_the_reason(agent: Agent, tmp_path: Path) -> None:
    public = ssh.made(tmp_path / "key", "-t", "ed25519")
    ssh.made(tmp_path / "other", "-t", "ed25519")
    agent.add(tmp_path / "key", tmp_path / "other")
    of_user = await found(tmp_path, agent=agent)
    agent.add("-d", tmp_path / "key")
    with pytest.raises(KeyRefused, match="key: the key was removed"):
        await of_user.sign(public.fingerprint, b"statement")


async def test_a_key_for_some_hosts_of_ssh_is_named_as_the_reason(
    agent: Agent, tmp_path: Path
) -> None:
    public = ssh.made(tmp_path / "key", "-t", "ed25519")
    ssh.made(tmp_path / "host", "-t", "ed25519")
    line = (tmp_path / "host.pub").read_text()
    (tmp_path / "hosts").write_text(f"build.example {line}")
    agent.add("-H", tmp_path / "hosts", "-h", "build.example", tmp_path / "key")
    of_user = await found(tmp_path, agent=agent)
    assert of_user.fingerprints == (public.fingerprint,)
    with pytest.raises(KeyRefused, match="constrained to destinations of ssh"):
        await of_user.sign(public.fingerprint, b"statement")
