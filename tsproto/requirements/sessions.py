"""How users log on, are led to their sessions, and use them."""

from __future__ import annotations

from tsproto.errors import ErrorCode
from tsproto.messages import CLIENT, EVERYBODY, SESSION_DIRECTORY, TERMINAL_SERVER
from tsproto.requirements.requirement import must, should

ATTACHED = TERMINAL_SERVER | CLIENT

LOGON = (
    must(
        "LOGON-01",
        TERMINAL_SERVER,
        "A terminal server MUST answer a LogonRequest with a right password with LogonAccepted,"
        " or with Redirect when the user's session belongs elsewhere.",
    ),
    must(
        "LOGON-02",
        TERMINAL_SERVER,
        "A terminal server MUST answer a wrong password and an unknown user alike, with"
        " LogonRefused LOGON_FAILED, and stay in the state LOGON.",
        ErrorCode.LOGON_FAILED,
    ),
    must(
        "LOGON-03",
        TERMINAL_SERVER,
        "A terminal server MUST say in attempts_left how many wrong passwords are left of"
        " LOGON_ATTEMPTS, and MUST end the connection with TOO_MANY_ATTEMPTS after the"
        " LogonRefused that says 0.",
        ErrorCode.TOO_MANY_ATTEMPTS,
    ),
    must(
        "LOGON-04",
        TERMINAL_SERVER,
        "A terminal server MUST end the connection with OUT_OF_ORDER for a LogonRequest while"
        " an earlier one is not answered.",
        ErrorCode.OUT_OF_ORDER,
    ),
    must(
        "LOGON-05",
        TERMINAL_SERVER,
        "A terminal server MUST take 16 LogonRequests on one connection, whatever their kinds,"
        " and MUST end it with TOO_MANY_ATTEMPTS at one more.",
        ErrorCode.TOO_MANY_ATTEMPTS,
    ),
    must(
        "LOGON-06",
        TERMINAL_SERVER,
        "A terminal server that checks too many passwords already MUST answer with LogonRefused"
        " LOGON_BUSY and retry_after_seconds, without counting an attempt.",
        ErrorCode.LOGON_BUSY,
    ),
    must(
        "LOGON-07",
        TERMINAL_SERVER,
        "A terminal server MUST answer with LogonRefused UNKNOWN_APPLICATION a LogonRequest with a"
        " password for an application that it does not have.",
        ErrorCode.UNKNOWN_APPLICATION,
    ),
    must(
        "LOGON-08",
        TERMINAL_SERVER,
        "A terminal server that has as many sessions as it may MUST answer with LogonRefused"
        " TOO_MANY_SESSIONS when a new one would be needed.",
        ErrorCode.TOO_MANY_SESSIONS,
    ),
    must(
        "LOGON-09",
        TERMINAL_SERVER,
        "A terminal server MUST answer with LogonRefused, and stay in the state LOGON, when the"
        " session's program could not be started.",
        ErrorCode.PROGRAM_FAILED,
    ),
    must(
        "LOGON-10",
        TERMINAL_SERVER,
        "LogonAccepted MUST carry the session's number, which is not 0 and was never another"
        " session's of this host, and in `reattached` whether it ran before.",
    ),
    must(
        "LOGON-11",
        TERMINAL_SERVER,
        "A terminal server MUST take a user to the one session that they have for an"
        " application, and MUST end the connection of whoever was shown it with"
        " DISCONNECTED_BY_OTHER.",
        ErrorCode.DISCONNECTED_BY_OTHER,
    ),
    must(
        "LOGON-12",
        TERMINAL_SERVER,
        "A terminal server MUST give the client that is shown a session a cookie of 32 random"
        " bytes, and MUST accept it, with the session's number, instead of a password.",
    ),
    must(
        "LOGON-13",
        TERMINAL_SERVER,
        "A terminal server MUST answer with LogonRefused TICKET_INVALID, and stay in the state"
        " LOGON, a cookie that is not the last one of that session, or is shown by another"
        " device or for another user.",
        ErrorCode.TICKET_INVALID,
    ),
    must(
        "LOGON-14",
        CLIENT,
        "A client that was told TICKET_INVALID MUST NOT show that ticket or cookie again.",
    ),
    must(
        "LOGON-15",
        TERMINAL_SERVER,
        "A session with a command MUST be apart from the user's others, MUST have no cookie,"
        " and MUST end when its connection does.",
    ),
    must(
        "LOGON-16",
        TERMINAL_SERVER,
        "A terminal server MUST NOT accept a logon before LicenseAccepted.",
        ErrorCode.OUT_OF_ORDER,
    ),
    must(
        "LOGON-17",
        TERMINAL_SERVER,
        "A terminal server MUST start a session's program with the size of terminal and the"
        " value of TERM that LogonRequest carries.",
    ),
    must(
        "LOGON-18",
        CLIENT,
        "A client MUST NOT send a LogonRequest while an earlier one is not answered.",
    ),
    must(
        "LOGON-19",
        CLIENT,
        "A client that was told LOGON_BUSY MUST NOT send another LogonRequest before"
        " retry_after_seconds have passed.",
        ErrorCode.LOGON_BUSY,
    ),
)

