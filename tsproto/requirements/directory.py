"""What a session directory does and is told, and what administrators may ask."""

from __future__ import annotations

from tsproto.errors import ErrorCode
from tsproto.messages import DAEMONS, LICENSE_SERVER, SESSION_DIRECTORY, TERMINAL_SERVER
from tsproto.requirements.requirement import must, should

ASKERS = TERMINAL_SERVER | LICENSE_SERVER
KEEPERS = TERMINAL_SERVER | SESSION_DIRECTORY

DIRECTORY = (
    must(
        "DIR-01",
        SESSION_DIRECTORY,
        "A session directory MUST refuse PlaceSession and RedeemTicket with NOT_JOINED from a"
        " terminal server that is not READY.",
        ErrorCode.NOT_JOINED,
    ),
    must(
        "DIR-02",
        SESSION_DIRECTORY,
        "A session directory MUST place a user who has no session on the asking host, with"
        " session_id 0, a placement that is not 0, and no ticket.",
    ),
    must(
        "DIR-03",
        SESSION_DIRECTORY,
        "A session directory MUST place a user who has a session on a READY host there, with"
        " its number, and with a ticket when that is not the asking host.",
    ),
    must(
        "DIR-04",
        SESSION_DIRECTORY,
        "A session directory MUST give all who ask for the same user and application the same"
        " host and placement, as long as the session that it reserved is neither reported nor"
        " given up, and its host is READY.",
    ),
    must(
        "DIR-05",
        SESSION_DIRECTORY,
        "Every reservation MUST have a higher placement than all earlier ones and all that were"
        " reported; where there is none up to 2^52, the directory MUST refuse with BUSY.",
    ),
    must(
        "DIR-06",
        SESSION_DIRECTORY,
        "A session directory MUST NOT place a user on the host that `avoid` names, unless it is"
        " the asking host.",
    ),
    must(
        "DIR-07",
        SESSION_DIRECTORY,
        "A session directory MUST ignore an UpdateSession or RemoveSession whose placement is"
        " lower than the row's.",
    ),
    must(
        "DIR-08",
        SESSION_DIRECTORY,
        "A session directory MUST ignore an UpdateSession about a session of another host than"
        " the sender.",
    ),
    must(
        "DIR-09",
        SESSION_DIRECTORY,
        "A session directory MUST drop the row that RemoveSession names, and give a reservation"
        " up when session_id is 0.",
    ),
    must(
        "DIR-10",
        SESSION_DIRECTORY,
        "A session directory MUST NOT lead anybody to a terminal server whose link is lost.",
    ),
    must(
        "DIR-11",
        SESSION_DIRECTORY,
        "A session directory MUST keep the rows of a lost terminal server for"
        " SERVER_LOST_SECONDS, and drop them then unless it has joined again.",
    ),
    must(
        "DIR-12",
        SESSION_DIRECTORY,
        "A session directory MUST offer an ACTIVE session before a CONNECTED one, that before a"
        " DISCONNECTED one, among those alike the one used last, and a RESET one never.",
    ),
    must(
        "DIR-13",
        SESSION_DIRECTORY,
        "A session directory MUST refuse with TOO_MANY_SESSIONS to place a new session on an"
        " asking host whose sessions and reservations reach its sessions_max, which may be 0.",
        ErrorCode.TOO_MANY_SESSIONS,
    ),
    must(
        "DIR-14",
        SESSION_DIRECTORY,
        "A session directory MUST tell sessions of one user for different applications apart.",
    ),
    must(
        "DIR-15",
        SESSION_DIRECTORY,
        "A session directory MUST forget a reservation RESERVATION_SECONDS after it was made or"
        " last given to anybody.",
    ),
    must(
        "DIR-16",
        SESSION_DIRECTORY,
        "A session directory MUST answer a good ticket with the user, the application, the"
        " placement and the session's number, or 0 when the session is still to start.",
    ),
    must(
        "DIR-17",
        SESSION_DIRECTORY,
        "SessionPlaced MUST list in `others` what else the user owns for the application, up to"
        " SESSIONS_PER_MESSAGE rows.",
    ),
    must(
        "DIR-18",
        SESSION_DIRECTORY,
        "A session directory that serves only certain terminal servers MUST refuse JoinFarm of"
        " any other with NOT_PERMITTED.",
        ErrorCode.NOT_PERMITTED,
    ),
    must(
        "DIR-19",
        SESSION_DIRECTORY,
        "A session directory MUST keep a reservation when RemoveSession comes from another host"
        " than the one it is on, or with another placement than its own.",
    ),
    must(
        "DIR-20",
        SESSION_DIRECTORY,
        "A session directory MUST ignore UpdateSession and RemoveSession from a terminal server"
        " that has not joined over this link or is LOST, and an UpdateSession with the session"
        " number 0.",
    ),
    must(
        "DIR-21",
        SESSION_DIRECTORY,
        "A session directory MUST ignore an UpdateSession, and refuse with NOT_PERMITTED a part of"
        " a list, with a placement above 2^52.",
        ErrorCode.NOT_PERMITTED,
    ),
    must(
        "DIR-22",
        SESSION_DIRECTORY,
        "SessionPlaced and TicketRedeemed MUST carry the placement of the row for a session that"
        " the directory knows, also when that is 0, and the reservation's for one that is to come.",
    ),
)

