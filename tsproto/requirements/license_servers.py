"""What license servers do for terminal servers, and for each other."""

from __future__ import annotations

from tsproto.errors import ErrorCode
from tsproto.messages import LICENSE_SERVER
from tsproto.requirements.requirement import must, should

LICENSE_SERVERS = (
    must(
        "LSRV-01",
        LICENSE_SERVER,
        "A license server MUST give a device that it does not know a temporary token that lasts"
        " TEMPORARY_DAYS, without any use of a pool.",
    ),
    must(
        "LSRV-02",
        LICENSE_SERVER,
        "A license server MUST answer a device that asks again with the live token that it has,"
        " the same bytes until it is renewed, also after a restart.",
    ),
    must(
        "LSRV-03",
        LICENSE_SERVER,
        "A license server MUST give a validated device a full token as long as a pool that"
        " serves its version has one, unless a lender may have issued one already.",
    ),
    must(
        "LSRV-04",
        LICENSE_SERVER,
        "A full token MUST last a random number of whole days from FULL_DAYS_MIN to FULL_DAYS_MAX.",
    ),
    must(
        "LSRV-05",
        LICENSE_SERVER,
        "A license server MUST NOT give a full token to a device that was never validated, not"
        " even when its temporary one has expired.",
        ErrorCode.NO_LICENSE,
    ),
    must(
        "LSRV-06",
        LICENSE_SERVER,
        "A license server MUST NOT give a device a second temporary token for a product.",
        ErrorCode.NO_LICENSE,
    ),
    must(
        "LSRV-07",
        LICENSE_SERVER,
        "A license server that has no full token for a validated device MUST answer with the"
        " temporary one while that lasts, and with NO_LICENSE afterwards.",
        ErrorCode.NO_LICENSE,
    ),
    must(
        "LSRV-08",
        LICENSE_SERVER,
        "In every PoolRow, available + issued + lent MUST be total.",
    ),
    must(
        "LSRV-09",
        LICENSE_SERVER,
        "A license server MUST take a full token back into its pool when it has expired.",
    ),
    must(
        "LSRV-10",
        LICENSE_SERVER,
        "A license server MUST renew a full token of its own in its last RENEWAL_DAYS: the same"
        " license id, a fresh expires_at, no use of the pool.",
    ),
    must(
        "LSRV-11",
        LICENSE_SERVER,
        "A license server MUST answer RenewLicense before the last RENEWAL_DAYS, or for a"
        " temporary token, with the token as it is.",
    ),
    must(
        "LSRV-12",
        LICENSE_SERVER,
        "A license server MUST refuse RenewLicense with UNKNOWN_LICENSE when it knows no live"
        " token of that device and product.",
        ErrorCode.UNKNOWN_LICENSE,
    ),
    must(
        "LSRV-13",
        LICENSE_SERVER,
        "A license server MUST answer MarkValidated for a device that it has licensed with"
        " Done, however often, and for any other with UNKNOWN_LICENSE.",
        ErrorCode.UNKNOWN_LICENSE,
    ),
    must(
        "LSRV-14",
        LICENSE_SERVER,
        "A license server that serves only certain terminal servers MUST refuse AcquireLicense,"
        " RenewLicense and MarkValidated of any other with SERVER_NOT_SERVED.",
        ErrorCode.SERVER_NOT_SERVED,
    ),
    must(
        "LSRV-15",
        LICENSE_SERVER,
        "A license server MUST take a full token from a pool of the version asked for, else of"
        " the next higher one that has any, and MUST NOT take it from a lower one.",
    ),
    must(
        "LSRV-16",
        LICENSE_SERVER,
        "A license server MUST refuse with TOO_MANY_DEVICES, and say after how many seconds one"
        " may come again, when a terminal server has brought TEMPORARY_PER_SERVER_PER_MINUTE"
        " new devices in a minute.",
        ErrorCode.TOO_MANY_DEVICES,
    ),
    must(
        "LSRV-17",
        LICENSE_SERVER,
        "LicenseIssued MUST say of license id, kind and expires_at what its token says.",
    ),
    must(
        "LSRV-18",
        LICENSE_SERVER,
        "A license server MUST NOT answer before what it answers is durable.",
    ),
    should(
        "LSRV-19",
        LICENSE_SERVER,
        "A license server that can keep no more devices SHOULD refuse a new one with LEDGER_FULL.",
        ErrorCode.LEDGER_FULL,
    ),
    must(
        "LSRV-20",
        LICENSE_SERVER,
        "A license server MUST put the trace_id of a request for a device into its Refused.",
    ),
    must(
        "LSRV-21",
        LICENSE_SERVER,
        "A license server MUST give a device whose temporary token is for a lower version than"
        " asked for the same license, with the same expires_at, for the version asked for.",
    ),
)

LENDING = (
    must(
        "LEND-01",
        LICENSE_SERVER,
        "A license server without a token for a validated device MUST ask the linked license"
        " servers that claim one with LendLicense, one after the other, and pass on what it"
        " gets, with the lender's name.",
    ),
    must(
        "LEND-02",
        LICENSE_SERVER,
        "A lender MUST issue a full token of its own pool, signed by itself, and count it as lent.",
    ),
    must(
        "LEND-03",
        LICENSE_SERVER,
        "A lender MUST answer the same loan_id, and the same device and product, with the same"
        " token.",
    ),
    must(
        "LEND-04",
        LICENSE_SERVER,
        "A lender without a token MUST refuse with NO_LICENSE, and MUST NOT ask a third one.",
        ErrorCode.NO_LICENSE,
    ),
    must(
        "LEND-05",
        LICENSE_SERVER,
        "A license server MUST send AnnounceInventory to every other one when a link opens,"
        " within a second of every change of what is available, and every INVENTORY_SECONDS.",
    ),
    must(
        "LEND-06",
        LICENSE_SERVER,
        "An inventory MUST replace the one that the same license server announced before.",
    ),
    must(
        "LEND-07",
        LICENSE_SERVER,
        "A license server whose LendLicense was not answered MUST ask that lender again at the"
        " device's next visit, with the same loan_id.",
    ),
    must(
        "LEND-08",
        LICENSE_SERVER,
        "A license server MUST NOT pass on a lender's answer that holds no live full token of"
        " that lender for this device and product.",
    ),
    must(
        "LEND-09",
        LICENSE_SERVER,
        "A license server MUST pass the renewal of a lent token on to its lender, and MUST"
        " refuse it with LENDER_UNREACHABLE when the lender does not answer in LENDING_SECONDS.",
        ErrorCode.LENDER_UNREACHABLE,
    ),
    must(
        "LEND-10",
        LICENSE_SERVER,
        "A license server MUST renew for another one only full tokens that it issued itself.",
        ErrorCode.UNKNOWN_LICENSE,
    ),
    must(
        "LEND-11",
        LICENSE_SERVER,
        "A lent token that has expired MUST return to the pool of its lender.",
    ),
    must(
        "LEND-12",
        LICENSE_SERVER,
        "A license server MUST answer all requests for a device that come while it asks a"
        " lender with the one token that comes of it.",
    ),
)

REQUIREMENTS = (
    *LICENSE_SERVERS,
    *LENDING,
)
