"""Durable rows of a license server: key packs, licenses, open loan requests, journal.

The number of available tokens is not stored: it follows from packs and licenses.
"""

from __future__ import annotations

from daemons.effects import Record
from tsproto.messages import LicenseKind


class KeyPackRecord(Record, table="key_packs", key=("key_pack",), gc=False):
    """Tokens bought together ([Win32_TSLicenseKeyPack])."""

    key_pack: str
    product: str
    product_version: int
    tokens: int
    added_at: int


class LicenseRecord(Record, table="licenses", key=("license_id",), gc=False):
    """A token and its device ([Win32_TSIssuedLicense]).

    `token` and `issuer_certificate` are stored for a token that `lender` issued; one issued here is
    signed again when asked for, which gives the same bytes. `through` names the peer that asked for
    a token of ours with `loan_id`. An ended full token stays, with `ended` set, until its device
    gets another: it shows that the device was licensed. A temporary one stays for ever, because a
    device gets only one (KB 813052).
    """

    license_id: bytes
    kind: LicenseKind
    product: str
    product_version: int
    device_id: bytes
    device_name: str
    user_name: str
    issued_at: int
    expires_at: int
    renewed_at: int = 0
    validated: bool = False
    ended: bool = False
    key_pack: str = ""
    through: str = ""
    loan_id: bytes = b""
    lender: str = ""
    token: bytes = b""
    issuer_certificate: bytes = b""


# The table keeps the name of earlier versions: no store need be converted.
class LoanRequestRecord(Record, table="loans", key=("loan_id",), gc=False):
    """A request for a token that `lender` has not answered: when the device comes back, the lender
    is asked again with the same `loan_id`. A token that was lent is a LicenseRecord."""

    loan_id: bytes
    lender: str
    device_id: bytes
    product: str
    product_version: int
    asked_at: int


class JournalRecord(Record, table="journal", key=("sequence",), gc=False):
    """One change and its reason, in one commit with it. Sequences run from 1, without gap."""

    sequence: int
    at: int
    event: str
    license_id: bytes = b""
    device_id: bytes = b""
    device_name: str = ""
    user_name: str = ""
    detail: str = ""


RECORDS: tuple[type[Record], ...] = (KeyPackRecord, LicenseRecord, LoanRequestRecord, JournalRecord)
