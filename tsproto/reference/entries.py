"""What the document says of each message, error code and limit."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import msgspec

from tsproto import limits, messages
from tsproto.discovery import Answer, Query
from tsproto.errors import ErrorCode
from tsproto.license_token import Claims
from tsproto.messages import TABLE, Kind, LinkState, Message, Role, Row
from tsproto.reference.causes import CAUSES, Carrier, Cause
from tsproto.reference.examples import example
from tsproto.reference.markdown import docstring, table, words
from tsproto.reference.shapes import ROWS, fields
from tsproto.requirements import REQUIREMENTS

_BY_NAME = {found.__name__: found for found in TABLE.values()}
_ARRAYS: list[type[msgspec.Struct]] = [*ROWS, Query, Answer, Claims]
_STRUCTS = {found.__name__: found for found in _ARRAYS}
ROLE_WORDS = {
    messages.EVERYBODY: "everybody",
    messages.DAEMONS: "every daemon",
}


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


def number_of(found: type[Message]) -> int:
    number = found.__struct_config__.tag
    assert isinstance(number, int)
    return number


def link_to(name: str) -> str:
    return f"[{name}](#{number_of(_BY_NAME[name])}-{name.lower()})"


def _facts(found: type[Message]) -> Iterator[str]:
    row = found.row
    yield f"- {row.kind.value.capitalize()}, from {roles(row.senders)} to {_receivers(row)}"
    yield f"- In state {_states(row.states)}" + (f"; then {row.then.name}" if row.then else "")
    if row.kind is Kind.REQUEST:
        yield f"- Answered by {words(map(link_to, row.answers), 'or')}, or {link_to('Refused')}"
    if row.kind is Kind.ANSWER:
        yield f"- Answers {_requests_of(found)}"
    errors = [cause for cause in CAUSES if found.__name__ in cause.after]
    if errors:
        yield "- May be followed by"
        yield from (f"  - {_error(cause)}" for cause in errors)


def _error(cause: Cause) -> str:
    return f"{cause.carrier.value} `{cause.code.name}`: {cause.when}"


def _requests_of(answer: type[Message]) -> str:
    if answer is messages.Refused:
        return "every request"
    requests = [name for name, one in _BY_NAME.items() if answer.__name__ in one.row.answers]
    return words(map(link_to, requests), "or")


def _receivers(row: Row) -> str:
    return "whoever asked" if row.kind is Kind.ANSWER else roles(row.receivers)


def roles(found: frozenset[Role]) -> str:
    if found in ROLE_WORDS:
        return ROLE_WORDS[found]
    return words((role.name.lower().replace("_", " ") for role in sorted(found)), "or")


def _states(states: frozenset[LinkState]) -> str:
    if states == messages.OPENED:
        return "any but OPENING"
    return ", ".join(state.name for state in LinkState if state in states)


def overview() -> str:
    """Every message on a line."""
    lines = [
        (
            number,
            link_to(found.__name__),
            found.row.kind.value,
            roles(found.row.senders),
            _receivers(found.row),
            _states(found.row.states),
        )
        for number, found in sorted(TABLE.items())
    ]
    return table(("number", "message", "kind", "from", "to", "in state"), lines)


def struct(name: str) -> str:
    """The fields of a row, a datagram or a token's claims."""
    return fields(_STRUCTS[name], first=0)


def rows() -> str:
    parts = [f"#### {row.__name__}\n\n{docstring(row)}\n\n{fields(row, first=0)}" for row in ROWS]
    return "\n\n".join(parts)


# --- requirements -----------------------------------------------------------------------------


def requirements(chapter: str) -> str:
    """The requirements of one chapter, each with whom it binds and the code that shows it."""
    lines = [
        f"- **{found.id}** {found.text} *({roles(found.subject)}"
        + (f"; `{found.code.name}`" if found.code is not None else "")
        + ")*"
        for found in REQUIREMENTS
        if found.chapter == chapter
    ]
    assert lines, chapter
    return "**Requirements**\n\n" + "\n".join(lines)


# --- codes and limits -------------------------------------------------------------------------


def codes() -> str:
    lines = [
        (
            code.value,
            f"`{code.name}`",
            "yes" if code.may_retry else "no",
            code.meaning,
            "; ".join(_cause(cause) for cause in CAUSES if cause.code is code),
        )
        for code in ErrorCode
    ]
    return table(("code", "name", "may retry", "meaning", "who sends it, in what, when"), lines)


def _cause(cause: Cause) -> str:
    if cause.carrier is Carrier.NONE:
        return cause.when if cause.when.startswith("reserved") else f"never sent: {cause.when}"
    after = f" after {words(cause.after, 'or')}" if cause.after else ""
    return f"{roles(cause.senders)}, in {cause.carrier.value}{after}: {cause.when}"


def limit_tables() -> str:
    """One table a section of `limits.py`, whose comments give the reasons."""
    _, *sections = re.split(r"^# --- (.+?) -+\n", inspect.getsource(limits), flags=re.MULTILINE)
    parts = []
    for title, source in zip(sections[::2], sections[1::2], strict=True):
        lines = table(("limit", "value", "why"), _limits_in(source))
        parts.append(f"### Limits of {title}\n\n{lines}")
    return "\n\n".join(parts)


def _limits_in(source: str) -> Iterator[tuple[str, object, str]]:
    """Each limit with its reason: the comment behind it, or the one above it."""
    above: list[str] = []
    for line in source.splitlines():
        code, _, comment = (part.strip() for part in line.partition("#"))
        if not code:
            above.append(comment)
            continue
        name = code.partition(" = ")[0]
        yield f"`{name}`", getattr(limits, name), " ".join([*above, comment]).strip()
        above = []


def limit(name: str) -> str:
    """One limit's value, inside a sentence."""
    value = getattr(limits, name)
    return f"{value:g}" if isinstance(value, float) else str(value)
