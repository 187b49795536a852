"""Faults of a terminal server."""

from __future__ import annotations

import hashlib
from typing import Any

from msgspec.structs import replace

from daemons.effects import Ask, Close, Core, Detach, Effect, EndProgram, Tell
from daemons.terminal_server import licensing, logon
from daemons.terminal_server.licensing import Licensing
from daemons.terminal_server.own_record import GracePeriod
from daemons.terminal_server.sessions import Session
from tests.conformance.wrong.fault import Around, Fault, doing, dropping, limit, replaced
from tsproto import license_token
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
    LogonRefused,
    MarkValidated,
    NewLicense,
    PlaceSession,
    RedeemTicket,
    Role,
    TicketRedeemed,
    UpdateSession,
)

_verify = Verifier.verify


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


def _avoids_nobody(effect: Effect) -> list[Effect]:
    if isinstance(effect, Ask) and isinstance(effect.message, PlaceSession):
        return [replace(effect, message=replace(effect.message, avoid=""))]
    return [effect]


def _tells_no_attempts(effect: Effect) -> list[Effect]:
    if isinstance(effect, Tell) and isinstance(effect.message, LogonRefused):
        return [Tell(effect.peer, replace(effect.message, attempts_left=9))]
    return [effect]


class _RedeemsByItself(Around):
    """Asks no directory what a ticket is worth."""

    def on_message(self, *args: Any) -> list[Effect]:
        done: list[Effect] = []
        for effect in self.core.on_message(*args):
            if isinstance(effect, Ask) and isinstance(effect.message, RedeemTicket):
                redeemed = TicketRedeemed(
                    user_name=effect.message.user_name, application="", placement=1, session_id=0
                )
                done += self.core.on_answer(effect.question_id, redeemed, args[-1])
            else:
                done.append(effect)
        return done


def _redeems_by_itself(core: Core) -> Core:
    return _RedeemsByItself(core)


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
        "lets passwords be guessed",
        "LOGON-03.three-wrong-passwords",
        plant=limit(logon, LOGON_ATTEMPTS=99),
    ),
    _fault(
        "says a wrong number of attempts",
        "LOGON-03.three-wrong-passwords",
        wrap=doing(_tells_no_attempts),
    ),
    _fault(
        "accepts every cookie",
        "LOGON-13.cookies-that-do-not-count",
        plant=replaced(Session, "accepts_cookie", lambda self, *_: True),
    ),
    _fault(
        "lets any number of requests be tried",
        "LOGON-05.sixteen-requests-and-one-more",
        plant=replaced(logon, "LOGON_REQUESTS_MAX", 1_000),
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
        "redeems tickets by itself",
        "REDIR-04.the-directory-redeems-the-ticket",
        wrap=_redeems_by_itself,
    ),
    _fault(
        "does not say whom to avoid",
        "REDIR-12.who-could-not-be-reached-is-avoided",
        wrap=doing(_avoids_nobody),
    ),
    _fault(
        "tells the directory nothing",
        "SYNC-08.every-change-is-told",
        wrap=dropping(_is_told(UpdateSession)),
    ),
)
