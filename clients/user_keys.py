"""The user's keys: derived from the password, or SSH keys in an agent or in files.

Derived keys stay in memory while the client runs, the password does not: each host of a visit is
given a proof of its own, and the user is asked once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol, TypeAlias

from clients.logon.steps import Hashing
from tsproto.errors import TsfarmError
from tsproto.user_proof import Cost, Statement, key_of_tag

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

TAG_BYTES = 32
CLEAR_PASSWORD = 1  # ARGON2_FLAG_CLEAR_PASSWORD of <argon2.h>

# Gives the tag of a password, salt and cost.
Hash: TypeAlias = Callable[[bytes, bytes, Cost], Awaitable[bytes]]


class KeyRefused(TsfarmError):
    """An SSH key did not sign; the text says why."""


class SshSigner(Protocol):
    """Signs with SSH keys, found by the SHA-256 of their blobs."""

    async def sign(self, fingerprint: bytes, message: bytes) -> tuple[str, bytes]:
        """Algorithm and raw signature, see `tsproto.ssh_keys`. Raises KeyRefused."""


class HashingMemory(Protocol):
    """Keeps salt and cost for each farm and user. Raises DeviceStoreError."""

    def find(self, farm: str, user_name: str) -> Hashing | None: ...

    def keep(self, farm: str, user_name: str, hashing: Hashing) -> None: ...


async def argon2id(password: bytes, salt: bytes, cost: Cost) -> bytes:
    """Hashes off the loop."""
    return await asyncio.to_thread(_tag, password, salt, cost)


def _tag(password: bytes, salt: bytes, cost: Cost) -> bytes:
    """As `hash_secret_raw`, which leaves a copy of the password in freed memory: here libargon2
    wipes the only one that it is given."""
    from argon2.low_level import Type, core, error_to_str, ffi  # slow to import; keys need it not

    given, salted = ffi.new("uint8_t[]", password), ffi.new("uint8_t[]", salt)
    tag = ffi.new("uint8_t[]", TAG_BYTES)
    context = {
        "version": 0x13,
        "out": tag,
        "outlen": TAG_BYTES,
        "pwd": given,
        "pwdlen": len(password),
        "salt": salted,
        "saltlen": len(salt),
        "secret": ffi.NULL,
        "secretlen": 0,
        "ad": ffi.NULL,
        "adlen": 0,
        "t_cost": cost.passes,
        "m_cost": cost.memory_kib,
        "lanes": cost.lanes,
        "threads": cost.lanes,
        "allocate_cbk": ffi.NULL,
        "free_cbk": ffi.NULL,
        "flags": CLEAR_PASSWORD,
    }
    if code := core(ffi.new("argon2_context *", context), Type.ID.value):
        raise TsfarmError(f"the password cannot be hashed: {error_to_str(code)}")
    return bytes(ffi.buffer(tag))


class UserKeys:
    """`hash_password` is argon2id, but for synthetic users, who have no passwords. Without a
    `memory` a farm's salts are never compared."""

    def __init__(
        self,
        ssh: SshSigner | None = None,
        hash_password: Hash = argon2id,
        memory: HashingMemory | None = None,
    ) -> None:
        self._ssh = ssh
        self._hash = hash_password
        self._memory = memory
        self._derived: dict[tuple[str, str, bytes, Cost], Ed25519PrivateKey] = {}

    async def sign_with_password(self, statement: Statement, password: bytes | None) -> bytes:
        """`password` None: with the key that was derived before."""
        which = (statement.farm, statement.user_name, statement.salt, statement.cost)
        if password is not None:
            tag = await self._hash(password, statement.salt, statement.cost)
            self._derived[which] = key_of_tag(statement.farm, statement.user_name, tag)
        return self._derived[which].sign(statement.signed_bytes())

    async def sign_with_ssh_key(
        self, statement: Statement, fingerprint: bytes
    ) -> tuple[str, bytes]:
        """Raises KeyRefused."""
        if self._ssh is None:
            raise KeyRefused("there is no SSH key to sign with")
        return await self._ssh.sign(fingerprint, statement.signed_bytes())

    def known_hashing(self, farm: str, user_name: str) -> Hashing | None:
        return None if self._memory is None else self._memory.find(farm, user_name)

    def remember_hashing(self, farm: str, user_name: str, hashing: Hashing) -> None:
        if self._memory is not None:
            self._memory.keep(farm, user_name, hashing)
