"""How a license server refuses: reasons, answers and events.

A refusal carries the trace id of its request; under that id the log names the pools and the license
servers that could have helped, and what each of them held or answered.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from daemons import events
from daemons.effects import Answer, Caller, Effect
from daemons.license_server.records import LicenseRecord
from daemons.refusal import Refusal
from tsproto.errors import ErrorCode
from tsproto.messages import Message, Refused


class Reason(msgspec.Struct, frozen=True):
    """Why a device gets no full token, and what its user can do when its temporary one is over."""

    text: str
    next_step: str


NO_TOKEN_LEFT = Reason(
    "no token is left",
    "ask the administrator for more licenses, or try again when one has come back",
)
NOT_DIALLED = Reason(
    "a license server that claims tokens dialled this one, which has not found and dialled it yet",
    "try again in a minute; if it stays so, give both a discovery scope in common, or list each"
    " in the other's discovery.servers",
)
NO_LOGON = Reason(
    "no user has logged on from it while its temporary one lasted",
    "more licenses do not help: begin anew as another device, with an empty device folder",
)
LENDER_SILENT = Reason("a lender has not answered yet", "try again later")


class NoLicense(Refusal):
    """`shortage` is logged in place of `request.refused`, once for each request that is refused."""

    def __init__(self, server: str, reason: Reason, shortage: events.LicenseRefused) -> None:
        detail = (
            f"the device has no live token, and {reason.text}; {reason.next_step};"
            f" pools of {server}: {_listed(shortage.pools)};"
            f" other license servers: {_listed(shortage.peers)}"
        )
        super().__init__(ErrorCode.NO_LICENSE, detail)
        self.shortage = shortage


def refuse(caller: Caller, trace_id: str, request: Message, refusal: Refusal) -> list[Effect]:
    answer = Refused(
        code=refusal.code,
        detail=refusal.detail,
        retry_after_seconds=refusal.retry_after_seconds,
        trace_id=trace_id,
    )
    if isinstance(refusal, NoLicense):
        return [replace(refusal.shortage, trace_id=trace_id), Answer(caller, answer)]
    refused = events.RequestRefused(
        code=refusal.code,
        request=type(request).__name__,
        peer=caller.peer.name,
        detail=str(refusal),
        trace_id=trace_id,
    )
    return [refused, Answer(caller, answer)]


def license_event(
    kind: type[events.LicenseChanged], license: LicenseRecord, trace_id: str = ""
) -> events.LicenseChanged:
    return kind(
        license_id=license.license_id,
        kind=license.kind,
        product=license.product,
        product_version=license.product_version,
        device_id=license.device_id,
        device_name=license.device_name,
        user_name=license.user_name,
        expires_at=license.expires_at,
        through=license.through,
        lender=license.lender,
        trace_id=trace_id,
    )


def _listed(parts: Sequence[str]) -> str:
    return ", ".join(parts) or "none"
