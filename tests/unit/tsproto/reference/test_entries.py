from tsproto.errors import ErrorCode
from tsproto.messages import TABLE, Kind
from tsproto.reference import entries

CAUSES = list(entries.causes())
MESSAGES = {found.__name__: found for found in TABLE.values()}


def test_a_request_is_described_whole() -> None:
    assert entries.message("QueryLicenses").startswith(
        "### 42 QueryLicenses\n\n"
        "Issued licenses in the order of their ids, those after `after`, a page at a time.\n\n"
        "- Request, from administrator to license server\n"
        "- In state SERVICE\n"
        "- Answered by [Licenses](#43-licenses), or [Refused](#5-refused)\n\n"
        "| at | field | type | bounds | default | meaning |\n"
        "| --- | --- | --- | --- | --- | --- |\n"
        "| 2 | `after` | bytes, `OptionalId16` | 0 to 16 bytes | empty |"
        " license id after which the page begins; empty for the first page |\n"
        "| 3 | `device_id` | bytes | 0 to 32 bytes | empty | only this device's; empty for all |\n"
        "\nExample:\n\n```\n"
    )


def test_an_answer_names_its_requests() -> None:
    assert (
        "- Answers [AcquireLicense](#30-acquirelicense), [RenewLicense](#31-renewlicense) or"
        " [LendLicense](#35-lendlicense)\n"
    ) in entries.message("LicenseIssued")
    assert "- Answers every request\n" in entries.message("Refused")


def test_a_step_says_what_it_leads_to_and_how_it_can_fail() -> None:
    assert "- In state LICENSING; then LOGON\n" in entries.message("LicenseAccepted")
    assert (
        "- May be followed by\n"
        "  - Refused `KEY_PACK_CONFLICT`: a key pack of this id has another content\n"
    ) in entries.message("AddKeyPack")


def test_every_error_code_says_who_sends_it() -> None:
    assert {cause.code for cause in CAUSES} == {code.name for code in ErrorCode}
    assert (
        "| 302 | `TOO_MANY_ATTEMPTS` | yes | too many wrong passwords on this connection |\n"
        in entries.codes()
    )


def test_a_code_follows_messages_that_its_sender_receives() -> None:
    for cause in CAUSES:
        for name in cause.after:
            entry = MESSAGES[name].entry
            is_request = entry.kind is Kind.REQUEST
            assert is_request == (cause.carrier == "Refused"), (cause.code, name)
            senders = {role.noun for role in entry.receivers} | {"everybody", "every daemon"}
            assert cause.sender in senders, (cause.code, name)


def test_a_code_is_carried_by_a_message_or_sent_by_nobody() -> None:
    carriers = {"Goodbye", "Refused", "LogonRefused"}
    assert {cause.carrier for cause in CAUSES if cause.sender != "nobody"} == carriers
    unsent = {cause for cause in CAUSES if cause.sender == "nobody"}
    assert {(cause.carrier, cause.after) for cause in unsent} == {("", ())}
    assert {cause.code for cause in unsent} == {
        "CONNECTION_LOST",
        "DIRECTORY_UNAVAILABLE",
        "UNREACHABLE",
        "UNANSWERED",
    }


def test_a_limit_has_its_reason_from_beside_or_above() -> None:
    text = entries.limit_tables()
    assert "| `REDIRECTS_MAX` | 3 | hops a client follows |" in text
    assert "| `OUTBOX_BYTES` | 8388608 | A peer that does not read: " in text
    assert entries.limit("HEARTBEAT_SECONDS") == "15"
