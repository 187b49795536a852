"""What a device gets when it asks, on each side of each bound."""

from __future__ import annotations

from daemons import events
from daemons.effects import Answer, Persist
from tests.unit.license_server.scenario import (
    DAY,
    FULL,
    LAPTOP,
    PHONE,
    START,
    TEMPORARY,
    Server,
    acquire,
    add_pack,
    claims,
    device,
    found,
    pack,
    validated,
)
from tsproto.errors import ErrorCode
from tsproto.messages import Done, LicenseIssued


def test_a_first_visit_brings_a_temporary_token_for_90_days_and_no_pool_use() -> None:
    server = Server("a", pack(2))
    issued = server.issued(acquire())
    assert (issued.kind, issued.validated, issued.lender) == (TEMPORARY, False, "")
    assert issued.expires_at == START + 90 * DAY == claims(issued).expires_at
    assert (server.pool().available, server.pool().temporary) == (2, 1)


def test_a_device_that_never_logged_on_keeps_its_temporary_token() -> None:
    server = Server("a", pack(2))
    first = server.issued(acquire())
    server.now += DAY
    again = server.hears(acquire())
    assert found(again, Persist) == []
    assert [answer.message for answer in found(again, Answer)] == [first]
    assert server.pool().available == 2


def test_an_unvalidated_device_gets_nothing_more_once_its_token_has_expired() -> None:
    server = Server("a", pack(2))
    expires_at = server.issued(acquire()).expires_at
    server.now = expires_at - 1.0
    assert server.issued(acquire()).kind is TEMPORARY
    server.now = float(expires_at)
    refused = server.refused(acquire(trace_id="t1"))
    assert (refused.code, refused.trace_id) == (ErrorCode.NO_LICENSE, "t1")
    assert "no user has logged on" in refused.detail
    assert "more licenses do not help" in refused.detail
    assert server.pool().available == 2


def test_a_late_logon_lets_an_expired_device_have_a_full_token() -> None:
    server = Server("a", pack(1))
    server.now = float(server.issued(acquire()).expires_at)
    assert server.asked(validated()) == Done()
    assert server.issued(acquire()).kind is FULL


def test_a_logon_validates_once_and_leaves_the_token_as_it_is() -> None:
    server = Server("a")
    first = server.issued(acquire())
    effects = server.hears(validated())
    assert [event.user_name for event in found(effects, events.LicenseValidated)] == ["ann"]
    assert [answer.message for answer in found(effects, Answer)] == [Done()]
    assert found(server.hears(validated()), Persist) == []
    again = server.issued(acquire())
    assert (again.token, again.validated) == (first.token, True)


def test_a_device_that_is_not_known_cannot_be_validated() -> None:
    assert Server("a").refused(validated()).code is ErrorCode.UNKNOWN_LICENSE


def test_the_next_visit_after_a_logon_brings_a_full_token_out_of_the_pool() -> None:
    server = Server("a", pack(2))
    server.logs_on()
    effects = server.hears(acquire())
    persist, note, answer = effects
    assert isinstance(persist, Persist)
    assert found([note], events.LicenseIssued)
    assert isinstance(answer, Answer) and isinstance(answer.message, LicenseIssued)
    assert answer.message.kind is FULL
    assert (server.pool().available, server.pool().issued) == (1, 1)
    (row,) = (row for row in server.licenses() if row.kind is FULL)
    assert (row.device_name, row.user_name, row.issued_at) == ("laptop", "ann", int(START))


def test_a_full_token_ends_after_every_number_of_whole_days_from_52_to_89() -> None:
    days = set()
    for seed in range(30):
        server = Server("a", pack(10), seed=seed)
        for number in range(10):
            issued = server.full(device(number))
            days.add(int(issued.expires_at - START) // DAY)
            assert (issued.expires_at - START) % DAY == 0
    assert days == set(range(52, 90))


def test_a_device_that_asks_again_gets_its_full_token_bit_for_bit() -> None:
    server = Server("a", pack(2))
    full = server.full()
    server.restart()
    server.now = full.expires_at - 1.0
    again = server.hears(acquire())
    assert [answer.message for answer in found(again, Answer)] == [full]
    assert found(again, Persist) == []


def test_an_empty_pool_leaves_a_validated_device_on_its_temporary_token_until_it_expires() -> None:
    server = Server("a", pack(1))
    server.full(PHONE)
    server.logs_on(LAPTOP)
    effects = server.hears(acquire(LAPTOP))
    (answer,) = found(effects, Answer)
    assert isinstance(answer.message, LicenseIssued) and answer.message.kind is TEMPORARY
    assert len(found(effects, events.LicenseNotUpgraded)) == 1


def test_an_expired_temporary_token_is_followed_by_a_full_one_or_by_none() -> None:
    server = Server("a")
    server.logs_on()
    server.now = START + 90 * DAY
    assert server.refused(acquire()).code is ErrorCode.NO_LICENSE
    server.asked(add_pack(1), server.administrator)
    assert server.issued(acquire()).kind is FULL
