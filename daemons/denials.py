"""What the farm's deny lists mean for the links of a daemon, whichever daemon it is.

A newer list is made durable, closes the links of what it denies, and goes to every peer that has
an older one: an administrator tells one daemon, and the farm knows. Certificates are refused when a
connection opens (`tsproto.opening`); devices where a message names one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from daemons import events
from daemons.effects import Answer, Caller, Effect, HangUp, Peer, Persist, Record, Tell
from tsproto.deny_list import DenyKind, DenyLists, read
from tsproto.errors import DenyListError, ErrorCode
from tsproto.messages import (
    AcquireLicense,
    Done,
    HeldDenyLists,
    LendLicense,
    LicenseInfo,
    MarkValidated,
    Message,
    NewDenyList,
    PublishDenyList,
    QueryDenyLists,
    Refused,
    RenewLicense,
    Role,
)
from tsproto.opening import revoked

if TYPE_CHECKING:
    from daemons.switchboard import OpenLink

NAMES_DEVICE = (AcquireLicense, RenewLicense, MarkValidated, LendLicense)


Handler = Callable[["OpenLink[Any]", Any, float], list[Effect] | None]


class DenyListRecord(Record, table="deny_lists", key=("kind",)):
    """The newest list of one kind, as it was signed."""

    kind: DenyKind
    signed: bytes


class Denials:
    """Decides for one switchboard. `links` are those that are open, by their ids."""

    def __init__(self, lists: DenyLists, links: Mapping[int, OpenLink[Any]]) -> None:
        self._lists = lists
        self._links = links
        self.handlers: dict[type[Message], Handler] = {
            NewDenyList: self._on_new,
            PublishDenyList: self._on_published,
            QueryDenyLists: self._on_query,
            LicenseInfo: self._on_device_shown,
            **dict.fromkeys(NAMES_DEVICE, self._on_device_named),
        }
        """By the messages that concern deny lists: what decides, or leaves it to the core with
        None."""

    def on_opened(self, link: OpenLink[Any]) -> list[Effect]:
        """The lists that this peer does not have yet."""
        return [effect for kind in DenyKind for effect in self._news(link, kind)]

    # --- lists ------------------------------------------------------------------------------------

    def _on_new(self, link: OpenLink[Any], message: NewDenyList, now: float) -> list[Effect]:
        try:
            return self._take(link, message.signed, now)
        except DenyListError as error:
            return [_refused(link.peer, error)]

    def _on_published(
        self, link: OpenLink[Any], message: PublishDenyList, now: float
    ) -> list[Effect]:
        caller = Caller(link.peer, message.request_id)
        try:
            taken = self._take(link, message.signed, now)
        except DenyListError as error:
            refused = Refused(code=error.code, detail=str(error))
            return [_refused(link.peer, error), Answer(caller, refused)]
        return [*taken, Answer(caller, Done())]

    def _on_query(self, link: OpenLink[Any], message: QueryDenyLists, now: float) -> list[Effect]:
        held = HeldDenyLists(
            certificates=self._lists.signed(DenyKind.CERTIFICATES),
            devices=self._lists.signed(DenyKind.DEVICES),
        )
        return [Answer(Caller(link.peer, message.request_id), held)]

    def _take(self, teller: OpenLink[Any], signed: bytes, now: float) -> list[Effect]:
        """Raises DenyListError."""
        found = read(signed)
        teller.denied[found.kind] = max(teller.denied[found.kind], found.number)
        self._lists.take(signed, now)
        taken = events.DenyListTaken(
            list=found.kind.name.lower(),
            list_number=found.number,
            entries=len(found.entries),
            peer=teller.peer.name,
        )
        links = self._links.values()
        return [
            *(effect for link in links for effect in self._closed_if_denied(link)),
            Persist(put=(DenyListRecord(kind=found.kind, signed=signed),)),
            taken,
            *(effect for link in links for effect in self._news(link, found.kind)),
        ]

    def _news(self, link: OpenLink[Any], kind: DenyKind) -> list[Effect]:
        """The list of this kind for a peer that has an older one; a client wants no devices."""
        role = link.peer.role
        number = self._lists.numbers[kind - 1]
        is_for_it = role is not Role.ADMINISTRATOR and (
            role is not Role.CLIENT or kind is DenyKind.CERTIFICATES
        )
        if link.is_closing or not is_for_it or number <= link.denied[kind]:
            return []
        link.denied[kind] = number
        return [Tell(link.peer, NewDenyList(signed=self._lists.signed(kind)))]

    # --- what they deny ---------------------------------------------------------------------------

    def _closed_if_denied(self, link: OpenLink[Any]) -> list[Effect]:
        if link.line is not None and self._lists.denies_certificate(link.line.peer_certificate):
            peer, certificate = link.peer, link.line.peer_certificate
            detail = revoked(f"{peer.role.words} {peer.name!r}", certificate)
            told = events.CertificateRevoked(
                role=peer.role.noun, peer=peer.name, fingerprint=certificate
            )
            return [told, HangUp(peer, ErrorCode.CERTIFICATE_REVOKED, detail)]
        return self._device_closed(link) if self._lists.denies_device(link.device) else []

    def _on_device_shown(
        self, link: OpenLink[Any], message: LicenseInfo, now: float
    ) -> list[Effect] | None:
        """The device has not proved its key yet, and need not: nobody gains by being refused."""
        link.device = hashlib.sha256(message.public_key).digest()
        return self._device_closed(link) if self._lists.denies_device(link.device) else None

    def _device_closed(self, link: OpenLink[Any]) -> list[Effect]:
        detail = f"device {link.device.hex()} was revoked; ask the farm's administrator"
        told = events.DeviceRevoked(device_id=link.device, peer=link.peer.host)
        return [told, HangUp(link.peer, ErrorCode.DEVICE_REVOKED, detail)]

    def _on_device_named(
        self,
        link: OpenLink[Any],
        message: AcquireLicense | RenewLicense | MarkValidated | LendLicense,
        now: float,
    ) -> list[Effect] | None:
        if not self._lists.denies_device(message.device_id):
            return None
        refused = Refused(
            code=ErrorCode.DEVICE_REVOKED,
            detail=f"device {message.device_id.hex()} was revoked",
            trace_id=message.trace_id,
        )
        told = events.DeviceRevoked(
            device_id=message.device_id, peer=link.peer.name, trace_id=message.trace_id
        )
        return [told, Answer(Caller(link.peer, message.request_id), refused)]


def _refused(peer: Peer, error: DenyListError) -> events.DenyListRefused:
    return events.DenyListRefused(peer=peer.name, code=error.code, detail=str(error))
