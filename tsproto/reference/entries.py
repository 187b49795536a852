"""What the document says of each message, error code and limit."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import msgspec

from tsproto import limits, messages
from tsproto.deny_list import DenyList
from tsproto.discovery import Answer, Query
from tsproto.errors import ErrorCode
from tsproto.license_token import Claims
from tsproto.messages import TABLE, Entry, Kind, LinkState, Message, Role, number_of
from tsproto.reference.markdown import docstring, table, words
from tsproto.reference.shapes import ROWS, comments, fields
from tsproto.reference.worked import example
from tsproto.requirements import CHAPTERS, GROUPS

_BY_NAME = {found.__name__: found for found in TABLE.values()}
_ARRAYS: list[type[msgspec.Struct]] = [*ROWS, Query, Answer, Claims, DenyList]
_STRUCTS = {found.__name__: found for found in _ARRAYS}
_GROUP_NAMES = {roles: name for name, roles in GROUPS.items()}


class Cause(msgspec.Struct, frozen=True):
    """One line of the table in the chapter on error codes: who sends a code, in which message,
    after which messages (any, or none, where that is empty), and when."""

    code: str
    sender: str
    carrier: str
    after: tuple[str, ...]
    when: str


def causes() -> Iterator[Cause]:
    (chapter,) = (path for path in CHAPTERS if path.stem.endswith("-close"))
    for line in re.findall(r"^\| `([A-Z_]+)` \|(.*)\|$", chapter.read_text("utf-8"), re.M):
        sender, carrier, after, when = (cell.strip() for cell in line[1].split("|"))
        yield Cause(line[0], sender, carrier, tuple(after.split(", ")) if after else (), when)


# --- messages ---------------------------------------------------------------------------------


def message(name: str) -> str:
    found = _BY_NAME[name]
    parts = [
        f"### {number_of(found)} {name}",
        docstring(found),
        "\n".join(_facts(found)),
        fields(found, first=2),
        f"Example:\n\n{example(found)}",
    ]
    return "\n\n".join(part for part in parts if part)


def link_to(name: str) -> str:
    return f"[{name}](#{number_of(_BY_NAME[name])}-{name.lower()})"


def _facts(found: type[Message]) -> Iterator[str]:
    entry = found.entry
    yield f"- {entry.kind.value.capitalize()}, from {roles(entry.senders)} to {_receivers(entry)}"
    then = f"; then {entry.then.name}" if entry.then else ""
    yield f"- In state {_states(entry.states)}{then}"
    if entry.kind is Kind.REQUEST:
        answers = words([*map(link_to, entry.answers)], "or")
        yield f"- Answered by {answers}, or {link_to('Refused')}"
    if entry.wants:
        yield f"- Wants an administrator with the role {entry.wants.word}"
    if entry.kind is Kind.ANSWER:
        yield f"- Answers {_requests_of(found)}"
    errors = [cause for cause in causes() if found.__name__ in cause.after]
    if errors:
        yield "- May be followed by"
        yield from (f"  - {cause.carrier} `{cause.code}`: {cause.when}" for cause in errors)


def _requests_of(answer: type[Message]) -> str:
    if answer is messages.Refused:
        return "every request"
    requests = [name for name, one in _BY_NAME.items() if answer.__name__ in one.entry.answers]
    return words([*map(link_to, requests)], "or")


def _receivers(entry: Entry) -> str:
    return "the end that asked" if entry.kind is Kind.ANSWER else roles(entry.receivers)


def roles(found: frozenset[Role]) -> str:
    return _GROUP_NAMES.get(found) or words([role.noun for role in sorted(found)], "or")


def _states(states: frozenset[LinkState]) -> str:
    if states == messages.OPENED:
        return "any but OPENING"
    return ", ".join(state.name for state in LinkState if state in states)


def overview() -> str:
    lines = [
        (
            number,
            link_to(found.__name__),
            found.entry.kind.value,
            roles(found.entry.senders),
            _receivers(found.entry),
            _states(found.entry.states),
        )
        for number, found in TABLE.items()
    ]
    return table(("number", "message", "kind", "from", "to", "in state"), lines)


def struct(name: str) -> str:
    return fields(_STRUCTS[name], first=0)


def rows() -> str:
    parts = [f"#### {row.__name__}\n\n{docstring(row)}\n\n{fields(row, first=0)}" for row in ROWS]
    return "\n\n".join(parts)


# --- codes and limits -------------------------------------------------------------------------


def codes() -> str:
    lines = [
        (code.value, f"`{code.name}`", "yes" if code.may_retry else "no", code.meaning)
        for code in ErrorCode
    ]
    return table(("code", "name", "may retry", "meaning"), lines)


def limit_tables() -> str:
    """One table a section of `limits.py`, whose comments give the reasons."""
    _, *sections = re.split(r"^# --- (.+?) -+\n", inspect.getsource(limits), flags=re.MULTILINE)
    parts = []
    for title, source in zip(sections[::2], sections[1::2], strict=True):
        reasons = comments(source).items()
        lines = [(f"`{name}`", getattr(limits, name), why) for name, why in reasons]
        parts.append(f"### Limits of {title}\n\n{table(('limit', 'value', 'why'), lines)}")
    return "\n\n".join(parts)


def limit(name: str) -> str:
    """One limit's value, inside a sentence."""
    value = getattr(limits, name)
    return f"{value:g}" if isinstance(value, float) else str(value)
