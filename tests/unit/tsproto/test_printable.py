"""Which characters of a stranger's text reach a terminal."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter

import pytest

from tsproto.printable import UNPRINTABLE, detail_of, printable, printable_lines

BIDIRECTIONAL = {"LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no \x1b[31mlicense\r\n", r"no \u001b[31mlicense\u000d\u000a"),
        ("\x00\x7f\x80\x9b2J\x9f", r"\u0000\u007f\u0080\u009b2J\u009f"),
        ("user\u202etxt\u2066", r"user\u202etxt\u2066"),
        ("a\u2028b\u2029c", r"a\u2028b\u2029c"),
        ("ad\u200dmin\u200c\ufeff\xad", r"ad\u200dmin\u200c\ufeff\u00ad"),
        ("file-\udcff", r"file-\udcff"),
    ],
)
def test_what_commands_reorders_or_hides_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(shown) == shown


@pytest.mark.parametrize(
    "text", ["", "user 1", "Zoë Ångström", "ユーザー", "שלום", "🦊", "a\\u001b"]
)
def test_names_of_people_stay_as_they_are(text: str) -> None:
    assert printable(text) == text


def test_every_control_separator_and_bidirectional_character_is_escaped() -> None:
    plane = [chr(point) for point in range(0x1_0000)]  # all of them are in the first
    for character in plane:
        is_forbidden = unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or (
            unicodedata.bidirectional(character) in BIDIRECTIONAL
        )
        if is_forbidden:
            assert printable(character) == f"\\u{ord(character):04x}"


def test_only_characters_without_a_look_of_their_own_are_forbidden() -> None:
    forbidden = re.findall(f"[{UNPRINTABLE}]", "".join(map(chr, range(0x1_0000))))
    of_category = Counter(map(unicodedata.category, forbidden))
    assert of_category == {"Cc": 65, "Cf": 32, "Zl": 1, "Zp": 1, "Cn": 3}


def test_json_means_the_same_after_it() -> None:
    document = json.dumps({"user": "a\x1b\x9b\u202e\u200d", "b": ["\x7f"]}, ensure_ascii=False)
    assert json.loads(printable(document)) == json.loads(document)


def test_of_lines_only_the_breaks_stay() -> None:
    assert printable_lines("a\x1b\nb\r\n\u2028") == "a\\u001b\nb\\u000d\n\\u2028"


def test_a_detail_is_clipped_to_what_a_message_carries() -> None:
    assert detail_of("x" * 1024) == "x" * 1024
    assert detail_of("x" * 1025) == "x" * 1023 + "…"
    assert detail_of("\x1b" * 1024) == "\\u001b" * 170 + "\\u0" + "…"
