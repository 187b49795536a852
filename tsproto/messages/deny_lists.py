"""Deny lists on their way through the farm (`tsproto.deny_list`).

The switchboard of each daemon handles these messages; no core is told.
"""

from typing import Annotated, TypeAlias

from msgspec import Meta

from tsproto import limits
from tsproto.messages import examples
from tsproto.messages.fields import *
from tsproto.messages.table import *

SignedDenyList: TypeAlias = Annotated[
    bytes, Meta(max_length=limits.DENY_LIST_BYTES, description="signed deny list, or empty")
]


class NewDenyList(Message, tag=81, kw_only=True):
    """A newer deny list than the receiver has said it has. A client gets certificates alone."""

    entry = Entry.step(
        DAEMONS,
        DAEMONS | CLIENT,
        LinkState.SERVICE,
        LinkState.LICENSING,
        LinkState.LOGON,
        LinkState.SESSION,
    )

    signed: SignedDenyList

    example = {"signed": examples.DENY_LIST}


class PublishDenyList(Message, tag=82, kw_only=True):
    """Take this deny list, and hand it to every daemon that is linked."""

    entry = Entry.request(ADMINISTRATOR, DAEMONS, "Done", wants=AdministratorRole.OPERATOR)

    signed: SignedDenyList

    example = {"signed": examples.DENY_LIST}


class QueryDenyLists(Message, tag=83, kw_only=True):
    """The deny lists that this daemon has."""

    entry = Entry.request(ADMINISTRATOR, DAEMONS, "HeldDenyLists", wants=AdministratorRole.VIEWER)


class HeldDenyLists(Message, tag=84, kw_only=True):
    entry = Entry.answer(DAEMONS)

    certificates: SignedDenyList = b""  # signed by the farm's authority
    devices: SignedDenyList = b""  # signed by an administrator
