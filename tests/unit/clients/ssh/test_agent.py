from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from clients.ssh import agent
from clients.ssh.agent import Agent, AgentFailed, AgentKey, NoAgent, raw_signature
from tsproto.user_proof import prefixed

ED25519 = AgentKey(prefixed(b"ssh-ed25519", b"k" * 32), "laptop")
RSA = AgentKey(prefixed(b"ssh-rsa", b"\1\0\1", b"n" * 256), "old")


class ScriptedAgent:
    """Answers each request with `reply`, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked = b""
        self.reply = b""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked = await reader.readexactly(int.from_bytes(await reader.readexactly(4), "big"))
        writer.write(self.reply)
        writer.close()


@pytest.fixture
async def scripted(tmp_path: Path) -> AsyncIterator[ScriptedAgent]:
    made = ScriptedAgent()
    async with await asyncio.start_unix_server(made.serve, tmp_path / "socket"):
        yield made


async def test_the_keys_are_listed(scripted: ScriptedAgent, tmp_path: Path) -> None:
    listed = prefixed(ED25519.blob, b"laptop", RSA.blob, b"old")
    scripted.reply = prefixed(b"\x0c\0\0\0\2" + listed)
    assert await Agent(tmp_path / "socket").keys() == [ED25519, RSA]
    assert scripted.asked == b"\x0b"
    assert (ED25519.kind, RSA.kind) == ("ssh-ed25519", "ssh-rsa")
    assert ED25519.fingerprint == hashlib.sha256(ED25519.blob).digest()


@pytest.mark.parametrize(("key", "flags"), [(ED25519, 0), (RSA, 4)])
async def test_a_signature_is_asked_for_and_rsa_with_sha_512(
    scripted: ScriptedAgent, tmp_path: Path, key: AgentKey, flags: int
) -> None:
    scripted.reply = prefixed(b"\x0e" + prefixed(prefixed(b"ssh-ed25519", b"S" * 64)))
    assert await Agent(tmp_path / "socket").sign(key, b"data") == ("ssh-ed25519", b"S" * 64)
    assert scripted.asked == b"\x0d" + prefixed(key.blob, b"data") + bytes([0, 0, 0, flags])


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (prefixed(b"\x05"), "refuses"),
        (prefixed(b""), "refuses"),
        (prefixed(b"\x0c\0\0\0\2" + prefixed(b"a", b"b")), "answers what no agent does"),
        (b"\0\4\0\1", "answers what no agent does"),
        (b"\0\0", "bytes read"),
    ],
)
async def test_what_no_agent_answers_is_an_error(
    scripted: ScriptedAgent, tmp_path: Path, reply: bytes, why: str
) -> None:
    scripted.reply = reply
    with pytest.raises(AgentFailed, match=why):
        await Agent(tmp_path / "socket").keys()


async def test_a_signature_that_is_none_is_an_error(
    scripted: ScriptedAgent, tmp_path: Path
) -> None:
    scripted.reply = prefixed(b"\x0e" + prefixed(b"\0\0\0\1"))
    with pytest.raises(AgentFailed, match="answers what no agent does"):
        await Agent(tmp_path / "socket").sign(ED25519, b"data")


async def test_an_agent_that_hangs_is_waited_for_a_bounded_time(
    scripted: ScriptedAgent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent, "LIST_SECONDS", 0.0)
    with pytest.raises(AgentFailed, match="does not answer"):
        await Agent(tmp_path / "socket").keys()


async def test_an_agent_that_has_ended_is_none(tmp_path: Path) -> None:
    with pytest.raises(NoAgent):
        await Agent(tmp_path / "socket").keys()


def test_a_signature_loses_its_framing() -> None:
    r, s = b"\0" + b"\xff" * 32, b"\7"  # a sign byte, and a number with few
    ecdsa = prefixed(b"ecdsa-sha2-nistp256", prefixed(r, s))
    assert raw_signature(ecdsa) == ("ecdsa-sha2-nistp256", b"\xff" * 32 + b"\7".rjust(32, b"\0"))
    rsa = prefixed(b"rsa-sha2-512", b"S" * 256)
    assert raw_signature(rsa) == ("rsa-sha2-512", b"S" * 256)


def test_a_security_keys_flags_and_counter_follow_its_signature() -> None:
    trailer = b"\1\0\0\0\5"
    sk = prefixed(b"sk-ssh-ed25519@openssh.com", b"S" * 64) + trailer
    assert raw_signature(sk) == ("sk-ssh-ed25519@openssh.com", b"S" * 64 + trailer)
    name = b"sk-ecdsa-sha2-nistp256@openssh.com"
    sk = prefixed(name, prefixed(b"\1", b"\2")) + trailer
    numbers = b"\1".rjust(32, b"\0") + b"\2".rjust(32, b"\0")
    assert raw_signature(sk) == (name.decode(), numbers + trailer)


def test_a_number_beyond_its_curve_is_an_error() -> None:
    with pytest.raises(OverflowError):
        raw_signature(prefixed(b"ecdsa-sha2-nistp256", prefixed(b"\1" * 33, b"\1")))
