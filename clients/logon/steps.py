"""The goal of a logon, and the steps that it takes.

`Logon` returns the steps; `clients.client` takes them with real links, the simulator with its own.
"""

from __future__ import annotations

from enum import Enum, auto

import msgspec

from tsproto import limits
from tsproto.errors import ErrorCode
from tsproto.messages import LicenseKind, LicenseRequest, Message, PamPrompt
from tsproto.user_proof import Cost, Statement

# A first connection gives up after this time, when hosts only say when to come back.
CONNECT_SECONDS = 15.0
# A lost session is looked for this long; after a laptop's night the user connects anew.
RECONNECT_SECONDS = 3600.0


class Host(msgspec.Struct, frozen=True):
    """An address to dial. Its certificate must carry `name`, unless that is empty."""

    address: str
    port: int
    name: str = ""

    def __str__(self) -> str:
        return self.name or (
            f"[{self.address}]:{self.port}"
            if ":" in self.address
            else f"{self.address}:{self.port}"
        )


class Hashing(msgspec.Struct, frozen=True):
    """Salt and cost that a farm says for a user's password."""

    salt: bytes
    cost: Cost


class Seen(msgspec.Struct, frozen=True):
    """The host at the other end of a link: farm and name as in its certificate, whose SHA-256 this
    is, or 32 zero bytes without TLS. `device_id` is our own; `hashing` that of the user's last
    logon by password to the farm. `asks_secrets`: the certificate lets the host ask users for what
    its PAM wants to know."""

    farm: str
    server: str
    certificate: bytes
    device_id: bytes
    hashing: Hashing | None = None
    asks_secrets: bool = False


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The user to log on, the hosts and the application. The hosts, at least one, are tried in
    order.

    `password_attempts` bounds how often the password is asked for; a password file allows one.
    `key_fingerprints` are of the SSH keys to sign with, which are tried before the password.
    """

    hosts: tuple[Host, ...]
    user_name: str
    application: str = ""
    command: str = ""
    columns: int = 80
    rows: int = 24
    terminal: str = "xterm-256color"
    lang: str = ""
    tz: str = ""
    colorterm: str = ""
    key_fingerprints: tuple[bytes, ...] = ()
    password_attempts: int = limits.LOGON_ATTEMPTS
    connect_seconds: float = CONNECT_SECONDS
    reconnect_seconds: float = RECONNECT_SECONDS


class Outcome(Enum):
    """How a logon ended, as far as callers distinguish it."""

    ENDED = auto()
    """The session's program has ended, with an exit status."""
    DISCONNECTED = auto()
    """The session goes on without this client, or was logged off elsewhere."""
    NO_LICENSE = auto()
    LOGON_FAILED = auto()
    UNREACHABLE = auto()
    CANCELLED = auto()
    FAILED = auto()
    """Nothing that trying again, a license or a password would change."""


def outcome_of(code: ErrorCode) -> Outcome:
    match code // 100:
        case 2:
            return Outcome.NO_LICENSE
        case 3:
            return Outcome.LOGON_FAILED
        case 4:
            return Outcome.DISCONNECTED
        case _:
            return Outcome.UNREACHABLE if code.may_retry else Outcome.FAILED


class Step(msgspec.Struct, frozen=True, gc=False):
    """One step of a logon, to be taken in the order returned."""


class DialHost(Step, frozen=True, gc=False):
    """Open a link to this host; `on_opened` or `on_unreachable` follows.

    `redirected`: the farm named this host, not the user, so its authority must be known already.
    """

    host: Host
    redirected: bool = False


class HangUp(Step, frozen=True, gc=False):
    """Say Goodbye on the present link; `on_closed` does not follow."""

    code: ErrorCode = ErrorCode.NORMAL
    detail: str = ""


class ShowLicense(Step, frozen=True, gc=False):
    """Prove the device and look up its license; `on_license_info` follows."""

    request: LicenseRequest


class StoreLicense(Step, frozen=True, gc=False):
    """Make this license durable on the device; then `on_stored` follows."""

    token: bytes
    issuer_certificate: bytes


class StoreDenyList(Step, frozen=True, gc=False):
    """Make the farm's newer list of denied certificates durable on the device; if it denies the
    present host, `on_closed` follows."""

    signed: bytes


class AskPassword(Step, frozen=True, gc=False):
    """Ask the user for the password; `on_password` follows. `again` after a wrong one."""

    again: bool = False


class SignWithPassword(Step, frozen=True, gc=False):
    """Sign the statement with the key that the password gives; `on_signed` follows. `password` None
    means a key that was derived before, for the same salt and cost."""

    statement: Statement
    password: bytes | None


class SignWithSshKey(Step, frozen=True, gc=False):
    """Sign the statement with the SSH key of this fingerprint; `on_signed` follows, or
    `on_not_signed`."""

    statement: Statement
    fingerprint: bytes


class SignWithDevice(Step, frozen=True, gc=False):
    """Sign the statement with the device's own key; `on_signed` follows."""

    statement: Statement


class AnswerPam(Step, frozen=True, gc=False):
    """Show the host's notices, and ask the user its prompts; `on_pam_answers` follows."""

    prompt: PamPrompt


class Send(Step, frozen=True, gc=False):
    message: Message


class Licensed(Step, frozen=True, gc=False):
    """For people: the kind of license that lets the device in, its end (Unix seconds, 0 for none),
    and a notice."""

    kind: LicenseKind
    expires_at: int
    notice: str


class Redirected(Step, frozen=True, gc=False):
    """For people: the session is on another host."""

    host: Host


class RememberHashing(Step, frozen=True, gc=False):
    """Keep this durably for the farm and the user: they have logged on with it."""

    hashing: Hashing


class Told(Step, frozen=True, gc=False):
    """For people: a line about this logon."""

    text: str


class Waiting(Step, frozen=True, gc=False):
    """For people: the failure, and the seconds until the next try. `reconnecting`: the session was
    shown here before."""

    seconds: float
    code: ErrorCode
    detail: str
    reconnecting: bool


class Attached(Step, frozen=True, gc=False):
    """The session is shown from now on; its bytes follow in both directions."""

    host: str
    session_id: int
    user_name: str
    reattached: bool


class Finished(Step, frozen=True, gc=False):
    """The last step. `exit_status` is the program's for ENDED, else 0."""

    outcome: Outcome
    code: ErrorCode
    detail: str = ""
    exit_status: int = 0
