"""What administrators ask, and the rows that they are answered with."""

from typing import Annotated

import msgspec
from msgspec import Meta

from tsproto import limits
from tsproto.messages import examples
from tsproto.messages.directory import EXAMPLE_SESSION, SessionRow
from tsproto.messages.fields import *
from tsproto.messages.licenses import InventoryRow
from tsproto.messages.table import *


class ServerRow(msgspec.Struct, array_like=True, kw_only=True, frozen=True, gc=False):
    """A terminal server as the directory keeps it ([Win32_SessionDirectoryServer])."""

    name: Name  # the terminal server
    address: Host  # where clients reach it
    port: Port  # TCP port there
    state: ServerState  # how far it has joined
    weight: Weight = 100
    sessions: Count = 0  # how many of its sessions the directory knows
    pending: Count = 0  # how many sessions are reserved on it
    joined_at: Seconds = 0  # when it joined


class PoolRow(msgspec.Struct, array_like=True, kw_only=True, frozen=True, gc=False):
    """The tokens of one product and version at one license server.

    `available + issued + lent = total` at every instant; temporaries are counted apart.
    """

    product: Name  # what the license is for
    product_version: ProductVersion  # version that the tokens are for
    total: Count  # tokens of all key packs
    available: Count  # tokens that may be issued
    issued: Count  # full tokens held by devices that asked here
    lent: Count  # full tokens held by devices that asked other license servers
    temporary: Count = 0  # temporary licenses, which use no token


class LicenseRow(msgspec.Struct, array_like=True, kw_only=True, frozen=True, gc=False):
    """An issued license as its license server logs it ([Win32_TSIssuedLicense])."""

    license_id: Id16  # the license
    kind: LicenseKind  # TEMPORARY or FULL
    product: Name  # what the license is for
    product_version: ProductVersion  # version that the token is for
    device_id: DeviceId  # the device that holds it
    device_name: DeviceName
    user_name: UserName  # who used the device when the token was issued
    issued_at: Seconds  # when it was first issued
    expires_at: Seconds  # when it ends
    validated: bool  # whether a user has logged on from the device
    key_pack: OptionalName = ""  # key pack that a full token is of; empty for a temporary one
    lender: OptionalName = ""  # license server that lent it to this one; empty for its own
    # license server that asked for it; empty for a device that asked here
    through: OptionalName = ""


class LicenseServerRow(msgspec.Struct, array_like=True, kw_only=True, frozen=True, gc=False):
    """A license server as another daemon knows it."""

    # name in its certificate, or the one it answered with; empty if not known yet
    name: OptionalName
    address: Host  # where it listens
    port: Port  # TCP port there
    # `list`, `workgroup`, `domain` or `site`
    found: Annotated[str, Meta(max_length=16, pattern=r"^[a-z]*\Z")]
    verified_at: Seconds  # when its certificate was last seen there; 0 for never
    chosen: bool = False  # whether the answering terminal server asks it first
    # what it claims to have; empty from a terminal server
    inventory: Annotated[list[InventoryRow], Meta(max_length=256)] = []


class QueryPools(Message, tag=40, kw_only=True):
    """The pools of this license server."""

    entry = Entry.request(ADMINISTRATOR, LICENSE_SERVER, "Pools", wants=AdministratorRole.VIEWER)


class Pools(Message, tag=41, kw_only=True):
    entry = Entry.answer(LICENSE_SERVER)

    # all pools, by product and version
    pools: Annotated[list[PoolRow], Meta(max_length=limits.PAGE_ROWS)]

    example = {
        "pools": [PoolRow(**examples.PRODUCT, total=5, available=3, issued=1, lent=1, temporary=2)]
    }


class QueryLicenses(Message, tag=42, kw_only=True):
    """Issued licenses in the order of their ids, those after `after`, a page at a time."""

    entry = Entry.request(ADMINISTRATOR, LICENSE_SERVER, "Licenses", wants=AdministratorRole.VIEWER)

    after: OptionalId16 = b""  # license id after which the page begins; empty for the first page
    device_id: Annotated[bytes, Meta(max_length=32)] = b""  # only this device's; empty for all


