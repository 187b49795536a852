"""A client's link, the license that its device was let in with, and its proved user."""

from __future__ import annotations

import msgspec

from daemons.effects import Peer
from daemons.procedures import Inbox
from tsproto.messages import LicenseKind, UserProof
from tsproto.user_proof import Asked


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


class User(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """A user whom the keeper has proved on a client's link, and what they asked for.

    `proof_id` starts one session, unless `is_device_alone`: then one is only resumed. `proof` is
    for the directory; None where PAM or the device proved the user.
    """

    user_name: str
    asked: Asked
    proof_id: int
    generation: int
    system_user: str
    proof: UserProof | None
    terminal: str
    lang: str
    tz: str
    colorterm: str
    avoid: str
    redirected: bool
    is_device_alone: bool = False
