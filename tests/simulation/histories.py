"""What each device and each user saw, held against a sequential model of what there is to see.

A visit is invoked, and comes to ok, fail or unknown; an answer that is lost is unknown, and may
have had its effect. Visits of one device follow each other; those of one user on several devices
overlap, so what one saw may rest on any instant between its beginning and its end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from tests.simulation.swarm import Swarm
from tsproto.errors import ErrorCode
from tsproto.license_token import Claims
from tsproto.messages import LicenseKind

if TYPE_CHECKING:
    from tests.simulation.farm import Farm

TOKENS = "a device's tokens follow each other"
LESSER = "a live token is never replaced by a lesser one"
SESSIONS = "a user's sessions follow each other"


class DeviceHistory(msgspec.Struct):
    """A register of the token that the device holds; what it was given is never taken back."""

    farm: Farm
    name: str
    held: Claims | None = None
    temporary: dict[str, Claims] = {}  # by issuer: a device gets one of each

    def stored(self, token: Claims) -> None:
        """The device was given a token, and has stored it."""
        now, held = self.farm.world.now, self.held
        self.held = token
        if token.kind is LicenseKind.TEMPORARY:
            first = self.temporary.setdefault(token.issuer, token)
            same = first.license_id, first.expires_at
            if (token.license_id, token.expires_at) != same:
                self._broken(f"{token}, a second temporary one after {first}")
        if held is None or held.expires_at <= now:
            return
        if held.license_id == token.license_id:
            if token.expires_at < held.expires_at:
                self._broken(f"{token}, which ends before the {held} that it replaces")
            if token.product_version < held.product_version:
                self._broken(f"{token}, of an older version than the {held} that it replaces")
        elif held.kind is LicenseKind.FULL and held.product_version >= token.product_version:
            if token.kind is not LicenseKind.FULL:
                self.farm.broken(LESSER, f"{self.name}: {token} in place of {held}")

    def _broken(self, text: str) -> None:
        self.farm.broken(TOKENS, f"{self.name} is given {text}")


class Seen(msgspec.Struct):
    """A session of a user, as its clients saw it. `was_new` once a client was told so."""

    host: str
    session_id: int
    created_at: int
    was_new: bool = False
    over_at: float | None = None


class UserHistory(msgspec.Struct):
    """A register of one session: new when there is none, the same until its user ends it."""

    farm: Farm
    name: str
    sessions: dict[tuple[str, int], Seen] = {}

    def shown(
        self, began_at: float, host: str, session_id: int, created_at: int, reattached: bool
    ) -> None:
        """A visit that began then has come to this session."""
        where = f"{host}/{session_id}"
        seen = self.sessions.get((host, session_id))
        if seen is None:
            others = [s for s in self.sessions.values() if s.over_at is None]
            if others and self.farm.swarm.spares_sessions:
                self._broken(f"{where}, while there is {others}")
            seen = self.sessions[host, session_id] = Seen(host, session_id, created_at)
        if seen.created_at != created_at:
            self._broken(f"{where} of {created_at}, which began at {seen.created_at}")
        if seen.was_new and not reattached:
            self._broken(f"{where} as if it were new")
        if seen.over_at is not None and seen.over_at < began_at:
            self._broken(f"{where}, which had ended before")
        seen.was_new = seen.was_new or not reattached

    def ended(self, host: str, session_id: int) -> None:
        """Its program has ended."""
        seen = self.sessions.get((host, session_id))
        if seen is not None and seen.over_at is None:
            seen.over_at = self.farm.world.now

    def _broken(self, text: str) -> None:
        self.farm.broken(SESSIONS, f"{self.name} is shown {text}")


class Histories:
    """Of all devices and users of a farm."""

    def __init__(self, farm: Farm) -> None:
        self._farm = farm
        self._devices: dict[str, DeviceHistory] = {}
        self._users: dict[tuple[str, str], UserHistory] = {}

    def device(self, name: str) -> DeviceHistory:
        if name not in self._devices:
            self._devices[name] = DeviceHistory(self._farm, name)
        return self._devices[name]

    def user(self, name: str, application: str) -> UserHistory:
        if (name, application) not in self._users:
            self._users[name, application] = UserHistory(self._farm, name)
        return self._users[name, application]


def may_fail(swarm: Swarm, code: ErrorCode) -> bool:
    """Whether a visit may end with this code where everything works."""
    is_license = code // 100 == 2
    return is_license or (code is ErrorCode.TOO_MANY_SESSIONS and "small hosts" in swarm.work)
