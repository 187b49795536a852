"""The suite against real processes: a small lab over TLS, and the real client on a terminal.

In process every case is played; here each kind of case is, and of the generated ones some. Those in
which the suite is whom the target dials are in test_conformance_played.py.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from clients.conformance import report
from clients.conformance.at_address import AtAddress
from clients.conformance.case import Case
from clients.conformance.catalogue import cases_for, generated_for, pick
from clients.conformance.command import main
from clients.conformance.in_lab import DaemonOfALab, settings_in_lab
from clients.conformance.listening import Listening, OneClient
from clients.conformance.over_sockets import Address, Settings
from clients.conformance.runner import Result, Source, Verdict, play_all
from clients.conformance.target import Setup
from clients.conformance.trust import Trust
from clients.known_farms import KnownFarms
from daemons import lab
from tsproto.messages import Role

PLAN = lab.Plan(
    terminal_servers=("ts1",),
    license_servers=(lab.LicenseServerPlan("license-a", tokens=20),),
    shell=("/bin/sh",),
)
LAB = (
    ("license-a", Role.LICENSE_SERVER),
    ("directory", Role.SESSION_DIRECTORY),
    ("ts1", Role.TERMINAL_SERVER),
)
SECONDS = 4.0
LONGEST_SECONDS = 1.0
ONE_IN = 29  # of the generated cases; a prime, so that no field or change is always passed over
# Each waits for seconds, or logs on many times; nothing of them is different over sockets.
SLOW = (
    *("BEAT-04", "CLOSE-02", "CLOSE-05", "CLOSE-06", "CLOSE-09", "DISC", "FRAME-04", "FRAME-05"),
    *("HELLO-09", "LIC-09", "LOGON-15", "REQ-03", "SESS-11", "*.in-two-pieces", "*-in-session*"),
)
CLIENT_CASES = (
    "LIC-02",
    "LIC-12",
    "LIC-14",
    "REDIR-02",
    "SESS-13",
    "ROLE-09",
    "ROLE-10",
    "HELLO-07",
)


def some_of(role: Role) -> list[Case]:
    generated = list(generated_for(role))
    made = {case.id for case in generated}
    written = [case for case in cases_for(role) if case.id not in made]
    return pick([*written, *generated[::ONE_IN]], (), SLOW)


def played(cases: list[Case], source: Source) -> list[Result]:
    results = list(play_all(cases, source))
    source.stop()
    failures = [result for result in results if result.verdict is Verdict.FAILED]
    assert not failures, "\n\n".join(report.explained(failure) for failure in failures)
    return [result for result in results if result.verdict is Verdict.PASSED]


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("conformance")
    lab.up(folder, PLAN, say=lambda line: None)
    try:
        yield folder
        for daemon in lab.load(folder).daemons:
            assert "Traceback" not in (folder / daemon.name / "log").read_text()
    finally:
        lab.down(folder)


@pytest.mark.parametrize(("name", "role"), LAB)
def test_a_daemon_of_a_lab_passes_over_tls(farm: Path, name: str, role: Role) -> None:
    common = Settings(
        role=role,
        address=Address("", 0),
        seconds=SECONDS,
        longest_seconds=LONGEST_SECONDS,
        all_points=False,
    )
    target = DaemonOfALab(settings_in_lab(common, farm, name))
    cases = [case for case in some_of(role) if case.setup is Setup.RIGHT]
    passed = played(cases, AtAddress(target, Setup.RIGHT))
    assert len(passed) > 60


def client_over_tls(tmp_path: Path, trust: str, planted: str = "") -> Listening:
    """The real client, with its options for `trust`, after the Python statement `planted`."""
    (tmp_path / "password").write_text("secret\n")
    settings = Settings(
        role=Role.CLIENT,
        address=Address("127.0.0.1", 0),
        trust=Trust.invented("conformance"),
        seconds=SECONDS,
        longest_seconds=LONGEST_SECONDS,
        all_points=False,
    )
    command = (
        f"{sys.executable} -c 'from clients.cli import main; {planted or 'pass'}; main()'"
        f" connect {{host}}:{{port}} {trust} --user user1"
        f" --password-file {tmp_path / 'password'} --store {tmp_path / 'device'}"
    )
    return Listening(settings, command=command, leave_keys=b"\x1dd")


def test_the_client_passes_over_tls(tmp_path: Path) -> None:
    client = client_over_tls(tmp_path, "--ca {ca}")
    passed = played(pick(cases_for(Role.CLIENT), CLIENT_CASES, ()), OneClient(client))
    assert len(passed) >= len(CLIENT_CASES)


def test_a_client_that_demands_no_address_fails(tmp_path: Path) -> None:
    planted = "from tsproto.transport import link; link.Link._fault_of = lambda *_: str()"
    client = client_over_tls(tmp_path, "--ca {ca}", planted)
    [result] = play_all(pick(cases_for(Role.CLIENT), ("ROLE-10",), ()), OneClient(client))
    client.stop()
    assert (result.verdict, result.why) == (Verdict.FAILED, "expected no LicenseInfo")


BELIEVES_ANYBODY = "from tsproto import authorities; authorities.is_endorsed = lambda *_: True"


@pytest.mark.parametrize(
    ("planted", "why"), [("", ""), (BELIEVES_ANYBODY, "expected no LicenseInfo")]
)
def test_a_client_that_believes_any_endorsement_fails(
    tmp_path: Path, planted: str, why: str
) -> None:
    client = client_over_tls(tmp_path, "", planted)
    (tmp_path / "device").mkdir(mode=0o700)
    known = KnownFarms(tmp_path / "device")
    known.remember(*client.accepting_at(), Trust.invented("conformance").authority_pem)
    [result] = play_all(pick(cases_for(Role.CLIENT), ("ROLE-11",), ()), OneClient(client))
    client.stop()
    assert result.why == why


def test_a_daemon_of_a_plain_lab_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lab.up(tmp_path, replace(PLAN, tls=False), say=lambda line: None)
    try:
        arguments = ["ts1", "--role", "terminal-server", "--lab", str(tmp_path)]
        status = main([*arguments, "--only", "HELLO-02", "HELLO-03", "TOKEN-02", "ROLE-05"])
    finally:
        lab.down(tmp_path)
    said = capsys.readouterr().out
    assert status == 0, said
    assert "passed, 0 failed" in said


def test_the_command_line_reports_in_three_forms(
    farm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    junit, matrix = tmp_path / "junit.xml", tmp_path / "matrix.html"
    arguments = ["license-a", "--role", "license-server", "--lab", str(farm), "--only", "HELLO"]
    status = main(
        [*arguments, "--exclude", "HELLO-04", "--junit", str(junit), "--html", str(matrix)]
    )
    assert status == 0
    assert "passed, 0 failed" in capsys.readouterr().out
    assert b'failures="0"' in junit.read_bytes()
    assert "HELLO-03" in matrix.read_text() and "HELLO-04" not in matrix.read_text()


def test_a_target_that_is_not_there_is_no_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["127.0.0.1:1", "--role", "license-server", "--plain", "--only", "HELLO-02"])
    assert status == 2
    assert "cannot be run" in capsys.readouterr().err
