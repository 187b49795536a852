"""How long a wrong proof makes others wait, and whom it does not."""

from __future__ import annotations

import pytest

from daemons.events import ProofsWrong
from daemons.terminal_server.penalties import (
    BEHAVES_MAX,
    FORGET_SECONDS,
    FREE_OF_NETWORK,
    FREE_OF_USER,
    REPORT_SECONDS,
    ROWS_MAX,
    Attempt,
    Penalties,
)

NOW = 1_000.0
PHONE = b"p" * 32


def attempt(user_name: str = "ann", host: str = "192.0.2.7", device_id: bytes = PHONE) -> Attempt:
    return Attempt(user_name, host, device_id)


def fail(penalties: Penalties, times: int, now: float = NOW, **more: str) -> None:
    """Wrong proofs, each as soon as it may be tried."""
    for number in range(times):
        made = attempt(more.get("user_name", f"user{number}"), more.get("host", "192.0.2.7"))
        if wait := penalties.delay(made, now):
            now += wait
            assert penalties.delay(made, now) == 0
        penalties.settle(made, False, now)


def succeed(penalties: Penalties, made: Attempt, now: float = NOW) -> None:
    assert penalties.delay(made, now) == 0
    assert penalties.settle(made, True, now) == []


def test_the_wait_of_a_user_doubles_until_a_try_is_forgotten_meanwhile() -> None:
    penalties, now, waits = Penalties(), NOW, []
    for _ in range(FREE_OF_USER + 20):
        waits.append(wait := penalties.delay(attempt(), now))
        if wait:
            assert penalties.delay(attempt(), now + wait - 1) > 0
            now += wait
            assert penalties.delay(attempt(), now) == 0
        penalties.settle(attempt(), False, now)
    assert waits[: FREE_OF_USER + 1] == [0] * (FREE_OF_USER + 1)
    assert waits[FREE_OF_USER + 1 :][:5] == [1, 2, 4, 7, 12]
    assert waits[-1] == FORGET_SECONDS


def test_a_network_waits_whichever_names_and_addresses_it_tries() -> None:
    penalties = Penalties()
    fail(penalties, FREE_OF_NETWORK + 1)
    assert penalties.delay(attempt("new", "192.0.2.99"), NOW) == 1
    assert penalties.delay(attempt("new", "192.0.3.99"), NOW) == 0


def test_no_more_are_checked_at_once_than_one_after_the_other() -> None:
    penalties = Penalties()
    begun = [penalties.delay(attempt(), NOW) for _ in range(100)]
    assert begun.count(0) == FREE_OF_USER + 1


def test_a_user_under_attack_is_not_kept_out_of_a_network_that_behaves() -> None:
    penalties = Penalties()
    for network in range(50):
        fail(penalties, BEHAVES_MAX, user_name="ann", host=f"198.51.{network}.1")
    assert penalties.delay(attempt("ann", "198.51.0.1"), NOW) > 0
    for _ in range(BEHAVES_MAX):
        assert penalties.delay(attempt("ann", "203.0.113.1"), NOW) == 0
    assert penalties.delay(attempt("ann", "203.0.113.1"), NOW) > 0


def test_a_device_that_the_user_logged_on_with_waits_for_its_own_mistakes_alone() -> None:
    penalties = Penalties()
    succeed(penalties, attempt("ann"))
    fail(penalties, FREE_OF_NETWORK + 1)
    assert penalties.delay(attempt("ann", device_id=b"o" * 32), NOW) > 0
    assert penalties.delay(attempt("bob"), NOW) > 0  # whose device it is not
    for _ in range(FREE_OF_USER + 1):
        assert penalties.delay(attempt("ann"), NOW) == 0
        penalties.settle(attempt("ann"), False, NOW)
    assert penalties.delay(attempt("ann"), NOW) == 1


@pytest.mark.parametrize("outcome", [True, None])
def test_what_was_right_or_not_checked_leaves_no_trace(outcome: bool | None) -> None:
    penalties = Penalties()
    for number in range(10 * FREE_OF_NETWORK):
        made = attempt(device_id=number.to_bytes(32, "big"))
        assert penalties.delay(made, NOW) == 0
        assert penalties.settle(made, outcome, NOW) == []


def test_a_check_whose_client_left_counts_as_wrong() -> None:
    penalties = Penalties()
    for _ in range(FREE_OF_USER + 1):
        assert penalties.delay(attempt(), NOW) == 0
    assert penalties.delay(attempt(), NOW) == 1


def test_wrong_proofs_are_forgotten_one_by_one() -> None:
    penalties = Penalties()
    fail(penalties, FREE_OF_USER + 1, user_name="ann")
    later = NOW + FORGET_SECONDS
    assert penalties.delay(attempt(), later) == 0
    penalties.settle(attempt(), False, later)
    assert penalties.delay(attempt(), later) == 1
    much_later = later + FORGET_SECONDS * (FREE_OF_USER + 1)
    fail(penalties, FREE_OF_USER + 1, much_later, user_name="ann")


def test_the_tallies_are_bounded_and_the_oldest_is_given_up() -> None:
    penalties = Penalties()
    fail(penalties, FREE_OF_USER + 1, user_name="ann")
    assert penalties.delay(attempt(), NOW) == 1
    for number in range(ROWS_MAX):
        made = attempt(f"user{number}", f"10.{number >> 8}.{number & 255}.1")
        assert penalties.delay(made, NOW) == 0
    assert penalties.delay(attempt(), NOW) == 0


def test_an_address_is_reported_once_a_minute() -> None:
    penalties = Penalties()
    told = [penalties.settle(attempt(), False, NOW + second) for second in (0, 1, 59)]
    assert told == [[ProofsWrong(address="192.0.2.7", wrong=1)], [], []]
    other = attempt(host="192.0.2.8")
    assert penalties.settle(other, False, NOW + 59) == [ProofsWrong(address="192.0.2.8", wrong=1)]
    later = penalties.settle(attempt(), False, NOW + REPORT_SECONDS)
    assert later == [ProofsWrong(address="192.0.2.7", wrong=3)]


def test_the_addresses_of_an_ipv6_subnet_are_reported_as_one() -> None:
    penalties = Penalties()
    told = [
        penalties.settle(attempt(host=f"2001:db8::{number}"), False, NOW) for number in (1, 2, 3)
    ]
    assert told == [[ProofsWrong(address="2001:db8::1", wrong=1)], [], []]
