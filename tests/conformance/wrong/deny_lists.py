"""Faults about deny lists; whichever daemon has them, one shows them."""

from __future__ import annotations

from typing import Any

from clients.logon.procedure import Logon
from daemons.denials import Denials
from daemons.effects import Effect, Persist
from daemons.terminal_server.inquiry import Verdict
from tests.conformance.wrong.fault import Fault, Plant, limit, replaced
from tsproto import deny_list
from tsproto.deny_list import DenyKind, DenyList, DenyLists
from tsproto.errors import DenyListError, DenyListOld, ErrorCode
from tsproto.messages import NewDenyList, Role

_take = DenyLists.take
_taken = Denials._take
_news = Denials._news
_on_message = Logon.on_message


def _takes_older_ones(self: DenyLists, signed: bytes, now: float) -> DenyList:
    try:
        return _take(self, signed, now)
    except DenyListOld:
        found = deny_list.read(signed)
        self._hold(found, signed)
        return found


def _holds_what_it_refuses(self: DenyLists, signed: bytes, now: float) -> DenyList:
    try:
        return _take(self, signed, now)
    except DenyListError as error:
        if error.code is not ErrorCode.DENY_LIST_MALFORMED:
            self._hold(deny_list.read(signed), signed)
        raise


def _stores_nothing(self: Denials, *about: Any) -> list[Effect]:
    return [effect for effect in _taken(self, *about) if not isinstance(effect, Persist)]


def _news_for_everybody(self: Denials, link: Any, kind: DenyKind) -> list[Effect]:
    """Devices for clients, too."""
    was, link.peer = link.peer, _Daemon(link.peer)
    try:
        return _news(self, link, kind)
    finally:
        link.peer = was


class _Daemon:
    """The same peer, taken for a daemon."""

    role = Role.TERMINAL_SERVER

    def __init__(self, peer: Any) -> None:
        self.link = peer.link


def _hears_no_lists(self: Logon, message: Any, now: float) -> Any:
    return [] if isinstance(message, NewDenyList) else _on_message(self, message, now)


def _fault(role: Role, name: str, found_by: str, plant: Plant) -> Fault:
    return Fault(name=name, role=role, found_by=found_by, plant=plant)


FAULTS = (
    _fault(
        Role.SESSION_DIRECTORY,
        "takes an older deny list",
        "DENY-01.no-older-and-no-equal-list",
        replaced(DenyLists, "take", _takes_older_ones),
    ),
    _fault(
        Role.LICENSE_SERVER,
        "refuses an older deny list, and holds it all the same",
        "DENY-01.no-older-and-no-equal-list",
        replaced(DenyLists, "take", _holds_what_it_refuses),
    ),
    _fault(
        Role.SESSION_DIRECTORY,
        "takes a deny list of next year",
        "DENY-02.no-list-of-the-day-after-tomorrow",
        limit(deny_list, DENY_LIST_AHEAD_SECONDS=1e9),
    ),
    _fault(
        Role.LICENSE_SERVER,
        "takes anybody's deny list",
        "DENY-03.no-list-of-somebody-else",
        replaced(DenyLists, "_verify", lambda self, found, signed: None),
    ),
    _fault(
        Role.TERMINAL_SERVER,
        "takes endless deny lists",
        "DENY-04.what-is-no-list",
        limit(deny_list, DENY_LIST_ENTRIES_MAX=2**20),
    ),
    _fault(
        Role.SESSION_DIRECTORY,
        "keeps its deny lists in memory alone",
        "DENY-06.a-list-outlives-a-restart",
        replaced(Denials, "_take", _stores_nothing),
    ),
    _fault(
        Role.LICENSE_SERVER,
        "leaves the links of a denied certificate open",
        "DENY-07.the-link-of-a-denied-certificate-ends",
        replaced(Denials, "_closed_if_denied", lambda self, link: []),
    ),
    _fault(
        Role.SESSION_DIRECTORY,
        "welcomes a denied certificate",
        "DENY-07.the-link-of-a-denied-certificate-ends",
        replaced(DenyLists, "denies_certificate", lambda self, digest: False),
    ),
    _fault(
        Role.TERMINAL_SERVER,
        "lets a denied device in",
        "DENY-08.a-denied-device-does-not-come-in",
        replaced(Denials, "_on_device_shown", lambda self, link, message, now: None),
    ),
    _fault(
        Role.TERMINAL_SERVER,
        "leaves a session to a denied device",
        "DENY-08.a-device-that-is-denied-leaves-its-session",
        replaced(Denials, "_closed_if_denied", lambda self, link: []),
    ),
    _fault(
        Role.LICENSE_SERVER,
        "licenses a denied device",
        "DENY-09.no-license-for-a-denied-device",
        replaced(Denials, "_on_device_named", lambda self, link, message, now: None),
    ),
    _fault(
        Role.LICENSE_SERVER,
        "keeps its deny lists to itself",
        "DENY-10.a-peer-is-handed-the-list-that-comes-later",
        replaced(Denials, "_news", lambda self, link, kind: []),
    ),
    _fault(
        Role.TERMINAL_SERVER,
        "tells a peer nothing when its link opens",
        "DENY-10.a-peer-that-lags-is-handed-the-list",
        replaced(Denials, "on_opened", lambda self, link: []),
    ),
    _fault(
        Role.TERMINAL_SERVER,
        "tells clients which devices are denied",
        "DENY-10.a-client-is-handed-certificates-and-no-devices",
        replaced(Denials, "_news", _news_for_everybody),
    ),
    _fault(
        Role.TERMINAL_SERVER,
        "does not listen to a license server that denies a device",
        "DENY-08.a-device-that-a-license-server-denies",
        replaced(Verdict, "denies_device", False),
    ),
    _fault(
        Role.TERMINAL_SERVER,
        "believes tokens of a denied license server",
        "TOKEN-15.a-token-of-a-denied-license-server",
        replaced(DenyLists, "denies_certificate", lambda self, digest: False),
    ),
    _fault(
        Role.CLIENT,
        "does not listen to deny lists",
        "DENY-11.a-server-that-is-denied-later",
        replaced(Logon, "on_message", _hears_no_lists),
    ),
    _fault(
        Role.CLIENT,
        "connects to a server that it knows is denied",
        "DENY-11.a-denied-server-is-remembered",
        replaced(DenyLists, "denies_certificate", lambda self, digest: False),
    ),
    _fault(
        Role.CLIENT,
        "believes any deny list",
        "DENY-11.a-forged-list-denies-nobody",
        replaced(DenyLists, "_verify", lambda self, found, signed: None),
    ),
    _fault(
        Role.TERMINAL_SERVER,
        "answers with no deny list",
        "DENY-12.the-list-that-was-taken-is-held",
        replaced(DenyLists, "signed", lambda self, kind: b""),
    ),
)
