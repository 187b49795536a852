"""Faults of a terminal server."""

from __future__ import annotations

import hashlib
import os
from typing import Any
from unittest.mock import patch

from cryptography.hazmat.primitives import hashes
from msgspec.structs import replace

from daemons.effects import Ask, Close, Detach, Effect, Endpoint, EndProgram, Tell
from daemons.keeper import messages as km
from daemons.keeper import proving
from daemons.keeper.proving import Monitor
from daemons.procedures import Procedure
from daemons.terminal_server import licensing, logon
from daemons.terminal_server.client import User
from daemons.terminal_server.directory import DirectoryLink
from daemons.terminal_server.licensing import Licensing
from daemons.terminal_server.logon import Logon
from daemons.terminal_server.own_record import GracePeriod
from daemons.terminal_server.sessions import Session
from tests.conformance.wrong.fault import Fault, doing, dropping, limit, replaced
from tests.conformance.wrong.proving import accepting
from tsproto import license_token, ssh_keys, user_proof
from tsproto.account import Account
from tsproto.errors import (
    ErrorCode,
    LicenseError,
    LicenseExpired,
    LicenseForeign,
    LicenseNotYours,
    LicenseOutdated,
    LicenseTampered,
)
from tsproto.license_token import Verifier, read_claims
from tsproto.messages import (
    LicenseAccepted,
    LicenseKind,
    LicenseRequest,
    LogonAccepted,
    LogonRefused,
    MarkValidated,
    NewLicense,
    PlaceSession,
    Role,
    UpdateSession,
)
from tsproto.ssh_keys import SshKey
from tsproto.user_proof import Asked, Methods

_verify = Verifier.verify
_prove = Monitor.prove
_is_signed = SshKey.is_signed


def _accepts_in_spite_of(*errors: type[LicenseError]) -> Any:
    def verify(self: Verifier, token: bytes, certificate: bytes, **shown: Any) -> Any:
        try:
            return _verify(self, token, certificate, **shown)
        except errors:
            return read_claims(token)

    return verify


def _ignores_the_product(self: Verifier, token: bytes, certificate: bytes, **shown: Any) -> Any:
    product = read_claims(token).product
    return _verify(self, token, certificate, **{**shown, "product": product})


def _accepts_its_own_version_only(
    self: Verifier, token: bytes, certificate: bytes, **shown: Any
) -> Any:
    claims = _verify(self, token, certificate, **shown)
    if claims.product_version > shown["product_version"]:
        raise LicenseOutdated("the license token is for another version")
    return claims


def _believes_the_key(public_key: bytes, *_: object) -> bytes:
    return hashlib.sha256(public_key).digest()


def _same_nonce(effect: Effect) -> list[Effect]:
    if isinstance(effect, Tell) and isinstance(effect.message, LicenseRequest):
        return [Tell(effect.peer, replace(effect.message, nonce=bytes(32)))]
    return [effect]


def _accepts_at_once(effect: Effect) -> list[Effect]:
    if isinstance(effect, Tell) and isinstance(effect.message, NewLicense):
        return [effect, Tell(effect.peer, LicenseAccepted(kind=LicenseKind.TEMPORARY))]
    return [effect]


def _ends_what_is_left(effect: Effect) -> list[Effect]:
    return [effect, EndProgram(effect.session_id)] if isinstance(effect, Detach) else [effect]


def _is_ask(kind: type) -> Any:
    return lambda effect: isinstance(effect, Ask) and isinstance(effect.message, kind)


def _is_told(kind: type) -> Any:
    return lambda effect: isinstance(effect, Tell) and isinstance(effect.message, kind)


def _closes_for_others(effect: Effect) -> bool:
    return isinstance(effect, Close) and effect.code is ErrorCode.DISCONNECTED_BY_OTHER


def _tells_no_attempts(effect: Effect) -> list[Effect]:
    if isinstance(effect, Tell) and isinstance(effect.message, LogonRefused):
        return [Tell(effect.peer, replace(effect.message, attempts_left=9))]
    return [effect]


def _keeps_nonces(self: Monitor, request: km.Prove, now: float) -> Any:
    """A nonce counts as often as it comes, and on whichever connection."""
    challenge = self._challenges.get(request.nonce)
    reply = _prove(self, request, now)
    if challenge is not None:
        self._challenges[request.nonce] = challenge
    return reply


