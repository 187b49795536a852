"""Who gives way, and whose turn is next."""

from __future__ import annotations

import pytest

from tsproto.fairness import Shares, Source, Turns, source_of


@pytest.mark.parametrize(
    ("host", "network", "address"),
    [
        ("192.0.2.7", "192.0.2.0/24", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.0/24", "192.0.2.7"),
        ("2001:db8:1:2::7", "2001:0db8:0001::/48", "2001:0db8:0001:0002::/64"),
        ("2001:db8:1:2:3::", "2001:0db8:0001::/48", "2001:0db8:0001:0002::/64"),
        ("fe80::1%eth0", "fe80:0000:0000::/48", "fe80:0000:0000:0000::/64"),
        ("no:address", "no:address", "no:address"),
    ],
)
def test_a_source_is_an_address_in_its_network(host: str, network: str, address: str) -> None:
    assert source_of(host) == Source(network, address)


def shares(*hosts: str) -> Shares[int]:
    """Item n is of the n-th host."""
    made: Shares[int] = Shares()
    for item, host in enumerate(hosts):
        made.add(item, source_of(host))
    return made


def test_the_crowd_is_the_largest_address_of_the_largest_network() -> None:
    found = shares("10.0.0.1", "10.0.1.1", "10.0.1.2", "10.0.1.2", "10.0.2.1", "10.0.2.1")
    assert found.crowd() == [2, 3]


def test_a_network_of_many_addresses_is_larger_than_one_busy_address() -> None:
    assert shares("10.0.0.1", "10.0.0.1", "10.0.1.1", "10.0.1.2", "10.0.1.3").crowd() == [2]


def test_an_ipv6_site_counts_as_one_whatever_subnets_it_uses() -> None:
    assert shares("10.0.0.1", "2001:db8:1:1::1", "2001:db8:1:2::1").crowd() == [1]


def test_nothing_is_kept_of_what_was_discarded() -> None:
    found = shares("10.0.0.1", "10.0.0.1")
    for item in (0, 1, 1):
        found.discard(item)
    assert (len(found), [*found.networks()], found.size("10.0.0.0/24")) == (0, [], 0)
    assert found.size("10.0.0.1") == 0


def turns(at_once: int, *hosts: str, waiting_max: int = 100) -> Turns[int]:
    made: Turns[int] = Turns(at_once, waiting_max)
    for item, host in enumerate(hosts):
        assert made.wait(item, source_of(host)) is None
    return made


def served(found: Turns[int]) -> list[int]:
    """The order of the items when each turn ends before the next begins."""
    order = []
    while (item := found.next()) is not None:
        order.append(item)
        found.leave(item)
    return order


def test_networks_take_turns_and_so_do_the_addresses_in_each() -> None:
    flood = ["10.0.0.1"] * 3 + ["10.0.0.2"] * 2
    assert served(turns(1, *flood, "10.0.1.1", "10.0.1.1")) == [0, 5, 3, 6, 1, 4, 2]


def test_a_newcomer_comes_before_networks_that_had_a_turn() -> None:
    found = turns(1, *["10.0.0.1"] * 3, *["10.0.1.1"] * 3)
    for _ in range(2):
        item = found.next()
        assert item is not None
        found.leave(item)
    found.wait(9, source_of("10.0.2.1"))
    assert found.next() == 9


def test_the_next_turn_is_of_the_network_with_the_fewest_running() -> None:
    found = turns(3, *["10.0.0.1"] * 4)
    assert [found.next(), found.next()] == [0, 1]
    found.wait(8, source_of("10.0.1.1"))
    found.wait(9, source_of("10.0.1.1"))
    assert (found.next(), found.next()) == (8, None)
    found.leave(0)
    assert found.next() == 2  # one runs of each, and its network's last turn is longer ago


def test_the_load_is_the_part_of_the_turns_that_is_taken() -> None:
    found = turns(4, "10.0.0.1")
    assert found.load == 0
    found.next()
    assert found.load == 0.25


def test_of_too_many_that_wait_the_oldest_of_the_largest_share_gives_way() -> None:
    found = turns(1, "10.0.0.1", "10.0.1.1", "10.0.1.1", waiting_max=3)
    assert found.wait(3, source_of("10.0.2.1")) == 1
    assert served(found) == [0, 2, 3]


def test_a_flood_gives_way_to_itself() -> None:
    found = turns(1, "10.0.0.1", "10.0.1.1", "10.0.1.1", waiting_max=3)
    cut = [found.wait(item, source_of("10.0.1.1")) for item in range(3, 100)]
    assert cut == [*range(1, 98)]


def test_a_network_with_two_turns_more_than_one_that_waits_gives_one_back() -> None:
    found = turns(3, *["10.0.0.1"] * 3)
    assert [found.next(), found.next()] == [0, 1]
    found.wait(9, source_of("10.0.1.1"))
    assert found.intruder() is None  # a turn is free
    assert found.next() == 9
    found.wait(8, source_of("10.0.1.1"))
    assert found.intruder() is None  # 2 and 1
    found.wait(7, source_of("10.0.2.1"))
    assert found.intruder() == 0  # 2 and 0


def test_networks_with_one_turn_each_keep_it() -> None:
    found = turns(2, "10.0.0.1", "10.0.1.1")
    assert [found.next(), found.next()] == [0, 1]
    found.wait(9, source_of("10.0.2.1"))
    assert found.intruder() is None


def test_what_left_is_unknown_and_leaves_once() -> None:
    found = turns(1, "10.0.0.1")
    assert found.next() == 0
    found.leave(0)
    found.leave(0)
    assert (found.load, found.next()) == (0, None)
