"""The benches that log on, beside OpenSSH and tmux, in as little as shows that they work."""

from __future__ import annotations

import os
import select
import signal
from pathlib import Path

import pytest

from bench import packages
from bench.__main__ import run
from bench.peers.openssh import openssh
from bench.peers.tmux import tmux
from bench.processes import descendants, wait_until_childless
from bench.programs import Program

FIGURES = {
    "logon": {
        ("first logon, 8 at a time", "logons", "ssh host true"),
        ("first logon, 8 at a time", "server CPU a logon", "ssh host true"),
        ("first logon", "first byte after", "ssh"),
        ("first logon through `tsfarm connect`", "first byte after", "ssh"),
        ("reconnect", "first byte after", "ssh host tmux attach"),
        ("reconnect with redirect", "first byte after", "ssh host tmux attach"),
    },
    "session_bytes": {
        ("screen tracking on", "of the file", "ssh -tt"),
        ("screen tracking off", "of the file", "ssh -tt"),
        ("screen tracking on", "server CPU a megabyte", "ssh -tt"),
        ("screen tracking on", "of the file", "ssh -tt tmux attach"),
        ("screen tracking on", "of the file", "a bare terminal"),
    },
    "keystrokes": {
        ("library", "p50", "ssh on pipes"),
        ("library", "p99", "ssh on pipes"),
        ("tsfarm connect", "p50", "ssh -tt"),
        ("tsfarm connect", "p99", "ssh -tt"),
        ("tsfarm connect", "p50", "ssh -tt tmux attach"),
    },
    "connections": {
        ("20 attached, screen tracking on", "of the terminal server, each", ""),
        ("20 attached, screen tracking on", "with the keeper's, each", "sshd"),
        ("20 attached, screen tracking off", "of the terminal server, each", ""),
    },
}
PEERS = [command for command in ("sshd", "ssh", "tmux") if packages.find(command) is None]
needs_peers = pytest.mark.skipif(
    bool(PEERS), reason=f"{', '.join(PEERS)} missing; not tested: benches beside OpenSSH and tmux"
)


@needs_peers
@pytest.mark.parametrize("name", sorted(FIGURES))
def test_a_bench_measures_what_it_is_for(name: str) -> None:
    rows = run(name, smoke=True, repetitions=1)
    assert FIGURES[name] <= {(row.case, row.figure, row.peer) for row in rows}
    assert all(row.bench == name and row.ours.median >= 0 for row in rows)
    assert all(row.ours.median > 0 for row in rows if row.peer or row.aim)
    assert all(row.beside.median > 0 for row in rows if row.beside is not None)


@pytest.mark.parametrize("name", sorted(FIGURES))
def test_without_its_peers_a_bench_measures_ours_alone(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "find", lambda command: None)
    rows = run(name, smoke=True, repetitions=1)
    assert rows
    assert all(row.peer in ("", "a bare terminal") for row in rows)
    told = [row.note for row in rows if row.note.startswith("not compared: ")]
    assert name == "connections" or told


@needs_peers
def test_sshd_is_gone_after_its_block_and_so_is_what_a_session_started(tmp_path: Path) -> None:
    with openssh(tmp_path / "openssh") as sshd:
        assert sshd is not None
        words = sshd.words("echo ready; exec cat", terminal=True)
        with Program(words) as program:
            program.read_until(b"ready")
            assert len(sshd.connections()) == len(descendants(sshd.pid)) - 1  # but for the cat
        wait_until_childless(sshd.pid)
    with pytest.raises(ProcessLookupError):
        os.kill(sshd.pid, 0)


@needs_peers
def test_tmux_is_gone_after_its_block_also_when_it_fails(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), tmux(tmp_path / "tmux") as terminals:
        assert terminals is not None
        terminals.session("cat")
        server = os.pidfd_open(terminals.pid)
        raise RuntimeError
    has_ended, _, _ = select.select([server], [], [], 0.0)
    os.close(server)
    assert has_ended


def test_a_program_that_ends_too_early_is_told_with_its_last_words() -> None:
    with (
        Program(["/bin/sh", "-c", "echo no such host"], on_terminal=True) as program,
        pytest.raises(OSError, match="/bin/sh ended after 'no such host"),
    ):
        program.read_until(b"ready")


def test_a_program_does_not_outlive_its_block() -> None:
    with Program(["/bin/sh", "-c", "echo $$; exec cat"]) as program:
        pid = int(program.read())
        assert pid in descendants(os.getpid())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