def _proves_by_any_challenge(self: Monitor, request: km.Prove, now: float) -> Any:
    """Looks for the challenge that fits the signature."""
    for nonce in [request.nonce, *self._challenges]:
        reply = _keeps_nonces(self, replace(request, nonce=nonce), now)
        if isinstance(reply, km.Proved):
            return reply
    return reply


def _tells_who_is_unknown(self: Monitor, request: km.Prove, now: float) -> Any:
    challenge = self._challenges.get(request.nonce)
    reply = _prove(self, request, now)
    if challenge is not None and self._account_of(challenge.user_name) is None:
        return replace(reply, detail="there is no such user")
    return reply


def _names_any_key(self: Account, fingerprints: tuple[bytes, ...]) -> bytes:
    return fingerprints[0] if fingerprints else b""


class _Any:
    """Every flags have it."""

    def __rand__(self, flags: int) -> bool:
        return True


def _needs_no_touch(self: SshKey, message: bytes, algorithm: str, signature: bytes) -> bool:
    with patch.object(ssh_keys, "PRESENT", _Any()):
        return _is_signed(self, message, algorithm, signature)


def _takes_any_algorithm(self: SshKey, message: bytes, algorithm: str, signature: bytes) -> bool:
    if algorithm == "ssh-rsa":
        with patch.dict(ssh_keys.RSA_HASHES, {"ssh-rsa": hashes.SHA1()}):  # noqa: S303
            return _is_signed(self, message, algorithm, signature)
    return _is_signed(self, message, algorithm, signature)


def _salts_at_random(secret: bytes, user_name: str) -> bytes:
    return os.urandom(16)


def _resumes_whatever_was_shown(self: Logon, user: User) -> Any:
    session = self.lifecycle.table.get(user.asked.session_id)
    if not user.asked.attachment or session is None or not session.is_open_to(user):
        return None
    return session


def _is_open_to_all(self: Session, user: User) -> bool:
    return not self.is_ending


def _counts_no_attachment(effect: Effect) -> list[Effect]:
    if isinstance(effect, Tell) and isinstance(effect.message, LogonAccepted):
        return [Tell(effect.peer, replace(effect.message, attachment=1))]
    return [effect]


def _places(**wrong: Any) -> Any:
    """Asks the directory for something else."""

    def change(effect: Effect) -> list[Effect]:
        if isinstance(effect, Ask) and isinstance(effect.message, PlaceSession):
            return [replace(effect, message=replace(effect.message, **wrong))]
        return [effect]

    return doing(change)


def _keeps_receipts_to_itself(effect: Effect) -> list[Effect]:
    if isinstance(effect, Tell) and isinstance(effect.message, UpdateSession):
        row = replace(effect.message.session, receipt=b"")
        return [Tell(effect.peer, UpdateSession(session=row))]
    return [effect]


def _asks_for_no_receipts(self: DirectoryLink, endpoint: Endpoint) -> Procedure[None]:
    return
    yield


def _fault(name: str, found_by: str, **how: Any) -> Fault:
    return Fault(name=name, role=Role.TERMINAL_SERVER, found_by=found_by, **how)


