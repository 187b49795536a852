"""Faults of a client."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from clients.device import Device, held_licenses
from clients.logon import procedure, steps
from clients.logon.procedure import Logon
from clients.logon.route import Route
from tests.conformance.wrong.fault import Fault, limit, replaced, together
from tsproto.errors import ErrorCode, LicenseError
from tsproto.identity import DeviceKey
from tsproto.license_token import read_claims
from tsproto.messages import LogonChallenge, Role
from tsproto.user_proof import Asked, Cost, Method, Statement

_prove = DeviceKey.prove
_failed = Route.failed
_follow = Logon._follow
_on_challenge = Logon._on_challenge
_session_lost = Logon._session_lost
_statement = Logon._statement
_prove_user = Logon._prove
_log_on = Logon._log_on


def _proves_nothing(self: DeviceKey, nonce: bytes, certificate: bytes) -> bytes:
    return _prove(self, bytes(32), certificate)


def _shows_any(self: Device, farm: str, product: str) -> Any:
    return next(iter(held_licenses(self.folder)), None)


def _stores_nothing(self: Device, farm: str, token: bytes, certificate: bytes) -> bytes:
    try:
        return read_claims(token).license_id
    except LicenseError:
        return bytes(16)


def _does_not_wait(self: Route, code: ErrorCode, detail: str, seconds: int) -> None:
    _failed(self, code, detail, min(seconds, 1))


def _trusts_any_host(self: Logon, redirect: Any) -> Any:
    todo = _follow(self, redirect)
    for index, step in enumerate(todo):
        if isinstance(step, steps.DialHost):
            todo[index] = replace(step, host=replace(step.host, name=""))
    return todo


def _goes_back_silently(self: Logon) -> Any:
    self._unreachable_host = ""
    return _log_on(self)


def _signs_for(**wrong: Any) -> Any:
    def statement(self: Logon, challenge: LogonChallenge, method: Method) -> Statement:
        return replace(_statement(self, challenge, method), **wrong)

    return statement


def _signs_with_any_ssh_key(self: Logon, challenge: LogonChallenge) -> Any:
    return _on_challenge(self, replace(challenge, key_fingerprint=self._keys[0]))


def _uses_no_ssh_key(self: Logon, challenge: LogonChallenge) -> Any:
    return _on_challenge(self, replace(challenge, key_fingerprint=b""))


def _signs_every_challenge(self: Logon, challenge: LogonChallenge) -> Any:
    todo = _on_challenge(self, challenge)
    self._awaits_challenge = True
    return todo


def _repeats_its_proof(self: Logon, *proof: Any) -> Any:
    _said[:] = _prove_user(self, *proof)
    return _said


_said: list[steps.Step] = []


def _is_told_nothing(self: Logon, *proof: Any) -> Any:
    self._redirect = None
    return _prove_user(self, *proof)


def _has_shown_nothing(self: Logon) -> Any:
    self._shown = None
    return _log_on(self)


def _comes_back(self: Logon, code: ErrorCode, *told: Any) -> Any:
    return _session_lost(self, ErrorCode.CONNECTION_LOST, *told)


def _fault(name: str, found_by: str, plant: Any) -> Fault:
    return Fault(name=name, role=Role.CLIENT, found_by=found_by, plant=plant)


FAULTS = (
    _fault(
        "signs no nonce",
        "LIC-02.the-proof-of-its-key",
        replaced(DeviceKey, "prove", _proves_nothing),
    ),
    _fault(
        "shows a token of another product",
        "LIC-14.the-token-of-this-product-alone",
        replaced(Device, "license", _shows_any),
    ),
    _fault(
        "says stored, and stores nothing",
        "LIC-12.a-newer-token-replaces-the-older",
        replaced(Device, "store_license", _stores_nothing),
    ),
    _fault(
        "stores what is not its own",
        "LIC-13.tokens-that-are-not-stored",
        replaced(Device, "store_license", _stores_nothing),
    ),
    _fault(
        "does not wait as long as it was told",
        "CLOSE-07.a-client-waits-as-long-as-it-was-told",
        replaced(Route, "failed", _does_not_wait),
    ),
    _fault(
        "derives keys at any cost",
        "LOGON-24.costs-that-no-key-is-derived-with",
        replaced(Cost, "check", lambda self: None),
    ),
    _fault(
        "signs for another host than it sees",
        "LOGON-25.a-proof-for-this-host-alone",
        replaced(Logon, "_statement", _signs_for(server="another-ts")),
    ),
    _fault(
        "signs for another farm than it sees",
        "LOGON-25.a-proof-for-this-host-alone",
        replaced(Logon, "_statement", _signs_for(farm="elsewhere")),
    ),
    _fault(
        "signs no certificate",
        "LOGON-25.a-proof-for-this-host-alone",
        replaced(Logon, "_statement", _signs_for(certificate=b"")),
    ),
    _fault(
        "signs no command",
        "LOGON-25.a-proof-for-this-host-alone",
        replaced(Logon, "_statement", _signs_for(asked=Asked(session_id=1))),
    ),
    _fault(
        "signs with an SSH key that was not named",
        "LOGON-26.ssh-keys-that-were-not-named",
        replaced(Logon, "_on_challenge", _signs_with_any_ssh_key),
    ),
    _fault(
        "uses its SSH keys never",
        "LOGON-26.the-ssh-key-that-was-named",
        replaced(Logon, "_on_challenge", _uses_no_ssh_key),
    ),
    _fault(
        "signs every challenge",
        "LOGON-34.a-challenge-twice",
        replaced(Logon, "_on_challenge", _signs_every_challenge),
    ),
    _fault(
        "sends a proof again that was wrong",
        "LOGON-35.a-wrong-proof-begins-anew",
        together(
            replaced(Logon, "_prove", _repeats_its_proof),
            replaced(Logon, "_on_wrong_proof", lambda self, refused: _said),
        ),
    ),
    _fault(
        "does not say that it was redirected",
        "REDIR-02.a-redirect-is-followed-and-proved-anew",
        replaced(Logon, "_prove", _is_told_nothing),
    ),
    _fault(
        "does not say what it has shown",
        "SESS-13.a-lost-session-is-resumed",
        replaced(Logon, "_log_on", _has_shown_nothing),
    ),
    _fault(
        "takes its session back from another client",
        "SESS-14.a-session-that-another-client-shows",
        replaced(Logon, "_session_lost", _comes_back),
    ),
    _fault(
        "asks again at once where a host is busy",
        "LOGON-18.busy-is-waited-for",
        replaced(Logon, "_log_on_later", lambda self, refused, now: _log_on(self)),
    ),
    _fault(
        "follows redirects without end",
        "REDIR-10.too-many-redirects",
        limit(procedure, REDIRECTS_MAX=99),
    ),
    _fault(
        "trusts any host that it is sent to",
        "REDIR-03.the-host-that-was-named",
        replaced(Logon, "_follow", _trusts_any_host),
    ),
    _fault(
        "does not say which host was not there",
        "REDIR-11.a-host-that-is-not-there",
        replaced(Logon, "_log_on", _goes_back_silently),
    ),
)
