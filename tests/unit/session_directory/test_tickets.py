"""One-time tickets."""

from __future__ import annotations

import random

import pytest

from daemons.session_directory import records
from daemons.session_directory.records import Ticket
from daemons.session_directory.tickets import Tickets
from tests.unit.session_directory.scenario import LAPTOP, PHONE


def issue(tickets: Tickets, server: str = "ts1", now: float = 100.0) -> bytes:
    return tickets.issue(
        user_name="user1",
        application="",
        device_id=LAPTOP,
        server=server,
        session_id=7,
        placement=5,
        now=now,
    )


def redeem(
    tickets: Tickets,
    secret: bytes,
    *,
    server: str = "ts1",
    device_id: bytes = LAPTOP,
    user_name: str = "user1",
    now: float = 101.0,
) -> Ticket | str:
    return tickets.redeem(secret, server=server, device_id=device_id, user_name=user_name, now=now)


def test_a_ticket_is_good_once() -> None:
    tickets = Tickets(30, random.Random(1))
    secret = issue(tickets)
    assert len(secret) == 16
    redeemed = redeem(tickets, secret)
    assert isinstance(redeemed, Ticket)
    assert (redeemed.session_id, redeemed.placement) == (7, 5)
    assert redeem(tickets, secret) == "unknown or used"


def test_a_ticket_is_good_until_it_expires() -> None:
    tickets = Tickets(30, random.Random(1))
    in_time, too_late = issue(tickets, now=100.0), issue(tickets, now=100.0)
    assert isinstance(redeem(tickets, in_time, now=129.0), Ticket)
    assert redeem(tickets, too_late, now=130.0) == "expired"


def test_a_ticket_is_good_for_one_host_device_and_user_and_one_attempt() -> None:
    tickets = Tickets(30, random.Random(1))
    secret = issue(tickets)
    assert redeem(tickets, secret, server="ts2") == "for another terminal server"
    assert redeem(tickets, secret) == "unknown or used"
    assert redeem(tickets, issue(tickets), device_id=PHONE) == "for another device"
    assert redeem(tickets, issue(tickets), user_name="user2") == "for another user"
    assert redeem(tickets, bytes(16)) == "unknown or used"


def test_tickets_are_forgotten_in_the_order_of_their_expiry() -> None:
    tickets = Tickets(30, random.Random(1))
    first, second = issue(tickets, now=100.0), issue(tickets, now=110.0)
    assert tickets.next_deadline() == 130.0
    tickets.expire(129.0)
    assert tickets.next_deadline() == 130.0
    tickets.expire(130.0)
    assert tickets.next_deadline() == 140.0
    assert redeem(tickets, first) == "unknown or used"
    assert isinstance(redeem(tickets, second), Ticket)
    assert tickets.next_deadline() is None


def test_the_tickets_of_a_host_go_with_it() -> None:
    tickets = Tickets(30, random.Random(1))
    gone, kept = issue(tickets, "ts1"), issue(tickets, "ts2")
    tickets.forget_server("ts1")
    assert redeem(tickets, gone) == "unknown or used"
    assert isinstance(redeem(tickets, kept, server="ts2"), Ticket)


def test_tickets_are_full_at_their_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "TICKETS_MAX", 2)
    tickets = Tickets(30, random.Random(1))
    secret = issue(tickets)
    assert not tickets.is_full()
    issue(tickets)
    assert tickets.is_full()
    redeem(tickets, secret)
    assert not tickets.is_full()
