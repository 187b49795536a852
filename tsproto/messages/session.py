"""What a client and a terminal server say: licensing, logon, session."""

from typing import Annotated

import msgspec
from msgspec import Meta

from tsproto import limits
from tsproto.errors import ErrorCode
from tsproto.messages import examples
from tsproto.messages.fields import *
from tsproto.messages.table import *

# --- licensing phase: after Welcome the terminal server begins ------------------------------------


class LicenseRequest(Message, tag=10, kw_only=True):
    """Show your license: the device signs this nonce together with the server's certificate."""

    entry = Entry.step(TERMINAL_SERVER, CLIENT, LinkState.LICENSING)

    nonce: Annotated[bytes, Meta(min_length=32, max_length=32)]  # random, of this connection alone
    product: Name  # which product the device needs a license for
    product_version: ProductVersion  # lowest version that will do

    example = {"nonce": examples.NONCE, **examples.PRODUCT}


class LicenseInfo(Message, tag=11, kw_only=True):
    """The device's public key, its signature over nonce and server certificate, and the token it
    holds for the product, or none."""

    entry = Entry.step(CLIENT, TERMINAL_SERVER, LinkState.LICENSING)

    # the device's Ed25519 public key
    public_key: Annotated[bytes, Meta(min_length=32, max_length=32)]
    # the device's Ed25519 signature over the device proof
    signature: Annotated[bytes, Meta(min_length=64, max_length=64)]
    device_name: DeviceName
    user_name: UserName  # who will log on, for people to read; nothing is decided by it
    token: Token = b""  # token held for this farm and product; empty for none
    # certificate that came with the token, DER; empty for none
    issuer_certificate: Certificate = b""

    example = {
        "public_key": examples.PUBLIC_KEY,
        "signature": examples.SIGNATURE,
        "device_name": "laptop",
        "user_name": "user1",
    }


class NewLicense(Message, tag=12, kw_only=True):
    """Store this token durably, then say LicenseStored. It replaces the one for its product."""

    entry = Entry.step(TERMINAL_SERVER, CLIENT, LinkState.LICENSING)

    token: Token  # the token to store
    issuer_certificate: Certificate  # its issuer's certificate, DER, to store with it

    example = {"token": examples.TOKEN, "issuer_certificate": examples.CERTIFICATE}


class LicenseStored(Message, tag=13, kw_only=True):
    """The pushed token is on the device's disk."""

    entry = Entry.step(CLIENT, TERMINAL_SERVER, LinkState.LICENSING)

    license_id: Id16  # `license_id` in the claims of the token that was stored

    example = {"license_id": examples.LICENSE_ID}


class LicenseAccepted(Message, tag=14, kw_only=True):
    """The device may connect, and log on."""

    entry = Entry.step(TERMINAL_SERVER, CLIENT, LinkState.LICENSING, then=LinkState.LOGON)

    kind: LicenseKind  # what lets the device in: TEMPORARY, FULL or GRACE
    expires_at: Seconds = 0  # when that ends
    notice: Detail = ""  # message to show to the user; empty for none

    example = {"kind": LicenseKind.TEMPORARY, "expires_at": examples.NOW + 90 * examples.DAY}


# --- logon phase ----------------------------------------------------------------------------------


class LogonStart(Message, tag=23, kw_only=True):
    """Who wants to log on, and for what: asks for a challenge.

    An empty `application` is the account's shell. With `attachment` the device resumes the session
    that it showed; `session_id` alone is the hint of a Redirect.
    """

    entry = Entry.step(CLIENT, TERMINAL_SERVER, LinkState.LOGON)

    user_name: UserName  # who logs on, in NFC
    application: OptionalName = ""  # application to run; empty for the account's shell
    session_id: SessionId = 0  # session to resume, or of the Redirect; 0 for neither
    attachment: Attachment = 0  # of the LogonAccepted that is resumed; 0 when not resuming
    # SHA-256 of the SSH keys that the client could sign with, the preferred one first
    key_fingerprints: Annotated[
        list[Fingerprint], Meta(max_length=limits.KEY_FINGERPRINTS_MAX)
    ] = []

    example = {"user_name": "user1"}


class LogonChallenge(Message, tag=24, kw_only=True):
    """Sign this, by one of the methods, within CHALLENGE_SECONDS. For a name without an account it
    looks like any other."""

    entry = Entry.step(TERMINAL_SERVER, CLIENT, LinkState.LOGON)

    nonce: Nonce  # of this challenge alone
    time: Seconds  # the host's clock
    methods: MethodFlags  # methods that the host offers
    salt: Salt  # for the password
    memory_kib: MemoryKib
    passes: Passes
    lanes: Lanes
    key_fingerprint: OptionalFingerprint = b""  # SSH key to sign with; empty: none is known
    resume_seconds: Count = 0  # how long the device alone may resume the session; 0 for not

    example = {
        "nonce": examples.NONCE,
        "time": examples.NOW,
        "methods": 3,
        **examples.ARGON2,
    }


