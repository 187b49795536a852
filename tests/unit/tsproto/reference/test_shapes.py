import msgspec

from tsproto.discovery import Answer, Query
from tsproto.license_token import Claims
from tsproto.messages import TABLE, LogonRequest, ServerRow
from tsproto.reference import shapes
from tsproto.reference.meanings import MEANINGS
from tsproto.reference.shapes import ROWS

ARRAYS: list[type[msgspec.Struct]] = [*TABLE.values(), *ROWS, Query, Answer, Claims]
STRUCTS = {found.__name__: found for found in ARRAYS}


def test_every_field_has_a_meaning() -> None:
    missing = [
        f"{name}.{field.name}"
        for name, struct in STRUCTS.items()
        for field in msgspec.structs.fields(struct)
        if field.name != "request_id" and not shapes.meaning(struct, field)
    ]
    assert missing == [], "say in tsproto/reference/meanings.py what they mean"


def test_every_meaning_is_of_a_field() -> None:
    for name, meanings in MEANINGS.items():
        assert set(meanings) <= set(STRUCTS[name].__struct_fields__), name


def test_a_field_says_type_bounds_with_unit_default_and_meaning() -> None:
    table = shapes.fields(LogonRequest, first=2)
    assert (
        "| 3 | `credential_kind` | `Credential` | - | required | what `credential` is |\n" in table
    )
    assert (
        "| 9 | `rows` | integer, `Rows` | 1 to 1000 | 24 |"
        " height of the client's terminal in cells |\n"
    ) in table
    assert "| 7 | `command` | text | 0 to 32768 characters | empty | " in table


def test_a_pattern_is_shown_bare() -> None:
    assert "| text, `Name` | 1 to 64 characters, `[A-Za-z0-9][A-Za-z0-9._-]*` |" in shapes.fields(
        ServerRow, first=0
    )


def test_enumerations_and_named_types_are_listed() -> None:
    assert "| `Credential` | 1 PASSWORD, 2 TICKET, 3 RECONNECT |\n" in shapes.enumerations()
    assert "| `Port` | integer | 1 to 65535 | TCP port |\n" in shapes.named_types()
