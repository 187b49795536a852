"""A user's account: how they prove who they are, as whom their sessions run, and what they may use.

Every host that has the account judges proofs by it alone; a host never learns a secret from it.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from tsproto import ssh_keys
from tsproto.messages import Generation, Name, PublicKey, Salt, UserName
from tsproto.user_proof import ED25519, Cost, Method, Statement, is_signed

SSH_KEYS_MAX = 64
GENERATION_MAX = 2**53  # the bound of Generation: until 2255


class PasswordKey(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """The public half of the key that the password gives, with salt and cost to derive it.

    `given` is the generation with which an administrator gave the password, `changed` that of the
    user's last change since, 0 for none: of two keys the one with the higher pair counts.
    """

    public_key: PublicKey
    salt: Salt
    memory_kib: int
    passes: int
    lanes: int
    given: Generation = 0
    changed: Generation = 0

    @property
    def age(self) -> tuple[int, int]:
        return self.given, self.changed

    @property
    def cost(self) -> Cost:
        return Cost(self.memory_kib, self.passes, self.lanes)


class Account(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """`generation` grows with each change: microseconds since 1970 when it was made. `stated` is
    that of the administrator's last change, 0 when it was the last of all. `system_user`
    empty means the user that the host runs sessions as. `ssh_keys` are lines as in OpenSSH's
    authorized_keys, without options. `applications` and `servers` None mean all; the account's
    shell is the application "".

    A `removed` account counts as none; it stays, so that no older statement brings it back.
    """

    name: UserName
    generation: Generation
    stated: Generation = 0
    system_user: Annotated[str, Meta(max_length=64, pattern=r"^[^\x00-\x20:]*\Z")] = ""
    password: PasswordKey | None = None
    ssh_keys: Annotated[
        tuple[Annotated[str, Meta(max_length=4096)], ...], Meta(max_length=SSH_KEYS_MAX)
    ] = ()
    pam: bool = False
    disabled: bool = False
    removed: bool = False
    applications: tuple[str, ...] | None = None
    servers: tuple[Name, ...] | None = None

    def may_use(self, server: str, application: str) -> bool:
        """Whether the account may run this application on this terminal server."""
        return (
            not self.disabled
            and (self.servers is None or server in self.servers)
            and (self.applications is None or application in self.applications)
        )

    def key_among(self, fingerprints: tuple[bytes, ...]) -> bytes:
        """The first of these SSH keys that the account has; empty for none."""
        known = {ssh_keys.read(line).fingerprint for line in self.ssh_keys}
        return next((each for each in fingerprints if each in known), b"")

    def is_proved_by(
        self, statement: Statement, key_fingerprint: bytes, algorithm: str, signature: bytes
    ) -> bool:
        """Whether the signature is this account's under the statement, by a password's key or an
        SSH key; PAM and devices prove otherwise."""
        if statement.method is Method.PASSWORD and self.password is not None:
            said = (statement.salt, statement.cost) == (self.password.salt, self.password.cost)
            return (
                said
                and algorithm == ED25519
                and is_signed(self.password.public_key, statement, signature)
            )
        if statement.method is Method.SSH_KEY:
            for line in self.ssh_keys:
                key = ssh_keys.read(line)
                if key.fingerprint == key_fingerprint:
                    return key.is_signed(statement.signed_bytes(), algorithm, signature)
        return False