SYNCHRONISATION = (
    must(
        "SYNC-01",
        SESSION_DIRECTORY,
        "A session directory MUST answer JoinFarm with Joined, whose generation is the same"
        " until the directory starts anew, and another one afterwards.",
    ),
    must(
        "SYNC-02",
        SESSION_DIRECTORY,
        "A terminal server MUST be SYNCHRONIZING from JoinFarm to the SyncSessions that says"
        " `last`, and READY from then on.",
    ),
    must(
        "SYNC-03",
        SESSION_DIRECTORY,
        "A session directory MUST replace all that it knew of a terminal server by its list"
        " once that is complete, and MUST NOT show any part of it before.",
    ),
    must(
        "SYNC-04",
        SESSION_DIRECTORY,
        "A session directory MUST refuse SyncSessions with NOT_JOINED before JoinFarm, and"
        " after the list is complete.",
        ErrorCode.NOT_JOINED,
    ),
    must(
        "SYNC-05",
        SESSION_DIRECTORY,
        "A session directory MUST refuse with NOT_PERMITTED a part that names another host or"
        " the session number 0, and MUST take the terminal server for LOST until it joins"
        " again.",
        ErrorCode.NOT_PERMITTED,
    ),
    must(
        "SYNC-06",
        SESSION_DIRECTORY,
        "A session directory MUST take an UpdateSession or RemoveSession that arrives between"
        " JoinFarm and `last` for newer than the list, whatever the placements of both, and MUST"
        " NOT show it before the list is complete.",
    ),
    must(
        "SYNC-07",
        TERMINAL_SERVER,
        "A terminal server MUST send JoinFarm on every new link to its directory, and then all"
        " its sessions in SyncSessions, one part after the other, the last one marked `last`,"
        " also when it has none.",
    ),
    must(
        "SYNC-08",
        TERMINAL_SERVER,
        "A terminal server MUST send UpdateSession when a session was started, attached,"
        " disconnected or is being ended, and RemoveSession when it has ended; of sessions with"
        " a command it says nothing.",
    ),
    must(
        "SYNC-09",
        TERMINAL_SERVER,
        "A terminal server that is told NOT_JOINED MUST join again.",
    ),
    should(
        "SYNC-10",
        TERMINAL_SERVER,
        "A terminal server SHOULD pause before it joins again, REJOIN_SECONDS first and twice"
        " as long each time up to REJOIN_SECONDS_MAX, less a random part.",
    ),
    must(
        "SYNC-11",
        TERMINAL_SERVER,
        "A terminal server without its directory MUST accept logons, and take users to their"
        " sessions on this host.",
    ),
    must(
        "SYNC-12",
        SESSION_DIRECTORY,
        "A session directory MUST ignore what an older link says once the terminal server of"
        " that name has joined over a newer one.",
    ),
    must(
        "SYNC-13",
        TERMINAL_SERVER,
        "A terminal server MUST send RemoveSession with session_id 0 and the placement when a"
        " session that was placed here could not be started.",
    ),
    must(
        "SYNC-14",
        SESSION_DIRECTORY,
        "A session directory MUST refuse with NOT_PERMITTED, and leave that one as it was, a"
        " JoinFarm under the name of a terminal server that has joined from another address or"
        " port and whose link stands.",
        ErrorCode.NOT_PERMITTED,
    ),
    must(
        "SYNC-15",
        SESSION_DIRECTORY,
        "A session directory MUST close with NOT_JOINED the older link of a terminal server that"
        " has joined over a newer one from the same address and port.",
        ErrorCode.NOT_JOINED,
    ),
)

ADMINISTRATION = (
    must(
        "ADMIN-01",
        LICENSE_SERVER,
        "A license server MUST answer QueryPools with all its pools, ordered by product and"
        " version.",
    ),
    must(
        "ADMIN-02",
        LICENSE_SERVER,
        "A license server MUST answer QueryLicenses with the licenses whose ids follow `after`,"
        " those taken back left out, in the order of their ids, PAGE_ROWS at most, and say with"
        " `more` whether others follow.",
    ),
    must(
        "ADMIN-03",
        LICENSE_SERVER,
        "A license server MUST answer QueryLicenses that names a device with that device's"
        " licenses alone.",
    ),
    must(
        "ADMIN-04",
        LICENSE_SERVER,
        "A license server MUST count a key pack once, however often it is added.",
    ),
    must(
        "ADMIN-05",
        LICENSE_SERVER,
        "A license server MUST refuse with KEY_PACK_CONFLICT a key pack whose id is that of a"
        " different one.",
        ErrorCode.KEY_PACK_CONFLICT,
    ),
    must(
        "ADMIN-06",
        ASKERS,
        "A terminal server and a license server MUST answer QueryLicenseServers with the"
        " license servers that they know; a terminal server marks the chosen one.",
    ),
    must(
        "ADMIN-07",
        KEEPERS,
        "A session directory and a terminal server MUST answer QuerySessions with the rows that"
        " follow `after_host` and `after_id`, ordered by host and number, PAGE_ROWS at most,"
        " and say with `more` whether others follow.",
    ),
    must(
        "ADMIN-08",
        KEEPERS,
        "A session directory and a terminal server MUST answer QuerySessions that names a user"
        " with that user's rows alone.",
    ),
    must(
        "ADMIN-09",
        SESSION_DIRECTORY,
        "A session directory MUST answer QueryServers with every terminal server that it knows, of"
        " which there are PAGE_ROWS at most, ordered by name, with its state and its numbers of"
        " sessions and reservations.",
    ),
    must(
        "ADMIN-10",
        DAEMONS,
        "A daemon MUST refuse WarpClock with NOT_PERMITTED unless it runs in a lab.",
        ErrorCode.NOT_PERMITTED,
    ),
)

REQUIREMENTS = (
    *DIRECTORY,
    *SYNCHRONISATION,
    *ADMINISTRATION,
)
