"""Faults of a client."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from clients.device import Device, held_licenses
from clients.logon import procedure, steps
from clients.logon.procedure import Logon
from clients.logon.route import Route
from tests.conformance.wrong.fault import Fault, limit, replaced
from tsproto.errors import ErrorCode, LicenseError
from tsproto.identity import DeviceKey
from tsproto.license_token import read_claims
from tsproto.messages import LogonRefused, Role

_prove = DeviceKey.prove
_failed = Route.failed
_follow = Logon._follow
_on_refused = Logon._on_refused
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


def _insists(self: Logon, refused: LogonRefused, now: float) -> Any:
    if refused.code is ErrorCode.TICKET_INVALID:
        return _log_on(self)
    return _on_refused(self, refused, now)


def _trusts_any_host(self: Logon, redirect: Any) -> Any:
    todo = _follow(self, redirect)
    for index, step in enumerate(todo):
        if isinstance(step, steps.DialHost):
            todo[index] = replace(step, host=replace(step.host, name=""))
    return todo


def _goes_back_silently(self: Logon) -> Any:
    self._unreachable_host = ""
    return _log_on(self)


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
        "shows a ticket that failed once more",
        "LOGON-14.a-ticket-that-failed-is-not-shown-again",
        replaced(Logon, "_on_refused", _insists),
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
