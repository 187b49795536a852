"""Stories that a farm has to live through: the cases that show each, and the stories that cannot be
played yet.

Each is told in one sentence. One that a single target can show is told by cases of the chapters;
one that needs a feature which the product lacks stands in NOT_BUILT.
"""

from __future__ import annotations

import msgspec

from tsproto.messages import Role


class Scenario(msgspec.Struct, frozen=True):
    """`told_by` are ids of cases, as `--only` takes them."""

    story: str
    told_by: tuple[str, ...]


class Missing(msgspec.Struct, frozen=True):
    """`roles` are those of the targets that the story needs."""

    what: str
    roles: tuple[Role, ...]


SCENARIOS = {
    "first-contact": Scenario(
        "A device that nobody knows gets a temporary token, by way of its terminal server alone, in"
        " one order of steps, and no pool is touched.",
        (
            "LSRV-01.the-first-token-is-temporary",
            "LIC-09.a-new-token-is-stored-first",
            "LIC-11.information-for-the-second-time",
        ),
    ),
    "draining-the-pool": Scenario(
        "Any number of invented devices that never log on leave the pool as it was.",
        (
            "LSRV-01.devices-without-a-logon-use-no-pool",
            "LSRV-05.no-full-token-without-a-logon",
        ),
    ),
    "upgrade": Scenario(
        "After a logon the device's next visit brings a full token with an end on a random day, and"
        " the visit after that asks nobody.",
        (
            "LIC-24.validated-by-a-logon-and-not-before",
            "LSRV-03.a-full-token-after-a-logon",
            "LSRV-04.full-tokens-end-on-many-days",
            "LIC-07.a-lasting-token-needs-nobody",
        ),
    ),
    "supply-by-a-peer": Scenario(
        "A license server without a token borrows one from a peer, and without a peer that has any"
        " lets the device go on with its temporary token.",
        (
            "LEND-01.what-is-lent-is-passed-on",
            "LEND-01.who-claims-nothing-is-not-asked",
            "REQ-10.an-answer-that-comes-too-late",
        ),
    ),
    "end-of-a-temporary-token": Scenario(
        "A temporary token counts until its last second, never comes twice, and a token that is"
        " bought afterwards lets the device in.",
        (
            "LSRV-06.no-second-temporary-token",
            "LSRV-07.the-temporary-token-goes-on",
            "LSRV-07.a-token-that-is-bought-late",
            "TOKEN-09.the-second-of-expiry",
        ),
    ),
    "renewal": Scenario(
        "A full token is renewed in its last days and not before, once, with its own id and without"
        " any use of the pool.",
        (
            "LIC-08.the-last-days-of-a-token",
            "LSRV-10.the-last-days-are-renewed",
            "LSRV-11.renewed-too-early",
        ),
    ),
    "renewal-that-fails": Scenario(
        "While no license server answers, a live token is enough; expired, the device is refused,"
        " and its token is back in the pool.",
        (
            "LIC-15.a-live-token-is-enough",
            "LIC-17.an-expired-token-and-none-left",
            "LSRV-09.an-expired-token-comes-back",
        ),
    ),
    "lost-answers": Scenario(
        "Whatever is lost on the way, a crash of the license server included, the same device gets"
        " the same token, and it is counted once.",
        (
            "LSRV-02.who-asks-again-gets-the-same",
            "LSRV-02.the-same-after-a-crash",
            "LEND-03.the-same-loan-after-a-crash",
            "LEND-07.a-lost-answer-is-asked-for-again",
        ),
    ),
    "grace-and-discovery": Scenario(
        "Without a license server devices come in for a while that no restart makes longer; license"
        " servers are found by broadcast, and with a list none is sent.",
        (
            "LIC-19.grace-runs-from-the-first-connection",
            "LIC-19.a-full-token-ends-the-grace",
            "DISC-09.scopes-one-after-the-other",
            "DISC-14.a-list-needs-no-queries",
        ),
    ),
    "who-and-which-version": Scenario(
        "Terminal servers that are not served get nothing; a newer token serves an older server,"
        " and never the other way round.",
        (
            "LSRV-14.who-is-not-served",
            "LSRV-15.the-nearest-version-that-serves",
            "LSRV-15.never-a-lower-version",
            "TOKEN-07.a-lower-version",
            "TOKEN-07.a-higher-version",
        ),
    ),
    "reconnecting-across-the-farm": Scenario(
        "A user who lands on another host is redirected to the session that runs, proves themselves"
        " there anew, and returns when the host is not there.",
        (
            "REDIR-01.a-user-whose-session-is-elsewhere",
            "REDIR-02.a-redirect-is-followed-and-proved-anew",
            "DIR-25.the-session-that-was-promised",
            "REDIR-11.a-host-that-is-not-there",
            "DIR-03.nobody-else-gets-a-users-session",
        ),
    ),
    "nobody-vouches": Scenario(
        "Each host checks the user's own proof, and so does the directory: a host without it draws"
        " nobody to itself, and a proof is good at one host, once, for one thing.",
        (
            "LOGON-21.signatures-over-something-else",
            "LOGON-22.a-proof-of-another-connection",
            "LOGON-25.a-proof-for-each-host-of-a-visit",
            "DIR-29.proofs-that-were-not-given-for-this",
            "DIR-30.a-row-without-a-receipt-leads-nobody",
        ),
    ),
    "office-and-phone": Scenario(
        "A device that lost its network resumes its session; one whose session another device shows"
        " since does not take it back by itself.",
        (
            "LOGON-27.a-session-that-is-resumed",
            "LOGON-27.a-session-that-another-client-was-shown",
            "SESS-14.a-session-that-another-client-shows",
        ),
    ),
    "directory-outage": Scenario(
        "Without the directory logons go on; when it is back it is told every session, in parts,"
        " and shows none before the list is complete.",
        (
            "SYNC-03.sixty-sessions-in-three-parts",
            "SYNC-07.joins-again-over-a-new-link",
            "SYNC-07.one-part-after-the-other",
            "SYNC-11.a-directory-that-does-not-answer",
            "DIR-18.who-may-not-join",
        ),
    ),
    "dead-host": Scenario(
        "Nobody is led to a host that is lost; its rows go after a while, and come back with it.",
        (
            "DIR-10.a-lost-host-gets-nobody",
            "DIR-11.the-rows-of-a-lost-host",
            "DIR-11.a-lost-host-that-comes-back",
            "DIR-12.which-of-several-is-offered",
        ),
    ),
    "one-session": Scenario(
        "However many clients a user comes with, there is one session, and the last one shows it.",
        (
            "DIR-04.all-who-ask-get-one-place",
            "LOGON-11.one-session-that-the-last-client-shows",
        ),
    ),
}

NOT_BUILT = {
    "forbidden-upgrade": Missing(
        "a license server that may be told not to give newer tokens to older servers",
        (Role.LICENSE_SERVER,),
    ),
    "revocation": Missing(
        "taking tokens back by hand, a fifth of a version at most", (Role.LICENSE_SERVER,)
    ),
    "balance-by-weight": Missing(
        "placing users by weight and by sessions that are about to start",
        (Role.SESSION_DIRECTORY,),
    ),
    "drain": Missing(
        "hosts that take reconnects and no new sessions",
        (Role.TERMINAL_SERVER, Role.SESSION_DIRECTORY),
    ),
    "several-sessions": Missing(
        "several sessions of a user, with a choice",
        (Role.CLIENT, Role.TERMINAL_SERVER, Role.SESSION_DIRECTORY),
    ),
    "grace-by-broadcast-choice": Missing(
        "an even choice among license servers, shown over hundreds of searches of one target",
        (Role.TERMINAL_SERVER,),
    ),
}


def not_built(role: Role) -> list[str]:
    """The stories that a target of this role cannot show yet, a line each."""
    return [f"{id}: {missing.what}" for id, missing in NOT_BUILT.items() if role in missing.roles]
