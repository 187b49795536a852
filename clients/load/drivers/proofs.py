"""Proofs of synthetic users for a session directory, as terminal servers pass them on."""

from __future__ import annotations

import os

from clients.load.processes.assignment import Person
from tsproto.messages import UserProof
from tsproto.user_proof import (
    ED25519,
    Asked,
    Cost,
    Method,
    Methods,
    Statement,
    key_of_tag,
    salt_of_nobody,
)

NONCE_BYTES = 32
METHODS = Methods.PASSWORD | Methods.SSH_KEY


class Prover:
    """Signs for one synthetic user, whose accounts are made by `tsfarm lab up --load-users`."""

    def __init__(self, farm: str, person: Person) -> None:
        self.user_name = person.name
        self._farm = farm
        self._salt = salt_of_nobody(person.password, person.name)
        self._key = key_of_tag(farm, person.name, person.password)

    def proof(
        self, server: str, certificate: bytes, application: str, device_id: bytes, now: float
    ) -> UserProof:
        """For this application at this terminal server, of whose certificate the SHA-256 is given,
        32 zero bytes without TLS."""
        cost, nonce = Cost(), os.urandom(NONCE_BYTES)
        statement = Statement(
            farm=self._farm,
            server=server,
            certificate=certificate,
            nonce=nonce,
            time=int(now),
            device_id=device_id,
            user_name=self.user_name,
            method=Method.PASSWORD,
            methods=METHODS,
            salt=self._salt,
            cost=cost,
            asked=Asked(application),
        )
        return UserProof(
            nonce=nonce,
            time=int(now),
            device_id=device_id,
            method=Method.PASSWORD,
            methods=METHODS,
            salt=self._salt,
            memory_kib=cost.memory_kib,
            passes=cost.passes,
            lanes=cost.lanes,
            session_id=0,
            attachment=0,
            key_fingerprint=b"",
            algorithm=ED25519,
            signature=self._key.sign(statement.signed_bytes()),
        )
