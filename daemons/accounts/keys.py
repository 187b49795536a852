"""Keys of passwords: the public half of the key that a password gives, for an account."""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence

import argon2
from argon2.low_level import Type, hash_secret_raw
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from daemons.accounts.file import AccountsError
from tsproto import limits
from tsproto.account import Account, PasswordKey
from tsproto.messages import UserName
from tsproto.user_proof import Cost, key_of_tag, salt_of_nobody

TAG_BYTES = 32


def password_key(farm: str, user_name: str, password: bytes, generation: int = 0) -> PasswordKey:
    """The public key of a password that an administrator gives, with a new salt. Raises
    AccountsError."""
    if not 1 <= len(password) <= limits.PASSWORD_BYTES:
        raise AccountsError(f"a password must have 1 to {limits.PASSWORD_BYTES} bytes")
    try:
        password.decode()
    except UnicodeDecodeError:
        raise AccountsError("the password is not UTF-8") from None
    cost, salt = Cost(), os.urandom(limits.SALT_BYTES)
    tag = hash_secret_raw(
        password, salt, cost.passes, cost.memory_kib, cost.lanes, TAG_BYTES, Type.ID, version=0x13
    )
    return _public(key_of_tag(farm, user_name, tag), salt, cost, generation)


def converted(farm: str, user_name: str, password_hash: str, generation: int = 0) -> PasswordKey:
    """The public key of a password of which only its argon2id hash is known: the hash is the tag.
    Raises ValueError."""
    try:
        parameters = argon2.extract_parameters(password_hash)
    except argon2.exceptions.InvalidHashError as error:
        raise ValueError("it is no argon2 hash") from error
    if parameters.type is not argon2.Type.ID or parameters.version != 0x13:
        raise ValueError("it is no argon2id hash of version 19")
    salt, tag = (_unpadded(part) for part in password_hash.split("$")[-2:])
    if (len(salt), len(tag)) != (limits.SALT_BYTES, TAG_BYTES):
        raise ValueError(
            f"its salt has {len(salt)} bytes and its hash {len(tag)}, {limits.SALT_BYTES} and"
            f" {TAG_BYTES} are needed"
        )
    cost = Cost(parameters.memory_cost, parameters.time_cost, parameters.parallelism)
    return _public(key_of_tag(farm, user_name, tag), salt, cost, generation)


def _unpadded(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4))


def _public(key: Ed25519PrivateKey, salt: bytes, cost: Cost, generation: int = 0) -> PasswordKey:
    return PasswordKey(
        public_key=key.public_key().public_bytes_raw(),
        salt=salt,
        memory_kib=cost.memory_kib,
        passes=cost.passes,
        lanes=cost.lanes,
        given=generation,
    )


def synthetic(
    farm: str, names: Sequence[UserName], secret: bytes, system_user: str, generation: int
) -> list[Account]:
    """Accounts for a load generator, whose keys come from one secret of 32 bytes instead of a
    password each: `key_of_tag` takes it for the tag. Their salts come from it too, since the
    generator must know them."""
    cost = Cost()
    return [
        Account(
            name=name,
            generation=generation,
            system_user=system_user,
            password=_public(key_of_tag(farm, name, secret), salt_of_nobody(secret, name), cost),
        )
        for name in names
    ]
