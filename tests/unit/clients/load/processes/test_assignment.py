"""A run parted among its workers."""

from __future__ import annotations

from pathlib import Path

from clients.load.processes.assignment import Assignment, Credentials, Farm, Person
from clients.load.scenario import Closed, Scenario

SCENARIO = Scenario(name="x", closed=Closed(users=5, seconds=1.0))
PEOPLE = tuple(Person(f"user{number}", b"secret") for number in range(5))


def run(workers: int, identities: int = 0) -> Assignment:
    own = tuple(Credentials(Path(f"{n}.crt"), Path(f"{n}.key")) for n in range(identities))
    return Assignment(
        scenario=SCENARIO,
        farm=Farm(name="lab", as_terminal_servers=own),
        people=PEOPLE,
        shares=workers,
    )


def test_workers_share_the_people_and_nobody_is_in_two_shares() -> None:
    given = run(workers=2).parts()
    assert [(each.share, each.shares) for each in given] == [(0, 2), (1, 2)]
    assert [[person.name for person in each.people] for each in given] == [
        ["user0", "user2", "user4"],
        ["user1", "user3"],
    ]


def test_no_two_workers_pass_for_the_same_terminal_server_while_there_are_enough() -> None:
    given = run(workers=2, identities=4).parts()
    names = [[own.certificate.stem for own in each.farm.as_terminal_servers] for each in given]
    assert names == [["0", "2"], ["1", "3"]]


def test_workers_share_a_certificate_where_there_is_only_one() -> None:
    given = run(workers=2, identities=1).parts()
    assert [len(each.farm.as_terminal_servers) for each in given] == [1, 1]
