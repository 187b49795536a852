import re

import pytest

from tsproto.errors import ErrorCode
from tsproto.messages import CLIENT, TABLE, Kind
from tsproto.reference import entries
from tsproto.requirements import REQUIREMENTS, Requirement

CAUSES = list(entries.causes())
MESSAGES = {found.__name__: found for found in TABLE.values()}
CODED = [requirement for requirement in REQUIREMENTS if requirement.code is not None]
# Codes that an end may send and no requirement demands.
UNDEMANDED = {
    "NORMAL": "an end that is done may go",
    "BUSY": "how much may wait is each implementation's own bound",
    "ACCOUNT_UNUSABLE": "which accounts there are is each host's own matter",
}


def test_a_request_is_described_whole() -> None:
    assert entries.message("QueryLicenses").startswith(
        "### 42 QueryLicenses\n\n"
        "Issued licenses in the order of their ids, those after `after`, a page at a time.\n\n"
        "- Request, from administrator to license server\n"
        "- In state SERVICE\n"
        "- Answered by [Licenses](#43-licenses), or [Refused](#5-refused)\n"
        "- Wants an administrator with the role viewer\n\n"
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
        "| 302 | `TOO_MANY_ATTEMPTS` | yes | too many wrong proofs on this connection |\n"
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


@pytest.mark.parametrize("requirement", CODED, ids=lambda found: found.id)
def test_the_code_of_a_requirement_is_in_the_table_of_codes(requirement: Requirement) -> None:
    lines = _lines_for(requirement)
    assert lines, f"tsproto/spec/07-close.md has no line for {requirement.code} of this sender"
    followed = {name for cause in lines for name in cause.after}
    missing = _answerable_in(requirement.text) - followed
    assert not (followed and missing), (
        f"{requirement.id}: tsproto/spec/07-close.md does not name {missing} beside the code"
    )


def _lines_for(requirement: Requirement) -> list[entries.Cause]:
    assert requirement.code is not None
    bound = {role.noun for role in requirement.subject} | {"everybody", "every daemon"}
    return [
        cause for cause in CAUSES if cause.code == requirement.code.name and cause.sender in bound
    ]


def _answerable_in(sentence: str) -> set[str]:
    """The requests, and the client's steps, that a sentence names; "before JoinFarm" names a
    moment."""
    answerable = {
        name
        for name, message in MESSAGES.items()
        if message.entry.kind is Kind.REQUEST or message.entry.senders == CLIENT
    }
    return answerable & set(re.findall(r"(?<!before )\b\w+", sentence))


def test_a_code_that_is_sent_is_demanded_or_listed() -> None:
    demanded = {(c.code, c.sender) for found in CODED for c in _lines_for(found)}
    sent = {(c.code, c.sender) for c in CAUSES if c.sender != "nobody"}
    assert {code for code, _ in sent - demanded} == UNDEMANDED.keys()


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
