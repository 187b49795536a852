"""How license servers are found, tokens made and verified, and devices let in."""

from __future__ import annotations

from tsproto.errors import ErrorCode
from tsproto.messages import CLIENT, LICENSE_SERVER, TERMINAL_SERVER
from tsproto.requirements.requirement import must, should

ASKERS = TERMINAL_SERVER | LICENSE_SERVER

DISCOVERY = (
    must(
        "DISC-01",
        LICENSE_SERVER,
        "A license server MUST NOT answer a query that is not exactly DATAGRAM_BYTES long.",
    ),
    must(
        "DISC-02",
        LICENSE_SERVER,
        "A license server MUST answer a query for its farm and one of its scopes to the address"
        " and port that it came from, with its name, the port that it listens on, and the"
        " query's nonce.",
    ),
    must(
        "DISC-03",
        LICENSE_SERVER,
        "A license server MUST NOT answer a query for another farm.",
    ),
    must(
        "DISC-04",
        LICENSE_SERVER,
        "A license server MUST NOT answer a query for a scope that it is not in.",
    ),
    must(
        "DISC-05",
        LICENSE_SERVER,
        "A license server MUST NOT answer a query that carries its own instance.",
    ),
    must(
        "DISC-06",
        LICENSE_SERVER,
        "An answer MUST NOT be longer than DATAGRAM_BYTES.",
    ),
    must(
        "DISC-07",
        ASKERS,
        "A daemon MUST ignore in silence every datagram that is neither a well-formed query nor"
        " a well-formed answer.",
    ),
    must(
        "DISC-08",
        ASKERS,
        "An asker MUST ignore an answer whose nonce or farm is not that of its running query.",
    ),
    must(
        "DISC-09",
        ASKERS,
        "An asker MUST ask the scopes that are set in the order workgroup, domain, site, one"
        " after the other; a terminal server MUST stop after the first in which anybody"
        " answered.",
    ),
    must(
        "DISC-10",
        ASKERS,
        "An asker MUST write the name of a scope in lower case, pad its query to"
        " DATAGRAM_BYTES, and draw 16 random bytes anew as the nonce of every query.",
    ),
    should(
        "DISC-11",
        LICENSE_SERVER,
        "A license server SHOULD send at most DISCOVERY_ANSWERS_PER_SECOND answers a second.",
    ),
    must(
        "DISC-12",
        ASKERS,
        "An asker MUST NOT ask anything of a server that it found before it has dialled it, and"
        " found the role of a license server and the answered name in its certificate.",
        ErrorCode.WRONG_ROLE,
    ),
    should(
        "DISC-13",
        TERMINAL_SERVER,
        "A terminal server SHOULD choose one at random of the license servers that answered; until"
        " then, while it knows none, it MAY use the first that answered.",
    ),
    must(
        "DISC-14",
        ASKERS,
        "An asker whose configuration lists license servers MUST NOT send a query.",
    ),
)

