"""Every number of the protocol: its value, its unit in the name, why it is so, and its source.

A limit that an operator may change has its default here and its key in `daemons.config`.
"""

# --- versions ---------------------------------------------------------------------------------
# Version 2: each host checks the user's own proof. Version 1 had passwords, tickets and cookies.
PROTOCOL_VERSION_MIN = 2
PROTOCOL_VERSION_MAX = 2

# --- frames -----------------------------------------------------------------------------------
# The longest frame in each state before the logon is through: a stranger may make us hold one.
FRAME_BYTES_OPENING = 4 * 1024 + 256  # a Goodbye with a detail of 1,024 wide characters
FRAME_BYTES_LICENSING = 8 * 1024  # a token of TOKEN_BYTES with a certificate of CERTIFICATE_BYTES
FRAME_BYTES_LOGON = 64 * 1024  # a command line; for a client a deny list
# A page of an administrator's query, or a burst of session bytes, fits many times over.
FRAME_BYTES = 1024 * 1024
# One read of a PTY gives at most 4 KiB on Linux; larger chunks only come from replays.
SESSION_CHUNK_BYTES = 64 * 1024
# A peer that does not read: above this its connection ends with PEER_TOO_SLOW.
OUTBOX_BYTES = 8 * 1024 * 1024
# The same for a peer that has not proved its identity or its user: it is sent little.
OUTBOX_BYTES_BEFORE_LOGON = 64 * 1024
# Reading of a PTY pauses when a client's transport holds this much, resumes at a quarter of it.
SESSION_OUTBOX_BYTES = 256 * 1024
# Requests a peer may have in flight on one connection before TOO_MANY_REQUESTS ends it.
REQUESTS_IN_FLIGHT = 1024

# --- ports ----------------------------------------------------------------------------------------
# Ports that a command line assumes where it names a host alone; a daemon's port is configured.
TERMINAL_PORT = 5600
LICENSE_PORT = 5601
DIRECTORY_PORT = 5602

# --- links ------------------------------------------------------------------------------------
TLS_HANDSHAKE_SECONDS = 5.0  # a LAN handshake takes milliseconds; asyncio's default is 60
TLS_HANDSHAKE_SECONDS_MIN = 1.0  # when all turns are taken: two round trips to the other continent
OPENING_SECONDS = 5.0  # from the TCP connection to Hello or Welcome
LICENSING_SECONDS = 30.0  # the whole licensing phase, with a lender asked and a device's fsync
LOGON_SECONDS = 120.0  # a person types a password, or touches a key
HEARTBEAT_SECONDS = 15.0  # sent when nothing else was: four small frames a minute
SILENT_SECONDS = 45.0  # three heartbeats missed: the peer is gone
GOODBYE_SECONDS = 2.0  # how long a Goodbye may take to leave before the connection is cut
REQUEST_SECONDS = 5.0  # a daemon's answer to a daemon
LENDING_SECONDS = 3.0  # a lender's answer; less than REQUEST_SECONDS, the asker falls back
DIAL_SECONDS = 3.0  # TCP and TLS to a daemon of the farm
CONNECTIONS_MAX = 16_384  # per daemon; descriptors usually end first
CONNECTIONS_PER_ADDRESS_MAX = 4_096  # one address may be a gateway for many devices
# Links whose peer has shown no certificate and whose user has not logged on: people who type.
UNAUTHENTICATED_MAX = 2_048
HANDSHAKES_MAX = 64  # TLS handshakes at once: a core does about 1,000 a second
HANDSHAKES_WAITING_MAX = 2_048  # that core's work until the last client gives up, DIAL_SECONDS

# --- certificates -----------------------------------------------------------------------------
CERTIFICATE_DAYS = 365  # a stolen key is of no use after a year, and renewing stays practised
CERTIFICATE_WARNING_DAYS = 30  # a warning a day from then on: time for a person to come back
AUTHORITY_DAYS = 20 * 365  # its key lies offline; a rotation is work on every host
AUTHORITIES_MAX = 4  # trusted at one time: a rotation needs two

# --- discovery --------------------------------------------------------------------------------
DISCOVERY_PORT = 5606
DATAGRAM_BYTES = 512  # a query is padded to it, an answer never exceeds it: nothing is amplified
DISCOVERY_WINDOW_SECONDS = 0.5  # how long answers are collected before one is chosen at random
DISCOVERY_RETRY_SECONDS = 15 * 60.0  # none found; as Windows 2000 did, JSI tip 8634
DISCOVERY_VERIFY_SECONDS = 2 * 3600.0  # a chosen server is verified: Windows 2000, domain mode
DISCOVERY_ANSWERS_MAX = 64  # answers kept of one search
DISCOVERY_ANSWERS_PER_ADDRESS_MAX = 2  # of these; a machine seldom runs more license servers
DISCOVERY_ANSWERS_PER_SECOND = 50  # that one license server sends
DISCOVERY_ANSWERS_PER_SOURCE_PER_SECOND = 10  # of these, to one address; an asker needs two

