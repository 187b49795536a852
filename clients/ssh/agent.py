"""SSH's authentication agent: the keys that it holds, and a signature by one of them.

Two requests of its protocol are spoken, to list the keys and to sign (draft-ietf-sshm-ssh-agent 4.4
and 4.6). Each has a connection of its own.
"""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import msgspec

from clients.ssh.fields import Reader
from tsproto import limits
from tsproto.errors import TsfarmError
from tsproto.user_proof import prefixed

LIST_SECONDS = 2.0  # an agent that hangs must not keep the user from logging on
SIGN_SECONDS = limits.CHALLENGE_SECONDS  # somebody confirms, or touches a key
REPLY_BYTES_MAX = 256 * 1024  # OpenSSH's own bound

REQUEST_IDENTITIES, IDENTITIES_ANSWER = 11, 12
SIGN_REQUEST, SIGN_RESPONSE = 13, 14
RSA_SHA2_512 = 4  # a flag of SIGN_REQUEST


class AgentFailed(TsfarmError):
    """The agent is not there, answers nonsense, or refuses."""


class NoAgent(AgentFailed):
    """Nothing listens there: the agent has ended, or never ran."""


class AgentKey(msgspec.Struct, frozen=True):
    """A public key that the agent holds; `comment` is often the file that it came from."""

    blob: bytes
    comment: str

    @property
    def kind(self) -> str:
        return Reader(self.blob).string().decode("ascii", "replace")

    @property
    def fingerprint(self) -> bytes:
        return hashlib.sha256(self.blob).digest()


class Agent:
    def __init__(self, path: Path) -> None:
        self._path = path

    async def keys(self) -> list[AgentKey]:
        """None while the agent is locked. Raises AgentFailed."""
        reply = await self._ask(bytes([REQUEST_IDENTITIES]), IDENTITIES_ANSWER, LIST_SECONDS)
        try:
            count = reply.number()
            return [
                AgentKey(reply.string(), reply.string().decode(errors="replace"))
                for _ in range(count)
            ]
        except ValueError:
            raise self._nonsense() from None

    async def sign(self, key: AgentKey, data: bytes) -> tuple[str, bytes]:
        """Algorithm and raw signature, see `tsproto.ssh_keys`. Raises AgentFailed."""
        flags = RSA_SHA2_512 if key.kind == "ssh-rsa" else 0
        request = bytes([SIGN_REQUEST]) + prefixed(key.blob, data) + flags.to_bytes(4, "big")
        reply = await self._ask(request, SIGN_RESPONSE, SIGN_SECONDS)
        try:
            return raw_signature(reply.string())
        except (ValueError, OverflowError):
            raise self._nonsense() from None

    async def _ask(self, request: bytes, wanted: int, seconds: float) -> Reader:
        try:
            async with asyncio.timeout(seconds):
                reply = await self._exchange(request)
        except TimeoutError:
            raise AgentFailed(f"the SSH agent at {self._path} does not answer") from None
        except (FileNotFoundError, ConnectionRefusedError):
            raise NoAgent(f"there is no SSH agent at {self._path}") from None
        except (OSError, EOFError) as error:
            raise AgentFailed(f"the SSH agent at {self._path}: {error}") from None
        if reply[:1] != bytes([wanted]):
            raise AgentFailed(f"the SSH agent at {self._path} refuses")
        return Reader(reply[1:])

    async def _exchange(self, request: bytes) -> bytes:
        reader, writer = await asyncio.open_unix_connection(self._path)
        try:
            writer.write(prefixed(request))
            size = int.from_bytes(await reader.readexactly(4), "big")
            if size > REPLY_BYTES_MAX:
                raise self._nonsense()
            return await reader.readexactly(size)
        finally:
            writer.close()

    def _nonsense(self) -> AgentFailed:
        return AgentFailed(f"the SSH agent at {self._path} answers what no agent does")


def raw_signature(blob: bytes) -> tuple[str, bytes]:
    """Algorithm and raw signature of a signature as SSH encodes it (RFC 4253 6.6, RFC 5656 3.1.2,
    OpenSSH's PROTOCOL.u2f). Raises ValueError, or OverflowError for a number that is too large."""
    parts = Reader(blob)
    algorithm = parts.string().decode("ascii")
    signature, trailer = parts.string(), parts.rest()
    curve = algorithm.removeprefix("sk-").removeprefix("ecdsa-sha2-").partition("@")[0]
    if (size := _NUMBER_BYTES.get(curve)) is not None:
        numbers = Reader(signature)
        signature = b"".join(
            int.from_bytes(numbers.string(), "big").to_bytes(size, "big") for _ in "rs"
        )
    return algorithm, signature + trailer


_NUMBER_BYTES = {"nistp256": 32, "nistp384": 48, "nistp521": 66}
