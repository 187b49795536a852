from __future__ import annotations

import pytest

from clients.load.capacity import (
    CapacityExceeded,
    Machine,
    check_descriptors,
    check_sources,
    connections,
    sources,
    warning,
)
from clients.load.scenario import Closed, Open, Scenario, Stage
from clients.load.target import BadInput
from clients.logon.steps import Host

MACHINE = Machine(descriptors=1_064, ports=10_000)
FARM = [Host("192.0.2.11", 5600), Host("192.0.2.12", 5600)]
LAB = [Host("127.0.9.101", 5600), Host("127.0.9.102", 5600)]


def opened(in_flight_max: int) -> Scenario:
    return Scenario(name="x", open=Open(stages=(Stage(1.0, 1.0),), in_flight_max=in_flight_max))


# --- how many -------------------------------------------------------------------------------------


def test_users_have_a_connection_each_and_some_are_being_redirected() -> None:
    assert connections(opened(1_000), people=2_000, links=8, workers=2) == 1_100
    closed = Scenario(name="x", closed=Closed(users=50, seconds=1.0))
    assert connections(closed, people=50, links=8, workers=2) == 55


def test_there_are_no_more_users_than_people() -> None:
    assert connections(opened(1_000), people=10, links=8, workers=1) == 11


def test_bare_requests_have_links_alone() -> None:
    scenario = Scenario(name="x", drives="licenses", closed=Closed(users=5_000, seconds=1.0))
    assert connections(scenario, people=0, links=8, workers=3) == 24


# --- descriptors ----------------------------------------------------------------------------------


def test_as_many_connections_as_descriptors_are_good() -> None:
    check_descriptors(2_000, 2, MACHINE)


def test_more_are_told_with_the_numbers_and_the_next_step() -> None:
    with pytest.raises(CapacityExceeded) as raised:
        check_descriptors(2_002, 2, MACHINE)
    assert str(raised.value) == (
        "2,002 connections are 1,065 open files a worker, and a process may open 1,064 here: give"
        " --workers 3, or a higher limit (`ulimit -Hn 1065`, or LimitNOFILE=1065 of a service)"
    )


def test_a_machine_with_next_to_none_is_not_told_to_take_more_workers() -> None:
    with pytest.raises(CapacityExceeded) as raised:
        check_descriptors(10, 1, Machine(descriptors=64, ports=10_000))
    assert "--workers" not in str(raised.value)


# --- source addresses -----------------------------------------------------------------------------


def test_the_system_chooses_where_one_address_has_the_ports() -> None:
    assert sources(9_000, (), FARM, MACHINE) == ()


def test_too_few_ports_are_told_with_how_many_addresses_it_takes() -> None:
    with pytest.raises(CapacityExceeded) as raised:
        sources(18_001, ("192.0.2.1", "192.0.2.2"), FARM, MACHINE)
    assert str(raised.value) == (
        "18,001 connections take 3 source addresses, of 9,000 ports each, and there are 2: give 3"
        " addresses of this machine with --source, or let fewer users be under way"
    )


def test_addresses_that_are_given_are_taken() -> None:
    given = ("192.0.2.1", "192.0.2.2")
    assert sources(18_000, given, FARM, MACHINE) == given
    assert sources(10, ("127.0.0.7",), LAB, MACHINE) == ("127.0.0.7",)


def test_to_loopback_there_are_as_many_as_it_takes() -> None:
    """28,000 ports each, of which a daemon accepts 4,096 connections from one address."""
    chosen = sources(100_000, (), LAB, Machine(descriptors=200_000, ports=28_232))
    assert len(chosen) == 25
    assert (chosen[0], chosen[-1]) == ("127.0.250.1", "127.0.250.25")


def test_a_name_and_a_mixed_farm_are_not_loopback() -> None:
    assert sources(10, (), [Host("ts1.example", 5600)], MACHINE) == ()
    assert sources(10, (), [LAB[0], FARM[0]], MACHINE) == ()


# --- what daemons accept --------------------------------------------------------------------------


def test_more_connections_than_daemons_accept_from_these_addresses_are_warned_of() -> None:
    assert warning(8_192, (), FARM) == ""
    told = warning(8_193, (), FARM)
    assert told.startswith("8,193 connections from 1 address to 2 daemons: each accepts 4,096")
    assert "--source" in told
    assert warning(8_193, ("192.0.2.1", "192.0.2.2"), FARM) == ""


def test_more_connections_than_daemons_accept_at_all_are_told() -> None:
    said = warning(40_000, [f"127.0.250.{n}" for n in range(1, 100)], LAB[:2])
    assert said == "40,000 connections to 2 daemons: each accepts 16,384"


# --- addresses to dial from -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("here", "--source here: expected an address of this machine, as 192.0.2.7"),
        ("192.0.2.1", "--source 192.0.2.1: Cannot assign requested address: give an address of"),
        ("::1", "--source ::1: the farm's addresses are IPv4: give one of these"),
    ],
)
def test_an_address_that_nothing_can_be_dialled_from_is_told(source: str, said: str) -> None:
    with pytest.raises(BadInput) as raised:
        check_sources(["127.0.0.1", source], LAB)
    assert str(raised.value).startswith(said)


def test_a_loopback_address_can_be_dialled_from() -> None:
    check_sources(["127.0.0.1", "127.0.9.9"], LAB)
    check_sources([], LAB)
