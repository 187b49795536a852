"""What every connection begins, is kept alive and ends with; refusals; the farm's authority."""

from tsproto.errors import ErrorCode
from tsproto.messages import examples
from tsproto.messages.fields import *
from tsproto.messages.table import *


class Hello(Message, tag=1, kw_only=True):
    """First message of the end that dialled; its role must be its certificate's."""

    entry = Entry.step(EVERYBODY, DAEMONS, LinkState.OPENING)

    version_min: Version  # lowest version that the sender speaks
    version_max: Version  # highest version that the sender speaks
    role: Role  # what the sender is
    # name of the daemon or administrator as in its certificate, or of the device
    name: UserName
    denied_certificates: DenyNumber = 0  # number of its deny list of certificates
    denied_devices: DenyNumber = 0  # number of its deny list of devices; 0 from a client

    example = {"version_min": 1, "version_max": 1, "role": Role.CLIENT, "name": "laptop"}


class Welcome(Message, tag=2, kw_only=True):
    """Answer to Hello, with the version chosen. The state that follows depends on the dialler's
    role: LICENSING for a client, SERVICE for all others."""

    entry = Entry.step(DAEMONS, EVERYBODY, LinkState.OPENING)

    version: Version  # the version that both speak from now on
    role: Role  # what the sender is
    name: Name  # name of the daemon, as in its certificate
    # name of the farm; in TLS the certificate's counts, and this one is not compared
    farm: OptionalName = ""
    denied_certificates: DenyNumber = 0  # number of its deny list of certificates
    denied_devices: DenyNumber = 0  # number of its deny list of devices

    example = {"version": 1, "role": Role.TERMINAL_SERVER, "name": "ts1", "farm": "lab"}


class Heartbeat(Message, tag=3, kw_only=True):
    """I am there; sent when nothing else was for HEARTBEAT_SECONDS."""

    entry = Entry.step(EVERYBODY, EVERYBODY, *OPENED)


class Goodbye(Message, tag=4, kw_only=True):
    """The last message of a connection, and why it ends."""

    entry = Entry.step(EVERYBODY, EVERYBODY, LinkState.OPENING, *OPENED, then=LinkState.CLOSED)

    code: ErrorCode  # why the connection ends
    detail: Detail = ""
    retry_after_seconds: RetryAfter = 0
    trace_id: TraceId = ""

    example = {"code": ErrorCode.LOGGED_OFF, "detail": "the session has ended"}


class Refused(Message, tag=5, kw_only=True):
    """A lawful no, as the answer to any request."""

    entry = Entry.answer(EVERYBODY)

    code: ErrorCode  # why the request was refused
    detail: Detail = ""
    retry_after_seconds: RetryAfter = 0
    trace_id: TraceId = ""  # the request's, where it had one

    example = {"code": ErrorCode.NO_LICENSE, "detail": "no token is left"}


class Done(Message, tag=6, kw_only=True):
    """The request has taken effect, durably where it is durable."""

    entry = Entry.answer(EVERYBODY)


class QueryAuthority(Message, tag=7, kw_only=True):
    """Which authority signs this farm's certificates? For a client that meets the farm first."""

    entry = Entry.request(CLIENT, TERMINAL_SERVER, "Authority", state=LinkState.LICENSING)


class Authority(Message, tag=8, kw_only=True):
    """The farm's authority: a self-signed certificate that proves nothing before a person has
    compared its fingerprint."""

    entry = Entry.answer(TERMINAL_SERVER)

    # the authority that signed the server's certificate, DER; empty where the server was given none
    certificate: Certificate
    # signature of the authority before it for this one, 64 bytes; empty where there was none
    endorsement: Endorsement = b""

    example = {"certificate": examples.CERTIFICATE}
