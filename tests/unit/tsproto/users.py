"""A user with a password's key and an SSH key, and what they sign."""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from clients.conformance.user import SshKey
from tsproto.account import Account, PasswordKey
from tsproto.user_proof import Asked, Cost, Method, Methods, Statement, key_of_tag

COST = Cost()
SALT = bytes(range(16))
KEY = key_of_tag("lab", "user1", bytes(32))
SSH_KEY = SshKey("ssh-ed25519", Ed25519PrivateKey.from_private_bytes(bytes(32)))
OTHER_SSH_KEY = SshKey("ssh-ed25519", Ed25519PrivateKey.from_private_bytes(b"\x01" * 32))
STATEMENT = Statement(
    farm="lab",
    server="ts1",
    certificate=bytes(32),
    nonce=bytes(32),
    time=1_800_000_000,
    device_id=bytes(32),
    user_name="user1",
    method=Method.PASSWORD,
    methods=Methods.PASSWORD | Methods.SSH_KEY,
    salt=SALT,
    cost=COST,
    asked=Asked(),
)


def account(**changes: Any) -> Account:
    password = PasswordKey(
        public_key=KEY.public_key().public_bytes_raw(),
        salt=SALT,
        memory_kib=COST.memory_kib,
        passes=COST.passes,
        lanes=COST.lanes,
    )
    right = Account(name="user1", generation=1, password=password, ssh_keys=(SSH_KEY.line,))
    return replace(right, **changes)
