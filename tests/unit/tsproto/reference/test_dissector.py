import re

from tsproto import limits
from tsproto.errors import ErrorCode
from tsproto.messages import TABLE
from tsproto.reference import dissector

TEXT = dissector.render()


def places(target: str) -> list[str]:
    """The lines of one table of places."""
    found = re.search(rf"^{re.escape(target)} = {{\n(.*?)^}}$", TEXT, re.DOTALL | re.MULTILINE)
    assert found, f"no table {target!r}"
    return [line.strip().removesuffix(",") for line in found[1].splitlines()]


def test_every_message_has_its_name_and_its_fields() -> None:
    for number, message in TABLE.items():
        assert f'message_names[{number}] = "{message.__name__}"\n' in TEXT
        first, *rest = places(f"messages[{number}].places")
        assert first == "request_id"
        assert len(rest) == len(message.__struct_fields__) - 1
        for line, field in zip(rest, message.__struct_fields__[1:], strict=True):
            assert f'.{field}", "{field.replace("_", " ")}"' in line


def test_a_field_is_declared_with_its_type_and_meaning() -> None:
    assert places("messages[18].places") == [
        "request_id",
        'text("logon_accepted.host", "host", "terminal server that the session runs on")',
        'integer("logon_accepted.session_id", "session id", "number of the session")',
        'text("logon_accepted.user_name", "user name", "whose session it is")',
        'boolean("logon_accepted.reattached", "reattached", "whether the session ran before")',
        'moment("logon_accepted.created_at", "created at", "when it began")',
        'integer("logon_accepted.attachment", "attachment", "how often the session was shown, this'
        ' time included, to resume it with; 0 for a session with a command")',
    ]


def test_enumerations_rows_and_lists_name_what_they_hold() -> None:
    assert places("messages[55].places")[1] == (
        'row_of("update_session.session", "session", row.SessionRow)'
    )
    assert places("messages[34].places")[1] == (
        'list_of("announce_inventory.inventory", "inventory",'
        ' row_of("announce_inventory.inventory.item", "item", row.InventoryRow))'
    )
    assert places("messages[14].places")[1] == (
        'enumeration("license_accepted.kind", "kind", enum.LicenseKind)'
    )


def test_every_error_code_has_its_name() -> None:
    assert places("enum.ErrorCode") == [f'[{code.value}] = "{code.name}"' for code in ErrorCode]


def test_the_ports_are_those_of_the_limits() -> None:
    ports = (limits.TERMINAL_PORT, limits.LICENSE_PORT, limits.DIRECTORY_PORT)
    assert f"local PORTS = {{ {', '.join(map(str, ports))} }}\n" in TEXT
    assert f"local DISCOVERY_PORT = {limits.DISCOVERY_PORT}\n" in TEXT
