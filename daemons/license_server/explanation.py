"""What a refusal tells the user and the log, so that every no can be explained.

A refusal carries the trace id of its request; under that id the log says which pools and which
other license servers were looked at, and what each of them held or answered.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from daemons.effects import Answer, Caller, Effect, Note
from daemons.license_server.records import LicenseRecord
from tsproto.errors import ErrorCode
from tsproto.messages import AcquireLicense, Message, Refused

DETAIL_CHARACTERS = 1024  # messages.Detail
EVENT_NO_TOKEN_LEFT = 21  # "no permanent licenses left of type %2 for terminal server %3"


class Reason(msgspec.Struct, frozen=True):
    """Why a device gets no full token, and what its user can do once it has no live one."""

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


class Waiting(msgspec.Struct, frozen=True, gc=False):
    """One request that waits for a peer."""

    caller: Caller
    trace_id: str


class Wanted(msgspec.Struct):
    """A device that is to get a full token, and everybody who asked for it meanwhile.

    `tried` says what came of each peer that was asked.
    """

    request: AcquireLicense
    waiting: list[Waiting]
    since: float
    tried: dict[str, str] = {}


class LookedAt(msgspec.Struct, frozen=True):
    """Which pools and peers could have helped, each with what it held, claimed or answered."""

    server: str
    pools: list[str]
    peers: list[str]


def refuse(
    caller: Caller,
    message: Message,
    code: ErrorCode,
    detail: str,
    *,
    retry_after_seconds: int = 0,
) -> list[Effect]:
    trace_id: str = getattr(message, "trace_id", "")
    fields = {
        "code": code.name,
        "request": type(message).__name__,
        "peer": caller.peer.name,
        "detail": detail,
        "trace_id": trace_id,
    }
    refused = Refused(
        code=code,
        detail=clipped(detail),
        retry_after_seconds=retry_after_seconds,
        trace_id=trace_id,
    )
    return [Note("license.refused", fields), Answer(caller, refused)]


def refuse_license(wanted: Wanted, looked_at: LookedAt, reason: Reason) -> list[Effect]:
    """NO_LICENSE to all who wait for this device, with the reason and what can be done about it."""
    detail = (
        f"the device has no live token, and {reason.text}; {reason.next_step};"
        f" pools of {looked_at.server}: {_listed(looked_at.pools)};"
        f" other license servers: {_listed(looked_at.peers)}"
    )
    fields = {**_fields(wanted, looked_at), "code": "NO_LICENSE", "reason": reason.text}
    effects: list[Effect] = []
    for each in wanted.waiting:
        effects.append(Note("license.refused", fields | {"trace_id": each.trace_id}))
        effects += refuse_all([each], ErrorCode.NO_LICENSE, detail)
    return effects


def refuse_all(waiting: Sequence[Waiting], code: ErrorCode, detail: str) -> list[Effect]:
    return [
        Answer(each.caller, Refused(code=code, detail=clipped(detail), trace_id=each.trace_id))
        for each in waiting
    ]


def not_upgraded(wanted: Wanted, looked_at: LookedAt, reason: Reason) -> Note:
    """A validated device stays on its temporary token."""
    return Note("license.not_upgraded", {**_fields(wanted, looked_at), "reason": reason.text})


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
    """As much of a text for a person as a message may carry."""
    return detail if len(detail) <= DETAIL_CHARACTERS else detail[: DETAIL_CHARACTERS - 1] + "…"


def _fields(wanted: Wanted, looked_at: LookedAt) -> dict[str, Any]:
    request = wanted.request
    return {
        "device_id": request.device_id.hex(),
        "device_name": request.device_name,
        "product": request.product,
        "product_version": request.product_version,
        "pools": looked_at.pools,
        "peers": looked_at.peers,
        "trace_id": request.trace_id,
        "event_id": EVENT_NO_TOKEN_LEFT,
    }


def _listed(parts: Sequence[str]) -> str:
    return ", ".join(parts) or "none"
