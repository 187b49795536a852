import re
from pathlib import Path

import pytest

from tsproto import dissector, limits
from tsproto.errors import ErrorCode
from tsproto.messages import TABLE

TEXT = dissector.render()


def places(target: str) -> list[str]:
    """The lines of one table of places."""
    found = re.search(rf"^{re.escape(target)} = {{\n(.*?)^}}$", TEXT, re.DOTALL | re.MULTILINE)
    assert found, f"no table {target!r}"
    return [line.strip().removesuffix(",") for line in found[1].splitlines()]


def test_the_dissector_is_fresh() -> None:
    written = dissector.TSFARM_LUA.read_text(encoding="utf-8")
    assert written == TEXT, "stale: run `python -m tsproto.dissector --write`"


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
        'text("logon_accepted.host", "host", "name of a daemon, farm, key pack or product")',
        'integer("logon_accepted.session_id", "session id", "number of a session on its host;'
        ' 0 means none yet")',
        'text("logon_accepted.user_name", "user name", "user name, at most 104 characters as in'
        ' [IWTSSBPlugin]; no control characters")',
        'boolean("logon_accepted.reattached", "reattached")',
        'moment("logon_accepted.created_at", "created at", "Unix time in whole seconds;'
        ' 0 means none")',
        'bytes("logon_accepted.cookie", "cookie", "proves the client attached last on a reconnect;'
        ' used once")',
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


def test_it_is_printed_or_written_and_nothing_else(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "tsfarm.lua"
    monkeypatch.setattr(dissector, "TSFARM_LUA", file)
    assert dissector.main([]) == 0
    assert capsys.readouterr().out == TEXT
    assert not file.exists()
    assert dissector.main(["--write"]) == 0
    assert file.read_text(encoding="utf-8") == TEXT
    assert dissector.main(["--wirte"]) == 2
    assert "usage" in capsys.readouterr().err
