"""What a person is shown of a failure: every frame as far as it can be read, values that differ."""

from __future__ import annotations

import random
from pathlib import Path
from xml.etree import ElementTree

import pytest

from clients.conformance import wire
from clients.conformance.acting import CaseContext, session_row
from clients.conformance.catalogue import cases_for
from clients.conformance.report import Run, explained, summary, write_html, write_junit
from clients.conformance.runner import Result, Verdict, play
from clients.conformance.target import Said, Setup, Unmet
from tests.conformance.in_process import InProcess
from tests.conformance.in_process_source import InProcessSource
from tests.conformance.wrong import FAULTS
from tsproto.messages import Role, SessionPlaced

CASES = {case.id: case for case in cases_for(Role.SESSION_DIRECTORY)}


def failed(*said: Said) -> Result:
    return Result(CASES["DIR-02.a-user-without-a-session"], Verdict.FAILED, "expected more", said)


def placed() -> SessionPlaced:
    row = session_row("ts1", "user")
    return SessionPlaced(
        placement=7, host="ts1", address="10.0.0.1", port=5600, session_id=3, others=[row] * 9
    )


@pytest.mark.parametrize(
    ("body", "described"),
    [
        (b"\x95\x35\x01\xa1\xff\xa0\xc4\x00", "a message that begins like PlaceSession"),
        (b"\x93\xcc\xc8\x00\xa1\xff", "no message"),
        (b"\x92\xa1\xff\x00", "no message"),
        (b"\x91" * 60_000, "no message"),
        (b"", "no message"),
    ],
)
def test_a_frame_that_cannot_be_read_is_described_as_far_as_it_can(
    body: bytes, described: str
) -> None:
    assert wire.describe(wire.frame(body)) == described


def test_a_failure_over_text_that_is_no_utf_8_is_explained() -> None:
    deaf = next(f for f in FAULTS if f.name == "ignores messages with a value out of bounds")
    cases = {case.id: case for case in cases_for(deaf.role)}
    with deaf.plant():
        result = play(cases["VALUE-10.AddKeyPack.key_pack.not-utf-8"], InProcessSource(deaf.role))
    assert result.verdict is Verdict.FAILED
    assert "a message that begins like AddKeyPack" in explained(result)


def test_a_long_value_keeps_both_its_ends() -> None:
    shown = wire.shown("a" * 90 + "b" * 90, characters=20)
    assert shown == "'aaaaaaaaa… 162 more …bbbbbbbbb'"
    assert wire.shown("short", characters=20) == "'short'"


def test_the_last_message_is_shown_whole() -> None:
    data = wire.message_bytes(placed())
    text = explained(failed(Said("ts", True, data), Said("ts", True, data), Said("ts", True, b"")))
    once, last = (line for line in text.splitlines() if "SessionPlaced(" in line)
    assert "more …" in once and "more …" not in last
    assert last.count("SessionRow(") == 9


def test_a_long_transcript_is_cut_and_the_cause_comes_first() -> None:
    records = [Said("ts", True, bytes(16_384)) for _ in range(399)]
    text = explained(failed(*records, Said("ts", True, b"\xff")))
    lines = text.splitlines()
    assert lines[2] == "  expected more"
    assert len(lines) == 3 + 60
    assert max(map(len, lines[3:])) < 250
    assert lines[-1].startswith("  target -> ts: ff")


def test_a_field_that_differs_is_named_with_both_values() -> None:
    context = CaseContext(InProcess(Role.SESSION_DIRECTORY), Setup.RIGHT, random.Random(1))
    with pytest.raises(Unmet) as unmet:
        context.expect_fields(placed(), "the session", host="ts2", session_id=3, placement=9)
    assert str(unmet.value) == (
        "expected the session: host 'ts2', placement 9; came SessionPlaced with host 'ts1',"
        " placement 7"
    )
    context.expect_fields(placed(), host="ts1", session_id=3)


SKIPPED = "needs <more> of \x1b it\nand more"


def results() -> list[Result]:
    cases = list(CASES.values())
    why = "the client did not dial\n  | <last words> & 'more'"
    raised = "Traceback (most recent call last):\n  File\nKeyError: 'x'\n"
    return [
        Result(cases[0], Verdict.PASSED, seconds=0.25),
        Result(cases[1], Verdict.FAILED, why, seconds=1.0),
        Result(cases[2], Verdict.FAILED, raised),
        Result(cases[3], Verdict.SKIPPED, SKIPPED),
    ]


def test_a_build_server_is_told_what_failed_in_one_line_and_in_all(tmp_path: Path) -> None:
    file = tmp_path / "junit.xml"
    write_junit(file, Run("here:1", Role.SESSION_DIRECTORY, results(), 4))
    suite = ElementTree.parse(file).getroot()
    assert suite.get("name") == "tsfarm conformance: here:1 as session-directory"
    counts = [suite.get(key) for key in ("tests", "failures", "errors", "skipped", "time")]
    assert counts == ["4", "2", "0", "1", "1.250"]
    messages = [failure.get("message") for failure in suite.iter("failure")]
    assert messages == ["the client did not dial", "KeyError: 'x'"]
    assert "<last words> & 'more'" in (next(suite.iter("failure")).text or "")
    assert [skipped.get("message") for skipped in suite.iter("skipped")] == [
        "needs <more> of \\u001b it"
    ]
    assert suite.find("properties") is None


def test_the_page_unfolds_failures_and_has_one_box_a_case(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    made = results()
    write_html(file, Run("<here>:1", Role.SESSION_DIRECTORY, made, 4))
    page = file.read_text()
    assert (
        "<h1>&lt;here&gt;:1 as session-directory</h1><p>1 passed, 2 failed, 1 skipped</p>" in page
    )
    id = made[1].case.id
    assert f"<summary><b>{id}</b> the client did not dial</summary><pre id='{id}'>FAILED" in page
    assert f"<a href='#{id}' class=failed title='{id} failed: the client did not dial'></a>" in page
    assert "| &lt;last words&gt; &amp; &#x27;more&#x27;" in page
    assert "<li>1: needs &lt;more&gt; of \\u001b it" in page
    assert page.count("<i class=passed title=") == page.count("<i class=skipped title=") == 1
    assert "drain: hosts that take" in page and "revocation" not in page


def test_a_run_that_was_cut_says_so_everywhere(tmp_path: Path) -> None:
    cut = Run("here:1", Role.SESSION_DIRECTORY, results(), 9)
    words = "1 passed, 2 failed, 1 skipped; cut, 5 of 9 not played"
    write_html(tmp_path / "page.html", cut)
    write_junit(tmp_path / "junit.xml", cut)
    assert summary(cut).splitlines()[-1] == words
    assert f"<p>{words}</p>" in (tmp_path / "page.html").read_text()
    property = ElementTree.parse(tmp_path / "junit.xml").getroot().find("properties/property")
    assert property is not None and (property.get("name"), property.get("value")) == ("cut", words)
