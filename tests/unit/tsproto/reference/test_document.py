import re
from collections import Counter

from tsproto import limits
from tsproto.errors import ErrorCode
from tsproto.messages import TABLE
from tsproto.reference import document
from tsproto.requirements import CHAPTERS, REQUIREMENTS, RETIRED

TEXT = document.render()


def section(heading: str) -> str:
    """What stands under one heading, up to the next of any level."""
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", TEXT, re.DOTALL | re.MULTILINE)
    assert found, f"no heading {heading!r}"
    return found[1]


def test_every_message_has_an_entry_in_a_chapter() -> None:
    headings = re.findall(r"^### \d+ (\w+)$", TEXT, re.MULTILINE)
    missing = [found.__name__ for found in TABLE.values() if headings.count(found.__name__) != 1]
    assert not missing, "put {{message NAME}} into one chapter of tsproto/spec"


def test_an_entry_has_the_fields_of_its_message() -> None:
    for number, message in TABLE.items():
        heading = f"{number} {message.__name__}"
        fields = re.findall(r"^\| (\d+) \| `(\w+)`", section(heading), re.MULTILINE)
        assert fields == [
            (str(place), field)
            for place, field in enumerate(message.__struct_fields__[1:], start=2)
        ]


def test_every_error_code_is_there() -> None:
    lines = re.findall(r"^\| (\d+) \| `(\w+)` \| (yes|no)", section("Error codes"), re.MULTILINE)
    assert lines == [
        (str(code.value), code.name, "yes" if code.may_retry else "no") for code in ErrorCode
    ]


def test_every_limit_is_there_with_its_value() -> None:
    lines = dict(re.findall(r"^\| `([A-Z0-9_]+)` \| ([\d.]+) \|", TEXT, re.MULTILINE))
    assert lines == {name: str(value) for name, value in vars(limits).items() if name.isupper()}


def test_every_requirement_stands_there_once_and_no_other() -> None:
    found = Counter(re.findall(r"\b[A-Z]{3,5}-\d\d\b", TEXT))
    assert found == Counter([*RETIRED, *(requirement.id for requirement in REQUIREMENTS)])


def test_every_chapter_is_listed_in_order() -> None:
    listed = re.findall(r"^\d+\. \[(.+)\]\(#", TEXT, re.MULTILINE)
    assert listed == re.findall(r"^## (.+)$", TEXT, re.MULTILINE)[1:]
    assert len(listed) == len(CHAPTERS) - 1


def test_nothing_is_left_to_be_put_in() -> None:
    assert re.findall(r"\{\{.*", TEXT) == []


def test_every_link_leads_to_a_heading() -> None:
    headings = re.findall(r"^#+ (.+)$", TEXT, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in headings}
    assert {link for link in re.findall(r"\]\(#([^)]+)\)", TEXT)} - anchors == set()