FAULTS = (
    _fault(
        "forgets the signature's domain",
        "TOKEN-03.without-the-domain",
        plant=replaced(license_token, "TOKEN_DOMAIN", b""),
    ),
    _fault(
        "accepts an expired token",
        "TOKEN-09.the-second-of-expiry",
        plant=replaced(Verifier, "verify", _accepts_in_spite_of(LicenseExpired)),
    ),
    _fault(
        "accepts another device's token",
        "TOKEN-08.another-devices-token",
        plant=replaced(Verifier, "verify", _accepts_in_spite_of(LicenseNotYours)),
    ),
    _fault(
        "accepts tokens of any farm and issuer",
        "TOKEN-04.an-issuer-of-another-farm",
        plant=replaced(Verifier, "verify", _accepts_in_spite_of(LicenseForeign)),
    ),
    _fault(
        "accepts tokens that nobody signed",
        "TOKEN-02.a-changed-byte",
        plant=replaced(Verifier, "verify", _accepts_in_spite_of(LicenseTampered)),
    ),
    _fault(
        "accepts a token for another product",
        "TOKEN-07.another-product",
        plant=replaced(Verifier, "verify", _ignores_the_product),
    ),
    _fault(
        "accepts a token of a lower version",
        "TOKEN-07.a-lower-version",
        plant=replaced(Verifier, "verify", _accepts_in_spite_of(LicenseOutdated)),
    ),
    _fault(
        "accepts no token of a higher version",
        "TOKEN-07.its-own-version-and-the-next",
        plant=replaced(Verifier, "verify", _accepts_its_own_version_only),
    ),
    _fault(
        "does not check the device's proof",
        "LIC-03.a-proof-that-is-wrong",
        plant=replaced(licensing, "verify_device_proof", _believes_the_key),
    ),
    _fault(
        "always asks with the same nonce",
        "LIC-01.every-nonce-is-another",
        wrap=doing(_same_nonce),
    ),
    _fault(
        "lets in before the token is stored",
        "LIC-09.a-new-token-is-stored-first",
        wrap=doing(_accepts_at_once),
    ),
    _fault(
        "renews only what has ended",
        "LIC-08.the-last-days-of-a-token",
        plant=replaced(licensing, "RENEWAL_SECONDS", 0),
    ),
    _fault(
        "pushes whatever a license server issues",
        "LIC-21.what-a-license-server-issues-is-looked-at",
        plant=replaced(Licensing, "_fault_of", lambda self, client, answer: ""),
    ),
    _fault(
        "never validates a device",
        "LIC-24.validated-by-a-logon-and-not-before",
        wrap=dropping(_is_ask(MarkValidated)),
    ),
    _fault(
        "has a grace period without end",
        "LIC-19.grace-runs-from-the-first-connection",
        plant=replaced(GracePeriod, "left_until", lambda self, now: int(now) + 86_400),
    ),
    _fault(
        "lets proofs be guessed",
        "LOGON-03.three-wrong-proofs",
        plant=limit(logon, LOGON_ATTEMPTS=99),
    ),
    _fault(
        "says a wrong number of attempts",
        "LOGON-03.three-wrong-proofs",
        wrap=doing(_tells_no_attempts),
    ),
    _fault(
        "lets any number of logons be tried",
        "LOGON-05.sixteen-starts-and-one-more",
        plant=replaced(logon, "LOGONS_MAX", 1_000),
    ),
    _fault(
        "shows one session to two clients",
        "LOGON-11.one-session-that-the-last-client-shows",
        wrap=dropping(_closes_for_others),
    ),
    _fault(
        "ends a session with its connection",
        "SESS-10.a-session-outlives-its-connection",
        wrap=doing(_ends_what_is_left),
    ),
    _fault(
        "does not say whom to avoid",
        "REDIR-12.who-could-not-be-reached-is-avoided",
        wrap=_places(avoid=""),
    ),
    _fault(
        "does not say what a redirect promised",
        "REDIR-13.what-a-redirect-promised-is-passed-on",
        wrap=_places(session_id=0),
    ),
    _fault(
        "accepts a proof twice",
        "LOGON-22.a-proof-of-another-connection",
        plant=replaced(Monitor, "prove", _proves_by_any_challenge),
    ),
    _fault(
        "accepts the proof of an earlier challenge",
        "LOGON-22.a-proof-of-an-earlier-challenge",
        plant=replaced(Monitor, "prove", _proves_by_any_challenge),
    ),
    _fault(
        "accepts a proof for another host",
        "LOGON-21.signatures-over-something-else",
        plant=replaced(Account, "is_proved_by", accepting([{"server": "another-ts"}])),
    ),
    _fault(
        "accepts a proof for another farm",
        "LOGON-21.signatures-over-something-else",
        plant=replaced(Account, "is_proved_by", accepting([{"farm": "elsewhere"}])),
    ),
    _fault(
        "accepts a proof for another session",
        "LOGON-21.signatures-over-something-else",
        plant=replaced(Account, "is_proved_by", accepting([{"asked": Asked(session_id=77)}])),
    ),
    _fault(
        "accepts a proof for another application",
        "LOGON-21.signatures-over-something-else",
        plant=replaced(
            Account, "is_proved_by", accepting([{"asked": Asked(application="another")}])
        ),
    ),
    _fault(
        "accepts a proof for another command",
        "LOGON-21.signatures-that-are-none",
        plant=replaced(Account, "is_proved_by", accepting([{"asked": Asked()}])),
    ),
    _fault(
        "accepts a proof with other methods than it offered",
        "LOGON-21.signatures-over-something-else",
        plant=replaced(Account, "is_proved_by", accepting([{"methods": Methods(15)}])),
    ),
    _fault(
        "accepts any signature",
        "LOGON-21.signatures-that-are-none",
        plant=replaced(Account, "is_proved_by", lambda self, *_: True),
    ),
    _fault(
        "forgets the domain of proofs",
        "LOGON-21.signatures-that-are-none",
        plant=replaced(user_proof, "PROOF_DOMAIN", b""),
    ),
    _fault(
        "takes a security key's signature without a touch",
        "LOGON-21.ssh-signatures-that-are-none",
        plant=replaced(SshKey, "is_signed", _needs_no_touch),
    ),
    _fault(
        "takes SSH signatures for anything",
        "LOGON-21.ssh-signatures-that-are-none",
        plant=replaced(ssh_keys, "SSH_NAMESPACE", "file"),
    ),
    _fault(
        "takes RSA signatures with SHA-1",
        "LOGON-21.an-rsa-signature-with-sha-1",
        plant=replaced(SshKey, "is_signed", _takes_any_algorithm),
    ),
    _fault(
        "says who is unknown",
        "LOGON-02.a-wrong-proof-and-an-unknown-user-are-alike",
        plant=replaced(Monitor, "prove", _tells_who_is_unknown),
    ),
    _fault(
        "challenges unknown names with a salt of the moment",
        "LOGON-23.unknown-names-are-challenged-alike",
        plant=replaced(proving, "salt_of_nobody", _salts_at_random),
    ),
    _fault(
        "challenges unknown names with one salt",
        "LOGON-23.unknown-names-are-challenged-alike",
        plant=replaced(proving, "salt_of_nobody", lambda *_: bytes(16)),
    ),
    _fault(
        "always challenges with the same nonce",
        "LOGON-20.every-challenge-is-another",
        plant=replaced(proving, "NONCE_BYTES", 0),
    ),
    _fault(
        "lets an account use everything",
        "LOGON-36.an-application-that-the-account-may-not-use",
        plant=replaced(Account, "may_use", lambda self, *_: True),
    ),
    _fault(
        "names any SSH key",
        "LOGON-31.the-key-that-the-account-has",
        plant=replaced(Account, "key_among", _names_any_key),
    ),
    _fault(
        "shows a session that another client was shown since",
        "LOGON-27.a-session-that-another-client-was-shown",
        plant=replaced(Logon, "_resumed", _resumes_whatever_was_shown),
    ),
    _fault(
        "asks the directory about a session that is resumed",
        "LOGON-27.a-session-that-is-resumed",
        plant=replaced(Logon, "_resumed", lambda self, user: None),
    ),
    _fault(
        "counts no attachments",
        "LOGON-28.attachments-rise",
        wrap=doing(_counts_no_attachment),
    ),
    _fault(
        "shows a session to anybody who names it",
        "LOGON-30.nobody-else-is-shown-a-session",
        plant=replaced(Session, "is_open_to", _is_open_to_all),
    ),
    _fault(
        "keeps users' proofs to itself",
        "DIR-31.the-proof-is-passed-on-as-it-was-given",
        wrap=_places(proof=[]),
    ),
    _fault(
        "keeps receipts to itself",
        "DIR-28.the-receipt-goes-into-the-row",
        wrap=doing(_keeps_receipts_to_itself),
    ),
    _fault(
        "asks for no receipts",
        "DIR-32.a-session-that-began-without-the-directory",
        plant=replaced(DirectoryLink, "_get_receipts", _asks_for_no_receipts),
    ),
    _fault(
        "tells the directory nothing",
        "SYNC-08.every-change-is-told",
        wrap=dropping(_is_told(UpdateSession)),
    ),
)