REDIRECT = (
    must(
        "REDIR-01",
        TERMINAL_SERVER,
        "A terminal server MUST answer with Redirect, and start no session, when the directory"
        " places the user on another host; Redirect carries what SessionPlaced said.",
    ),
    must(
        "REDIR-02",
        CLIENT,
        "A client that is redirected MUST dial the address of Redirect, and log on there with"
        " the ticket, its session number and the same user name.",
    ),
    must(
        "REDIR-03",
        CLIENT,
        "A client that is redirected MUST demand the host of Redirect as the name in the"
        " certificate there, of a farm that it trusts already.",
        ErrorCode.WRONG_ROLE,
    ),
    must(
        "REDIR-04",
        TERMINAL_SERVER,
        "A terminal server MUST have the session directory redeem a ticket before it lets its"
        " bearer in, and MUST answer one that is refused with LogonRefused TICKET_INVALID.",
        ErrorCode.TICKET_INVALID,
    ),
    must(
        "REDIR-05",
        TERMINAL_SERVER,
        "A terminal server MUST answer with LogonRefused TICKET_INVALID, and stay in the state"
        " LOGON, a ticket that is not 16 bytes long, or that comes while it has not joined a"
        " directory.",
        ErrorCode.TICKET_INVALID,
    ),
    must(
        "REDIR-06",
        SESSION_DIRECTORY,
        "A session directory MUST accept a ticket once: any attempt to redeem it uses it up, but"
        " for one that is refused with NOT_JOINED, which is none.",
        ErrorCode.TICKET_INVALID,
    ),
    must(
        "REDIR-07",
        SESSION_DIRECTORY,
        "A session directory MUST refuse a ticket with TICKET_INVALID from the moment at which"
        " it is TICKET_SECONDS old.",
        ErrorCode.TICKET_INVALID,
    ),
    must(
        "REDIR-08",
        SESSION_DIRECTORY,
        "A session directory MUST refuse with TICKET_INVALID a ticket that was issued for"
        " another device, another user or another host.",
        ErrorCode.TICKET_INVALID,
    ),
    must(
        "REDIR-09",
        SESSION_DIRECTORY,
        "A session directory MUST say the same, code and detail, whichever check a ticket fails.",
        ErrorCode.TICKET_INVALID,
    ),
    must(
        "REDIR-10",
        CLIENT,
        "A client MUST give up when it is redirected more than REDIRECTS_MAX times in a row.",
    ),
    must(
        "REDIR-11",
        CLIENT,
        "A client that cannot reach the host of a Redirect MUST return to the host that"
        " redirected it first, and name the other in unreachable_host.",
    ),
    must(
        "REDIR-12",
        TERMINAL_SERVER,
        "A terminal server MUST pass unreachable_host on to the session directory as `avoid`.",
    ),
)

SESSION = (
    must(
        "SESS-01",
        EVERYBODY,
        "An end that receives session bytes in a state other than SESSION MUST end the"
        " connection with OUT_OF_ORDER, except in LEAVING after SESSION, where it ignores them.",
        ErrorCode.OUT_OF_ORDER,
    ),
    must(
        "SESS-02",
        ATTACHED,
        "An end MUST ignore a frame of session bytes with an empty body.",
    ),
    must(
        "SESS-03",
        ATTACHED,
        "An end MUST send session bytes in at most SESSION_CHUNK_BYTES a frame, and MUST accept"
        " as many as a frame may hold.",
    ),
    must(
        "SESS-04",
        TERMINAL_SERVER,
        "A terminal server MUST pass session bytes on unchanged and in order, in both directions.",
    ),
    must(
        "SESS-05",
        TERMINAL_SERVER,
        "A terminal server MUST give the session's terminal the size that ResizeSession carries.",
    ),
    must(
        "SESS-06",
        TERMINAL_SERVER,
        "A terminal server MUST answer DisconnectSession with Goodbye DISCONNECTED_BY_USER, and"
        " MUST keep the session running.",
        ErrorCode.DISCONNECTED_BY_USER,
    ),
    must(
        "SESS-07",
        TERMINAL_SERVER,
        "A terminal server MUST end the session's programs on LogoffSession.",
        ErrorCode.LOGGED_OFF,
    ),
    must(
        "SESS-08",
        TERMINAL_SERVER,
        "When a session's program has ended, the terminal server MUST send the rest of its"
        " output, then SessionEnded, then Goodbye LOGGED_OFF.",
        ErrorCode.LOGGED_OFF,
    ),
    must(
        "SESS-09",
        TERMINAL_SERVER,
        "SessionEnded MUST carry the program's exit status, or 128 + n when signal n ended it.",
    ),
    must(
        "SESS-10",
        TERMINAL_SERVER,
        "A terminal server MUST keep a session running when its client's connection is lost.",
    ),
    must(
        "SESS-11",
        TERMINAL_SERVER,
        "A terminal server MUST NOT end the connection of a client that does not take session"
        " bytes for a while: it stops reading the program's output instead.",
    ),
    should(
        "SESS-12",
        TERMINAL_SERVER,
        "A terminal server SHOULD send a client that is shown a running session, before"
        " anything else, bytes that draw its screen as it is.",
    ),
    must(
        "SESS-13",
        CLIENT,
        "A client MUST offer the session's cookie first when it comes back to the host of a"
        " session whose connection was lost.",
    ),
)

REQUIREMENTS = (
    *LOGON,
    *REDIRECT,
    *SESSION,
)
