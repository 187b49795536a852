import msgspec

from tsproto.discovery import Answer, Query
from tsproto.license_token import Claims
from tsproto.messages import TABLE, LogonRequest, ServerRow
from tsproto.reference import shapes
from tsproto.reference.shapes import ROWS

ARRAYS: list[type[msgspec.Struct]] = [*TABLE.values(), *ROWS, Query, Answer, Claims]


def test_every_field_has_a_meaning() -> None:
    missing = [
        f"{struct.__name__}.{field.name}"
        for struct in ARRAYS
        for field in msgspec.structs.fields(struct)
        if field.name != "request_id" and not shapes.meaning(struct, field)
    ]
    assert missing == [], "say in a comment beside the field what it means"


def test_a_meaning_is_the_comment_behind_or_above_else_that_of_the_type() -> None:
    source = """
    # of no name

    # what comes
    # before
    first: int
    second: str = ""  # what comes after
    third: Name
    """
    assert shapes.comments(source) == {
        "first": "what comes before",
        "second": "what comes after",
        "third": "",
    }
    source = """
    class Declared(Struct):
        '''name: is no declaration here.'''
        name: str = "#"  # whose it is

        def shown(self) -> str:
            name = self.name.lower()  # not this
            return name
    """
    assert shapes.comments(source) == {"name": "whose it is"}
    assert "| license server that signed, as in its certificate |" in shapes.fields(Claims, first=0)
    table = shapes.fields(LogonRequest, first=2)
    assert table.endswith("| host of a redirect that could not be followed; empty for none |")
    assert "| 9 | `rows` | integer, `Rows` | 1 to 1000 | 24 | height of the terminal in" in table


def test_a_field_says_type_bounds_with_unit_default_and_meaning() -> None:
    table = shapes.fields(LogonRequest, first=2)
    assert (
        "| 3 | `credential_kind` | `Credential` | - | required | what `credential` is |\n" in table
    )
    assert "| 7 | `command` | text | 0 to 32768 characters | empty | " in table


def test_a_pattern_is_shown_bare() -> None:
    assert "| text, `Name` | 1 to 64 characters, `[A-Za-z0-9][A-Za-z0-9._-]*` |" in shapes.fields(
        ServerRow, first=0
    )


def test_enumerations_and_named_types_are_listed() -> None:
    assert "| `Credential` | 1 PASSWORD, 2 TICKET, 3 RECONNECT |\n" in shapes.enumerations()
    assert "| `Port` | integer | 1 to 65535 | TCP port |\n" in shapes.named_types()
