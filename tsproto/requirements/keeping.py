"""What keeps a connection, what ends it, and what bounds it."""

from __future__ import annotations

from tsproto.errors import ErrorCode
from tsproto.messages import CLIENT, DAEMONS, EVERYBODY, TERMINAL_SERVER
from tsproto.requirements.requirement import must, should

HEARTBEAT = (
    must(
        "BEAT-01",
        EVERYBODY,
        "An end that has sent nothing for HEARTBEAT_SECONDS on an open connection MUST send"
        " Heartbeat.",
    ),
    must(
        "BEAT-02",
        EVERYBODY,
        "An end that has received nothing for SILENT_SECONDS on an open connection MUST end it"
        " with PEER_SILENT.",
        ErrorCode.PEER_SILENT,
    ),
    must(
        "BEAT-03",
        EVERYBODY,
        "An end MUST take any byte that arrives for a sign of life.",
    ),
    must(
        "BEAT-04",
        EVERYBODY,
        "An end MUST accept Heartbeat in every state after Welcome, and MUST NOT answer it.",
    ),
    must(
        "BEAT-05",
        DAEMONS,
        "A heartbeat MUST NOT extend the time that a state may last.",
        ErrorCode.TIMED_OUT,
    ),
    should(
        "BEAT-06",
        EVERYBODY,
        "An end that has stopped reading SHOULD NOT take what it has not read for the peer's"
        " silence.",
    ),
)

CLOSE = (
    must(
        "CLOSE-01",
        EVERYBODY,
        "An end that ends a connection MUST send Goodbye as its last message, with the code"
        " that tells why.",
    ),
    must(
        "CLOSE-02",
        EVERYBODY,
        "An end MUST accept Goodbye in every state, MUST NOT send anything after it has"
        " received one, and MUST close the connection.",
    ),
    must(
        "CLOSE-03",
        EVERYBODY,
        "An end MUST NOT act on anything that arrives after Goodbye.",
    ),
    must(
        "CLOSE-04",
        EVERYBODY,
        "An end MUST NOT send the codes CONNECTION_LOST, UNREACHABLE and UNANSWERED.",
    ),
    must(
        "CLOSE-05",
        EVERYBODY,
        "An end MUST ignore, in the state LEAVING, what was lawful until that state was entered.",
    ),
    must(
        "CLOSE-06",
        EVERYBODY,
        "An end that said Goodbye MUST read and drop what still comes until the peer closes,"
        " and MUST close after GOODBYE_SECONDS at the latest.",
    ),
    must(
        "CLOSE-07",
        CLIENT,
        "A client MUST NOT by itself dial the same host again before retry_after_seconds have"
        " passed.",
    ),
    should(
        "CLOSE-08",
        DAEMONS,
        "A daemon that stops SHOULD say Goodbye with SHUTTING_DOWN on every connection.",
        ErrorCode.SHUTTING_DOWN,
    ),
    must(
        "CLOSE-09",
        DAEMONS,
        "The fault of one peer MUST NOT end or disturb the connection of another.",
    ),
    should(
        "CLOSE-10",
        CLIENT,
        "A client that was told a code that may not be retried SHOULD NOT try again by itself.",
    ),
)

TIMERS = (
    must(
        "TIME-01",
        DAEMONS,
        "The end that listens MUST end the connection with TIMED_OUT when no Hello has come"
        " OPENING_SECONDS after TCP and TLS stood.",
        ErrorCode.TIMED_OUT,
    ),
    must(
        "TIME-02",
        EVERYBODY,
        "The end that dialled MUST end the connection with TIMED_OUT when no Welcome has come"
        " OPENING_SECONDS after its Hello.",
        ErrorCode.TIMED_OUT,
    ),
    must(
        "TIME-03",
        TERMINAL_SERVER,
        "A terminal server MUST end the connection with TIMED_OUT when the state LICENSING has"
        " lasted LICENSING_SECONDS.",
        ErrorCode.TIMED_OUT,
    ),
    must(
        "TIME-04",
        TERMINAL_SERVER,
        "A terminal server MUST end the connection with TIMED_OUT when the state LOGON has"
        " lasted LOGON_SECONDS, whatever was tried meanwhile.",
        ErrorCode.TIMED_OUT,
    ),
    must(
        "TIME-05",
        TERMINAL_SERVER,
        "A terminal server MUST end the connection with TIMED_OUT when the state LEAVING has"
        " lasted SILENT_SECONDS.",
        ErrorCode.TIMED_OUT,
    ),
    must(
        "TIME-06",
        EVERYBODY,
        "An end MUST NOT limit how long the states SERVICE and SESSION last, as long as the"
        " peer is not silent.",
    ),
    should(
        "TIME-07",
        DAEMONS,
        "A daemon SHOULD cut a connection whose TLS handshake is not done after"
        " TLS_HANDSHAKE_SECONDS.",
    ),
)

LIMITS = (
    should(
        "LIMIT-01",
        DAEMONS,
        "A daemon that has as many connections as it may SHOULD open a further one only to say"
        " Goodbye with TOO_MANY_CONNECTIONS and retry_after_seconds.",
        ErrorCode.TOO_MANY_CONNECTIONS,
    ),
    must(
        "LIMIT-02",
        EVERYBODY,
        "An end MUST end the connection with PEER_TOO_SLOW when more than OUTBOX_BYTES wait for"
        " a peer that does not read, or, before SESSION and SERVICE, OUTBOX_BYTES_BEFORE_LOGON.",
        ErrorCode.PEER_TOO_SLOW,
    ),
    must(
        "LIMIT-03",
        EVERYBODY,
        "An end MUST accept a list with as many rows as its field allows, and MUST end the"
        " connection with MALFORMED_MESSAGE at one more.",
        ErrorCode.MALFORMED_MESSAGE,
    ),
    should(
        "LIMIT-04",
        EVERYBODY,
        "An end SHOULD hold a peer's bytes in memory only up to a bound that it knows beforehand.",
    ),
)

SECURITY = (
    should(
        "SEC-01",
        TERMINAL_SERVER,
        "A terminal server SHOULD take as long to refuse an unknown user as a wrong password.",
    ),
    should(
        "SEC-02",
        EVERYBODY,
        "An end SHOULD NOT write passwords, tickets, cookies or keys to a log.",
    ),
    should(
        "SEC-03",
        CLIENT,
        "A client SHOULD keep the device's key where no other user of the machine can read it.",
    ),
    should(
        "SEC-04",
        CLIENT,
        "A client that meets a farm for the first time SHOULD show the fingerprint of its"
        " authority to a person before it goes on.",
    ),
)

GROWTH = (
    must(
        "GROW-01",
        EVERYBODY,
        "An end MUST NOT use a message, a field or a number of an enumeration that the version"
        " of the connection does not have.",
    ),
    must(
        "GROW-02",
        DAEMONS,
        "An end MUST accept a Hello that offers versions it does not know beside one that it"
        " knows.",
    ),
)

REQUIREMENTS = (
    *HEARTBEAT,
    *CLOSE,
    *TIMERS,
    *LIMITS,
    *SECURITY,
    *GROWTH,
)
