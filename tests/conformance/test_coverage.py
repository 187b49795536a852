"""Every requirement has a case, every message and state has its generated cases, every story its
tellers. What is new in the table comes in by itself, or fails here."""

from __future__ import annotations

import pytest

from clients.conformance import coverage
from clients.conformance.case import EVERYBODY
from clients.conformance.cases.generated_silence import SILENCE
from clients.conformance.catalogue import cases_for, generated_for, is_named
from clients.conformance.reach import QUESTIONS, TABLE_BY_NAME, UNASKED, spots
from clients.conformance.scenarios import NOT_BUILT, SCENARIOS
from tsproto.messages import TABLE, Kind, LinkState, Message, Role
from tsproto.requirements import RETIRED, Level

ALL = [case for role in EVERYBODY for case in cases_for(role)]
# Brought about, and timed, by written cases: it is left as soon as it is entered.
WRITTEN_STATES = {LinkState.LEAVING, LinkState.CLOSED}


def test_every_requirement_has_a_case_or_a_reason() -> None:
    uncovered = [line for line in coverage.table() if not line.is_covered and not line.why_not]
    ids = [line.requirement.id for line in uncovered]
    assert not ids, f"{ids} need a case in clients/conformance/cases/, registered in catalogue.py"


def test_only_should_and_may_are_listed_as_not_testable() -> None:
    musts = [id for id in coverage.NOT_TESTABLE if coverage.BY_ID[id].level is Level.MUST]
    assert musts == []


def test_a_requirement_with_a_case_is_not_listed_as_not_testable() -> None:
    covered = {line.requirement.id for line in coverage.table() if line.is_covered}
    assert covered & coverage.NOT_TESTABLE.keys() == set()


def test_every_case_names_requirements_that_exist() -> None:
    assert {id for case in ALL for id in case.requirements} <= coverage.BY_ID.keys()
    assert not {case.requirement for case in ALL} & set(RETIRED)


def test_every_case_is_for_a_role_that_its_requirement_binds() -> None:
    wrong = [c.id for c in ALL if c.role not in coverage.BY_ID[c.requirement].subject]
    assert wrong == []


def test_ids_are_unique_and_begin_with_their_requirement() -> None:
    keys = [(case.role, case.id) for case in ALL]
    assert len(set(keys)) == len(keys)
    assert all(case.id.startswith(f"{case.requirement}.") for case in ALL)


@pytest.mark.parametrize("role", EVERYBODY)
def test_every_message_that_a_target_receives_has_generated_cases(role: Role) -> None:
    named = {case.id.split(".")[1] for case in generated_for(role)}
    received = {kind.__name__ for kind in TABLE.values() if role in kind.entry.receivers}
    assert received - named - _answers_to_nothing_asked(role) == set()


def _answers_to_nothing_asked(role: Role) -> set[str]:
    """Answers whose requests this role never makes."""
    answers = {kind for kind in TABLE.values() if kind.entry.kind is Kind.ANSWER}
    return {kind.__name__ for kind in answers if not _may_be_answered(role, kind)}


def _may_be_answered(role: Role, answer: type[Message]) -> bool:
    asked = [TABLE_BY_NAME[name] for asker, name in QUESTIONS if asker is role]
    return any(answer.__name__ in request.entry.answers for request in asked)


def test_every_request_that_a_target_makes_can_be_brought_about() -> None:
    made = {
        (role, kind.__name__)
        for role in EVERYBODY
        for kind in TABLE.values()
        if kind.entry.kind is Kind.REQUEST and role in kind.entry.senders
    }
    assert made == QUESTIONS.keys() | UNASKED


def test_every_state_has_its_deadline() -> None:
    assert set(LinkState) == SILENCE.keys() | WRITTEN_STATES


@pytest.mark.parametrize("role", EVERYBODY)
def test_every_spot_of_the_table_has_a_field_case(role: Role) -> None:
    for kind in TABLE.values():
        if list(spots(role, kind)):
            prefix = f"VALUE-07.{kind.__name__}"
            assert any(is_named(case.id, [prefix]) for case in generated_for(role)), kind


def test_every_story_is_told_by_cases_that_exist() -> None:
    ids = {case.id for case in ALL}
    told = {id for scenario in SCENARIOS.values() for id in scenario.told_by}
    assert told <= ids
    assert not SCENARIOS.keys() & NOT_BUILT.keys()
