"""How the host that a user is led to knows them: the ticket, redeemed through the directory."""

from __future__ import annotations

import pytest

from daemons import events
from tests.unit.session_directory.scenario import (
    ACTIVE,
    DISCONNECTED,
    LAPTOP,
    PHONE,
    TICKET_SECONDS,
    Directory,
    answer,
    link,
    logged,
    refusal,
    row,
)
from tsproto.errors import ErrorCode
from tsproto.messages import Refused, TicketRedeemed


def redirected() -> tuple[Directory, bytes]:
    """User1's laptop was led from ts2 to session 7 on ts1."""
    directory = Directory()
    directory.joined("ts1", row("ts1", 7, application="editor", placement=5))
    ticket = directory.places(directory.joined("ts2"), application="editor").ticket
    return directory, ticket


def test_a_ticket_tells_the_host_whose_it_is_and_for_which_session_once() -> None:
    directory, ticket = redirected()
    ts1 = directory.joined("ts1", row("ts1", 7, application="editor", placement=5))
    redeemed = answer(directory.redeemed(ts1, ticket), TicketRedeemed)
    assert (redeemed.user_name, redeemed.application) == ("user1", "editor")
    assert (redeemed.session_id, redeemed.placement) == (7, 5)
    assert refusal(directory.redeemed(ts1, ticket)) is ErrorCode.TICKET_INVALID


@pytest.mark.parametrize(("seconds", "valid"), [(-1, True), (0, False)])
def test_a_ticket_expires(seconds: int, valid: bool) -> None:
    directory, ticket = redirected()
    ts1 = directory.joined("ts1", row("ts1", 7, application="editor", placement=5))
    directory.now += TICKET_SECONDS + seconds
    effects = directory.redeemed(ts1, ticket)
    assert bool(logged(effects, events.TicketRefused)) is not valid


@pytest.mark.parametrize(
    ("host", "user", "device_id", "reason"),
    [
        ("ts3", "user1", LAPTOP, "for another terminal server"),
        ("ts1", "user2", LAPTOP, "for another user"),
        ("ts1", "user1", PHONE, "for another device"),
    ],
)
def test_every_failure_looks_alike_and_only_the_log_knows(
    host: str, user: str, device_id: bytes, reason: str
) -> None:
    directory, ticket = redirected()
    peer = directory.joined(host)
    unknown = answer(directory.redeemed(peer, bytes(16)), Refused)
    effects = directory.redeemed(peer, ticket, user, device_id)
    assert answer(effects, Refused) == unknown
    assert unknown.code is ErrorCode.TICKET_INVALID
    [event] = logged(effects, events.TicketRefused)
    assert (event.server, event.user_name, event.reason) == (host, user, reason)


def test_a_host_that_is_still_joining_leaves_the_ticket_as_it_is() -> None:
    directory, ticket = redirected()
    ts1 = link("ts1")
    directory.asked_to_join(ts1)
    assert refusal(directory.redeemed(ts1, ticket)) is ErrorCode.NOT_JOINED
    directory.synchronized(ts1, row("ts1", 7, application="editor", placement=5))
    assert answer(directory.redeemed(ts1, ticket), TicketRedeemed).session_id == 7


def test_a_ticket_for_a_session_to_come_finds_the_one_that_has_started() -> None:
    directory = Directory()
    ts1, ts2 = directory.joined("ts1"), directory.joined("ts2")
    number = directory.places(ts1).placement
    ticket = directory.places(ts2).ticket
    directory.updated(ts1, row("ts1", 4, state=ACTIVE, placement=number))
    assert answer(directory.redeemed(ts1, ticket), TicketRedeemed).session_id == 4


def test_a_ticket_for_a_session_that_has_ended_reserves_anew() -> None:
    directory = Directory()
    ts1, ts2 = directory.joined("ts1", row("ts1", 7, placement=5)), directory.joined("ts2")
    ticket = directory.places(ts2).ticket
    directory.removed(ts1, 7, 5)
    redeemed = answer(directory.redeemed(ts1, ticket), TicketRedeemed)
    assert redeemed.session_id == 0
    assert redeemed.placement > 5
    assert directory.places(ts2).placement == redeemed.placement


def test_a_ticket_for_a_session_that_is_elsewhere_by_now_is_invalid() -> None:
    directory = Directory()
    ts1, ts2 = directory.joined("ts1", row("ts1", 7, placement=5)), directory.joined("ts2")
    ticket = directory.places(ts2).ticket
    directory.removed(ts1, 7, 5)
    directory.places(ts2)
    assert refusal(directory.redeemed(ts1, ticket)) is ErrorCode.TICKET_INVALID


def test_a_ticket_whose_host_is_full_by_now_is_invalid() -> None:
    directory = Directory()
    ts1 = directory.joined("ts1", row("ts1", 7, placement=5), sessions_max=1)
    ticket = directory.places(directory.joined("ts2")).ticket
    directory.removed(ts1, 7, 5)
    directory.places(ts1, "user2")
    assert refusal(directory.redeemed(ts1, ticket)) is ErrorCode.TICKET_INVALID


def test_a_ticket_leads_to_the_promised_session_though_another_is_newer_by_now() -> None:
    directory = Directory()
    ts1 = directory.joined("ts1", row("ts1", 7, state=DISCONNECTED))
    ts2 = directory.joined("ts2")
    ticket = directory.places(ts2).ticket
    directory.updated(ts2, row("ts2", 1, state=ACTIVE, created_at=2_000))
    assert answer(directory.redeemed(ts1, ticket), TicketRedeemed).session_id == 7
