"""What a session directory answers, judged: no directory runs here."""

from __future__ import annotations

import random

import pytest

from clients.load.drivers.directory import FENCED, WHERE_ASKED, WHERE_IT_IS, Directory, Host, User
from clients.load.measuring.measures import Measures
from clients.load.processes.assignment import Assignment, Farm
from clients.load.scenario import Act, Closed, Journey, Scenario
from tsproto.messages import PlaceSession, RemoveSession, SessionPlaced, UpdateSession


def driver_of(*acts: str, rules: list[str]) -> Directory:
    scenario = Scenario(
        name="x",
        drives="directory",
        closed=Closed(users=1, seconds=1.0),
        journeys=(Journey(acts=tuple(Act(act) for act in acts)),),
    )
    assignment = Assignment(share=0, shares=1, farm=Farm(name="lab"), scenario=scenario)
    return Directory(
        assignment,
        Measures(0, lambda: 0.0),
        lambda rule, detail: rules.append(rule),
        random.Random(1),
    )


RECEIPT = b"r" * 32


class Seen:
    """A driver, a user on the host `load-0`, and the rules that it saw broken."""

    def __init__(self) -> None:
        self.rules: list[str] = []
        self.moves = driver_of("place", rules=self.rules).moves()
        self.user = User(Host("load-0"), "user1", "editor", 4)

    def hear(self, move: str, host: str, session_id: int, placement: int) -> None:
        answer = SessionPlaced(
            placement=placement,
            host=host,
            address="192.0.2.1",
            port=5600,
            session_id=session_id,
            receipt=RECEIPT,
        )
        judge = self.moves[move].hear
        assert judge is not None
        judge(self.user, answer)


def test_a_session_from_its_placement_to_its_end_breaks_no_rule() -> None:
    seen = Seen()
    place = seen.moves["place"].say(seen.user)
    assert place == PlaceSession(user_name="user1", application="editor")
    seen.hear("place", "load-0", 0, 11)
    report = seen.moves["report"].say(seen.user)
    assert isinstance(report, UpdateSession)
    row = report.session
    assert (row.host, row.session_id, row.user_name, row.placement) == ("load-0", 4, "user1", 11)
    assert (row.application, row.receipt) == ("editor", RECEIPT)
    seen.hear("query", "load-0", 4, 11)
    end = seen.moves["end"].say(seen.user)
    assert isinstance(end, RemoveSession) and (end.session_id, end.placement) == (4, 11)
    seen.hear("place", "load-0", 0, 12)
    assert seen.rules == []


@pytest.mark.parametrize(("host", "session_id"), [("ts1", 4), ("load-0", 0), ("load-0", 5)])
def test_a_user_who_is_led_elsewhere_than_to_their_session_is_seen(
    host: str, session_id: int
) -> None:
    seen = Seen()
    seen.moves["report"].say(seen.user)
    seen.hear("query", host, session_id, 11)
    assert seen.rules == [WHERE_IT_IS]


def test_a_new_user_who_is_sent_elsewhere_is_seen() -> None:
    seen = Seen()
    seen.hear("place", "ts1", 0, 11)
    assert seen.rules == [WHERE_ASKED]


def test_a_placement_that_goes_back_is_seen() -> None:
    seen = Seen()
    seen.hear("place", "load-0", 0, 11)
    seen.hear("place", "load-0", 0, 10)
    assert seen.rules == [FENCED]