TOKEN = (
    must(
        "TOKEN-01",
        TERMINAL_SERVER,
        "A terminal server MUST refuse with LICENSE_TAMPERED a token that is not the msgpack"
        " array of exactly two byte strings in their shortest form, or whose claims cannot be"
        " read.",
        ErrorCode.LICENSE_TAMPERED,
    ),
    must(
        "TOKEN-02",
        TERMINAL_SERVER,
        "A terminal server MUST refuse with LICENSE_TAMPERED a token whose signature is not one"
        " of its issuer's key over the claims.",
        ErrorCode.LICENSE_TAMPERED,
    ),
    must(
        "TOKEN-03",
        TERMINAL_SERVER,
        "A terminal server MUST refuse with LICENSE_TAMPERED a signature made over the claims"
        " without the token's domain before them.",
        ErrorCode.LICENSE_TAMPERED,
    ),
    must(
        "TOKEN-04",
        TERMINAL_SERVER,
        "A terminal server MUST refuse with LICENSE_FOREIGN a token whose issuer's certificate"
        " is not signed by the farm's authority, or not of the role license-server.",
        ErrorCode.LICENSE_FOREIGN,
    ),
    must(
        "TOKEN-05",
        TERMINAL_SERVER,
        "A terminal server MUST refuse with LICENSE_FOREIGN a token whose issuer's certificate"
        " is not valid at the time.",
        ErrorCode.LICENSE_FOREIGN,
    ),
    must(
        "TOKEN-06",
        TERMINAL_SERVER,
        "A terminal server MUST refuse with LICENSE_FOREIGN a token whose claims name another"
        " farm than its own, or another issuer than the certificate.",
        ErrorCode.LICENSE_FOREIGN,
    ),
    must(
        "TOKEN-07",
        TERMINAL_SERVER,
        "A terminal server MUST refuse with LICENSE_FOREIGN a token for another product, MUST"
        " accept one for a higher version than its own, and MUST take one for a lower version for"
        " none.",
        ErrorCode.LICENSE_FOREIGN,
    ),
    must(
        "TOKEN-08",
        TERMINAL_SERVER,
        "A terminal server MUST refuse with LICENSE_NOT_YOURS a token for another device than"
        " the one that proved its key.",
        ErrorCode.LICENSE_NOT_YOURS,
    ),
    must(
        "TOKEN-09",
        TERMINAL_SERVER,
        "A terminal server MUST take a token as expired from the second that its expires_at names.",
    ),
    must(
        "TOKEN-10",
        TERMINAL_SERVER,
        "A terminal server MUST make these checks in the order of the chapter, and answer with"
        " the code of the first that fails.",
    ),
    must(
        "TOKEN-11",
        TERMINAL_SERVER,
        "A terminal server MUST ignore claims after the last one that it knows, and MUST refuse"
        " with LICENSE_TAMPERED claims of another version than 1.",
        ErrorCode.LICENSE_TAMPERED,
    ),
    must(
        "TOKEN-12",
        TERMINAL_SERVER,
        "A terminal server MUST refuse with LICENSE_TAMPERED claims of a kind other than"
        " TEMPORARY and FULL.",
        ErrorCode.LICENSE_TAMPERED,
    ),
    must(
        "TOKEN-13",
        TERMINAL_SERVER,
        "A terminal server MUST refuse with LICENSE_TAMPERED a token beside which stands no"
        " readable X.509 certificate.",
        ErrorCode.LICENSE_TAMPERED,
    ),
    must(
        "TOKEN-14",
        LICENSE_SERVER,
        "A license server MUST issue tokens that pass every check of this chapter, and are at"
        " most TOKEN_BYTES long: it clips a longer user name to 256 bytes of UTF-8.",
    ),
)