class Licenses(Message, tag=43, kw_only=True):
    entry = Entry.answer(LICENSE_SERVER)

    # in the order of their ids
    licenses: Annotated[list[LicenseRow], Meta(max_length=limits.PAGE_ROWS)]
    more: bool = False  # whether more rows follow: ask for those after the last of these

    example = {
        "licenses": [
            LicenseRow(
                license_id=examples.LICENSE_ID,
                kind=LicenseKind.TEMPORARY,
                **examples.PRODUCT,
                device_id=examples.DEVICE_ID,
                device_name="laptop",
                user_name="user1",
                issued_at=examples.NOW,
                expires_at=examples.NOW + 90 * examples.DAY,
                validated=False,
            )
        ]
    }


class AddKeyPack(Message, tag=44, kw_only=True):
    """Add tokens to a pool. The same pack twice is one pack; another one with its id is refused
    with KEY_PACK_CONFLICT."""

    entry = Entry.request(ADMINISTRATOR, LICENSE_SERVER, "Done", wants=AdministratorRole.ADMIN)

    key_pack: Name  # id of the key pack, for ever
    product: Name  # what the license is for
    product_version: ProductVersion  # version that its tokens are for
    tokens: Annotated[int, Meta(ge=1, le=limits.KEY_PACK_TOKENS_MAX)]  # how many tokens it holds

    example = {"key_pack": "pack-1", **examples.PRODUCT, "tokens": 5}


class QueryLicenseServers(Message, tag=45, kw_only=True):
    """Which license servers do you know, and how did you find them?"""

    entry = Entry.request(
        ADMINISTRATOR,
        TERMINAL_SERVER | LICENSE_SERVER,
        "LicenseServers",
        wants=AdministratorRole.VIEWER,
    )


class LicenseServers(Message, tag=46, kw_only=True):
    entry = Entry.answer(TERMINAL_SERVER | LICENSE_SERVER)

    # those known, a terminal server's in the order in which it asks them
    servers: Annotated[list[LicenseServerRow], Meta(max_length=256)]
    grace_ends_at: Seconds = 0  # when a terminal server's grace period ends; 0 for none running

    example = {
        "servers": [
            LicenseServerRow(
                name="license-a",
                address="192.0.2.21",
                port=5601,
                found="workgroup",
                verified_at=examples.NOW,
                chosen=True,
            )
        ],
        "grace_ends_at": examples.NOW + 120 * examples.DAY,
    }


class QuerySessions(Message, tag=60, kw_only=True):
    """Sessions ordered by host and id, those after (`after_host`, `after_id`), a page at a time."""

    entry = Entry.request(
        ADMINISTRATOR,
        SESSION_DIRECTORY | TERMINAL_SERVER,
        "Sessions",
        wants=AdministratorRole.VIEWER,
    )

    user_name: UserName = ""  # only this user's; empty for all
    after_host: OptionalName = ""  # host after which the page begins; empty for the first page
    after_id: SessionId = 0  # session on that host after which the page begins

    example = {"user_name": "user1"}


class Sessions(Message, tag=61, kw_only=True):
    entry = Entry.answer(SESSION_DIRECTORY | TERMINAL_SERVER)

    sessions: Annotated[list[SessionRow], Meta(max_length=limits.PAGE_ROWS)]  # by host and number
    more: bool = False  # whether more rows follow: ask for those after the last of these

    example = {"sessions": [EXAMPLE_SESSION]}


class QueryServers(Message, tag=62, kw_only=True):
    """The terminal servers that the directory knows."""

    entry = Entry.request(
        ADMINISTRATOR, SESSION_DIRECTORY, "Servers", wants=AdministratorRole.VIEWER
    )


class Servers(Message, tag=63, kw_only=True):
    entry = Entry.answer(SESSION_DIRECTORY)

    # every terminal server that the directory knows, by name
    servers: Annotated[list[ServerRow], Meta(max_length=limits.PAGE_ROWS)]

    example = {
        "servers": [
            ServerRow(
                name="ts1",
                address="192.0.2.11",
                port=5600,
                state=ServerState.READY,
                sessions=1,
                joined_at=examples.NOW,
            )
        ]
    }


# The switchboard of each daemon answers it; no core is told.
class WarpClock(Message, tag=80, kw_only=True):
    """Read the lab's clock file again. NOT_PERMITTED unless the configuration names one."""

    entry = Entry.request(ADMINISTRATOR, DAEMONS, "Done", wants=AdministratorRole.OPERATOR)
