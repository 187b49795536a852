from collections import Counter

import pytest

from tsproto.errors import ErrorCode
from tsproto.messages import CLIENT, DAEMONS, EVERYBODY, LICENSE_SERVER, TERMINAL_SERVER
from tsproto.requirements import (
    REQUIREMENTS,
    RETIRED,
    Level,
    Requirement,
    requirements_in,
    retired_in,
)

IDS = [requirement.id for requirement in REQUIREMENTS]


def test_a_requirement_is_an_item_with_roles_code_and_sentence() -> None:
    text = (
        "A MUST outside of an item.\n\n"
        "- **LIC-03** [terminal-server, license-server; NO_LICENSE] It MUST go\n"
        "  on to the next line.\n"
        "- **LIC-04** [client] A client SHOULD NOT.\n\n"
        "- another item"
    )
    assert list(requirements_in(text, "licensing")) == [
        Requirement(
            id="LIC-03",
            level=Level.MUST,
            subject=TERMINAL_SERVER | LICENSE_SERVER,
            text="It MUST go on to the next line.",
            code=ErrorCode.NO_LICENSE,
            chapter="licensing",
        ),
        Requirement(
            id="LIC-04",
            level=Level.SHOULD,
            subject=CLIENT,
            text="A client SHOULD NOT.",
            code=None,
            chapter="licensing",
        ),
    ]


def test_everybody_and_every_daemon_are_roles() -> None:
    text = "- **A-01** [everybody] MAY.\n- **A-02** [every daemon] MAY.\n"
    assert [found.subject for found in requirements_in(text, "")] == [EVERYBODY, DAEMONS]


def test_a_retired_id_binds_nobody() -> None:
    text = "- **GROW-03** [retired] It was about something else.\n"
    assert list(requirements_in(text, "growth")) == []
    assert retired_in(text) == ["GROW-03"]


@pytest.mark.parametrize(
    ("item", "cause"),
    [
        ("[terminal server] It MUST.", "TERMINAL SERVER"),
        ("[client; NO_SUCH_CODE] It MUST.", "NO_SUCH_CODE"),
        ("[client] It must.", "neither MUST nor SHOULD nor MAY"),
    ],
)
def test_an_item_that_means_nothing_is_named(item: str, cause: str) -> None:
    with pytest.raises(ValueError, match=rf"LIC-03: .*{cause}"):
        list(requirements_in(f"- **LIC-03** {item}", ""))


def test_no_id_is_used_twice_or_again() -> None:
    assert [id for id, uses in Counter([*IDS, *RETIRED]).items() if uses > 1] == []


def test_the_ids_of_a_chapter_have_a_prefix_of_their_own() -> None:
    chapters = {id.partition("-")[0]: set[str]() for id in IDS}
    for requirement in REQUIREMENTS:
        chapters[requirement.id.partition("-")[0]].add(requirement.chapter)
    assert [prefix for prefix, found in chapters.items() if len(found) > 1] == []
    assert len({chapter for found in chapters.values() for chapter in found}) == len(chapters)


def test_every_sentence_ends() -> None:
    assert [found.id for found in REQUIREMENTS if not found.text.endswith(".")] == []


def test_should_and_may_promise_no_must() -> None:
    weak = [found for found in REQUIREMENTS if found.level is not Level.MUST]
    assert [found.id for found in weak if Level.MUST in found.text] == []