LICENSING = (
    must(
        "LIC-01",
        TERMINAL_SERVER,
        "A terminal server MUST send LicenseRequest right after Welcome, with 32 random bytes"
        " drawn anew for each connection as its nonce.",
    ),
    must(
        "LIC-02",
        CLIENT,
        "A client MUST answer LicenseRequest with LicenseInfo, which carries the device's"
        " public key and its signature over domain, nonce and server certificate.",
    ),
    must(
        "LIC-03",
        TERMINAL_SERVER,
        "A terminal server MUST refuse with DEVICE_PROOF_INVALID a signature that is not the"
        " public key's over domain, nonce and certificate of this connection.",
        ErrorCode.DEVICE_PROOF_INVALID,
    ),
    must(
        "LIC-04",
        TERMINAL_SERVER,
        "A terminal server MUST refuse with DEVICE_PROOF_INVALID a proof that was made for"
        " another connection.",
        ErrorCode.DEVICE_PROOF_INVALID,
    ),
    must(
        "LIC-05",
        TERMINAL_SERVER,
        "A terminal server MUST verify the device's proof before it looks at the token.",
        ErrorCode.DEVICE_PROOF_INVALID,
    ),
    must(
        "LIC-06",
        TERMINAL_SERVER,
        "A terminal server MUST ask a license server with AcquireLicense for a device that shows no"
        " token, an expired one, one for a lower version, or a temporary one.",
    ),
    must(
        "LIC-07",
        TERMINAL_SERVER,
        "A terminal server MUST let in a device with a full token that lasts longer than"
        " RENEWAL_DAYS without asking a license server.",
    ),
    must(
        "LIC-08",
        TERMINAL_SERVER,
        "A terminal server MUST ask with RenewLicense for a full token that lasts RENEWAL_DAYS"
        " or less.",
    ),
    must(
        "LIC-09",
        TERMINAL_SERVER,
        "A terminal server MUST send NewLicense with a token that the device does not hold"
        " already, and MUST NOT send LicenseAccepted before LicenseStored has named its license"
        " id.",
    ),
    must(
        "LIC-10",
        TERMINAL_SERVER,
        "A terminal server MUST end the connection with OUT_OF_ORDER when LicenseStored names"
        " another license than the one pushed.",
        ErrorCode.OUT_OF_ORDER,
    ),
    must(
        "LIC-11",
        TERMINAL_SERVER,
        "A terminal server MUST end the connection with OUT_OF_ORDER for a LicenseInfo or"
        " LicenseStored that it does not wait for.",
        ErrorCode.OUT_OF_ORDER,
    ),
    must(
        "LIC-12",
        CLIENT,
        "A client MUST store the token of NewLicense durably in place of the one for its farm"
        " and product, and MUST send LicenseStored with its license id only then.",
    ),
    must(
        "LIC-13",
        CLIENT,
        "A client MUST NOT send LicenseStored for a token that it cannot read, or that is of"
        " another device or farm.",
    ),
    must(
        "LIC-14",
        CLIENT,
        "A client MUST show the token that it holds for the farm and product of LicenseRequest,"
        " with its issuer's certificate, and no other.",
    ),
    must(
        "LIC-15",
        TERMINAL_SERVER,
        "A terminal server MUST let in a device whose live token could not be renewed or upgraded.",
    ),
    must(
        "LIC-16",
        TERMINAL_SERVER,
        "A terminal server MUST refuse with NO_LICENSE a device that showed no token, or one for a"
        " lower version, and for which a license server has none.",
        ErrorCode.NO_LICENSE,
    ),
    must(
        "LIC-17",
        TERMINAL_SERVER,
        "A terminal server MUST refuse with LICENSE_EXPIRED a device that showed an expired"
        " token and for which a license server has none.",
        ErrorCode.LICENSE_EXPIRED,
    ),
    must(
        "LIC-18",
        TERMINAL_SERVER,
        "A terminal server MUST let in a device without a live token as GRACE when no license"
        " server decides and the grace period is not over, and otherwise MUST refuse it with"
        " NO_LICENSE_SERVER.",
        ErrorCode.NO_LICENSE_SERVER,
    ),
    must(
        "LIC-19",
        TERMINAL_SERVER,
        "The grace period MUST begin with the first accepted connection, and MUST end for good"
        " GRACE_DAYS later or with the first full token seen.",
    ),
    must(
        "LIC-20",
        TERMINAL_SERVER,
        "A terminal server MUST answer QueryAuthority with the certificate of the farm's"
        " authority at any time in the state LICENSING.",
    ),
    must(
        "LIC-21",
        TERMINAL_SERVER,
        "A terminal server MUST verify a token that a license server issued as it does a"
        " device's, and MUST NOT push one that fails.",
    ),
    must(
        "LIC-22",
        TERMINAL_SERVER,
        "LicenseAccepted MUST carry the kind and expires_at of the token that lets the device in.",
    ),
    must(
        "LIC-23",
        TERMINAL_SERVER,
        "A terminal server MUST ask the license server that issued the shown token before any"
        " other.",
    ),
    must(
        "LIC-24",
        TERMINAL_SERVER,
        "A terminal server MUST send MarkValidated once a user was shown a session from a"
        " device that was let in with a temporary token, and MUST NOT send it before.",
    ),
)

REQUIREMENTS = (
    *DISCOVERY,
    *TOKEN,
    *LICENSING,
)
