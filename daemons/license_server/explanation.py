"""Refusals, and what they tell the user and the log.

A refusal carries the trace id of its request; under that id the log names the pools and the license
servers that could have helped, and what each of them held or answered.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from daemons.effects import Answer, Caller, Effect, Note
from daemons.license_server.records import LicenseRecord
from tsproto.errors import ErrorCode, TsfarmError
from tsproto.messages import AcquireLicense, Message, Refused

DETAIL_CHARACTERS = 1024  # messages.Detail
EVENT_NO_TOKEN_LEFT = 21  # "no permanent licenses left of type %2 for terminal server %3"


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


class Evidence(msgspec.Struct, frozen=True):
    """The pools and license servers that could have helped, each with what it held or answered."""

    reason: Reason
    pools: list[str]
    peers: list[str]


class Refusal(TsfarmError):
    """A lawful no: the request is answered with Refused and this text."""

    def __init__(
        self,
        code: ErrorCode,
        detail: str,
        *,
        retry_after_seconds: int = 0,
        evidence: Evidence | None = None,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.retry_after_seconds = retry_after_seconds
        self.evidence = evidence


def no_license(server: str, evidence: Evidence) -> Refusal:
    reason = evidence.reason
    detail = (
        f"the device has no live token, and {reason.text}; {reason.next_step};"
        f" pools of {server}: {_listed(evidence.pools)};"
        f" other license servers: {_listed(evidence.peers)}"
    )
    return Refusal(ErrorCode.NO_LICENSE, detail, evidence=evidence)


def refuse(caller: Caller, trace_id: str, request: Message, refusal: Refusal) -> list[Effect]:
    answer = Refused(
        code=refusal.code,
        detail=clipped(str(refusal)),
        retry_after_seconds=refusal.retry_after_seconds,
        trace_id=trace_id,
    )
    fields = {"code": refusal.code.name, "trace_id": trace_id}
    if refusal.evidence and isinstance(request, AcquireLicense):
        fields = _looked_at(request, refusal.evidence) | fields
    else:
        fields |= {
            "request": type(request).__name__,
            "peer": caller.peer.name,
            "detail": str(refusal),
        }
    return [Note("license.refused", fields), Answer(caller, answer)]


def not_upgraded(request: AcquireLicense, evidence: Evidence) -> Note:
    """A validated device stays on its temporary token."""
    fields = _looked_at(request, evidence) | {"trace_id": request.trace_id}
    return Note("license.not_upgraded", fields)


def license_note(event: str, license: LicenseRecord, *, trace_id: str = "") -> Note:
    fields: dict[str, Any] = {
        "license_id": license.license_id.hex(),
        "kind": license.kind.name,
        "product": license.product,
        "product_version": license.product_version,
        "device_id": license.device_id.hex(),
        "device_name": license.device_name,
        "user_name": license.user_name,
        "expires_at": license.expires_at,
    }
    optional = {"through": license.through, "lender": license.lender, "trace_id": trace_id}
    return Note(event, fields | {key: value for key, value in optional.items() if value})


def clipped(detail: str) -> str:
    """The text, cut to the length that a message may carry."""
    return detail if len(detail) <= DETAIL_CHARACTERS else detail[: DETAIL_CHARACTERS - 1] + "…"


def _looked_at(request: AcquireLicense, evidence: Evidence) -> dict[str, Any]:
    return {
        "device_id": request.device_id.hex(),
        "device_name": request.device_name,
        "product": request.product,
        "product_version": request.product_version,
        "pools": evidence.pools,
        "peers": evidence.peers,
        "event_id": EVENT_NO_TOKEN_LEFT,
        "reason": evidence.reason.text,
    }


def _listed(parts: Sequence[str]) -> str:
    return ", ".join(parts) or "none"
