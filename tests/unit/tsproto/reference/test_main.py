from pathlib import Path

import pytest

from tsproto.reference import __main__ as reference
from tsproto.reference import document


def test_it_is_printed_or_written_and_nothing_else(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "PROTOCOL.md"
    monkeypatch.setattr(document, "PROTOCOL_MD", file)
    assert reference.main([]) == 0
    assert capsys.readouterr().out == document.render()
    assert not file.exists()
    assert reference.main(["--write"]) == 0
    assert file.read_text(encoding="utf-8") == document.render()
    assert reference.main(["--wirte"]) == 2
    assert "usage" in capsys.readouterr().err
