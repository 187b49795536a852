"""What the table allows: who may say what to whom, in which state of the connection."""

from __future__ import annotations

import functools

from tsproto.errors import OutOfOrder, ProtocolError, WrongRole
from tsproto.messages import DAEMONS, TABLE, Kind, LinkState, Message, Role


@functools.cache
def lawful(sender: Role, receiver: Role, state: LinkState) -> frozenset[type[Message]]:
    """The messages that `sender` may send to `receiver` in this state."""
    return frozenset(
        message
        for message in TABLE.values()
        if state in message.entry.states and _may_say(message, sender, receiver)
    )


@functools.cache
def have_business(dialler: Role, listener: Role) -> bool:
    """Whether the table has a message from `dialler` to `listener`, besides those that every daemon
    sends on any link, and those that two roles say both ways on a link that one of them dials."""
    return any(
        _may_say(message, dialler, listener)
        for message in TABLE.values()
        if message.entry.kind is not Kind.ANSWER
        and not message.entry.senders >= DAEMONS
        and not _is_mutual(message)
    )


def unlawful(
    message: type[Message], sender: Role, receiver: Role, state: LinkState
) -> ProtocolError:
    """Why `message` is not lawful: never between these two, or not in this state."""
    if _may_say(message, sender, receiver):
        return OutOfOrder(f"{message.__name__} in state {state.value}")
    return WrongRole(f"{message.__name__} from {sender.words} to {receiver.words}")


def _is_mutual(message: type[Message]) -> bool:
    return len(message.entry.senders) > 1 and message.entry.senders == message.entry.receivers


def _may_say(message: type[Message], sender: Role, receiver: Role) -> bool:
    return sender in message.entry.senders and receiver in message.entry.receivers
