"""A logon, from its LogonStart to its proof: by a client that the suite plays, and as the terminal
server that the suite plays sees a client's."""

from __future__ import annotations

from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from clients.conformance.peer import Peer
from clients.conformance.user import (
    ED25519,
    PASSWORD,
    PASSWORD_OFFERED,
    PROOF_DOMAIN,
    SSH_KEY,
    SSH_KEY_OFFERED,
    SshKey,
    Statement,
    User,
)
from tsproto.messages import LogonChallenge, LogonProof, LogonStart, UserProof

STRANGERS_KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))


class Attempt(msgspec.Struct, frozen=True):
    """A challenge, and what its user asked for. `seen` holds what the signer sees of the host and
    says of itself: `farm`, `server`, `certificate`, `device_id`."""

    start: LogonStart
    challenge: LogonChallenge
    user: User
    seen: dict[str, Any]

    def statement(self, **changes: Any) -> Statement:
        """The values that the user has to sign for a password's proof, but for `changes`."""
        challenge, start = self.challenge, self.start
        right = Statement(
            **self.seen,
            nonce=challenge.nonce,
            time=challenge.time,
            user_name=start.user_name,
            method=PASSWORD,
            methods=challenge.methods,
            salt=challenge.salt,
            memory_kib=challenge.memory_kib,
            passes=challenge.passes,
            lanes=challenge.lanes,
            application=start.application,
            session_id=start.session_id,
            attachment=start.attachment,
        )
        return msgspec.structs.replace(right, **changes)

    @property
    def key(self) -> Ed25519PrivateKey:
        """The user's key, for salt and cost of the challenge."""
        salted = {name: getattr(self.challenge, name) for name in self.user.salted}
        return msgspec.structs.replace(self.user, **salted).key(self.seen["farm"])

    def proof(self, *, command: str = "", **proof: Any) -> LogonProof:
        """A good proof by the password's key."""
        return self.signed(self.statement(command=command), command=command, **proof)

    def signed(
        self,
        statement: Statement,
        key: Ed25519PrivateKey | None = None,
        domain: bytes = PROOF_DOMAIN,
        **proof: Any,
    ) -> LogonProof:
        """A proof with a signature over `statement`."""
        signature = (key or self.key).sign(statement.signed_bytes(domain))
        return LogonProof(method=PASSWORD, algorithm=ED25519, signature=signature, **proof)

    def wrong(self) -> LogonProof:
        """A proof by somebody else's key."""
        return self.signed(self.statement(), STRANGERS_KEY)

    def by_ssh_key(self, key: SshKey, algorithm: str = "", **signing: Any) -> LogonProof:
        algorithm = algorithm or key.algorithms[0]
        message = self.statement(method=SSH_KEY).signed_bytes()
        signature = key.sign(message, algorithm, **signing)
        return LogonProof(method=SSH_KEY, algorithm=algorithm, signature=signature)

    def for_directory(self, statement: Statement | None = None, **changes: Any) -> UserProof:
        """The proof as a terminal server passes it on, with a signature over `statement`."""
        challenge = self.challenge
        statement = statement or self.statement()
        proof = UserProof(
            nonce=challenge.nonce,
            time=statement.time,
            device_id=self.seen["device_id"],
            method=statement.method,
            methods=challenge.methods,
            salt=challenge.salt,
            memory_kib=challenge.memory_kib,
            passes=challenge.passes,
            lanes=challenge.lanes,
            session_id=statement.session_id,
            attachment=statement.attachment,
            key_fingerprint=b"",
            algorithm=ED25519,
            signature=self.key.sign(statement.signed_bytes()),
        )
        return msgspec.structs.replace(proof, **changes)


def challenge_to(user: User, nonce: bytes, now: float, **changes: Any) -> LogonChallenge:
    """A host's good challenge, but for `changes`."""
    right = LogonChallenge(
        nonce=nonce, time=int(now), methods=PASSWORD_OFFERED | SSH_KEY_OFFERED, **user.salted
    )
    return msgspec.structs.replace(right, **changes)


def challenged(client: Peer, user: User, farm: str, server: str, **start: Any) -> Attempt:
    """Sends LogonStart, and returns what the target challenges the user to."""
    starting = LogonStart(user_name=user.name, **start)
    client.say(starting)
    seen = {
        "farm": farm,
        "server": server,
        "certificate": client.certificate,
        "device_id": client.device_id,
    }
    return Attempt(starting, client.hear(LogonChallenge), user, seen)
