"""The keeper's monitor: makes challenges, judges proofs, and says which one session each may start.

Whoever asks is not believed: the challenge, the host's name, its certificate and the account are
the keeper's own, and a request only names them. Pure: the simulator runs it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TypeVar

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from daemons.effects import Randomness
from daemons.keeper import messages as km
from tsproto import limits
from tsproto.account import Account, PasswordKey
from tsproto.errors import DeviceProofInvalid, ErrorCode, TsfarmError
from tsproto.identity import is_device_signature
from tsproto.user_proof import (
    Asked,
    Cost,
    Method,
    Methods,
    Statement,
    normal,
    salt_of_nobody,
)

CHALLENGES_MAX = 16_384  # a link has one; then the oldest gives way
PROOFS_MAX = 16_384
NONCE_BYTES = 32
RETRY_SECONDS = 1  # after a late proof
DENIED = "user name or proof is wrong"
OVER = "the challenge is over, or was made by a keeper that has ended: log on again"
NO_USER = "!nobody"  # no system has this user: PAM asks for it, and denies it
NOBODYS_KEY = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw()

K = TypeVar("K")
Entry = TypeVar("Entry", bound="_Open")


class NotStarted(TsfarmError):
    """No session may be started for this proof; the text says why."""

    def __init__(self, detail: str, code: ErrorCode = ErrorCode.LOGON_BUSY) -> None:
        super().__init__(detail)
        self.code = code


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """What this host is. `certificates` are the SHA-256 of the present certificate and of earlier
    ones that open links still show; `secret` is the farm's, for the salts of unknown names."""

    farm: str
    server: str
    certificates: tuple[bytes, ...]
    secret: bytes
    methods: Methods = Methods.PASSWORD | Methods.SSH_KEY
    resume_seconds: int = 0


class _Open(msgspec.Struct, frozen=True, gc=False):
    expires_at: float


