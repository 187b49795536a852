"""What a terminal server or another license server asks of a license server."""

from typing import Annotated

import msgspec
from msgspec import Meta

from tsproto.messages import examples
from tsproto.messages.fields import *
from tsproto.messages.table import *


class InventoryRow(msgspec.Struct, array_like=True, kw_only=True, frozen=True, gc=False):
    """What a license server tells its peers of one pool."""

    product: Name  # what the license is for
    product_version: ProductVersion  # version that the tokens are for
    available: Count  # tokens that may be lent, at the moment of sending


class AcquireLicense(Message, tag=30, kw_only=True):
    """A device needs a token: its first one is temporary, after a logon it is a full one.

    The same device and product always get the same live token, however often they ask.
    """

    entry = Entry.request(TERMINAL_SERVER, LICENSE_SERVER, "LicenseIssued")

    device_id: DeviceId
    device_name: DeviceName
    user_name: UserName  # who used the device last, for people to read
    product: Name  # what the license is for
    product_version: ProductVersion  # version of the product that the terminal server runs
    trace_id: TraceId = ""

    example = examples.DEVICE


class RenewLicense(Message, tag=31, kw_only=True):
    """A full token is near its end: a fresh expiry, without any use of the pool.

    A license server forwards it to the one that lent the token.
    """

    entry = Entry.request(TERMINAL_SERVER | LICENSE_SERVER, LICENSE_SERVER, "LicenseIssued")

    license_id: Id16  # the license to renew
    device_id: DeviceId
    device_name: DeviceName
    user_name: UserName  # who used the device last, for people to read
    product: Name  # what the license is for
    product_version: ProductVersion  # lowest version that will do
    trace_id: TraceId = ""

    example = {"license_id": examples.LICENSE_ID, **examples.DEVICE}


class LicenseIssued(Message, tag=32, kw_only=True):
    """The token, durable at its issuer."""

    entry = Entry.answer(LICENSE_SERVER)

    license_id: Id16  # as in the token
    kind: LicenseKind  # as in the token
    expires_at: Seconds  # as in the token
    token: Token  # the token
    issuer_certificate: Certificate  # certificate of the license server that signed it, DER
    validated: bool = False  # whether a user has logged on from the device
    # license server that lent the token; empty for the answering one's own
    lender: OptionalName = ""

    example = {
        "license_id": examples.LICENSE_ID,
        "kind": LicenseKind.TEMPORARY,
        "expires_at": examples.NOW + 90 * examples.DAY,
        "token": examples.TOKEN,
        "issuer_certificate": examples.CERTIFICATE,
    }


class MarkValidated(Message, tag=33, kw_only=True):
    """A user has logged on from this device: its temporary token may become a full one."""

    entry = Entry.request(TERMINAL_SERVER, LICENSE_SERVER, "Done")

    device_id: DeviceId  # the device that a user has logged on from
    product: Name  # what the license is for
    product_version: ProductVersion  # version of the temporary token that let it in
    user_name: UserName  # who has logged on
    trace_id: TraceId = ""

    example = {"device_id": examples.DEVICE_ID, "user_name": "user1", **examples.PRODUCT}


class AnnounceInventory(Message, tag=34, kw_only=True):
    """What this license server has; replaces what it said before."""

    entry = Entry.notice(LICENSE_SERVER, LICENSE_SERVER)

    # every pool that has tokens at all, also with none available
    inventory: Annotated[list[InventoryRow], Meta(max_length=256)]

    example = {"inventory": [InventoryRow(**examples.PRODUCT, available=4)]}


class LendLicense(Message, tag=35, kw_only=True):
    """A peer's pool is empty: issue a full token of yours to this device.

    The same device and product always get the same token, so a repeated `loan_id` does too.
    """

    entry = Entry.request(LICENSE_SERVER, LICENSE_SERVER, "LicenseIssued")

    loan_id: Id16  # the asker's id of this loan, the same however often it asks
    device_id: DeviceId  # the device that the token is for
    device_name: DeviceName
    user_name: UserName  # who used the device last, for people to read
    product: Name  # what the license is for
    product_version: ProductVersion  # version of the product that the terminal server runs
    trace_id: TraceId = ""

    example = {"loan_id": bytes.fromhex("472bbf14923e2e7cefd8529825c401e8"), **examples.DEVICE}
