"""Receipts: which rows a user can be led to."""

from __future__ import annotations

import pytest

from tests.unit.session_directory.scenario import RECEIPTS, Directory, answer, refusal, row
from tsproto.errors import ErrorCode
from tsproto.messages import SessionPlaced

GOOD = RECEIPTS.give("ts1", "user1", "", 5)


@pytest.mark.parametrize(
    "receipt",
    [
        b"",
        b"x" * 32,
        GOOD[:-1],
        RECEIPTS.give("ts2", "user1", "", 5),
        RECEIPTS.give("ts1", "user2", "", 5),
        RECEIPTS.give("ts1", "user1", "mail", 5),
        RECEIPTS.give("ts1", "user1", "", 6),
    ],
)
@pytest.mark.parametrize("reported", ["in the list", "as a change"])
def test_nobody_is_led_to_a_row_without_its_receipt(receipt: bytes, reported: str) -> None:
    directory = Directory()
    claimed = row("ts1", 7, placement=5, receipt=receipt)
    ts1 = directory.joined("ts1", *([claimed] if reported == "in the list" else []))
    directory.updated(ts1, claimed)
    placed = directory.places(directory.joined("ts2"))
    assert placed.host == "ts2"
    assert [(other.host, other.session_id) for other in placed.others] == [("ts1", 7)]


def test_a_row_with_its_receipt_is_led_to_after_a_restart_of_the_directory() -> None:
    before = Directory()
    ts1 = before.joined("ts1")
    placed = before.places(ts1)
    session = row("ts1", 7, placement=placed.placement, receipt=placed.receipt)
    after = Directory(seed=2)
    after.joined("ts1", session)
    assert after.places(after.joined("ts2")).session_id == 7


def test_a_session_that_began_without_the_directory_gets_a_receipt_for_its_proof() -> None:
    directory = Directory()
    ts1 = directory.joined("ts1", row("ts1", 7, receipt=b""))
    placed = answer(directory.asked_to_place(ts1, session_id=7), SessionPlaced)
    assert (placed.host, placed.session_id, placed.placement) == ("ts1", 7, 0)
    directory.updated(ts1, row("ts1", 7, receipt=placed.receipt))
    assert directory.places(directory.joined("ts2")).session_id == 7
    assert directory.pending("ts1") == 0


@pytest.mark.parametrize(("session_id", "user"), [(8, "user1"), (7, "user2")])
def test_no_receipt_is_given_for_a_session_that_was_not_reported(
    session_id: int, user: str
) -> None:
    directory = Directory()
    ts1 = directory.joined("ts1", row("ts1", 7, receipt=b""))
    asked = directory.asked_to_place(ts1, user, session_id=session_id)
    assert refusal(asked) is ErrorCode.NOT_PERMITTED


def test_no_receipt_is_given_for_a_session_of_another_terminal_server() -> None:
    directory = Directory()
    directory.joined("ts2", row("ts2", 7))
    ts1 = directory.joined("ts1")
    assert refusal(directory.asked_to_place(ts1, session_id=7)) is ErrorCode.NOT_PERMITTED
