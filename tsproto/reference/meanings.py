"""What a field means in its message or row, where its type alone does not say it.

Times are Unix seconds, sizes of a terminal cells, lengths of time seconds, unless another unit is
named.
"""

from __future__ import annotations

_FOR_THE_LOG = "under this id every log explains; empty for none"
_WHOSE_DEVICE = "the device"
_DEVICE_NAME = "what the device calls itself, for people to read"
_WHO_USED_IT = "who used the device last, for people to read"
_PRODUCT = "what the license is for"
_PRODUCT_VERSION = "version of the product that the terminal server runs"
_PAGE_ENDS = "whether more rows follow: ask for those after the last of these"

MEANINGS: dict[str, dict[str, str]] = {
    "SessionRow": {
        "host": "terminal server that the session runs on",
        "session_id": "number of the session on its host, never 0",
        "user_name": "whose session it is",
        "application": "which application it runs; empty for a shell",
        "state": "what it does now",
        "created_at": "when it began",
        "disconnected_at": "since when nobody is shown it; 0 while somebody is",
        "placement": "the highest placement that led to it; 0 for none",
        "columns": "width of its terminal in cells",
        "rows": "height of its terminal in cells",
        "device_name": "device that is shown it, or was last",
    },
    "ServerRow": {
        "name": "the terminal server",
        "address": "where clients reach it",
        "port": "TCP port there",
        "state": "how far it has joined",
        "weight": "its share of new sessions; informative in version 1",
        "sessions": "how many of its sessions the directory knows",
        "pending": "how many sessions are reserved on it",
        "joined_at": "when it joined",
    },
    "PoolRow": {
        "product": _PRODUCT,
        "product_version": "version that the tokens are for",
        "total": "tokens of all key packs",
        "available": "tokens that may be issued",
        "issued": "full tokens out with devices that asked here",
        "lent": "full tokens out through other license servers",
        "temporary": "temporary licenses, which use no token",
    },
    "InventoryRow": {
        "product": _PRODUCT,
        "product_version": "version that the tokens are for",
        "available": "tokens that may be lent, at the moment of sending",
    },
    "LicenseRow": {
        "license_id": "the license",
        "kind": "TEMPORARY or FULL",
        "product": _PRODUCT,
        "product_version": "version that the token is for",
        "device_id": "the device that holds it",
        "device_name": _DEVICE_NAME,
        "user_name": "who used the device when the token was issued",
        "issued_at": "when it was first issued",
        "expires_at": "when it ends",
        "validated": "whether a user has logged on from the device",
        "key_pack": "key pack that a full token is of; empty for a temporary one",
        "lender": "license server that lent it to this one; empty for its own",
        "through": "license server that asked for it; empty for a device that asked here",
    },
    "LicenseServerRow": {
        "name": "name in its certificate, or the one it answered with; empty if not known yet",
        "address": "where it listens",
        "port": "TCP port there",
        "found": "`list`, `workgroup`, `domain` or `site`",
        "verified_at": "when its certificate was last seen there; 0 for never",
        "chosen": "whether the answering terminal server asks it first",
        "inventory": "what it claims to have; empty from a terminal server",
    },
    "Hello": {
        "version_min": "lowest version that the sender speaks",
        "version_max": "highest version that the sender speaks",
        "role": "what the sender is",
        "name": "name of the daemon or administrator as in its certificate, or of the device",
    },
    "Welcome": {
        "version": "the version that both speak from now on",
        "role": "what the sender is",
        "name": "name of the daemon, as in its certificate",
        "farm": "name of the farm; in TLS the certificate's counts, and this one is not compared",
    },
    "Goodbye": {
        "code": "why the connection ends",
        "trace_id": _FOR_THE_LOG,
    },
    "Refused": {
        "code": "why the request was refused",
        "trace_id": "the request's, where it had one",
    },
    "Authority": {
        "certificate": "the farm's authority, DER; empty where the server was given none",
    },
    "LicenseRequest": {
        "nonce": "random, of this connection alone",
        "product": "which product the device needs a license for",
        "product_version": "lowest version that will do",
    },
    "LicenseInfo": {
        "public_key": "the device's Ed25519 public key",
        "signature": "the device's Ed25519 signature over the device proof",
        "device_name": _DEVICE_NAME,
        "user_name": "who will log on, for people to read; nothing is decided by it",
        "token": "token held for this farm and product; empty for none",
        "issuer_certificate": "certificate that came with the token, DER; empty for none",
    },
    "NewLicense": {
        "token": "the token to store",
        "issuer_certificate": "its issuer's certificate, DER, to store with it",
    },
    "LicenseStored": {
        "license_id": "`license_id` in the claims of the token that was stored",
    },
    "LicenseAccepted": {
        "kind": "what lets the device in: TEMPORARY, FULL or GRACE",
        "expires_at": "when that ends",
        "notice": "what the user should be shown; empty for nothing",
    },
    "LogonRequest": {
        "user_name": "who logs on",
        "credential_kind": "what `credential` is",
        "credential": "password in UTF-8, ticket, or cookie",
        "session_id": "the session that ticket or cookie is for; 0 with a password",
        "application": "application to run; empty for the account's shell; with ticket or cookie"
        " not looked at",
        "command": "command line to run apart from the user's session; empty for none; with ticket"
        " or cookie not looked at",
        "columns": "width of the client's terminal in cells",
        "rows": "height of the client's terminal in cells",
        "terminal": "value of TERM for the session's program",
        "unreachable_host": "host of a redirect that could not be followed; empty for none",
    },
    "LogonRefused": {
        "code": "why",
        "attempts_left": "wrong passwords left, after whichever refusal; at 0 Goodbye follows",
        "trace_id": _FOR_THE_LOG,
    },
    "Redirect": {
        "host": "name of the terminal server to dial, as in its certificate",
        "address": "where to dial it",
        "port": "TCP port there",
        "ticket": "what to log on with there, within TICKET_SECONDS",
        "session_id": "to be sent with the ticket; 0 when the session is still to start",
    },
    "LogonAccepted": {
        "host": "terminal server that the session runs on",
        "session_id": "number of the session",
        "user_name": "whose session it is",
        "reattached": "whether the session ran before",
        "created_at": "when it began",
        "cookie": "what to come back with; empty for a session with a command",
    },
    "ResizeSession": {
        "columns": "new width in cells",
        "rows": "new height in cells",
    },
    "AcquireLicense": {
        "device_id": _WHOSE_DEVICE,
        "device_name": _DEVICE_NAME,
        "user_name": _WHO_USED_IT,
        "product": _PRODUCT,
        "product_version": _PRODUCT_VERSION,
        "trace_id": _FOR_THE_LOG,
    },
    "RenewLicense": {
        "license_id": "the license to renew",
        "device_id": _WHOSE_DEVICE,
        "device_name": _DEVICE_NAME,
        "user_name": _WHO_USED_IT,
        "product": _PRODUCT,
        "product_version": "lowest version that will do",
        "trace_id": _FOR_THE_LOG,
    },
    "LicenseIssued": {
        "license_id": "as in the token",
        "kind": "as in the token",
        "expires_at": "as in the token",
        "token": "the token",
        "issuer_certificate": "certificate of the license server that signed it, DER",
        "validated": "whether a user has logged on from the device",
        "lender": "license server that lent the token; empty for the answering one's own",
    },
    "MarkValidated": {
        "device_id": "the device that a user has logged on from",
        "product": _PRODUCT,
        "product_version": "version of the temporary token that let it in",
        "user_name": "who has logged on",
        "trace_id": _FOR_THE_LOG,
    },
    "AnnounceInventory": {
        "inventory": "every pool that has tokens at all, also with none available",
    },
    "LendLicense": {
        "loan_id": "the asker's id of this loan, the same however often it asks",
        "device_id": "the device that the token is for",
        "device_name": _DEVICE_NAME,
        "user_name": _WHO_USED_IT,
        "product": _PRODUCT,
        "product_version": _PRODUCT_VERSION,
        "trace_id": _FOR_THE_LOG,
    },
    "Pools": {
        "pools": "all pools, by product and version",
    },
    "QueryLicenses": {
        "after": "license id after which the page begins; empty for the first page",
    },
    "Licenses": {
        "licenses": "in the order of their ids",
        "more": _PAGE_ENDS,
    },
    "AddKeyPack": {
        "key_pack": "id of the key pack, for ever",
        "product": _PRODUCT,
        "product_version": "version that its tokens are for",
        "tokens": "how many tokens it holds",
    },
    "LicenseServers": {
        "servers": "those known, a terminal server's in the order in which it asks them",
        "grace_ends_at": "when a terminal server's grace period ends; 0 for none running",
    },
    "JoinFarm": {
        "address": "where clients reach the terminal server",
        "port": "TCP port there",
        "incarnation": "random, new with each start of the terminal server: tells a restart from a"
        " broken link, for people to read; nothing is decided by it",
        "weight": "its share of new sessions; informative in version 1",
        "sessions_max": "how many sessions it may have; with 0 none is placed on it",
    },
    "Joined": {
        "generation": "random, new with each start of the directory",
    },
    "SyncSessions": {
        "sessions": "a part of the sender's sessions",
        "last": "whether the list is complete with this part",
    },
    "PlaceSession": {
        "user_name": "who has logged on",
        "application": "what is to run; empty for a shell",
        "device_id": "the device, for the ticket",
        "avoid": "host that the client could not reach; empty for none",
        "trace_id": _FOR_THE_LOG,
    },
    "SessionPlaced": {
        "placement": "of the row for a session that is there, 0 where it has none; else the"
        " reservation's, which goes into the session's row",
        "host": "terminal server that the user belongs on",
        "address": "where clients reach it",
        "port": "TCP port there",
        "session_id": "the session there; 0 when it is still to start",
        "ticket": "what the client shows there, 16 bytes; empty when it is the asking host",
        "others": "what else the user owns for this application, wherever it is",
    },
    "UpdateSession": {
        "session": "the session as it is now",
    },
    "RemoveSession": {
        "session_id": "the session that has ended; 0 when a placement came to nothing",
        "placement": "as in its row, or the placement that came to nothing",
        "user_name": "whose session it was, for people to read; it is not compared",
    },
    "RedeemTicket": {
        "ticket": "what the client showed",
        "device_id": "the device that has proved its key here",
        "user_name": "who the client says logs on",
    },
    "TicketRedeemed": {
        "user_name": "whose session it is",
        "application": "what it runs; empty for a shell",
        "placement": "as in SessionPlaced",
        "session_id": "the session; 0 when it is still to start",
    },
    "QuerySessions": {
        "user_name": "only this user's; empty for all",
        "after_host": "host after which the page begins; empty for the first page",
        "after_id": "session on that host after which the page begins",
    },
    "Sessions": {
        "sessions": "by host and number",
        "more": _PAGE_ENDS,
    },
    "Servers": {
        "servers": "every terminal server that the directory knows, by name",
    },
    "Query": {
        "magic": "tells the datagram from others'",
        "version": "of the datagrams",
        "kind": "a query",
        "farm": "only license servers of this farm answer",
        "scope": "which kind of scope is searched",
        "scope_name": "name of the workgroup, domain or site, in lower case",
        "nonce": "random, of this query alone",
        "instance": "asking license server's own id of this run; empty from a terminal server",
        "padding": "zero bytes, as many as make the datagram DATAGRAM_BYTES long",
    },
    "Answer": {
        "magic": "tells the datagram from others'",
        "version": "of the datagrams",
        "kind": "an answer",
        "farm": "the query's",
        "name": "the license server, as in its certificate",
        "port": "TCP port that it listens on, at the address that the answer came from",
        "nonce": "the query's",
    },
    "Claims": {
        "version": "of the claims",
        "farm": "farm that the license counts in",
        "issuer": "license server that signed, as in its certificate",
        "kind": "TEMPORARY or FULL",
        "license_id": "random, the same when the license is renewed",
        "product": _PRODUCT,
        "product_version": "highest version that the license is good for",
        "device_id": "the device that it was issued to",
        "device_name": _DEVICE_NAME,
        "user_name": "who used the device then, at most 256 bytes of UTF-8",
        "issued_at": "when this token was signed: the issue, or the last renewal",
        "expires_at": "when it ends: it is expired from this second on",
        "key_pack": "key pack that a full token is of; empty for a temporary one",
    },
}
