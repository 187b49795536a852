"""The table: every message of the protocol, declared once.

A message's class says its number (`tag`), its fields with type and bounds, each with its meaning in
the comment beside or above it, an `example`, and its `entry` in the table: who sends it to whom, in
which state of the connection, which state follows and how it is answered. Encoding, validation, the
order that a connection enforces, the reference, the dissector and the conformance cases all come
from here. Fields are positional: new ones go last, with a default; numbers are never reused.
"""

import functools
import operator
from typing import Any

from tsproto.messages.accounts import *
from tsproto.messages.administration import *
from tsproto.messages.deny_lists import *
from tsproto.messages.directory import *
from tsproto.messages.fields import *
from tsproto.messages.licenses import *
from tsproto.messages.opening import *
from tsproto.messages.session import *
from tsproto.messages.table import *
from tsproto.messages.table import Message, number_of

# Numbers of messages that no longer exist; they are never used again.
RETIRED: tuple[int, ...] = (15, 57, 58)  # LogonRequest, RedeemTicket, TicketRedeemed

TABLE: dict[int, type[Message]] = {
    number_of(message): message for message in sorted(Message.__subclasses__(), key=number_of)
}

# The type that a decoder takes: one of the messages of the table.
AnyMessage: Any = functools.reduce(operator.or_, TABLE.values())
