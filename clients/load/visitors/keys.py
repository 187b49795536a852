"""The keys of a run's users: from the secret of all synthetic users, or from a password each.

A password is hashed once in a process: a logon is what a run measures, and not the client's CPU.
"""

from __future__ import annotations

from clients import user_keys
from clients.load.processes.assignment import Person
from clients.user_keys import UserKeys
from tsproto.user_proof import Cost


class Keys:
    def __init__(self) -> None:
        self._tags: dict[tuple[bytes, bytes, Cost], bytes] = {}

    def of(self, person: Person) -> UserKeys:
        return UserKeys(hash_password=_itself if person.is_synthetic else self._hash)

    async def _hash(self, password: bytes, salt: bytes, cost: Cost) -> bytes:
        hashed = (password, salt, cost)
        if hashed not in self._tags:
            self._tags[hashed] = await user_keys.argon2id(password, salt, cost)
        return self._tags[hashed]


async def _itself(secret: bytes, salt: bytes, cost: Cost) -> bytes:
    """A synthetic user's secret takes the place of the tag."""
    return secret
