"""Which devices are let in: checked at the instant at which a terminal server says so.

A device comes in by a live token of its own, of this farm, that is on its issuer's disk, or within
the grace period; and one that holds such a token is not sent away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from daemons.effects import Close, Peer
from daemons.license_server.records import LicenseRecord
from tests.simulation import laws
from tests.simulation.kinds import FARM
from tests.simulation.node import Node
from tsproto import license_token
from tsproto.errors import ErrorCode
from tsproto.license_token import Claims
from tsproto.limits import DAY_SECONDS
from tsproto.messages import LicenseAccepted, LicenseInfo, LicenseKind, Message, NewLicense

if TYPE_CHECKING:
    from tests.simulation.device import Device
    from tests.simulation.farm import Farm

BY_TOKEN = "a device comes in by a token of its own"
BY_GRACE = "a grace period begins once and ends"
NO_REFUSAL = "a live token lets in"
REFUSALS = (ErrorCode.NO_LICENSE, ErrorCode.LICENSE_EXPIRED, ErrorCode.NO_LICENSE_SERVER)


class Shown(msgspec.Struct):
    """What a device has shown on one link, and the token that it has since."""

    device: Device
    info: LicenseInfo
    token: bytes


class Grace(msgspec.Struct):
    """Of one terminal server: when it let in the first device, whether it saw a full token."""

    began_at: float = 0.0
    is_over: bool = False


class Admissions:
    def __init__(self, farm: Farm) -> None:
        self._farm = farm
        self._shown: dict[tuple[str, int, int], Shown] = {}
        self._grace: dict[str, Grace] = {}

    def asked(self, node: Node, peer: Peer, message: Message) -> None:
        if isinstance(message, LicenseInfo):
            device = self._farm.device_at(peer.host)
            self._shown[node.name, node.life, peer.link] = Shown(device, message, message.token)

    def lost(self, node: Node, peer: Peer) -> None:
        self._shown.pop((node.name, node.life, peer.link), None)

    def told(self, node: Node, peer: Peer, message: Message, now: float) -> None:
        shown = self._shown.get((node.name, node.life, peer.link))
        match message:
            case NewLicense(token=token) if shown is not None:
                shown.token = token
                claims = license_token.read_claims(token)
                self._is_durable(shown.device, claims)
                self._see(node, claims)
            case LicenseAccepted() if shown is not None:
                self._let_in(node, shown, message, now)
            case LicenseAccepted():
                device = self._farm.device_at(peer.host).name
                self._farm.broken(BY_TOKEN, f"{node.name} let {device} in, which showed nothing")

    def hung_up(self, node: Node, close: Close, now: float) -> None:
        shown = self._shown.pop((node.name, node.life, close.peer.link), None)
        if shown is None or close.code not in REFUSALS:
            return
        self._farm.world.saw(f"device sent away: {close.code.name}")
        what = f"{node.name} sent {shown.device.name} away ({close.code.name})"
        if shown.info.token:
            claims = license_token.read_claims(shown.info.token)
            if not self._fault(node, shown.device, claims, now):
                self._farm.broken(NO_REFUSAL, f"{what} with a live token")
        if self._farm.is_well and close.code is not ErrorCode.NO_LICENSE_SERVER:
            version = self._farm.kind_of(node).product_version
            if laws.deserves_a_token(self._farm, shown.device, version):
                self._farm.broken(laws.FULL, f"{what}, and there are tokens for it")
        if close.code is ErrorCode.NO_LICENSE_SERVER and self._has_grace(node, now):
            self._farm.broken(BY_GRACE, f"{what} within its grace period")

    def _let_in(self, node: Node, shown: Shown, accepted: LicenseAccepted, now: float) -> None:
        what = f"{node.name} let {shown.device.name} in"
        has_grace = self._has_grace(node, now)
        grace = self._grace.setdefault(node.name, Grace())
        grace.began_at = grace.began_at or now
        if accepted.kind is LicenseKind.GRACE:
            self._farm.world.saw("let in under grace")
            ends_at = self._grace_ends_at(node, now)
            if not has_grace or accepted.expires_at != ends_at:
                text = f"until {accepted.expires_at}, and its grace period ends at {ends_at}"
                self._farm.broken(BY_GRACE, f"{what} {text}, over: {grace.is_over}")
            return
        if not shown.token:
            self._farm.broken(BY_TOKEN, f"{what} without a token")
            return
        claims = license_token.read_claims(shown.token)
        if fault := self._fault(node, shown.device, claims, now):
            self._farm.broken(BY_TOKEN, f"{what} by a token {fault}")
        if (accepted.kind, accepted.expires_at) != (claims.kind, claims.expires_at):
            self._farm.broken(BY_TOKEN, f"{what}, said {accepted}, and it holds {claims}")
        self._see(node, claims)

    def _fault(self, node: Node, device: Device, claims: Claims, now: float) -> str:
        if claims.issuer not in self._farm.names or claims.license_id == bytes(16):
            return "of another farm"
        if claims.farm != FARM or claims.device_id != device.device_id:
            return "of another device"
        if claims.product_version < self._farm.kind_of(node).product_version:
            return "for an older version"
        return f"that ended {now - claims.expires_at:.0f} s ago" if claims.expires_at <= now else ""

    def _is_durable(self, device: Device, claims: Claims) -> None:
        """A token is on its issuer's disk before it is on its way, with that end or a later one."""
        row = self._farm.node(claims.issuer).disk.row(LicenseRecord, claims.license_id)
        what = f"{device.name} is given a token that"
        if row is None:
            self._farm.broken(BY_TOKEN, f"{what} {claims.issuer} has not on its disk")
        elif row.expires_at < claims.expires_at:
            self._farm.broken(BY_TOKEN, f"{what} ends earlier on the disk of {claims.issuer}")

    def _see(self, node: Node, claims: Claims) -> None:
        if claims.kind is LicenseKind.FULL:
            self._grace.setdefault(node.name, Grace()).is_over = True

    def _has_grace(self, node: Node, now: float) -> bool:
        is_over = self._grace.get(node.name, Grace()).is_over
        is_given = self._farm.kind_of(node).grace_days > 0
        return is_given and not is_over and now < self._grace_ends_at(node, now)

    def _grace_ends_at(self, node: Node, now: float) -> int:
        began_at = self._grace.get(node.name, Grace()).began_at or now
        return int(began_at) + self._farm.kind_of(node).grace_days * DAY_SECONDS
