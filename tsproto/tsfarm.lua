-- The tsfarm protocol in Wireshark and tshark. Written by `make generate` from the
-- table in tsproto/messages: change it there.
--
--     tshark -X lua_script:tsfarm.lua -r capture.pcapng -O tsfarm
--
-- or put it into the folder of personal Lua plugins (Help, About, Folders). On ports other than the
-- usual ones a connection is known by its Hello or Welcome; else: -d tcp.port==PORT,tsfarm.
-- What is inside TLS shows with a file of session keys.

local HEADER_BYTES = 6
local EXT32 = 0xc9
local FRAME_BYTES = 1048576
local MESSAGE_KIND = 0
local SESSION_KIND = 1
local DISCOVERY_PORT = 5606
local HELLO = 1
local WELCOME = 2
local PORTS = { 5600, 5601, 5602 }
local MAGIC = "tsfarm"

-- --- places: where a value stands, how it is written, its label and its field for filters --------

local tsfarm = Proto("tsfarm", "tsfarm")
local fields = {}

local function place(kind, label, field)
  fields[#fields + 1] = field
  return { kind = kind, label = label, field = field }
end

local function text(name, label, about)
  return place("text", label, ProtoField.string("tsfarm." .. name, label, base.UNICODE, about))
end

local function bytes(name, label, about)
  return place("bytes", label, ProtoField.bytes("tsfarm." .. name, label, base.NONE, about))
end

local function boolean(name, label, about)
  return place("boolean", label,
    ProtoField.bool("tsfarm." .. name, label, base.NONE, nil, 0, about))
end

local function integer(name, label, about)
  return place("integer", label,
    ProtoField.uint64("tsfarm." .. name, label, base.DEC, nil, nil, about))
end

local function moment(name, label, about)
  local made = integer(name, label, about)
  made.is_moment = true
  return made
end

local function enumeration(name, label, names)
  local made = place("integer", label, ProtoField.uint32("tsfarm." .. name, label, base.DEC, names))
  made.names = names
  return made
end

local function row_of(name, label, places)
  local made = place("array", label, ProtoField.none("tsfarm." .. name, label))
  made.places = places
  return made
end

local function list_of(name, label, item)
  local made = place("array", label, ProtoField.none("tsfarm." .. name, label))
  made.item = item
  return made
end

local request_id = integer("request_id", "request id")

-- --- the table -----------------------------------------------------------------------------------

local enum, row, datagrams, messages, message_names = {}, {}, {}, {}, {}

enum.LicenseKind = {
  [0] = "NONE",
  [1] = "TEMPORARY",
  [2] = "FULL",
  [3] = "GRACE",
}
enum.SessionState = {
  [0] = "ACTIVE",
  [1] = "CONNECTED",
  [4] = "DISCONNECTED",
  [7] = "RESET",
}
enum.ServerState = {
  [1] = "SYNCHRONIZING",
  [2] = "READY",
  [3] = "LOST",
}
enum.Role = {
  [1] = "CLIENT",
  [2] = "TERMINAL_SERVER",
  [3] = "LICENSE_SERVER",
  [4] = "SESSION_DIRECTORY",
  [5] = "ADMINISTRATOR",
}
enum.ErrorCode = {
  [0] = "NORMAL",
  [100] = "MALFORMED_FRAME",
  [101] = "FRAME_TOO_LONG",
  [102] = "UNKNOWN_FRAME_KIND",
  [103] = "MALFORMED_MESSAGE",
  [104] = "UNKNOWN_MESSAGE",
  [105] = "OUT_OF_ORDER",
  [106] = "WRONG_ROLE",
  [107] = "VERSION_UNSUPPORTED",
  [108] = "TIMED_OUT",
  [109] = "PEER_SILENT",
  [110] = "TOO_MANY_REQUESTS",
  [111] = "PEER_TOO_SLOW",
  [112] = "TOO_MANY_CONNECTIONS",
  [113] = "CONNECTION_LOST",
  [114] = "CERTIFICATE_REVOKED",
  [200] = "NO_LICENSE",
  [201] = "NO_LICENSE_SERVER",
  [202] = "LICENSE_TAMPERED",
  [203] = "LICENSE_EXPIRED",
  [204] = "LICENSE_FOREIGN",
  [205] = "LICENSE_NOT_YOURS",
  [206] = "DEVICE_PROOF_INVALID",
  [207] = "SERVER_NOT_SERVED",
  [208] = "LENDER_UNREACHABLE",
  [209] = "UNKNOWN_LICENSE",
  [210] = "KEY_PACK_CONFLICT",
  [211] = "LEDGER_FULL",
  [212] = "TOO_MANY_DEVICES",
  [213] = "DEVICE_REVOKED",
  [300] = "LOGON_FAILED",
  [301] = "LOGON_BUSY",
  [302] = "TOO_MANY_ATTEMPTS",
  [304] = "UNKNOWN_APPLICATION",
  [305] = "TOO_MANY_SESSIONS",
  [306] = "PROGRAM_FAILED",
  [307] = "ACCOUNT_UNUSABLE",
  [400] = "DISCONNECTED_BY_USER",
  [401] = "DISCONNECTED_BY_OTHER",
  [402] = "LOGGED_OFF",
  [500] = "DIRECTORY_UNAVAILABLE",
  [501] = "NOT_JOINED",
  [600] = "NOT_PERMITTED",
  [601] = "UNREACHABLE",
  [602] = "UNANSWERED",
  [603] = "SHUTTING_DOWN",
  [604] = "BUSY",
  [700] = "DENY_LIST_MALFORMED",
  [701] = "DENY_LIST_OLD",
  [702] = "DENY_LIST_AHEAD",
  [703] = "DENY_LIST_FORGED",
}
enum.Scope = {
  [1] = "WORKGROUP",
  [2] = "DOMAIN",
  [3] = "SITE",
}
row.SessionRow = {
  text("session_row.host", "host", "terminal server that the session runs on"),
  integer("session_row.session_id", "session id", "number of the session on its host, never 0"),
  text("session_row.user_name", "user name", "whose session it is"),
  text("session_row.application", "application", "which application it runs; empty for a shell"),
  enumeration("session_row.state", "state", enum.SessionState),
  moment("session_row.created_at", "created at", "when it began"),
  moment("session_row.disconnected_at", "disconnected at", "since when no client shows it; 0 while one does"),
  integer("session_row.placement", "placement", "the highest placement that led to it; 0 for none"),
  integer("session_row.columns", "columns", "width of the terminal in cells"),
  integer("session_row.rows", "rows", "height of the terminal in cells"),
  text("session_row.device_name", "device name", "device that shows it, or showed it last"),
  bytes("session_row.receipt", "receipt", "the directory's for this session; a row without one is named to its user, and nobody is led to it unasked"),
}
row.InventoryRow = {
  text("inventory_row.product", "product", "what the license is for"),
  integer("inventory_row.product_version", "product version", "version that the tokens are for"),
  integer("inventory_row.available", "available", "tokens that may be lent, at the moment of sending"),
}
row.ServerRow = {
  text("server_row.name", "name", "the terminal server"),
  text("server_row.address", "address", "where clients reach it"),
  integer("server_row.port", "port", "TCP port there"),
  enumeration("server_row.state", "state", enum.ServerState),
  integer("server_row.weight", "weight", "share of new sessions, which no directory heeds yet"),
  integer("server_row.sessions", "sessions", "how many of its sessions the directory knows"),
  integer("server_row.pending", "pending", "how many sessions are reserved on it"),
  moment("server_row.joined_at", "joined at", "when it joined"),
}
row.PoolRow = {
  text("pool_row.product", "product", "what the license is for"),
  integer("pool_row.product_version", "product version", "version that the tokens are for"),
  integer("pool_row.total", "total", "tokens of all key packs"),
  integer("pool_row.available", "available", "tokens that may be issued"),
  integer("pool_row.issued", "issued", "full tokens held by devices that asked here"),
  integer("pool_row.lent", "lent", "full tokens held by devices that asked other license servers"),
  integer("pool_row.temporary", "temporary", "temporary licenses, which use no token"),
}
row.LicenseRow = {
  bytes("license_row.license_id", "license id", "the license"),
  enumeration("license_row.kind", "kind", enum.LicenseKind),
  text("license_row.product", "product", "what the license is for"),
  integer("license_row.product_version", "product version", "version that the token is for"),
  bytes("license_row.device_id", "device id", "the device that holds it"),
  text("license_row.device_name", "device name", "what the device calls itself, for people to read; printable"),
  text("license_row.user_name", "user name", "who used the device when the token was issued"),
  moment("license_row.issued_at", "issued at", "when it was first issued"),
  moment("license_row.expires_at", "expires at", "when it ends"),
  boolean("license_row.validated", "validated", "whether a user has logged on from the device"),
  text("license_row.key_pack", "key pack", "key pack that a full token is of; empty for a temporary one"),
  text("license_row.lender", "lender", "license server that lent it to this one; empty for its own"),
  text("license_row.through", "through", "license server that asked for it; empty for a device that asked here"),
}
row.LicenseServerRow = {
  text("license_server_row.name", "name", "name in its certificate, or the one it answered with; empty if not known yet"),
  text("license_server_row.address", "address", "where it listens"),
  integer("license_server_row.port", "port", "TCP port there"),
  text("license_server_row.found", "found", "`list`, `workgroup`, `domain` or `site`"),
  moment("license_server_row.verified_at", "verified at", "when its certificate was last seen there; 0 for never"),
  boolean("license_server_row.chosen", "chosen", "whether the answering terminal server asks it first"),
  list_of("license_server_row.inventory", "inventory", row_of("license_server_row.inventory.item", "item", row.InventoryRow)),
}
row.UserProof = {
  bytes("user_proof.nonce", "nonce", "32 random bytes, used once"),
  moment("user_proof.time", "time", "Unix time in whole seconds; 0 means none"),
  bytes("user_proof.device_id", "device id", "SHA-256 of the device's public key"),
  integer("user_proof.method", "method", "1 password, 2 SSH key, 3 PAM, 4 device"),
  integer("user_proof.methods", "methods", "sum of 1 password, 2 SSH key, 4 PAM, 8 device"),
  bytes("user_proof.salt", "salt", "salt of argon2id"),
  integer("user_proof.memory_kib", "memory kib", "memory of argon2id in KiB"),
  integer("user_proof.passes", "passes", "passes of argon2id"),
  integer("user_proof.lanes", "lanes", "lanes of argon2id"),
  integer("user_proof.session_id", "session id", "as in LogonStart"),
  integer("user_proof.attachment", "attachment", "as in LogonStart"),
  bytes("user_proof.key_fingerprint", "key fingerprint", "of the SSH key that signed; empty for none"),
  text("user_proof.algorithm", "algorithm", "ed25519 for a password or device; else the name of an SSH signature"),
  bytes("user_proof.signature", "signature", "signature, or empty"),
}
row.PamQuestion = {
  text("pam_question.words", "words", "to show to the user"),
  boolean("pam_question.is_shown", "is shown", "whether the answer is shown while it is typed"),
}
datagrams.Query = {
  text("query.magic", "magic", "tells the datagram from those of other protocols"),
  integer("query.version", "version", "of the datagrams"),
  integer("query.kind", "kind", "a query"),
  text("query.farm", "farm", "only license servers of this farm answer"),
  enumeration("query.scope", "scope", enum.Scope),
  text("query.scope_name", "scope name", "name of the workgroup, domain or site, in lower case"),
  bytes("query.nonce", "nonce", "random, of this query alone"),
  bytes("query.instance", "instance", "an asking license server's own id of this run; empty from a terminal server"),
  bytes("query.padding", "padding", "zero bytes, as many as make the datagram DATAGRAM_BYTES long"),
}
datagrams.Answer = {
  text("answer.magic", "magic", "tells the datagram from those of other protocols"),
  integer("answer.version", "version", "of the datagrams"),
  integer("answer.kind", "kind", "an answer"),
  text("answer.farm", "farm", "the query's"),
  text("answer.name", "name", "the license server, as in its certificate"),
  integer("answer.port", "port", "TCP port that it listens on, at the address that the answer came from"),
  bytes("answer.nonce", "nonce", "the query's"),
}
message_names[1] = "Hello"
messages[1] = { name = message_names[1] }
messages[1].places = {
  request_id,
  integer("hello.version_min", "version min", "lowest version that the sender speaks"),
  integer("hello.version_max", "version max", "highest version that the sender speaks"),
  enumeration("hello.role", "role", enum.Role),
  text("hello.name", "name", "name of the daemon or administrator as in its certificate, or of the device"),
  integer("hello.denied_certificates", "denied certificates", "number of its deny list of certificates"),
  integer("hello.denied_devices", "denied devices", "number of its deny list of devices; 0 from a client"),
}
message_names[2] = "Welcome"
messages[2] = { name = message_names[2] }
messages[2].places = {
  request_id,
  integer("welcome.version", "version", "the version that both speak from now on"),
  enumeration("welcome.role", "role", enum.Role),
  text("welcome.name", "name", "name of the daemon, as in its certificate"),
  text("welcome.farm", "farm", "name of the farm; in TLS the certificate's counts, and this one is not compared"),
  integer("welcome.denied_certificates", "denied certificates", "number of its deny list of certificates"),
  integer("welcome.denied_devices", "denied devices", "number of its deny list of devices"),
}
message_names[3] = "Heartbeat"
messages[3] = { name = message_names[3] }
messages[3].places = {
  request_id,
}
message_names[4] = "Goodbye"
messages[4] = { name = message_names[4] }
messages[4].places = {
  request_id,
  enumeration("goodbye.code", "code", enum.ErrorCode),
  text("goodbye.detail", "detail", "cause and next step, for a person to read; printable"),
  integer("goodbye.retry_after_seconds", "retry after seconds", "seconds to wait before trying again; 0 means any time"),
  text("goodbye.trace_id", "trace id", "id that every log line about this carries; empty for none"),
}
message_names[5] = "Refused"
messages[5] = { name = message_names[5] }
messages[5].places = {
  request_id,
  enumeration("refused.code", "code", enum.ErrorCode),
  text("refused.detail", "detail", "cause and next step, for a person to read; printable"),
  integer("refused.retry_after_seconds", "retry after seconds", "seconds to wait before trying again; 0 means any time"),
  text("refused.trace_id", "trace id", "the request's, where it had one"),
}
message_names[6] = "Done"
messages[6] = { name = message_names[6] }
messages[6].places = {
  request_id,
}
message_names[7] = "QueryAuthority"
messages[7] = { name = message_names[7] }
messages[7].places = {
  request_id,
}
message_names[8] = "Authority"
messages[8] = { name = message_names[8] }
messages[8].places = {
  request_id,
  bytes("authority.certificate", "certificate", "the authority that signed the server's certificate, DER; empty where the server was given none"),
  bytes("authority.endorsement", "endorsement", "signature of the authority before it for this one, 64 bytes; empty where there was none"),
}
message_names[10] = "LicenseRequest"
messages[10] = { name = message_names[10] }
messages[10].places = {
  request_id,
  bytes("license_request.nonce", "nonce", "random, of this connection alone"),
  text("license_request.product", "product", "which product the device needs a license for"),
  integer("license_request.product_version", "product version", "lowest version that will do"),
}
message_names[11] = "LicenseInfo"
messages[11] = { name = message_names[11] }
messages[11].places = {
  request_id,
  bytes("license_info.public_key", "public key", "the device's Ed25519 public key"),
  bytes("license_info.signature", "signature", "the device's Ed25519 signature over the device proof"),
  text("license_info.device_name", "device name", "what the device calls itself, for people to read; printable"),
  text("license_info.user_name", "user name", "who will log on, for people to read; nothing is decided by it"),
  bytes("license_info.token", "token", "token held for this farm and product; empty for none"),
  bytes("license_info.issuer_certificate", "issuer certificate", "certificate that came with the token, DER; empty for none"),
}
message_names[12] = "NewLicense"
messages[12] = { name = message_names[12] }
messages[12].places = {
  request_id,
  bytes("new_license.token", "token", "the token to store"),
  bytes("new_license.issuer_certificate", "issuer certificate", "its issuer's certificate, DER, to store with it"),
}
message_names[13] = "LicenseStored"
messages[13] = { name = message_names[13] }
messages[13].places = {
  request_id,
  bytes("license_stored.license_id", "license id", "`license_id` in the claims of the token that was stored"),
}
message_names[14] = "LicenseAccepted"
messages[14] = { name = message_names[14] }
messages[14].places = {
  request_id,
  enumeration("license_accepted.kind", "kind", enum.LicenseKind),
  moment("license_accepted.expires_at", "expires at", "when that ends"),
  text("license_accepted.notice", "notice", "message to show to the user; empty for none"),
}
message_names[16] = "LogonRefused"
messages[16] = { name = message_names[16] }
messages[16].places = {
  request_id,
  enumeration("logon_refused.code", "code", enum.ErrorCode),
  text("logon_refused.detail", "detail", "cause and next step, for a person to read; printable"),
  integer("logon_refused.attempts_left", "attempts left", "wrong proofs left; at 0 Goodbye follows"),
  integer("logon_refused.retry_after_seconds", "retry after seconds", "seconds to wait before trying again; 0 means any time"),
  text("logon_refused.trace_id", "trace id", "id that every log line about this carries; empty for none"),
}
message_names[17] = "Redirect"
messages[17] = { name = message_names[17] }
messages[17].places = {
  request_id,
  text("redirect.host", "host", "name of the terminal server to dial, as in its certificate"),
  text("redirect.address", "address", "where to dial it"),
  integer("redirect.port", "port", "TCP port there"),
  integer("redirect.session_id", "session id", "the session there, a hint; 0 when it is still to start"),
}
message_names[18] = "LogonAccepted"
messages[18] = { name = message_names[18] }
messages[18].places = {
  request_id,
  text("logon_accepted.host", "host", "terminal server that the session runs on"),
  integer("logon_accepted.session_id", "session id", "number of the session"),
  text("logon_accepted.user_name", "user name", "whose session it is"),
  boolean("logon_accepted.reattached", "reattached", "whether the session ran before"),
  moment("logon_accepted.created_at", "created at", "when it began"),
  integer("logon_accepted.attachment", "attachment", "how often the session was shown, this time included, to resume it with; 0 for a session with a command"),
}
message_names[19] = "ResizeSession"
messages[19] = { name = message_names[19] }
messages[19].places = {
  request_id,
  integer("resize_session.columns", "columns", "width of the terminal in cells"),
  integer("resize_session.rows", "rows", "height of the terminal in cells"),
}
message_names[20] = "DisconnectSession"
messages[20] = { name = message_names[20] }
messages[20].places = {
  request_id,
}
message_names[21] = "LogoffSession"
messages[21] = { name = message_names[21] }
messages[21].places = {
  request_id,
}
message_names[22] = "SessionEnded"
messages[22] = { name = message_names[22] }
messages[22].places = {
  request_id,
  integer("session_ended.exit_status", "exit status", "as a shell reports it: 128 + n after signal n"),
}
message_names[23] = "LogonStart"
messages[23] = { name = message_names[23] }
messages[23].places = {
  request_id,
  text("logon_start.user_name", "user name", "who logs on, in NFC"),
  text("logon_start.application", "application", "application to run; empty for the account's shell"),
  integer("logon_start.session_id", "session id", "session to resume, or of the Redirect; 0 for neither"),
  integer("logon_start.attachment", "attachment", "of the LogonAccepted that is resumed; 0 when not resuming"),
  list_of("logon_start.key_fingerprints", "key fingerprints", bytes("logon_start.key_fingerprints.item", "item")),
}
message_names[24] = "LogonChallenge"
messages[24] = { name = message_names[24] }
messages[24].places = {
  request_id,
  bytes("logon_challenge.nonce", "nonce", "of this challenge alone"),
  moment("logon_challenge.time", "time", "the host's clock"),
  integer("logon_challenge.methods", "methods", "methods that the host offers"),
  bytes("logon_challenge.salt", "salt", "for the password"),
  integer("logon_challenge.memory_kib", "memory kib", "memory of argon2id in KiB"),
  integer("logon_challenge.passes", "passes", "passes of argon2id"),
  integer("logon_challenge.lanes", "lanes", "lanes of argon2id"),
  bytes("logon_challenge.key_fingerprint", "key fingerprint", "SSH key to sign with; empty: none is known"),
  integer("logon_challenge.resume_seconds", "resume seconds", "how long the device alone may resume the session; 0 for not"),
}
message_names[25] = "LogonProof"
messages[25] = { name = message_names[25] }
messages[25].places = {
  request_id,
  integer("logon_proof.method", "method", "one of those offered"),
  text("logon_proof.algorithm", "algorithm", "of the signature"),
  bytes("logon_proof.signature", "signature", "over the user proof"),
  text("logon_proof.command", "command", "command line to run apart from the user's session; empty for none"),
  integer("logon_proof.columns", "columns", "width of the terminal in cells"),
  integer("logon_proof.rows", "rows", "height of the terminal in cells"),
  text("logon_proof.terminal", "terminal", "value of TERM for the session's program"),
  text("logon_proof.lang", "lang", "LANG for the session's program"),
  text("logon_proof.tz", "tz", "TZ"),
  text("logon_proof.colorterm", "colorterm", "COLORTERM"),
  text("logon_proof.avoid", "avoid", "host of a redirect that could not be followed; empty for none"),
  boolean("logon_proof.redirected", "redirected", "whether a Redirect led here"),
}
message_names[26] = "PamPrompt"
messages[26] = { name = message_names[26] }
messages[26].places = {
  request_id,
  integer("pam_prompt.round", "round", "counts from 1"),
  list_of("pam_prompt.prompts", "prompts", row_of("pam_prompt.prompts.item", "item", row.PamQuestion)),
  list_of("pam_prompt.notices", "notices", text("pam_prompt.notices.item", "item")),
}
message_names[27] = "PamAnswers"
messages[27] = { name = message_names[27] }
messages[27].places = {
  request_id,
  integer("pam_answers.round", "round", "of the PamPrompt that this answers"),
  list_of("pam_answers.answers", "answers", bytes("pam_answers.answers.item", "item")),
}
message_names[28] = "ChangePassword"
messages[28] = { name = message_names[28] }
messages[28].places = {
  request_id,
  integer("change_password.generation", "generation", "when an account was changed, in microseconds since 1970; 0 means never"),
  bytes("change_password.public_key", "public key", "of the key that the new password gives"),
  bytes("change_password.salt", "salt", "for the new password"),
  integer("change_password.memory_kib", "memory kib", "memory of argon2id in KiB"),
  integer("change_password.passes", "passes", "passes of argon2id"),
  integer("change_password.lanes", "lanes", "lanes of argon2id"),
  bytes("change_password.signature", "signature", "of the present password's key, over the password statement"),
}
message_names[29] = "PasswordChanged"
messages[29] = { name = message_names[29] }
messages[29].places = {
  request_id,
}
message_names[30] = "AcquireLicense"
messages[30] = { name = message_names[30] }
messages[30].places = {
  request_id,
  bytes("acquire_license.device_id", "device id", "SHA-256 of the device's public key"),
  text("acquire_license.device_name", "device name", "what the device calls itself, for people to read; printable"),
  text("acquire_license.user_name", "user name", "who used the device last, for people to read"),
  text("acquire_license.product", "product", "what the license is for"),
  integer("acquire_license.product_version", "product version", "version of the product that the terminal server runs"),
  text("acquire_license.trace_id", "trace id", "id that every log line about this carries; empty for none"),
}
message_names[31] = "RenewLicense"
messages[31] = { name = message_names[31] }
messages[31].places = {
  request_id,
  bytes("renew_license.license_id", "license id", "the license to renew"),
  bytes("renew_license.device_id", "device id", "SHA-256 of the device's public key"),
  text("renew_license.device_name", "device name", "what the device calls itself, for people to read; printable"),
  text("renew_license.user_name", "user name", "who used the device last, for people to read"),
  text("renew_license.product", "product", "what the license is for"),
  integer("renew_license.product_version", "product version", "lowest version that will do"),
  text("renew_license.trace_id", "trace id", "id that every log line about this carries; empty for none"),
}
message_names[32] = "LicenseIssued"
messages[32] = { name = message_names[32] }
messages[32].places = {
  request_id,
  bytes("license_issued.license_id", "license id", "as in the token"),
  enumeration("license_issued.kind", "kind", enum.LicenseKind),
  moment("license_issued.expires_at", "expires at", "as in the token"),
  bytes("license_issued.token", "token", "the token"),
  bytes("license_issued.issuer_certificate", "issuer certificate", "certificate of the license server that signed it, DER"),
  boolean("license_issued.validated", "validated", "whether a user has logged on from the device"),
  text("license_issued.lender", "lender", "license server that lent the token; empty for the answering one's own"),
}
message_names[33] = "MarkValidated"
messages[33] = { name = message_names[33] }
messages[33].places = {
  request_id,
  bytes("mark_validated.device_id", "device id", "the device that a user has logged on from"),
  text("mark_validated.product", "product", "what the license is for"),
  integer("mark_validated.product_version", "product version", "version of the temporary token that let it in"),
  text("mark_validated.user_name", "user name", "who has logged on"),
  text("mark_validated.trace_id", "trace id", "id that every log line about this carries; empty for none"),
}
message_names[34] = "AnnounceInventory"
messages[34] = { name = message_names[34] }
messages[34].places = {
  request_id,
  list_of("announce_inventory.inventory", "inventory", row_of("announce_inventory.inventory.item", "item", row.InventoryRow)),
}
message_names[35] = "LendLicense"
messages[35] = { name = message_names[35] }
messages[35].places = {
  request_id,
  bytes("lend_license.loan_id", "loan id", "the asker's id of this loan, the same however often it asks"),
  bytes("lend_license.device_id", "device id", "the device that the token is for"),
  text("lend_license.device_name", "device name", "what the device calls itself, for people to read; printable"),
  text("lend_license.user_name", "user name", "who used the device last, for people to read"),
  text("lend_license.product", "product", "what the license is for"),
  integer("lend_license.product_version", "product version", "version of the product that the terminal server runs"),
  text("lend_license.trace_id", "trace id", "id that every log line about this carries; empty for none"),
}
message_names[40] = "QueryPools"
messages[40] = { name = message_names[40] }
messages[40].places = {
  request_id,
}
message_names[41] = "Pools"
messages[41] = { name = message_names[41] }
messages[41].places = {
  request_id,
  list_of("pools.pools", "pools", row_of("pools.pools.item", "item", row.PoolRow)),
}
message_names[42] = "QueryLicenses"
messages[42] = { name = message_names[42] }
messages[42].places = {
  request_id,
  bytes("query_licenses.after", "after", "license id after which the page begins; empty for the first page"),
  bytes("query_licenses.device_id", "device id", "only this device's; empty for all"),
}
message_names[43] = "Licenses"
messages[43] = { name = message_names[43] }
messages[43].places = {
  request_id,
  list_of("licenses.licenses", "licenses", row_of("licenses.licenses.item", "item", row.LicenseRow)),
  boolean("licenses.more", "more", "whether more rows follow: ask for those after the last of these"),
}
message_names[44] = "AddKeyPack"
messages[44] = { name = message_names[44] }
messages[44].places = {
  request_id,
  text("add_key_pack.key_pack", "key pack", "id of the key pack, for ever"),
  text("add_key_pack.product", "product", "what the license is for"),
  integer("add_key_pack.product_version", "product version", "version that its tokens are for"),
  integer("add_key_pack.tokens", "tokens", "how many tokens it holds"),
}
message_names[45] = "QueryLicenseServers"
messages[45] = { name = message_names[45] }
messages[45].places = {
  request_id,
}
message_names[46] = "LicenseServers"
messages[46] = { name = message_names[46] }
messages[46].places = {
  request_id,
  list_of("license_servers.servers", "servers", row_of("license_servers.servers.item", "item", row.LicenseServerRow)),
  moment("license_servers.grace_ends_at", "grace ends at", "when a terminal server's grace period ends; 0 for none running"),
}
message_names[50] = "JoinFarm"
messages[50] = { name = message_names[50] }
messages[50].places = {
  request_id,
  text("join_farm.address", "address", "where clients reach the terminal server"),
  integer("join_farm.port", "port", "TCP port there"),
  bytes("join_farm.incarnation", "incarnation", "random, new with each start of the terminal server: tells a restart from a broken link, for people to read; nothing is decided by it"),
  integer("join_farm.weight", "weight", "share of new sessions, which no directory heeds yet"),
  integer("join_farm.sessions_max", "sessions max", "how many sessions it may have; with 0 none is placed on it"),
}
message_names[51] = "Joined"
messages[51] = { name = message_names[51] }
messages[51].places = {
  request_id,
  bytes("joined.generation", "generation", "random, new with each start of the directory"),
}
message_names[52] = "SyncSessions"
messages[52] = { name = message_names[52] }
messages[52].places = {
  request_id,
  list_of("sync_sessions.sessions", "sessions", row_of("sync_sessions.sessions.item", "item", row.SessionRow)),
  boolean("sync_sessions.last", "last", "whether the list is complete with this part"),
}
message_names[53] = "PlaceSession"
messages[53] = { name = message_names[53] }
messages[53].places = {
  request_id,
  text("place_session.user_name", "user name", "who has logged on"),
  text("place_session.application", "application", "what is to run; empty for a shell"),
  text("place_session.avoid", "avoid", "host that the client could not reach, so that the user is placed anew; empty for none"),
  text("place_session.trace_id", "trace id", "id that every log line about this carries; empty for none"),
  list_of("place_session.proof", "proof", row_of("place_session.proof.item", "item", row.UserProof)),
  integer("place_session.session_id", "session id", "with `redirected` the session that the Redirect named; else a session of the sender for which it wants a receipt; 0 for none"),
  boolean("place_session.redirected", "redirected", "whether a Redirect led the client here"),
}
message_names[54] = "SessionPlaced"
messages[54] = { name = message_names[54] }
messages[54].places = {
  request_id,
  integer("session_placed.placement", "placement", "for a session that is there its row's, which may be 0; else the reservation's, which goes into the session's row"),
  text("session_placed.host", "host", "terminal server that the user belongs on"),
  text("session_placed.address", "address", "where clients reach it"),
  integer("session_placed.port", "port", "TCP port there"),
  integer("session_placed.session_id", "session id", "the session there; 0 when it is still to start"),
  bytes("session_placed.receipt", "receipt", "for the row of the session; empty when it is on another host"),
  list_of("session_placed.others", "others", row_of("session_placed.others.item", "item", row.SessionRow)),
}
message_names[55] = "UpdateSession"
messages[55] = { name = message_names[55] }
messages[55].places = {
  request_id,
  row_of("update_session.session", "session", row.SessionRow),
}
message_names[56] = "RemoveSession"
messages[56] = { name = message_names[56] }
messages[56].places = {
  request_id,
  integer("remove_session.session_id", "session id", "the session that has ended; 0 when a placement came to nothing"),
  integer("remove_session.placement", "placement", "as in its row, or the placement that came to nothing"),
  text("remove_session.user_name", "user name", "whose session it was, for people to read; it is not compared"),
}
message_names[59] = "PasswordStatement"
messages[59] = { name = message_names[59] }
messages[59].places = {
  request_id,
  text("password_statement.user_name", "user name", "whose password, in NFC"),
  integer("password_statement.generation", "generation", "when an account was changed, in microseconds since 1970; 0 means never"),
  bytes("password_statement.public_key", "public key", "of the key that the new password gives"),
  bytes("password_statement.salt", "salt", "for the new password"),
  integer("password_statement.memory_kib", "memory kib", "memory of argon2id in KiB"),
  integer("password_statement.passes", "passes", "passes of argon2id"),
  integer("password_statement.lanes", "lanes", "lanes of argon2id"),
  bytes("password_statement.signature", "signature", "of the password's key before, over the password statement"),
}
message_names[60] = "QuerySessions"
messages[60] = { name = message_names[60] }
messages[60].places = {
  request_id,
  text("query_sessions.user_name", "user name", "only this user's; empty for all"),
  text("query_sessions.after_host", "after host", "host after which the page begins; empty for the first page"),
  integer("query_sessions.after_id", "after id", "session on that host after which the page begins"),
}
message_names[61] = "Sessions"
messages[61] = { name = message_names[61] }
messages[61].places = {
  request_id,
  list_of("sessions.sessions", "sessions", row_of("sessions.sessions.item", "item", row.SessionRow)),
  boolean("sessions.more", "more", "whether more rows follow: ask for those after the last of these"),
}
message_names[62] = "QueryServers"
messages[62] = { name = message_names[62] }
messages[62].places = {
  request_id,
}
message_names[63] = "Servers"
messages[63] = { name = message_names[63] }
messages[63].places = {
  request_id,
  list_of("servers.servers", "servers", row_of("servers.servers.item", "item", row.ServerRow)),
}
message_names[64] = "AccountStatement"
messages[64] = { name = message_names[64] }
messages[64].places = {
  request_id,
  bytes("account_statement.account", "account", "the account in JSON"),
  bytes("account_statement.signer", "signer", "the administrator's certificate, DER"),
  bytes("account_statement.signature", "signature", "of the certificate's key, over the account statement"),
}
message_names[80] = "WarpClock"
messages[80] = { name = message_names[80] }
messages[80].places = {
  request_id,
}
message_names[81] = "NewDenyList"
messages[81] = { name = message_names[81] }
messages[81].places = {
  request_id,
  bytes("new_deny_list.signed", "signed", "signed deny list, or empty"),
}
message_names[82] = "PublishDenyList"
messages[82] = { name = message_names[82] }
messages[82].places = {
  request_id,
  bytes("publish_deny_list.signed", "signed", "signed deny list, or empty"),
}
message_names[83] = "QueryDenyLists"
messages[83] = { name = message_names[83] }
messages[83].places = {
  request_id,
}
message_names[84] = "HeldDenyLists"
messages[84] = { name = message_names[84] }
messages[84].places = {
  request_id,
  bytes("held_deny_lists.certificates", "certificates", "signed by the farm's authority"),
  bytes("held_deny_lists.devices", "devices", "signed by an administrator"),
}

-- --- msgpack -------------------------------------------------------------------------------------

-- By the first byte: the kind of what stands there, and how many bytes its length, count or content
-- takes. A map's key and value count as two; what no field is written as is "other".
local FORMS = {
  [0xc4] = { "bytes", 1 }, [0xc5] = { "bytes", 2 }, [0xc6] = { "bytes", 4 },
  [0xd9] = { "text", 1 }, [0xda] = { "text", 2 }, [0xdb] = { "text", 4 },
  [0xdc] = { "array", 2 }, [0xdd] = { "array", 4 }, [0xde] = { "map", 2 }, [0xdf] = { "map", 4 },
  [0xc7] = { "ext", 1 }, [0xc8] = { "ext", 2 }, [0xc9] = { "ext", 4 },
}
local INTEGERS = { [0xcc] = 1, [0xcd] = 2, [0xce] = 4, [0xcf] = 8 }
local OTHERS = {
  [0xc0] = 0, [0xca] = 4, [0xcb] = 8, [0xd0] = 1, [0xd1] = 2, [0xd2] = 4, [0xd3] = 8,
  [0xd4] = 2, [0xd5] = 3, [0xd6] = 5, [0xd7] = 9, [0xd8] = 17,
}

local function short_form(first, at)
  if first < 0x80 then return "integer", at, 1 end
  if first < 0x90 then return "map", at + 1, 2 * (first - 0x80) end
  if first < 0xa0 then return "array", at + 1, first - 0x90 end
  if first < 0xc0 then return "text", at + 1, first - 0xa0 end
  if first == 0xc2 or first == 0xc3 then return "boolean", at, 1 end
  if first >= 0xe0 then return "other", at, 1 end
  if INTEGERS[first] then return "integer", at + 1, INTEGERS[first] end
  if OTHERS[first] then return "other", at + 1, OTHERS[first] end
end

-- What stands at `at`: its kind, where its content begins, and the content's bytes; of an array or
-- map the number of things in it. Nil for what is no msgpack, or is cut off.
local function head(tvb, at)
  if at >= tvb:len() then return nil end
  local first = tvb(at, 1):uint()
  local kind, start, length = short_form(first, at)
  local form = FORMS[first]
  if form and at + 1 + form[2] <= tvb:len() then
    kind, start, length = form[1], at + 1 + form[2], tvb(at + 1, form[2]):uint()
    if kind == "map" then length = 2 * length end
    if kind == "ext" then length = length + 1 end
  end
  if not kind then return nil end
  local is_held = kind == "array" or kind == "map" or start + length <= tvb:len()
  if is_held then return kind, start, length end
end

-- Where the next begins after `count` things, however deep they nest, or nil.
local function skip(tvb, at, count)
  while count > 0 do
    local kind, start, length = head(tvb, at)
    if not kind then return nil end
    local holds_things = kind == "array" or kind == "map"
    at = holds_things and start or start + length
    count = count - 1 + (holds_things and length or 0)
  end
  return at
end

local verdict -- the last code that was shown
local show_array

-- Add the value at `at` to the tree. Gives where the next begins, or nil for a value that does not
-- belong in this place.
local function show(place, tree, tvb, at)
  local kind, start, length = head(tvb, at)
  if kind ~= place.kind then return nil end
  if kind == "array" then return show_array(place, tree, tvb, at, start, length) end
  local range = length > 0 and tvb(start, length) or tvb(at, 1)
  if kind == "boolean" then
    tree:add(place.field, range, range:uint() == 0xc3)
  elseif kind == "text" then
    tree:add(place.field, range, length > 0 and range:string(ENC_UTF_8) or "")
  elseif kind == "bytes" then
    tree:add(place.field, tvb(start, length))
  elseif place.names then
    if length > 4 then return nil end
    tree:add(place.field, range)
    if place.label == "code" then verdict = place.names[range:uint()] or range:uint() end
  else
    local item = tree:add(place.field, range)
    local seconds = place.is_moment and range:uint64():tonumber() or 0
    if seconds > 0 then item:append_text(os.date("! (%Y-%m-%d %H:%M:%S UTC)", seconds)) end
  end
  return start + length
end

-- Show values at their places; fields may be missing at the end, and unknown ones may follow them.
-- Gives where the next begins, or nil and the label of the place that is wrong.
local function show_places(places, tree, tvb, at, count)
  for index = 1, math.min(#places, count) do
    at = show(places[index], tree, tvb, at)
    if not at then return nil, places[index].label end
  end
  local newer = math.max(0, count - #places)
  local next_at = skip(tvb, at, newer)
  if not next_at then return nil, "a field that is not known here" end
  if newer > 0 then tree:add(tvb(at, next_at - at), "fields that are not known here: " .. newer) end
  return next_at
end

show_array = function(place, tree, tvb, at, start, count)
  local branch = tree:add(place.field, tvb(at))
  local next_at = start
  if place.places then
    next_at = show_places(place.places, branch, tvb, start, count)
  else
    branch:append_text(": " .. count)
    for _ = 1, count do
      next_at = next_at and show(place.item, branch, tvb, next_at)
    end
  end
  if next_at then branch:set_len(next_at - at) end
  return next_at
end

-- --- frames --------------------------------------------------------------------------------------

local frame_length = integer("frame.length", "length of the body")
local frame_kind = enumeration("frame.kind", "kind", {
  [MESSAGE_KIND] = "message", [SESSION_KIND] = "session bytes",
})
local message_number = enumeration("message", "message", message_names)
local session_bytes = bytes("session_bytes", "session bytes")

local malformed = ProtoExpert.new(
  "tsfarm.malformed", "not of this protocol", expert.group.MALFORMED, expert.severity.ERROR)
tsfarm.fields = fields
tsfarm.experts = { malformed }

local shown = {} -- what the info column says of the frames of one packet

local function complain(tree, tvb, why)
  tree:add_tvb_expert_info(malformed, tvb(), why)
  shown[#shown + 1] = "malformed: " .. why
end

local function show_message(tree, tvb)
  local kind, at, count = head(tvb, HEADER_BYTES)
  if kind ~= "array" or count < 1 then return complain(tree, tvb, "no array in the frame") end
  local number_kind, start, length = head(tvb, at)
  if number_kind ~= "integer" or length > 4 then return complain(tree, tvb, "no number") end
  local number = tvb(start, length):uint()
  local found = messages[number]
  if not found then return complain(tree, tvb, "no message has the number " .. number) end
  tree:append_text(": " .. found.name)
  tree:add(message_number.field, tvb(start, length))
  verdict = nil
  local next_at, wrong = show_places(found.places, tree, tvb, start + length, count - 1)
  if not next_at then return complain(tree, tvb, found.name .. ": " .. wrong) end
  if next_at < tvb:len() then return complain(tree, tvb, found.name .. ": more than an array") end
  shown[#shown + 1] = verdict and found.name .. " " .. verdict or found.name
end

local function show_session_bytes(tree, tvb)
  local count = tvb:len() - HEADER_BYTES
  tree:append_text(": session bytes, " .. count)
  shown[#shown + 1] = count .. " session bytes"
  if count > 0 then tree:add(session_bytes.field, tvb(HEADER_BYTES)) end
end

local function show_frame(tvb, pinfo, tree)
  local branch = tree:add(tsfarm, tvb(), "tsfarm frame")
  if tvb(0, 1):uint() ~= EXT32 or tvb(1, 4):uint() > FRAME_BYTES then
    complain(branch, tvb, "no frame")
  else
    local kind = tvb(5, 1):int()
    branch:add(frame_length.field, tvb(1, 4))
    branch:add(frame_kind.field, tvb(5, 1))
    if kind == MESSAGE_KIND then
      show_message(branch, tvb)
    elseif kind == SESSION_KIND then
      show_session_bytes(branch, tvb)
    else
      complain(branch, tvb, "no frame has the kind " .. kind)
    end
  end
  pinfo.cols.protocol = "tsfarm"
  pinfo.cols.info = table.concat(shown, ", ")
  return tvb:len()
end

-- What is no frame is shown as far as the packet goes: the connection ends there.
local function frame_bytes(tvb, pinfo, offset)
  local length = tvb(offset + 1, 4):uint()
  if tvb(offset, 1):uint() ~= EXT32 or length > FRAME_BYTES then return tvb:len() - offset end
  return HEADER_BYTES + length
end

function tsfarm.dissector(tvb, pinfo, tree)
  shown = {}
  if tvb(0, 1):uint() ~= EXT32 then return show_frame(tvb, pinfo, tree) end
  dissect_tcp_pdus(tvb, tree, HEADER_BYTES, frame_bytes, show_frame)
  return tvb:len()
end

local function is_opening(tvb, pinfo, tree)
  if tvb:len() < HEADER_BYTES + 2 or tvb(0, 1):uint() ~= EXT32 then return false end
  if tvb(1, 4):uint() > FRAME_BYTES or tvb(5, 1):uint() ~= MESSAGE_KIND then return false end
  local kind, at = head(tvb, HEADER_BYTES)
  if kind ~= "array" or at >= tvb:len() then return false end
  local number = tvb(at, 1):uint()
  if number ~= HELLO and number ~= WELCOME then return false end
  tsfarm.dissector(tvb, pinfo, tree)
  pinfo.conversation = tsfarm
  return true
end

tsfarm:register_heuristic("tcp", is_opening)
tsfarm:register_heuristic("tls", is_opening)
for _, port in ipairs(PORTS) do
  DissectorTable.get("tcp.port"):add(port, tsfarm)
  DissectorTable.get("tls.port"):add(port, tsfarm)
end

-- --- discovery -----------------------------------------------------------------------------------

local discovery = Proto("tsfarm_discovery", "tsfarm discovery")

function discovery.dissector(tvb, pinfo, tree)
  local kind, at, count = head(tvb, 0)
  if kind ~= "array" then return 0 end
  local found = count > #datagrams.Answer and "Query" or "Answer"
  local branch = tree:add(discovery, tvb(), "tsfarm discovery: " .. found)
  if not show_places(datagrams[found], branch, tvb, at, count) then
    branch:add_tvb_expert_info(malformed, tvb(), "no datagram of discovery")
  end
  pinfo.cols.protocol = "tsfarm"
  pinfo.cols.info = found
  return tvb:len()
end

-- Answers come from and go to ports of the system's choice.
local function is_discovery(tvb, pinfo, tree)
  if head(tvb, 0) ~= "array" then return false end
  local kind, at, length = head(tvb, 1)
  if kind ~= "text" or length == 0 or tvb(at, length):string() ~= MAGIC then return false end
  return discovery.dissector(tvb, pinfo, tree) > 0
end

discovery:register_heuristic("udp", is_discovery)
DissectorTable.get("udp.port"):add(DISCOVERY_PORT, discovery)
