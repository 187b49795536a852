"""A client's link, and the lawful "no" that its procedures raise."""

from __future__ import annotations

import msgspec

from daemons.effects import Peer
from daemons.procedures import Inbox
from tsproto.errors import ErrorCode
from tsproto.messages import LicenseKind

DETAIL_CHARACTERS = 1024  # bound of messages.Detail


class AcceptedLicense(msgspec.Struct, frozen=True, gc=False):
    """The license that a device was let in with; `issuer` is empty during the grace period."""

    kind: LicenseKind
    issuer: str = ""
    product_version: int = 1


class Client(msgspec.Struct, kw_only=True, eq=False):
    """One client's link: in its licensing phase while `license` is None, then in its logon phase,
    then showing a session, see `SessionTable.shown_to`.

    `inbox` holds the message that the link's procedure expects. `device_id` is empty until the
    device has proved it; size and device name are those that the client said last.
    """

    peer: Peer
    trace_id: str
    inbox: Inbox
    device_id: bytes = b""
    device_name: str = ""
    license: AcceptedLicense | None = None
    columns: int = 80
    rows: int = 24


class Refusal(Exception):
    """The client does not get what it asked for. `detail` tells its user why, cut to the bound of
    messages.Detail; `why` tells the log more than a user is to know."""

    def __init__(
        self, code: ErrorCode, detail: str, *, retry_seconds: int = 0, why: str = ""
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail[:DETAIL_CHARACTERS]
        self.retry_seconds = retry_seconds
        self.why = why or self.detail
