import re
from pathlib import Path

import pytest

from tsproto import codec, limits, reference
from tsproto.errors import ErrorCode
from tsproto.messages import TABLE, ResizeSession

TEXT = reference.render()


def section(heading: str) -> str:
    """What stands under one heading, up to the next of any level."""
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", TEXT, re.DOTALL | re.MULTILINE)
    assert found, f"no heading {heading!r}"
    return found[1]


def test_the_reference_is_fresh() -> None:
    written = reference.PROTOCOL_MD.read_text(encoding="utf-8")
    assert written == TEXT, "stale: run `python -m tsproto.reference --write`"


def test_every_message_is_there_with_its_fields() -> None:
    for number, message in TABLE.items():
        text = section(f"{number} {message.__name__}")
        fields = re.findall(r"^\| (\d+) \| `(\w+)`", text, re.MULTILINE)
        assert fields == [
            (str(place), field)
            for place, field in enumerate(message.__struct_fields__[1:], start=2)
        ]


def test_a_request_is_described_whole() -> None:
    assert section("42 QueryLicenses") == (
        "\nIssued licenses in the order of their ids, those after `after`, a page at a time.\n\n"
        "- Request, from administrator to license server\n"
        "- In state SERVICE\n"
        "- Answered by Licenses or Refused\n\n"
        "| at | field | type | default | meaning |\n"
        "| --- | --- | --- | --- | --- |\n"
        "| 2 | `after` | OptionalId16 | empty | an id, or empty |\n"
        "| 3 | `device_id` | bytes, 0 to 32 | empty | only this device's, or empty |\n\n"
    )


def test_an_answer_names_its_requests() -> None:
    assert "- Answers AcquireLicense, RenewLicense, LendLicense\n" in section("32 LicenseIssued")
    assert "- Answers every request\n" in section("5 Refused")


def test_a_step_says_what_it_leads_to() -> None:
    assert "- In state LICENSING; then LOGON\n" in section("14 LicenseAccepted")


def test_the_frame_shown_is_one_that_decodes() -> None:
    shown = re.findall(r"^\| `([0-9a-f ]+)` \| \w", section("Frames"), re.MULTILINE)
    frame = bytes.fromhex("".join(shown))
    ((kind, body),) = codec.FrameReader(limits.FRAME_BYTES).feed(frame)
    assert kind == codec.MESSAGE_KIND
    assert codec.decode_message(body) == ResizeSession(columns=132, rows=43)


def test_every_error_code_is_there() -> None:
    lines = re.findall(r"^\| (\d+) \| `(\w+)` \| (yes|no)", section("Error codes"), re.MULTILINE)
    assert lines == [
        (str(code.value), code.name, "yes" if code.may_retry else "no") for code in ErrorCode
    ]


def test_every_limit_is_there_with_its_value() -> None:
    lines = dict(re.findall(r"^\| `([A-Z_]+)` \| ([\d.]+) \|", TEXT, re.MULTILINE))
    assert lines == {name: str(value) for name, value in vars(limits).items() if name.isupper()}


def test_a_limit_has_its_reason_from_beside_or_above() -> None:
    assert "| `REDIRECTS_MAX` | 3 | hops a client follows |" in section("Logon")
    assert "| `OUTBOX_BYTES` | 8388608 | A peer that does not read: " in TEXT


def test_it_is_printed_or_written_and_nothing_else(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "PROTOCOL.md"
    monkeypatch.setattr(reference, "PROTOCOL_MD", file)
    assert reference.main([]) == 0
    assert capsys.readouterr().out == TEXT
    assert not file.exists()
    assert reference.main(["--write"]) == 0
    assert file.read_text(encoding="utf-8") == TEXT
    assert reference.main(["--wirte"]) == 2
    assert "usage" in capsys.readouterr().err
