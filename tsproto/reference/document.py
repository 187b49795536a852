"""PROTOCOL.md from its chapters.

A chapter is a Markdown file under `tsproto/spec`, written by hand. Where `{{what argument}}` stands
in it, something of the table of messages, the codes or the limits is put in.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from tsproto import messages
from tsproto.errors import RETIRED_CODES
from tsproto.reference import entries, shapes, states, worked
from tsproto.reference.markdown import words
from tsproto.requirements import CHAPTERS

_INSERTION = re.compile(r"\{\{([\w-]+)(?: ([\w-]+))?\}\}")
_INSERTIONS: dict[str, Callable[[str], str]] = {
    "contents": lambda _: _contents(),
    "message": entries.message,
    "struct": entries.struct,
    "limit": entries.limit,
    "connection": states.connection,
    "overview": lambda _: entries.overview(),
    "retired": lambda _: words([str(number) for number in messages.RETIRED]),
    "retired-codes": lambda _: words([str(number) for number in RETIRED_CODES]),
    "codes": lambda _: entries.codes(),
    "limits": lambda _: entries.limit_tables(),
    "rows": lambda _: entries.rows(),
    "types": lambda _: shapes.named_types(),
    "enumerations": lambda _: shapes.enumerations(),
    "roles": lambda _: states.who_may_dial(),
    "frame": lambda _: worked.frame(),
    "token": worked.token,
    "proof": worked.proof,
    "user-proof": worked.user_proof,
    "query": lambda _: worked.query(),
    "answer": lambda _: worked.answer(),
}


def render() -> str:
    """The whole document; the same text for the same sources, in every process."""
    texts = [filled(path.read_text(encoding="utf-8")).strip() for path in CHAPTERS]
    return "\n\n".join(texts) + "\n"


def filled(text: str) -> str:
    """A chapter's text with everything put in."""
    return _INSERTION.sub(lambda found: _INSERTIONS[found[1]](found[2] or ""), text)


def _contents() -> str:
    """Every chapter but the introduction, which holds this list."""
    titles = [path.read_text(encoding="utf-8").partition("\n")[0] for path in CHAPTERS[1:]]
    return "\n".join(_entry(number, title) for number, title in enumerate(titles, 1))


def _entry(number: int, heading: str) -> str:
    title = heading.removeprefix("## ")
    anchor = re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-")
    return f"{number}. [{title}](#{anchor})"
