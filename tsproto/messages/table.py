"""An entry of the table: who sends the message to whom, in which states, and what follows."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, IntEnum
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta


class Role(IntEnum):
    """The kind of program at one end of a connection. The certificate of a daemon or administrator
    carries it; a client has no certificate."""

    CLIENT = 1
    TERMINAL_SERVER = 2
    LICENSE_SERVER = 3
    SESSION_DIRECTORY = 4
    ADMINISTRATOR = 5

    @property
    def noun(self) -> str:
        return self.name.lower().replace("_", " ")

    @property
    def words(self) -> str:
        """The role as a person reads it, as in "a terminal server"."""
        return f"{'an' if self is Role.ADMINISTRATOR else 'a'} {self.noun}"


class AdministratorRole(Enum):
    """What an administrator's certificate permits; each role includes those before it.

    A viewer reads. An operator also does what cannot harm users or licenses. An admin may do
    everything.
    """

    VIEWER = 1
    OPERATOR = 2
    ADMIN = 3

    @property
    def word(self) -> str:
        return self.name.lower()

    def includes(self, other: AdministratorRole) -> bool:
        return self.value >= other.value


class LinkState(Enum):
    """How far a connection is. A client's goes OPENING, LICENSING, LOGON, SESSION; every other one
    OPENING, SERVICE. After LEAVING only a Goodbye is lawful.
    """

    OPENING = "opening"
    SERVICE = "service"
    LICENSING = "licensing"
    LOGON = "logon"
    SESSION = "session"
    LEAVING = "leaving"
    CLOSED = "closed"

    __hash__ = object.__hash__  # in C: each transition looks its state up


class Kind(Enum):
    """REQUEST wants an answer to its request id; ANSWER carries that id; NOTIFICATION has id 0."""

    REQUEST = "request"
    ANSWER = "answer"
    NOTIFICATION = "notification"


EVERYBODY = frozenset(Role)
DAEMONS = frozenset({Role.TERMINAL_SERVER, Role.LICENSE_SERVER, Role.SESSION_DIRECTORY})
CLIENT = frozenset({Role.CLIENT})
TERMINAL_SERVER = frozenset({Role.TERMINAL_SERVER})
LICENSE_SERVER = frozenset({Role.LICENSE_SERVER})
SESSION_DIRECTORY = frozenset({Role.SESSION_DIRECTORY})
ADMINISTRATOR = frozenset({Role.ADMINISTRATOR})
OPENED = frozenset(LinkState) - {LinkState.OPENING, LinkState.CLOSED}


class Entry(msgspec.Struct, frozen=True):
    """What the table says of one message.

    `then` is the state of the connection after this message, where it changes. `answers` names
    the messages that may answer a request; `Refused` may answer every one. `wants` is the least
    role of an administrator who may send it.
    """

    kind: Kind
    senders: frozenset[Role]
    receivers: frozenset[Role]
    states: frozenset[LinkState]
    then: LinkState | None = None
    answers: tuple[str, ...] = ()
    wants: AdministratorRole | None = None

    @classmethod
    def step(
        cls,
        senders: frozenset[Role],
        receivers: frozenset[Role],
        *states: LinkState,
        then: LinkState | None = None,
    ) -> Entry:
        """A step of a procedure: a notification in these states."""
        return cls(Kind.NOTIFICATION, senders, receivers, frozenset(states), then)

    @classmethod
    def notice(cls, senders: frozenset[Role], receivers: frozenset[Role]) -> Entry:
        return cls.step(senders, receivers, LinkState.SERVICE)

    @classmethod
    def request(
        cls,
        senders: frozenset[Role],
        receivers: frozenset[Role],
        *answers: str,
        state: LinkState = LinkState.SERVICE,
        wants: AdministratorRole | None = None,
    ) -> Entry:
        return cls(Kind.REQUEST, senders, receivers, frozenset({state}), None, answers, wants)

    @classmethod
    def answer(cls, senders: frozenset[Role]) -> Entry:
        return cls(Kind.ANSWER, senders, EVERYBODY, OPENED)


class Message(msgspec.Struct, array_like=True, kw_only=True, gc=False):
    """The fields that every message starts with: `[number, request_id, …]`.

    A core leaves `request_id` alone; the connection stamps it when the message is sent. `example`
    holds the fields of a typical message, but for those that have their defaults.
    """

    entry: ClassVar[Entry]
    example: ClassVar[Mapping[str, Any]] = {}
    request_id: Annotated[int, Meta(ge=0, le=2**32 - 1)] = 0


def number_of(message: type[Message]) -> int:
    number = message.__struct_config__.tag
    assert isinstance(number, int)
    return number
