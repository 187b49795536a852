"""The users of a simulated farm: their passwords, their SSH keys, and the accounts that every host
and the directory read."""

from __future__ import annotations

import base64
import hashlib

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from tsproto.account import Account, PasswordKey
from tsproto.user_proof import Cost, key_of_tag, prefixed

KIND = "ssh-ed25519"
COST = Cost()


class Accounts:
    """Of the users with these names; each is made when it is first asked for. All hosts have the
    same file at every instant."""

    def __init__(self, farm: str, names: list[str]) -> None:
        self.farm = farm
        self.passwords = {name: name.encode() for name in names}
        self._accounts: dict[str, Account] = {}
        self._ssh_keys: dict[str, SshKey] = {}

    def of(self, name: str) -> Account | None:
        if name not in self._accounts and name in self.passwords:
            self._accounts[name] = self._made(name, generation=1)
        return self._accounts.get(name)

    def salt_of(self, name: str) -> bytes:
        """It changes with the password."""
        account = self.of(name)
        return account.password.salt if account and account.password else b""

    def ssh_key(self, name: str) -> SshKey:
        if name not in self._ssh_keys:
            self._ssh_keys[name] = SshKey(name)
        return self._ssh_keys[name]

    def touch(self, name: str) -> None:
        """An administrator changes what does not concern the user's keys."""
        account = self.of(name)
        assert account is not None
        self._accounts[name] = replace(account, generation=account.generation + 1)

    def change_password(self, name: str) -> None:
        account = self.of(name)
        assert account is not None
        generation = account.generation + 1
        self.passwords[name] = b"%s %d" % (name.encode(), generation)
        self._accounts[name] = self._made(name, generation)

    def _made(self, name: str, generation: int) -> Account:
        salt = hashlib.sha256(b"%s %d" % (name.encode(), generation)).digest()[:16]
        key = derived(self.farm, name, self.passwords[name], salt)
        password = PasswordKey(
            public_key=key.public_key().public_bytes_raw(),
            salt=salt,
            memory_kib=COST.memory_kib,
            passes=COST.passes,
            lanes=COST.lanes,
        )
        return Account(
            name=name,
            generation=generation,
            password=password,
            ssh_keys=(self.ssh_key(name).line,),
        )


class SshKey:
    def __init__(self, name: str) -> None:
        self.key = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())
        blob = prefixed(KIND.encode(), self.key.public_key().public_bytes_raw())
        self.line = f"{KIND} {base64.b64encode(blob).decode()}"
        self.fingerprint = hashlib.sha256(blob).digest()


def derived(farm: str, name: str, password: bytes, salt: bytes) -> Ed25519PrivateKey:
    """The key of a password, without the cost of argon2id."""
    return key_of_tag(farm, name, hashlib.sha256(salt + password).digest())