class LogonProof(Message, tag=25, kw_only=True):
    """The user's proof, and what the session is to look like.

    A `command` runs apart from the user's session and ends with its connection. With `method` PAM
    there is no signature: the host's prompts follow.
    """

    entry = Entry.step(CLIENT, TERMINAL_SERVER, LinkState.LOGON)

    method: MethodNumber  # one of those offered
    algorithm: Algorithm = ""  # of the signature
    signature: Signature = b""  # over the user proof
    # command line to run apart from the user's session; empty for none
    command: Annotated[str, Meta(max_length=limits.COMMAND_CHARACTERS)] = ""
    columns: Columns = 80
    rows: Rows = 24
    # value of TERM for the session's program
    terminal: Annotated[str, Meta(max_length=64, pattern=r"^[A-Za-z0-9._+-]*\Z")] = "xterm-256color"
    lang: EnvironmentValue = ""  # LANG for the session's program
    tz: EnvironmentValue = ""  # TZ
    colorterm: EnvironmentValue = ""  # COLORTERM
    avoid: OptionalName = ""  # host of a redirect that could not be followed; empty for none
    redirected: bool = False  # whether a Redirect led here

    example = {
        "method": 1,
        "algorithm": "ed25519",
        "signature": examples.USER_SIGNATURE,
    }


class PamQuestion(msgspec.Struct, array_like=True, kw_only=True, frozen=True, gc=False):
    """One question of a host's PAM."""

    words: Detail  # to show to the user
    is_shown: bool  # whether the answer is shown while it is typed


class PamPrompt(Message, tag=26, kw_only=True):
    """The host's PAM asks the user; or says something, with no prompt to answer."""

    entry = Entry.step(TERMINAL_SERVER, CLIENT, LinkState.LOGON)

    round: Count  # counts from 1
    # questions, to be answered in this order
    prompts: Annotated[list[PamQuestion], Meta(max_length=limits.PAM_PROMPTS_MAX)]
    # what PAM has to say besides, to be shown to the user
    notices: Annotated[list[Detail], Meta(max_length=limits.PAM_PROMPTS_MAX)] = []

    example = {"round": 1, "prompts": [PamQuestion(words="Password: ", is_shown=False)]}


class PamAnswers(Message, tag=27, kw_only=True):
    """What the user typed, an answer for each prompt."""

    entry = Entry.step(CLIENT, TERMINAL_SERVER, LinkState.LOGON)

    round: Count  # of the PamPrompt that this answers
    # an answer for each of its prompts
    answers: Annotated[
        list[Annotated[bytes, Meta(max_length=limits.PAM_ANSWER_BYTES)]],
        Meta(max_length=limits.PAM_PROMPTS_MAX),
    ]

    example = {"round": 1, "answers": [b"secret"]}


class LogonRefused(Message, tag=16, kw_only=True):
    """The user is not logged on. The connection stays in LOGON while `attempts_left` is not 0;
    every refusal carries it, also one that does not count as a wrong proof."""

    entry = Entry.step(TERMINAL_SERVER, CLIENT, LinkState.LOGON)

    code: ErrorCode  # why
    detail: Detail = ""
    attempts_left: Count = 0  # wrong proofs left; at 0 Goodbye follows
    retry_after_seconds: RetryAfter = 0
    trace_id: TraceId = ""

    example = {
        "code": ErrorCode.LOGON_FAILED,
        "detail": "user name or proof is wrong",
        "attempts_left": 2,
    }


class Redirect(Message, tag=17, kw_only=True):
    """The user's session is, or is to be, on another host: dial it, and prove the user there."""

    entry = Entry.step(TERMINAL_SERVER, CLIENT, LinkState.LOGON, then=LinkState.LEAVING)

    host: Name  # name of the terminal server to dial, as in its certificate
    address: Host  # where to dial it
    port: Port  # TCP port there
    session_id: SessionId = 0  # the session there, a hint; 0 when it is still to start

    example = {
        "host": "ts2",
        "address": "192.0.2.12",
        "port": 5600,
        "session_id": 7,
    }


class LogonAccepted(Message, tag=18, kw_only=True):
    """The session is ACTIVE and shown here; session bytes follow in both directions."""

    entry = Entry.step(TERMINAL_SERVER, CLIENT, LinkState.LOGON, then=LinkState.SESSION)

    host: Name  # terminal server that the session runs on
    session_id: SessionId  # number of the session
    user_name: UserName  # whose session it is
    reattached: bool  # whether the session ran before
    created_at: Seconds  # when it began
    # how often the session was shown, this time included, to resume it with; 0 for a session with
    # a command
    attachment: Attachment = 0

    example = {
        "host": "ts1",
        "session_id": 7,
        "user_name": "user1",
        "reattached": False,
        "created_at": examples.NOW,
        "attachment": 1,
    }


# --- session phase --------------------------------------------------------------------------------


class ResizeSession(Message, tag=19, kw_only=True):
    """The client's terminal has a new size."""

    entry = Entry.step(CLIENT, TERMINAL_SERVER, LinkState.SESSION)

    columns: Columns
    rows: Rows

    example = {"columns": 132, "rows": 43}


class DisconnectSession(Message, tag=20, kw_only=True):
    """Leave the session running; answered by Goodbye with DISCONNECTED_BY_USER."""

    entry = Entry.step(CLIENT, TERMINAL_SERVER, LinkState.SESSION, then=LinkState.LEAVING)


class LogoffSession(Message, tag=21, kw_only=True):
    """End the session and its programs; SessionEnded follows."""

    entry = Entry.step(CLIENT, TERMINAL_SERVER, LinkState.SESSION)


class SessionEnded(Message, tag=22, kw_only=True):
    """The session's program has ended and all its output was sent."""

    entry = Entry.step(
        TERMINAL_SERVER, CLIENT, LinkState.SESSION, LinkState.LOGON, then=LinkState.LEAVING
    )

    exit_status: Annotated[int, Meta(ge=0, le=255)]  # as a shell reports it: 128 + n after signal n

    example = {"exit_status": 0}
