"""The requirements of the protocol, read from the chapters of the specification.

A requirement is a list item of a chapter, with the roles that it binds and, where there is one, the
error code that shows it:

    - **LIC-03** [terminal-server; LICENSE_TAMPERED] A terminal server MUST …

Its id never changes. An id whose requirement was dropped stays in its chapter, marked `[retired]`,
so that it is not given to another.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

import msgspec

from tsproto.errors import ErrorCode
from tsproto.messages import DAEMONS, EVERYBODY, Role

CHAPTERS = sorted(Path(__file__).with_name("spec").glob("*.md"))
_ITEM = re.compile(
    r"^- \*\*(?P<id>[A-Z]+-\d\d)\*\* \[(?P<roles>[^];]+)(; (?P<code>\w+))?\] "
    r"(?P<text>.+(\n  .+)*)$",
    re.MULTILINE,
)
_RETIRED = "retired"
GROUPS = {"everybody": EVERYBODY, "every daemon": DAEMONS}


class Level(StrEnum):
    """MUST NOT is a MUST, and SHOULD NOT a SHOULD."""

    MUST = "MUST"
    SHOULD = "SHOULD"
    MAY = "MAY"


class Requirement(msgspec.Struct, frozen=True, kw_only=True):
    """`subject` holds the roles that it binds. `code` is the answer to a violation, or the code
    that an end must send in the case described; None where there is no single one."""

    id: str
    level: Level
    subject: frozenset[Role]
    text: str
    code: ErrorCode | None
    chapter: str


def requirements_in(text: str, chapter: str) -> Iterator[Requirement]:
    """The requirements of one chapter, without the retired ones; raises ValueError, with the id,
    for a role, a code or a sentence that means nothing."""
    for item in _ITEM.finditer(text):
        if item["roles"] == _RETIRED:
            continue
        sentence = " ".join(item["text"].split())
        level = re.search(r"\b(MUST|SHOULD|MAY)\b", sentence)
        try:
            if level is None:
                raise ValueError("the sentence says neither MUST nor SHOULD nor MAY")
            yield Requirement(
                id=item["id"],
                level=Level(level[0]),
                subject=_roles(item["roles"]),
                text=sentence,
                code=None if item["code"] is None else ErrorCode[item["code"]],
                chapter=chapter,
            )
        except (KeyError, ValueError) as error:
            raise ValueError(f"{item['id']}: {error}") from None


def retired_in(text: str) -> list[str]:
    return [item["id"] for item in _ITEM.finditer(text) if item["roles"] == _RETIRED]


def _roles(words: str) -> frozenset[Role]:
    if words in GROUPS:
        return GROUPS[words]
    return frozenset(Role[word.upper().replace("-", "_")] for word in words.split(", "))


_TEXTS = {path.stem.partition("-")[2]: path.read_text(encoding="utf-8") for path in CHAPTERS}
REQUIREMENTS = tuple(
    requirement
    for chapter, text in _TEXTS.items()
    for requirement in requirements_in(text, chapter)
)
RETIRED = tuple(id for text in _TEXTS.values() for id in retired_in(text))
