from pathlib import Path

import pytest

from tsproto.reference import __main__ as reference
from tsproto.reference.__main__ import DERIVED


@pytest.mark.parametrize("path", DERIVED, ids=lambda path: path.name)
def test_what_is_derived_is_fresh(path: Path) -> None:
    is_fresh = path.read_text(encoding="utf-8") == DERIVED[path]()
    assert is_fresh, f"{path.name} is stale: run `make generate`"


def test_it_is_written_where_it_belongs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "PROTOCOL.md"
    monkeypatch.setattr(reference, "DERIVED", {file: lambda: "the protocol\n"})
    reference.main()
    assert file.read_text(encoding="utf-8") == "the protocol\n"