# --- licenses ---------------------------------------------------------------------------------
DAY_SECONDS = 86_400
TEMPORARY_DAYS = 90  # KB 813052
FULL_DAYS_MIN = 52  # "How Terminal Services Licensing Works": 52 to 89 days from the issue
FULL_DAYS_MAX = 89
RENEWAL_DAYS = 7  # renewed when its expiry is this near; the same source
GRACE_DAYS = 120  # [Win32 TerminalServiceSetting] LicensingGracePeriod, 2003 and later
INVENTORY_SECONDS = 60.0  # an inventory is announced on change, and at least this often
TOKEN_BYTES = 1024  # a token is about 250 bytes
CERTIFICATE_BYTES = 4096  # DER; an Ed25519 certificate is about 500, each address adds to it
KEY_PACK_TOKENS_MAX = 1_000_000
DEVICES_MAX = 1_000_000  # temporary tokens a license server keeps; then LEDGER_FULL
TEMPORARY_PER_SERVER_PER_MINUTE = 6_000  # new devices one terminal server may bring in a minute

# --- deny lists -------------------------------------------------------------------------------
DENY_LIST_ENTRIES_MAX = 1_000  # 34 bytes each: a list fits into a frame before the logon
DENY_LIST_BYTES = 40_000  # signed: the most entries, and an administrator's certificate
DENY_LIST_AHEAD_SECONDS = 86_400  # a number that much ahead of the clock would block later lists

# --- logon ------------------------------------------------------------------------------------
DETAIL_CHARACTERS = 1024  # a cause and a next step, on a few lines of a terminal
USER_NAME_CHARACTERS = 104  # [IWTSSBPlugin]
DEVICE_NAME_CHARACTERS = 64  # as a host's name
PASSWORD_BYTES = 1024  # more than anybody types; bounds what is hashed
COMMAND_CHARACTERS = 32_768  # a long command line; the kernel takes some 2 MiB
LOGON_ATTEMPTS = 3  # wrong proofs on one connection
SALT_BYTES = 16  # RFC 9106 3.1
ARGON2_MEMORY_KIB = 64 * 1024  # RFC 9106 4, the second recommended option: 64 MiB, 3 passes
ARGON2_MEMORY_KIB_MIN = 19 * 1024  # OWASP's least: 19 MiB, 2 passes
ARGON2_MEMORY_KIB_MAX = 1024 * 1024  # what a laptop can spare
ARGON2_PASSES = 3
ARGON2_PASSES_MIN = 2
ARGON2_PASSES_MAX = 16
ARGON2_LANES_MAX = 4  # libsodium knows only 1, which new accounts get
ACCOUNT_BYTES = 16 * 1024  # of an account as its statement has it: 64 keys of the usual kinds
GENERATION_AHEAD_SECONDS = 86_400  # a statement may be so far ahead of the clock
STATEMENTS_KEPT_MAX = 1_024  # changed passwords that a daemon tells another one when it joins
SIGNATURE_BYTES = 1024  # RSA with 8,192 bits
KEY_FINGERPRINTS_MAX = 8  # SSH keys that a client offers in one LogonStart
CHALLENGE_SECONDS = 120  # a person types a password, or touches a key
PROOF_SECONDS = 60  # from a proof to the start of its session
PROOF_CLOCK_SECONDS = 120  # the clocks of a host and its directory differ by less
PAM_ROUNDS_MAX = 16  # prompts of one logon: password, code, two for a new password, and again
PAM_PROMPTS_MAX = 8  # prompts of one round
PAM_ANSWER_BYTES = 1024
REDIRECTS_MAX = 3  # hops a client follows
RECONNECT_SECONDS_MAX = 30.0  # back-off of an automatic reconnect ends here

# --- sessions and directory ---------------------------------------------------------------------
SESSIONS_PER_SERVER_MAX = 1_000
SESSIONS_PER_MESSAGE = 25  # [IWTSSBPlugin]: a call reports at most so many changes
CLOCK_ERROR_SECONDS = 120  # two machines of a farm are at most so far apart
RESERVATION_SECONDS = 60  # a placement that never became a session is forgotten
SERVER_LOST_SECONDS = 10  # after its link broke, a host's rows stay this long for it to come back
# first pause before a terminal server joins again; doubled each time up to REJOIN_SECONDS_MAX
REJOIN_SECONDS = 1.0
REJOIN_SECONDS_MAX = 15.0
REPLAY_BYTES = 256 * 1024  # recent output kept for a session's next client
PAGE_ROWS = 500  # rows of an administrator's query in one answer
COLUMNS_MAX = 1_000
ROWS_MAX = 1_000
