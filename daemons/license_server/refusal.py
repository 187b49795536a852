"""Refusals, their reasons, and the events of license tokens.

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
from tsproto.errors import ErrorCode, TsfarmError
from tsproto.messages import Message, Refused

DETAIL_CHARACTERS = 1024  # messages.Detail


class Reason(msgspec.Struct, frozen=True):
    """Why a device gets no full token, and what its user can do when its temporary one is over."""

    text: str
    next_step: str


NO_TOKEN_LEFT = Reason(
    "no token is left",
    "ask the administrator for more licenses, or try again when one has come back",
)
NO_LOGON = Reason(
    "no user has logged on from it while its temporary one lasted",
    "more licenses do not help: begin anew as another device, with an empty device folder",
)
LENDER_SILENT = Reason("a lender has not answered yet", "try again later")


class Refusal(TsfarmError):
    """A lawful no: the request is answered with Refused and this text.

    `shortage` is logged in place of `request.refused`, once for each request that is refused.
    """

    def __init__(
        self,
        code: ErrorCode,
        detail: str,
        *,
        retry_after_seconds: int = 0,
        shortage: events.LicenseRefused | None = None,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.retry_after_seconds = retry_after_seconds
        self.shortage = shortage


def no_license(server: str, reason: Reason, shortage: events.LicenseRefused) -> Refusal:
    detail = (
        f"the device has no live token, and {reason.text}; {reason.next_step};"
        f" pools of {server}: {_listed(shortage.pools)};"
        f" other license servers: {_listed(shortage.peers)}"
    )
    return Refusal(ErrorCode.NO_LICENSE, detail, shortage=shortage)


def refuse(caller: Caller, trace_id: str, request: Message, refusal: Refusal) -> list[Effect]:
    answer = Refused(
        code=refusal.code,
        detail=clipped(str(refusal)),
        retry_after_seconds=refusal.retry_after_seconds,
        trace_id=trace_id,
    )
    if refusal.shortage is not None:
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


def clipped(detail: str) -> str:
    """The text, cut to the length that a message may carry."""
    return detail if len(detail) <= DETAIL_CHARACTERS else detail[: DETAIL_CHARACTERS - 1] + "…"


def _listed(parts: Sequence[str]) -> str:
    return ", ".join(parts) or "none"
