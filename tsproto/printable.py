"""Text of a stranger on a terminal: which characters are never shown as they are, or sent at all.

Control characters (C0, DEL and C1) command a terminal; line and paragraph separators forge lines.
Bidirectional controls reorder what stands beside them, and invisible characters let two names look
alike: zero-width joiners are among them, though Persian words and joined emoji are written with
them, because nobody can tell a name with one from the name without.
"""

from __future__ import annotations

import re

from tsproto import limits

# The inside of a character class, in the syntax that Python, JavaScript and PCRE share.
UNPRINTABLE = (
    r"\x00-\x1f\x7f-\x9f"  # C0, DEL, C1
    r"\xad\u061c\u180e\u200b-\u200f"  # invisible; marks of a direction
    r"\u2028-\u202e\u2060-\u206f"  # separators; bidirectional controls; more that is invisible
    r"\ufeff\ufff9-\ufffb\ufffe\uffff"
)

# A surrogate alone stands for a byte that is no UTF-8; it cannot be encoded.
_escaped = re.compile(rf"[{UNPRINTABLE}\ud800-\udfff]")


def printable(text: str) -> str:
    r"""`text` with each unprintable character as `\u001b`: so JSON keeps its meaning."""
    return _escaped.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def printable_lines(text: str) -> str:
    """The same for a text whose line breaks are our own."""
    return "\n".join(printable(line) for line in text.split("\n"))


def detail_of(text: str) -> str:
    """`text` as a message may carry it in a field of the type Detail: printable, and clipped."""
    shown = printable(text)
    longest = limits.DETAIL_CHARACTERS
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"
