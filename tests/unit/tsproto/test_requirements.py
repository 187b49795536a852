import re

from tests.rules import used_again
from tsproto.errors import ErrorCode
from tsproto.messages import CLIENT
from tsproto.requirements import (
    CHAPTERS,
    NOT_TESTABLE,
    REQUIREMENTS,
    RETIRED,
    Level,
    directory,
    frames,
    keeping,
    license_servers,
    licenses,
    opening,
    sessions,
)
from tsproto.requirements.requirement import may, must, should

IDS = [requirement.id for requirement in REQUIREMENTS]
BY_ID = {requirement.id: requirement for requirement in REQUIREMENTS}


def test_the_requirements_of_every_file_are_in_the_table() -> None:
    files = (directory, frames, keeping, license_servers, licenses, opening, sessions)
    assert {found.id for file in files for found in file.REQUIREMENTS} == set(IDS)


def test_must_should_and_may_give_their_level() -> None:
    levels = [
        state("SESS-01", CLIENT, "", ErrorCode.OUT_OF_ORDER).level for state in (must, should, may)
    ]
    assert levels == [Level.MUST, Level.SHOULD, Level.MAY]


def test_an_id_is_a_known_prefix_and_two_digits() -> None:
    prefixes = "|".join(CHAPTERS)
    assert [id for id in IDS if not re.fullmatch(rf"({prefixes})-\d\d", id)] == []


def test_no_id_is_used_twice_or_again() -> None:
    numbers = {id: number for number, id in enumerate(sorted({*IDS, *RETIRED}))}
    retired = tuple(numbers[id] for id in RETIRED)
    assert used_again([numbers[id] for id in IDS], retired) == []


def test_every_sentence_says_its_level_and_ends() -> None:
    for requirement in REQUIREMENTS:
        assert requirement.level in requirement.text, requirement.id
        assert requirement.text.endswith("."), requirement.id


def test_should_and_may_promise_no_must() -> None:
    for requirement in REQUIREMENTS:
        if requirement.level is not Level.MUST:
            assert Level.MUST not in requirement.text, requirement.id


def test_every_requirement_binds_somebody() -> None:
    assert [requirement.id for requirement in REQUIREMENTS if not requirement.subject] == []


def test_only_what_may_be_left_undone_may_be_left_untested() -> None:
    for id, reason in NOT_TESTABLE.items():
        assert BY_ID[id].level is not Level.MUST, id
        assert reason


def test_every_chapter_has_requirements_of_one_prefix() -> None:
    assert len(set(CHAPTERS.values())) == len(CHAPTERS)
    assert {requirement.chapter for requirement in REQUIREMENTS} == set(CHAPTERS.values())
