"""Judges users' proofs that terminal servers pass on: a host's word alone reserves no place."""

from __future__ import annotations

from collections.abc import Callable

from daemons.effects import Peer
from tsproto import limits
from tsproto.account import Account
from tsproto.messages import PlaceSession
from tsproto.user_proof import Asked, Cost, Method, Methods, Statement, normal

# The time of a proof is that of its challenge, on the host's clock.
AGE_SECONDS_MAX = limits.CHALLENGE_SECONDS + limits.PROOF_CLOCK_SECONDS
# For the receipt of a session that began while the directory was away.
RECEIPT_AGE_SECONDS_MAX = limits.DAY_SECONDS

AccountOf = Callable[[str], Account | None]


class Proofs:
    """`account_of` finds a user's account; None for a directory without accounts, which believes
    terminal servers."""

    def __init__(self, farm: str, account_of: AccountOf | None) -> None:
        self._farm = farm
        self._account_of = account_of

    def fault_of(self, peer: Peer, request: PlaceSession, now: float) -> str:
        """Why the user is not proved at this terminal server; empty when they are.

        A proof may come again from the same terminal server, which it names: nobody else can use
        it.
        """
        if self._account_of is None:
            return ""
        account = self._account_of(normal(request.user_name))
        if account is None or account.disabled:
            return "the session directory has no such account"
        proof = request.proof[0] if request.proof else None
        if proof is None:
            return "" if account.pam else "the user's proof is missing"
        wants_receipt = request.session_id and not request.redirected
        oldest = RECEIPT_AGE_SECONDS_MAX if wants_receipt else AGE_SECONDS_MAX
        if not -limits.PROOF_CLOCK_SECONDS <= now - proof.time <= oldest:
            return f"the proof is of {now - proof.time:.0f} seconds ago: compare the hosts' clocks"
        if proof.method not in (Method.PASSWORD, Method.SSH_KEY):
            return "the session directory cannot check this method"
        statement = Statement(
            farm=self._farm,
            server=peer.name,
            certificate=peer.peer_certificate,
            nonce=proof.nonce,
            time=proof.time,
            device_id=proof.device_id,
            user_name=request.user_name,
            method=Method(proof.method),
            methods=Methods(proof.methods),
            salt=proof.salt,
            cost=Cost(proof.memory_kib, proof.passes, proof.lanes),
            asked=Asked(request.application, "", proof.session_id, proof.attachment),
        )
        is_proved = account.is_proved_by(
            statement, proof.key_fingerprint, proof.algorithm, proof.signature
        )
        return "" if is_proved else "the proof is not this user's, or was given for another host"
