"""What holds when a connection is opened, and for what is said on it."""

from __future__ import annotations

from tsproto.errors import ErrorCode
from tsproto.messages import CLIENT, DAEMONS, EVERYBODY
from tsproto.requirements.requirement import must

HELLO = (
    must(
        "HELLO-01",
        EVERYBODY,
        "The end that dialled MUST send Hello first, without waiting for anything.",
    ),
    must(
        "HELLO-02",
        DAEMONS,
        "The end that listens MUST answer a good Hello with Welcome, which carries the highest"
        " version that lies in both ends' ranges.",
    ),
    must(
        "HELLO-03",
        DAEMONS,
        "The end that listens MUST end the connection with VERSION_UNSUPPORTED when no version"
        " lies in both ends' ranges.",
        ErrorCode.VERSION_UNSUPPORTED,
    ),
    must(
        "HELLO-04",
        DAEMONS,
        "The end that listens MUST end the connection with OUT_OF_ORDER when the first message"
        " is neither Hello nor Goodbye.",
        ErrorCode.OUT_OF_ORDER,
    ),
    must(
        "HELLO-05",
        EVERYBODY,
        "The end that dialled MUST end the connection with OUT_OF_ORDER when the first message"
        " is neither Welcome nor Goodbye.",
        ErrorCode.OUT_OF_ORDER,
    ),
    must(
        "HELLO-06",
        EVERYBODY,
        "An end that receives Hello or Welcome once the connection is open MUST end it with"
        " OUT_OF_ORDER, or with WRONG_ROLE where that message is never the peer's to send.",
        ErrorCode.OUT_OF_ORDER,
    ),
    must(
        "HELLO-07",
        EVERYBODY,
        "The end that dialled MUST end the connection with VERSION_UNSUPPORTED when Welcome"
        " carries a version that it did not offer.",
        ErrorCode.VERSION_UNSUPPORTED,
    ),
    must(
        "HELLO-09",
        DAEMONS,
        "The end that listens MUST send nothing before Welcome but a Goodbye.",
    ),
    must(
        "HELLO-10",
        EVERYBODY,
        "An end MUST look at role and name in Hello or Welcome before the versions, and end the"
        " connection with WRONG_ROLE when both are wrong.",
        ErrorCode.WRONG_ROLE,
    ),
)

ROLES = (
    must(
        "ROLE-01",
        EVERYBODY,
        "An end whose peer showed a certificate MUST end the connection with WRONG_ROLE when"
        " role or name in Hello or Welcome are not the certificate's.",
        ErrorCode.WRONG_ROLE,
    ),
    must(
        "ROLE-02",
        DAEMONS,
        "A daemon that listens with TLS MUST accept a peer without a certificate as a client,"
        " and MUST end the connection with WRONG_ROLE when it calls itself anything else.",
        ErrorCode.WRONG_ROLE,
    ),
    must(
        "ROLE-03",
        DAEMONS,
        "A daemon MUST end the connection with WRONG_ROLE when a peer says Hello whose role has"
        " nothing to ask of it.",
        ErrorCode.WRONG_ROLE,
    ),
    must(
        "ROLE-04",
        EVERYBODY,
        "Once a connection is open, an end that receives a message that the peer's role never"
        " sends to its own MUST end it with WRONG_ROLE, whatever the state.",
        ErrorCode.WRONG_ROLE,
    ),
    must(
        "ROLE-05",
        EVERYBODY,
        "Once a connection is open, an end that receives a message that the two roles exchange,"
        " but not in this state, MUST end it with OUT_OF_ORDER.",
        ErrorCode.OUT_OF_ORDER,
    ),
    must(
        "ROLE-06",
        DAEMONS,
        "A daemon MUST end the connection with WRONG_ROLE when the peer's certificate is signed"
        " by the farm's authority and carries no identity, or more than one.",
        ErrorCode.WRONG_ROLE,
    ),
    must(
        "ROLE-07",
        DAEMONS,
        "A daemon MUST NOT open a connection to a peer whose certificate is not signed by the"
        " farm's authority.",
    ),
    must(
        "ROLE-08",
        EVERYBODY,
        "An end that dialled MUST end the connection with WRONG_ROLE when the peer has another"
        " role than the one dialled, or another name where it was told one.",
        ErrorCode.WRONG_ROLE,
    ),
    must(
        "ROLE-09",
        CLIENT,
        "A client MUST NOT send LicenseInfo on a TLS connection before the server's certificate"
        " was verified against an authority that it trusts.",
    ),
)

REQUESTS = (
    must(
        "REQ-01",
        EVERYBODY,
        "An end that receives a notification with a request id other than 0 MUST end the"
        " connection with MALFORMED_MESSAGE.",
        ErrorCode.MALFORMED_MESSAGE,
    ),
    must(
        "REQ-02",
        DAEMONS,
        "An end that receives a request with the request id 0 MUST end the connection with"
        " MALFORMED_MESSAGE.",
        ErrorCode.MALFORMED_MESSAGE,
    ),
    must(
        "REQ-03",
        DAEMONS,
        "An end that receives a request whose id is that of a request not answered yet MUST end"
        " the connection with OUT_OF_ORDER.",
        ErrorCode.OUT_OF_ORDER,
    ),
    must(
        "REQ-04",
        DAEMONS,
        "An end MUST answer every request exactly once, with its id, and with one of the"
        " answers that the table names, or Refused.",
    ),
    must(
        "REQ-05",
        EVERYBODY,
        "An end that receives an answer with an id for which no request of its own is open MUST"
        " end the connection with OUT_OF_ORDER.",
        ErrorCode.OUT_OF_ORDER,
    ),
    must(
        "REQ-06",
        DAEMONS,
        "An end that receives an answer that the table does not name for its request MUST end"
        " the connection with OUT_OF_ORDER.",
        ErrorCode.OUT_OF_ORDER,
    ),
    must(
        "REQ-07",
        DAEMONS,
        "An end MUST accept REQUESTS_IN_FLIGHT unanswered requests on one connection, and MUST"
        " end it with TOO_MANY_REQUESTS at one more.",
        ErrorCode.TOO_MANY_REQUESTS,
    ),
    must(
        "REQ-08",
        DAEMONS,
        "An end MUST match answers to its requests by their ids, in whatever order they arrive.",
    ),
    must(
        "REQ-09",
        DAEMONS,
        "An end MUST accept any id from 1 to 4294967295, and one that was used before and"
        " answered.",
    ),
    must(
        "REQ-10",
        DAEMONS,
        "An end that has given a request up MUST ignore its answer, should it still come, and"
        " keep the connection.",
    ),
    must(
        "REQ-11",
        DAEMONS,
        "An end MUST leave the connection open after it has sent or received Refused.",
    ),
)

REQUIREMENTS = (
    *HELLO,
    *ROLES,
    *REQUESTS,
)