class PamLogon(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A user whom PAM is to prove. For a name that may not use PAM, `generation` is None and
    `system_user` somebody whom PAM denies."""

    user_name: str
    generation: int | None
    system_user: str
    address: str
    device_id: bytes
    asked: Asked

    @property
    def is_known(self) -> bool:
        return self.generation is not None


class Spent(msgspec.Struct, frozen=True, gc=False):
    """What a proof was good for: a session of this account, for a client at this address."""

    account: Account
    address: str


class _Challenge(_Open, frozen=True, gc=False):
    user_name: str
    address: str
    device_id: bytes
    certificate: bytes
    said: km.Challenged


class _Proof(_Open, frozen=True, gc=False):
    user_name: str
    generation: int
    asked: Asked
    address: str
    device_id: bytes
    resumes_until: float = 0.0  # of a proof by device, which starts no session; else 0


class _Resumable(_Open, frozen=True, gc=False):
    """A session that this device showed last. The time counts from the user's own last proof."""

    user_name: str
    generation: int
    device_id: bytes
    attachment: int


class Monitor:
    """The challenges and proofs that are open. `account_of` finds a user's account now."""

    def __init__(
        self, host: Host, account_of: Callable[[str], Account | None], rng: Randomness
    ) -> None:
        self.host = host
        self._account_of = account_of
        self._rng = rng
        self._challenges: dict[bytes, _Challenge] = {}  # by nonce; in order of expiry
        self._proofs: dict[int, _Proof] = {}  # in order of expiry
        self._resumable: dict[int, _Resumable] = {}  # by session id
        self._last_proof = 0

    def challenge(self, request: km.Challenge, now: float) -> km.Challenged | km.NotProved:
        if request.certificate not in self.host.certificates:
            detail = "the certificate that the client saw is not this host's"
            return km.NotProved(request.request_id, ErrorCode.NOT_PERMITTED, detail, 0)
        user_name = normal(request.user_name)
        account = self._account_of(user_name)
        key = account.password if account is not None else None
        cost = key.cost if key else Cost()
        seconds = self._resume_seconds(
            request.session_id, request.attachment, user_name, request.device_id, now
        )
        challenge = km.Challenged(
            request.request_id,
            nonce=self._rng.randbytes(NONCE_BYTES),
            time=int(now),
            methods=self.host.methods | (Methods.DEVICE if seconds else Methods(0)),
            salt=key.salt if key else salt_of_nobody(self.host.secret, user_name),
            memory_kib=cost.memory_kib,
            passes=cost.passes,
            lanes=cost.lanes,
            key_fingerprint=account.key_among(request.key_fingerprints) if account else b"",
            resume_seconds=seconds,
        )
        self._challenges[challenge.nonce] = _Challenge(
            now + limits.CHALLENGE_SECONDS,
            user_name,
            request.address,
            request.device_id,
            request.certificate,
            challenge,
        )
        _give_way(self._challenges, CHALLENGES_MAX)
        return challenge

    def prove(self, request: km.Prove, now: float) -> km.Proved | km.NotProved:
        """Spends the nonce. An unknown user, a disabled one and a wrong signature are answered
        alike. A late proof says nothing about the user: the client may try again."""
        challenge = self._challenges.pop(request.nonce, None)
        if challenge is None or challenge.expires_at <= now:
            return km.NotProved(request.request_id, ErrorCode.LOGON_BUSY, OVER, RETRY_SECONDS)
        if request.method == Method.DEVICE:
            return self._prove_by_device(challenge, request, now)
        denied = km.NotProved(request.request_id, ErrorCode.LOGON_FAILED, DENIED, 0)
        account = self._account_of(challenge.user_name)
        can_prove = account is not None and not account.disabled
        if account is None or (request.method == Method.PASSWORD and account.password is None):
            # A signature is checked all the same: the time of an answer tells no name.
            account, can_prove = _nobody(challenge.said), False
        statement = self._statement(challenge, request)
        is_proved = statement is not None and account.is_proved_by(
            statement, challenge.said.key_fingerprint, request.algorithm, request.signature
        )
        if not can_prove or not is_proved:
            return denied
        return self._proved(
            request.request_id,
            account,
            request.asked,
            now,
            address=challenge.address,
            device_id=challenge.device_id,
        )

    def _prove_by_device(
        self, challenge: _Challenge, request: km.Prove, now: float
    ) -> km.Proved | km.NotProved:
        """`signature` is the device's public key, 32 bytes, and its signature."""
        denied = km.NotProved(request.request_id, ErrorCode.LOGON_FAILED, DENIED, 0)
        asked, device_id = request.asked, challenge.device_id
        seconds = self._resume_seconds(
            asked.session_id, asked.attachment, challenge.user_name, device_id, now
        )
        account = self._account_of(challenge.user_name)
        statement = self._statement(challenge, request)
        key, signature = request.signature[:32], request.signature[32:]
        if not seconds or account is None or statement is None or asked.command:
            return denied
        try:
            is_signed = is_device_signature(key, signature, statement.signed_bytes())
        except DeviceProofInvalid:
            return denied
        if not is_signed or hashlib.sha256(key).digest() != device_id:
            return denied
        return self._proved(
            request.request_id,
            account,
            asked,
            now,
            address=challenge.address,
            device_id=device_id,
            resumes_until=self._resumable[asked.session_id].expires_at,
        )

    def _resume_seconds(
        self, session_id: int, attachment: int, user_name: str, device_id: bytes, now: float
    ) -> int:
        """How long this device may resume the session by its key alone; 0 for not."""
        session = self._resumable.get(session_id)
        account = self._account_of(user_name)
        if session is None or account is None or account.disabled:
            return 0
        last = _Resumable(session.expires_at, user_name, account.generation, device_id, attachment)
        return max(0, int(session.expires_at - now)) if session == last else 0

    def ask(self, request: km.Prove, now: float) -> PamLogon | km.NotProved:
        """Spends the nonce: PAM is to judge the user. An unknown name is asked like any other."""
        challenge = self._challenges.pop(request.nonce, None)
        if challenge is None or challenge.expires_at <= now:
            return km.NotProved(request.request_id, ErrorCode.LOGON_BUSY, OVER, RETRY_SECONDS)
        if Methods.PAM not in Methods(challenge.said.methods):
            return km.NotProved(request.request_id, ErrorCode.LOGON_FAILED, DENIED, 0)
        account = self._account_of(challenge.user_name)
        may_use_pam = account is not None and account.pam and not account.disabled
        return PamLogon(
            user_name=challenge.user_name,
            generation=account.generation if account is not None and may_use_pam else None,
            system_user=account.system_user if account is not None and may_use_pam else NO_USER,
            address=challenge.address,
            device_id=challenge.device_id,
            asked=request.asked,
        )

    def prove_by_pam(
        self, logon: PamLogon, request_id: int, now: float
    ) -> km.Proved | km.NotProved:
        """PAM says that the user is the one of this logon."""
        account = self._account_of(logon.user_name)
        if account is None or account.generation != logon.generation:
            return km.NotProved(request_id, ErrorCode.LOGON_FAILED, DENIED, 0)
        return self._proved(
            request_id,
            account,
            logon.asked,
            now,
            address=logon.address,
            device_id=logon.device_id,
        )

    def _proved(
        self,
        request_id: int,
        account: Account,
        asked: Asked,
        now: float,
        *,
        address: str,
        device_id: bytes,
        resumes_until: float = 0.0,
    ) -> km.Proved | km.NotProved:
        if not account.may_use(self.host.server, asked.application):
            detail = f"the account may not use {asked.application or 'a shell'!r} here"
            return km.NotProved(request_id, ErrorCode.NOT_PERMITTED, detail, 0)
        self._last_proof += 1
        self._proofs[self._last_proof] = _Proof(
            now + limits.PROOF_SECONDS,
            account.name,
            account.generation,
            asked,
            address,
            device_id,
            resumes_until,
        )
        _give_way(self._proofs, PROOFS_MAX)
        return km.Proved(request_id, self._last_proof, account.generation, account.system_user, ())

    def spend(self, request: km.StartProved, now: float) -> Spent:
        """The account for which this one session may be started. Raises NotStarted."""
        proof = self._proofs.pop(request.proof_id, None)
        if proof is None:
            raise NotStarted("there is no such proof, or it was used: log on again")
        if proof.expires_at <= now:
            detail = f"the proof is older than {limits.PROOF_SECONDS} seconds: log on again"
            raise NotStarted(detail)
        if proof.asked != request.asked:
            raise NotStarted("the user proved something else", ErrorCode.NOT_PERMITTED)
        if proof.resumes_until:
            raise NotStarted("a device alone starts no session", ErrorCode.NOT_PERMITTED)
        account = self._account_of(proof.user_name)
        if account is None or account.disabled or account.generation != proof.generation:
            raise NotStarted("the account was changed in this moment; log on again")
        self._note_shown(request.session_id, proof, 1, now)
        return Spent(account, proof.address)

    def shown(self, request: km.Shown, now: float) -> None:
        """Only a session that its user started here can be resumed, and by the same user."""
        proof = self._proofs.pop(request.proof_id, None)
        session = self._resumable.get(request.session_id)
        if proof is None or proof.expires_at <= now or session is None:
            return
        if session.user_name == proof.user_name:
            self._note_shown(request.session_id, proof, request.attachment, now)

    def _note_shown(self, session_id: int, proof: _Proof, attachment: int, now: float) -> None:
        until = proof.resumes_until or now + self.host.resume_seconds
        self._resumable[session_id] = _Resumable(
            until, proof.user_name, proof.generation, proof.device_id, attachment
        )

    def forget(self, session_id: int) -> None:
        """The session has ended, or was not started."""
        self._resumable.pop(session_id, None)

    def expire(self, now: float) -> None:
        _expire(self._challenges, now)
        _expire(self._proofs, now)

    def _statement(self, challenge: _Challenge, request: km.Prove) -> Statement | None:
        """What the user should have signed; None for a method that was not offered."""
        said = challenge.said
        if request.method not in (Method.PASSWORD, Method.SSH_KEY, Method.DEVICE):
            return None
        method = Method(request.method)
        if Methods[method.name] not in Methods(said.methods):
            return None
        return Statement(
            farm=self.host.farm,
            server=self.host.server,
            certificate=challenge.certificate,
            nonce=said.nonce,
            time=said.time,
            device_id=challenge.device_id,
            user_name=challenge.user_name,
            method=method,
            methods=Methods(said.methods),
            salt=said.salt,
            cost=Cost(said.memory_kib, said.passes, said.lanes),
            asked=request.asked,
        )


def _nobody(said: km.Challenged) -> Account:
    """An account to judge the proof of an unknown user by, who is denied in any case."""
    key = PasswordKey(
        public_key=NOBODYS_KEY,
        salt=said.salt,
        memory_kib=said.memory_kib,
        passes=said.passes,
        lanes=said.lanes,
    )
    return Account(name="", generation=0, password=key)


def _give_way(open_: dict[K, Entry], most: int) -> None:
    """The oldest gives way."""
    if len(open_) > most:
        del open_[next(iter(open_))]


def _expire(open_: dict[K, Entry], now: float) -> None:
    for key in [key for key, each in open_.items() if each.expires_at <= now]:
        del open_[key]
