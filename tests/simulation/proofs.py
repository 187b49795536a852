"""What users signed, and what became of it: checked at each answer of keepers and directory.

Every true signature is known here from the device that made it, so no law asks the monitor, or a
public key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from daemons.effects import Caller
from daemons.keeper import messages as km
from tests.simulation.accounts import KIND
from tests.simulation.keeper import Judged
from tsproto import limits
from tsproto.errors import ErrorCode
from tsproto.messages import Message, PlaceSession, SessionPlaced, UserProof
from tsproto.user_proof import Asked, Statement

if TYPE_CHECKING:
    from tests.simulation.device import Device
    from tests.simulation.farm import Farm

PROVED = "a user is proved by their own signature, given for this challenge and this request"
NOT_DENIED = "a good proof is taken"
ONE_SESSION = "a proof starts the one session that it was given for"
PLACED = "a place is given for a proof at that host"
KEPT = 8


class Signed(msgspec.Struct, frozen=True):
    """A device signed this; `is_good` with a key that the user's account had then."""

    device_id: bytes
    statement: Statement
    is_good: bool


class Challenge(msgspec.Struct):
    user_name: str
    device_id: bytes
    certificate: bytes
    made_at: float
    is_spent: bool = False


class Good(msgspec.Struct):
    """A proof that a keeper has found good."""

    user_name: str
    asked: Asked
    generation: int
    judged_at: float
    is_used: bool = False


class Proofs:
    """The laws of proofs; watches keepers."""

    def __init__(self, farm: Farm) -> None:
        self._farm = farm
        self._signed: dict[bytes, Signed] = {}
        self._challenges: dict[tuple[str, bytes], Challenge] = {}  # by host and nonce
        self._good: dict[tuple[str, int], Good] = {}  # by host and proof id
        self._judged_good: dict[tuple[str, bytes], bytes] = {}  # nonces by host and signature
        self.seen: list[UserProof] = []  # the latest that hosts have shown the directory

    def on_signed(
        self, device: Device, statement: Statement, signature: bytes, is_good: bool
    ) -> None:
        """`is_good`: with the user's password as it is now, or with their SSH key."""
        self._signed[signature] = Signed(device.device_id, statement, is_good)
        self._farm.world.saw(f"signed by {statement.method.name.lower()}")

    def nonce_of(self, host: str, signature: bytes) -> bytes:
        """Of the challenge for which the keeper of this host found it good; empty for none."""
        return self._judged_good.get((host, signature), b"")

    def user_of(self, host: str, proof_id: int) -> str:
        """Whom this proof proves."""
        return self._good[host, proof_id].user_name

    # --- keepers ----------------------------------------------------------------------------------

    def challenged(self, host: str, request: km.Challenge, said: km.Challenged) -> None:
        self._challenges[host, said.nonce] = Challenge(
            request.user_name, request.device_id, request.certificate, self._farm.world.now
        )

    def judged(self, host: str, request: km.Prove, reply: Judged, now: float) -> None:
        challenge = self._challenges.get((host, request.nonce))
        fault = self._fault(host, challenge, request)
        if challenge is not None:
            challenge.is_spent = True
        if isinstance(reply, km.Proved):
            if fault or challenge is None:
                self._farm.broken(PROVED, f"{host} takes a proof {fault}")
                return
            account = self._farm.accounts.of(challenge.user_name)
            assert account is not None
            good = Good(challenge.user_name, request.asked, account.generation, now)
            self._good[host, reply.proof_id] = good
            self._judged_good[host, request.signature] = request.nonce
        elif reply.code is ErrorCode.LOGON_FAILED and not fault and not self._is_late(challenge):
            self._farm.broken(NOT_DENIED, f"{host} denies {request}")

    def _fault(self, host: str, challenge: Challenge | None, request: km.Prove) -> str:
        """Of a proof, which is not what the challenge and the request want; empty when it is."""
        signed = self._signed.get(request.signature)
        if challenge is None:
            return "of no challenge"
        if challenge.is_spent:
            return "of a challenge that is spent"
        if signed is None:
            return "that nobody gave"
        said, farm = signed.statement, self._farm
        wanted = {
            "farm": farm.accounts.farm,
            "server": host,
            "certificate": farm.network.certificate_of(host),
            "nonce": request.nonce,
            "user_name": challenge.user_name,
            "device_id": challenge.device_id,
            "asked": request.asked,
        }
        for name, value in wanted.items():
            if getattr(said, name) != value:
                return f"for the {name} {getattr(said, name)!r}, and not for {value!r}"
        if signed.device_id != challenge.device_id:
            return "of another device"
        if not self._is_of_the_account(signed, request.algorithm):
            return "with a key that is not the user's"
        return ""

    def _is_late(self, challenge: Challenge | None) -> bool:
        """By the world's time, or perhaps by its host's, which was set."""
        assert challenge is not None
        age = self._farm.world.now - challenge.made_at
        return age >= limits.CHALLENGE_SECONDS or "clock steps" in self._farm.struck

    def started(self, host: str, request: km.StartProved, now: float) -> None:
        good = self._good.get((host, request.proof_id))
        if good is None:
            self._farm.broken(ONE_SESSION, f"{host} starts {request} for no proof")
            return
        account = self._farm.accounts.of(good.user_name)
        what = f"{host} starts {request.asked} for a proof of {good.user_name}"
        if good.is_used:
            self._farm.broken(ONE_SESSION, f"{what}, which was used")
        if request.asked != good.asked:
            self._farm.broken(ONE_SESSION, f"{what} for {good.asked}")
        if account is None or account.generation != good.generation:
            self._farm.broken(ONE_SESSION, f"{what}, whose account was changed")
        if now - good.judged_at >= limits.PROOF_SECONDS:
            self._farm.broken(ONE_SESSION, f"{what}, {now - good.judged_at:.0f} s old")
        good.is_used = True

    # --- the directory ----------------------------------------------------------------------------

    def shown(self, request: PlaceSession) -> None:
        """A host has asked the directory."""
        self.seen = [*self.seen[-KEPT:], *request.proof]

    def placed(self, caller: Caller, request: PlaceSession, answer: Message) -> None:
        if not isinstance(answer, SessionPlaced):
            return
        what = f"{caller.peer.name} is given a place of {request.user_name}"
        signed = self._signed.get(request.proof[0].signature) if request.proof else None
        if signed is None:
            self._farm.broken(PLACED, f"{what} without a proof")
            return
        said = signed.statement
        given = said.server, said.user_name, said.asked.application
        if given != (caller.peer.name, request.user_name, request.application):
            self._farm.broken(PLACED, f"{what}, and the proof is {given}")
        if not self._is_of_the_account(signed, request.proof[0].algorithm):
            self._farm.broken(PLACED, f"{what} with a key that is not theirs")

    def _is_of_the_account(self, signed: Signed, algorithm: str) -> bool:
        """Now. An SSH key is never changed."""
        said = signed.statement
        is_of_now = said.salt == self._farm.accounts.salt_of(said.user_name)
        return signed.is_good and (algorithm == KIND or is_of_now)
