"""What the command line promises: which cases are played, what is printed, how it exits."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from clients.conformance.catalogue import cases_for, pick
from clients.conformance.client_process import PLACEHOLDERS
from clients.conformance.command import parser, play_on
from clients.conformance.progress import Progress
from clients.conformance.report import check_can_be_written
from clients.conformance.target import Setup, Target
from clients.conformance.user import SshKey
from daemons import lab
from tests.conformance.__main__ import main
from tests.conformance.in_process_source import InProcessSource
from tests.conformance.wrong import FAULTS
from tsproto.messages import Role

DIRECTORY = ["in-process", "--role", "session-directory", "--some-points"]


def test_cases_are_picked_by_id_by_chapter_and_by_pattern() -> None:
    cases = cases_for(Role.SESSION_DIRECTORY)
    assert [c.id for c in pick(cases, ["SYNC-12"], [])] == ["SYNC-12.an-older-link-has-no-say"]
    assert {c.requirement[:4] for c in pick(cases, ["SYNC"], [])} == {"SYNC"}
    assert {c.requirement for c in pick(cases, ["*.one-over"], [])} == {"VALUE-02"}


def test_what_is_excluded_is_not_played(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*DIRECTORY, "--only", "SYNC-04", "SYNC-12", "--exclude", "SYNC-12"]) == 0
    assert "1 passed, 0 failed, 0 skipped" in capsys.readouterr().out


def test_a_dry_run_lists_and_plays_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["10.0.0.1:5600", "--role", "client", "--only", "LIC-02", "--dry-run"]) == 0
    assert "MUST   LIC-02.the-proof-of-its-key\n" in capsys.readouterr().out


def test_should_and_may_are_for_strict_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*DIRECTORY, "--only", "VALUE-12"]) == 2
    assert main([*DIRECTORY, "--only", "VALUE-12", "--strict"]) == 0
    assert "1 passed" in capsys.readouterr().out


def test_an_id_that_nobody_has_is_no_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*DIRECTORY, "--only", "NO-99"]) == 2
    assert "--only NO-99: no case has such an id" in capsys.readouterr().err


def test_an_ssh_key_of_a_user_is_read_from_its_file(tmp_path: Path) -> None:
    for name, private in (
        ("ssh-ed25519", Ed25519PrivateKey.generate()),
        ("ecdsa-sha2-nistp384", ec.generate_private_key(ec.SECP384R1())),
    ):
        form = Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()
        (tmp_path / name).write_bytes(private.private_bytes(*form))
        key = SshKey.read(tmp_path / name)
        public = private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
        assert (key.kind, key.line) == (name, f"{public.decode()} conformance")


def test_what_is_no_ssh_key_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "key").write_text("no key\n")
    address = ["127.0.0.1:1", "--role", "terminal-server", "--plain", "--user", "user1", "secret"]
    assert main([*address, "--ssh-key", str(tmp_path / "key"), "--only", "LOGON-01"]) == 2
    said = capsys.readouterr().err
    assert f"{tmp_path / 'key'}: expected an SSH key without passphrase" in said


def test_the_help_says_what_a_stranger_has_to_know(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert ended.value.code == 0
    for name in PLACEHOLDERS:
        assert f" {{{name}}} " in said
    assert "without {folder} all cases share that place" in said
    assert "(default: 10); slower cases are skipped" in said
    assert "tsfarm://FARM/terminal-server/conformance-ts tsfarm://FARM/license-server/" in said
    assert r"'\x1dd' is Ctrl-] d" in said


@pytest.mark.parametrize(
    ("typed", "keys"),
    [(r"\x1dd", b"\x1dd"), (r"\xff\n", b"\xff\n"), ("é", "é".encode()), ("~.", b"~.")],
)
def test_keys_to_leave_may_be_any_bytes(typed: str, keys: bytes) -> None:
    options = parser().parse_args(["x:1", "--role", "client", "--leave", typed])
    assert options.leave == keys


@pytest.mark.parametrize(
    ("option", "value", "complaint"),
    [
        ("--leave", r"\x1", "truncated"),
        ("--leave", r"\u20ac", "ordinal not in range(256)"),
        ("--timeout", "0", "'0' is no number of seconds above 0"),
        ("--timeout", "nan", "'nan' is no number of seconds above 0"),
        ("--timeout", "x", "argument --timeout: 'x' is no number of seconds above 0"),
    ],
)
def test_a_value_that_cannot_be_is_refused(
    option: str, value: str, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*DIRECTORY, option, value])
    assert ended.value.code == 2
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--junit", "--html"])
def test_a_file_that_cannot_be_written_is_no_run(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = tmp_path / "nowhere" / "file"
    assert main([*DIRECTORY, "--only", "SYNC-04", option, str(nowhere)]) == 2
    printed = capsys.readouterr()
    assert f"{option} {nowhere}: No such file or directory" in printed.err
    assert printed.out == ""  # nothing was played


def test_looking_whether_a_file_can_be_written_leaves_it_as_it_is(tmp_path: Path) -> None:
    there, new = tmp_path / "there", tmp_path / "new"
    there.write_text("of before")
    for file in (there, new):
        check_can_be_written("--junit", file)
    assert there.read_text() == "of before" and not new.exists()


@pytest.mark.parametrize(
    ("target", "complaint"),
    [
        (
            "127.0.0.1:5600",
            "127.0.0.1:5600 is an address: a lab's daemon is called by its name (ts1); what runs"
            " at an address needs --ca and --ca-key instead of --lab",
        ),
        ("ts1", "ts1 is a terminal-server: say so with --role"),
        ("ts2", "the lab has no daemon 'ts2'; it has ts1"),
    ],
)
def test_a_labs_daemon_is_called_by_its_name(
    target: str, complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    daemon = lab.Daemon("ts1", "terminal_server", "127.0.0.1", 5600)
    made = lab.Lab(farm="lab", net=1, daemons=(daemon,), users=())
    (tmp_path / "lab.json").write_bytes(msgspec.json.encode(made))
    assert main([target, "--role", "license-server", "--lab", str(tmp_path)]) == 2
    assert complaint in capsys.readouterr().err


def test_a_run_that_is_cut_keeps_what_was_played(capsys: pytest.CaptureFixture[str]) -> None:
    class CutAtTheSecond(InProcessSource):
        targets = 0
        is_stopped = False

        def target(self, setup: Setup, fresh: bool) -> Target:
            self.targets += 1
            if self.targets == 2:
                raise KeyboardInterrupt
            return super().target(setup, fresh)

        def stop(self) -> None:
            self.is_stopped = True
            super().stop()

    source = CutAtTheSecond(Role.SESSION_DIRECTORY)
    cases = cases_for(Role.SESSION_DIRECTORY)[:3]
    results = play_on(source, cases, Progress(3, sys.stdout, sys.stderr))
    assert [result.case.id for result in results] == [cases[0].id]
    assert source.is_stopped


def test_a_run_that_is_cut_still_reports(tmp_path: Path) -> None:
    junit, page = tmp_path / "junit.xml", tmp_path / "page.html"
    files = ["--junit", str(junit), "--html", str(page)]
    # Nobody connects: the first case fails when its short time is over, and the next one waits.
    client = ["127.0.0.1:0", "--role", "client", "--plain", "--timeout", "0.2", *files]
    with subprocess.Popen(
        [sys.executable, "-m", "tests.conformance", *client], stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        while not run.stdout.readline().startswith("FAILED"):
            assert run.poll() is None
        run.terminate()
        said, _ = run.communicate(timeout=30.0)
    assert run.returncode == 130
    assert "0 passed, " in said and " failed, 0 skipped; cut, " in said
    assert int(ElementTree.parse(junit).getroot().get("failures", "0")) >= 1
    assert "; cut, " in page.read_text()


def test_an_address_without_trust_is_no_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["127.0.0.1:1", "--role", "license-server"]) == 2
    assert "--ca" in capsys.readouterr().err


def test_a_failure_shows_requirement_bytes_and_expectation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fault = next(fault for fault in FAULTS if fault.name == "lets a host report for another")
    junit, matrix = tmp_path / "junit.xml", tmp_path / "matrix.html"
    files = ["--junit", str(junit), "--html", str(matrix)]
    with fault.plant():
        assert main([*DIRECTORY, "--only", fault.found_by, *files]) == 1
    printed = capsys.readouterr().out
    assert "A session directory MUST ignore an UpdateSession about a session of another" in printed
    assert "target <- terminal_server 1: c9 00 00 00" in printed  # what was said to it
    assert "target -> terminal_server 1: c9 00 00 00" in printed  # and what was heard
    assert "expected no session of the other host" in printed
    suite = ElementTree.parse(junit).getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("1", "1")
    assert fault.found_by in matrix.read_text()
