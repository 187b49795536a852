"""One requirement: a sentence with a number, in the words of RFC 2119."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from tsproto.errors import ErrorCode
from tsproto.messages import Role


class Level(StrEnum):
    """MUST NOT is a MUST, and SHOULD NOT a SHOULD: the sentence says which."""

    MUST = "MUST"
    SHOULD = "SHOULD"
    MAY = "MAY"


# The chapter of the document in which the requirements of a prefix stand.
CHAPTERS = {
    "FRAME": "frames",
    "VALUE": "values",
    "HELLO": "hello",
    "ROLE": "roles",
    "REQ": "requests",
    "BEAT": "heartbeat",
    "CLOSE": "close",
    "DISC": "discovery",
    "TOKEN": "token",
    "LIC": "licensing",
    "LOGON": "logon",
    "REDIR": "redirect",
    "SESS": "session",
    "LSRV": "license-server",
    "LEND": "lending",
    "DIR": "directory",
    "SYNC": "synchronisation",
    "ADMIN": "administration",
    "TIME": "timers",
    "LIMIT": "limits",
    "SEC": "security",
    "GROW": "growth",
}


class Requirement(msgspec.Struct, frozen=True, kw_only=True):
    """`subject` names the roles that it binds; `code` is what an end answers a violation with, or
    what it has to say in the case described. None: there is no one code for it."""

    id: str
    level: Level
    subject: frozenset[Role]
    text: str
    code: ErrorCode | None = None

    @property
    def chapter(self) -> str:
        return CHAPTERS[self.id.partition("-")[0]]


def must(
    id: str, subject: frozenset[Role], text: str, code: ErrorCode | None = None
) -> Requirement:
    return Requirement(id=id, level=Level.MUST, subject=subject, text=text, code=code)


def should(
    id: str, subject: frozenset[Role], text: str, code: ErrorCode | None = None
) -> Requirement:
    return Requirement(id=id, level=Level.SHOULD, subject=subject, text=text, code=code)


def may(id: str, subject: frozenset[Role], text: str, code: ErrorCode | None = None) -> Requirement:
    return Requirement(id=id, level=Level.MAY, subject=subject, text=text, code=code)
