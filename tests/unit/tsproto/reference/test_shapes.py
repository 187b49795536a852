import msgspec

from tsproto.discovery import Answer, Query
from tsproto.license_token import Claims
from tsproto.messages import TABLE, LogonProof, ServerRow
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
    table = shapes.fields(LogonProof, first=2)
    assert table.endswith("| whether a Redirect led here |")
    assert "| 7 | `rows` | integer, `Rows` | 1 to 1000 | 24 | height of the terminal in" in table


def test_a_field_says_type_bounds_with_unit_default_and_meaning() -> None:
    table = shapes.fields(LogonProof, first=2)
    assert "| 2 | `method` | integer, `MethodNumber` | 1 to 4 | required | one of those" in table
    assert "| 5 | `command` | text | 0 to 32768 characters | empty | " in table


def test_a_pattern_is_shown_bare() -> None:
    assert "| text, `Name` | 1 to 64 characters, `[A-Za-z0-9][A-Za-z0-9._-]*` |" in shapes.fields(
        ServerRow, first=0
    )


def test_enumerations_and_named_types_are_listed() -> None:
    kinds = "| `LicenseKind` | 0 NONE, 1 TEMPORARY, 2 FULL, 3 GRACE |\n"
    assert kinds in shapes.enumerations()
    assert "| `Port` | integer | 1 to 65535 | TCP port |\n" in shapes.named_types()
