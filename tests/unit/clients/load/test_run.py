from __future__ import annotations

from pathlib import Path

from clients.load.assignment import Credentials, Farm, Person
from clients.load.checks import CONSERVED, ONE_SESSION, Checks
from clients.load.run import Run, rules_of
from clients.load.scenario import Closed, Drives, Scenario

SCENARIO = Scenario(name="x", closed=Closed(users=5, seconds=1.0))
PEOPLE = tuple(Person(f"user{number}", b"secret") for number in range(5))


def run(workers: int, identities: int = 0) -> Run:
    own = tuple(Credentials(Path(f"{n}.crt"), Path(f"{n}.key")) for n in range(identities))
    return Run(
        scenario=SCENARIO,
        script="",
        farm=Farm(name="lab", as_terminal_servers=own),
        people=PEOPLE,
        workers=workers,
        links=2,
        sources=(),
        devices=None,
        seed=7,
    )


def test_workers_share_the_people_and_nobody_is_in_two_shares() -> None:
    given = run(workers=2).assignments()
    assert [(each.share, each.shares) for each in given] == [(0, 2), (1, 2)]
    assert [[person.name for person in each.people] for each in given] == [
        ["user0", "user2", "user4"],
        ["user1", "user3"],
    ]


def test_no_two_workers_pass_for_the_same_terminal_server_while_there_are_enough() -> None:
    given = run(workers=2, identities=4).assignments()
    names = [[own.certificate.stem for own in each.farm.as_terminal_servers] for each in given]
    assert names == [["0", "2"], ["1", "3"]]


def test_workers_share_a_certificate_where_there_is_only_one() -> None:
    given = run(workers=2, identities=1).assignments()
    assert [len(each.farm.as_terminal_servers) for each in given] == [1, 1]


def test_every_rule_that_a_driver_watches_is_told() -> None:
    kinds: tuple[Drives, ...] = ("users", "licenses", "directory")
    for drives in kinds:
        rules = [check.rule for check in Checks(None, [], None).results((), rules_of(drives))]
        assert rules[:2] == [CONSERVED, ONE_SESSION]
        assert len(set(rules)) == len(rules) > 4
