from __future__ import annotations

from pathlib import Path

import pytest

from clients.load.measuring.totals import Totals
from clients.load.processes.assignment import Credentials, Farm, Person
from clients.load.run import Run, evidence
from clients.load.scenario import Closed, Drives, Scenario
from tests.unit.clients.load.intervals import interval, step

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


@pytest.mark.parametrize("drives", ["users", "licenses", "directory"])
def test_a_driver_says_of_each_rule_how_often_it_was_looked_at(drives: Drives) -> None:
    totals = Totals()
    steps = dict.fromkeys(("roam", "logon", "issue", "upgrade", "place", "query"), step((1.0, 2.0)))
    totals.add(interval(steps=steps, finished=5))
    seen = evidence(drives, totals)
    assert len(seen) > 2
    assert seen.get("session kept", 2) == 2
    assert seen.get("license kept", 4) == 4
    assert seen.get("keys come back once and in order", 0) == 0
    assert seen.get("sessions logged off", 5) == 5
    assert seen.get("the same device gets the same token", 4) == 4
    assert seen.get("a later placement has a higher number", 4) == 4
