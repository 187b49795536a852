"""Bare requests to license servers, as terminal servers make them for devices.

Every device of a run has a new id. License servers do not ask devices for proof, so these have no
key. Every answer is checked against the rules of licensing ("How Terminal Services Licensing
Works", KB 287687).
"""

from __future__ import annotations

import os
from collections import defaultdict, deque
from functools import partial
from typing import Final

import msgspec

from clients.load.drivers.request_link import Hear, Move, RequestLink, Say
from clients.load.drivers.requests import Requests
from clients.logon.steps import Host
from tsproto.messages import (
    AcquireLicense,
    LicenseIssued,
    LicenseKind,
    MarkValidated,
    Message,
    RenewLicense,
    Role,
)

SAME_TOKEN: Final = "the same device gets the same token"
FULL_AFTER_LOGON: Final = "no full token before a logon"
NEVER_BACK: Final = "no temporary token after a full one"
TOKENS_GIVEN = ("issue", "upgrade", "renew")

PREFIX_BYTES = 24
PRODUCT, PRODUCT_VERSION = "terminal-server", 1
USER_NAME = "load"
# Devices of a license server, for journeys that do not begin with `issue`; the oldest go first.
KNOWN_MAX = 100_000


class Device(msgspec.Struct):
    """A device and its tokens; an id is empty before there is one. `kin` are the known devices of
    its license server: another server would issue a token of its own."""

    acquire: AcquireLicense
    kin: deque[Device]
    temporary_id: bytes = b""
    full_id: bytes = b""
    is_validated: bool = False


class Licenses(Requests[Device]):
    """A `Driver` for scenarios that drive `licenses`."""

    rules = dict.fromkeys((SAME_TOKEN, FULL_AFTER_LOGON, NEVER_BACK), TOKENS_GIVEN)
    asks = Role.LICENSE_SERVER

    def acts(self) -> dict[str, tuple[Say[Device], Hear[Device] | None]]:
        self._prefix = os.urandom(PREFIX_BYTES)
        self._made = 0
        self._known: defaultdict[Host, deque[Device]] = defaultdict(
            partial(deque, maxlen=KNOWN_MAX)
        )
        acquired = (_acquire, self._on_issued)
        return {
            "issue": acquired,
            "validate": (_validate, _on_validated),
            "upgrade": acquired,
            "renew": (_renew, self._on_issued),
        }

    def subject(self, link: RequestLink[Device], first: Move[Device]) -> Device:
        """A device: with a token, if there is one, unless the journey begins with `issue`."""
        kin = self._known[link.host]
        if kin and first.name != "issue":
            return kin.popleft()
        self._made += 1
        device_id = self._prefix + self._made.to_bytes(8, "big")
        return Device(acquisition(device_id, f"load-{self._made}"), kin)

    def release(self, subject: Device) -> None:
        subject.kin.append(subject)

    def _on_issued(self, device: Device, answer: Message) -> None:
        assert isinstance(answer, LicenseIssued)
        if answer.kind is LicenseKind.FULL:
            if not device.is_validated:
                self._broken(FULL_AFTER_LOGON, device, "was never validated")
            if device.full_id and device.full_id != answer.license_id:
                self._broken(SAME_TOKEN, device, "got a second full one")
            device.full_id = answer.license_id
            return
        if device.full_id:
            self._broken(NEVER_BACK, device, "has a full one")
        if device.temporary_id and device.temporary_id != answer.license_id:
            self._broken(SAME_TOKEN, device, "got a second temporary one")
        device.temporary_id = answer.license_id

    def _broken(self, rule: str, device: Device, detail: str) -> None:
        self.on_violation(rule, f"device {device.acquire.device_id.hex()} {detail}")


def _acquire(device: Device) -> Message:
    return device.acquire


def _validate(device: Device) -> Message:
    return validation(device.acquire)


def _on_validated(device: Device, answer: Message) -> None:
    device.is_validated = True


def _renew(device: Device) -> Message:
    return renewal(device.acquire, device.full_id or device.temporary_id or bytes(16))


def acquisition(device_id: bytes, device_name: str) -> AcquireLicense:
    return AcquireLicense(
        device_id=device_id,
        device_name=device_name,
        user_name=USER_NAME,
        product=PRODUCT,
        product_version=PRODUCT_VERSION,
    )


def validation(asked: AcquireLicense) -> MarkValidated:
    return MarkValidated(
        device_id=asked.device_id,
        product=asked.product,
        product_version=asked.product_version,
        user_name=asked.user_name,
    )


def renewal(asked: AcquireLicense, license_id: bytes) -> RenewLicense:
    return RenewLicense(
        license_id=license_id,
        device_id=asked.device_id,
        device_name=asked.device_name,
        user_name=asked.user_name,
        product=asked.product,
        product_version=asked.product_version,
    )
