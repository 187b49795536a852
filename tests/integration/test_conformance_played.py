"""The suite plays the daemons that a target dials, over TLS: beside a lab, and at an address for a
server of anybody's, who starts it with a command."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.conformance import report
from clients.conformance.catalogue import cases_for, pick
from clients.conformance.command import main, named_source, parser
from clients.conformance.runner import Verdict, play, play_all
from daemons import accounts, lab
from tests.conformance.in_process_source import InProcessSource
from tests.conformance.wrong import FAULTS, Fault
from tsproto import certificates
from tsproto.account import Account
from tsproto.messages import Role

ROOT = Path(__file__).resolve().parents[2]
PLAN = lab.Plan(
    terminal_servers=("ts1",),
    license_servers=(lab.LicenseServerPlan("license-a"),),
    shell=("/bin/sh",),
)
# For each role and each way in which the suite sets its target up, a case or two.
BESIDE_A_LAB = (
    (
        "ts1",
        Role.TERMINAL_SERVER,
        (
            *("ADMIN-10", "DISC-12", "LIC-18", "LIC-23", "LOGON-06", "LOGON-08", "LOGON-09"),
            *("LOGON-01.the-right-ssh-key", "LOGON-21.ssh-signatures-that-are-none", "LOGON-36"),
            *("DIR-28", "DIR-31", "DIR-32", "REDIR-13"),
            *("VALUE-01.Joined.generation.nil", "VALUE-06.Refused.detail.defaulted"),
        ),
    ),
    (
        "license-a",
        Role.LICENSE_SERVER,
        ("ADMIN-10", "DISC-05", "LEND-01.what-is-lent-is-passed-on", "LEND-04", "LSRV-14"),
    ),
    ("directory", Role.SESSION_DIRECTORY, ("ADMIN-10", "DIR-18")),
)
FOUND = (
    "accepts an expired token",
    "renews only what has ended",
    "takes any answer to any request",
    "passes on whatever a lender says",
)


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("played")
    lab.up(folder, PLAN, say=lambda line: None)
    try:
        yield folder
    finally:
        lab.down(folder)


@pytest.mark.parametrize(("name", "role", "only"), BESIDE_A_LAB)
def test_a_labs_program_passes_where_the_suite_is_whom_it_dials(
    farm: Path, name: str, role: Role, only: tuple[str, ...]
) -> None:
    before = {daemon.name: lab.pid_of(farm, daemon.name) for daemon in lab.load(farm).daemons}
    offset = lab.clock_offset(farm)
    word = role.name.lower().replace("_", "-")
    options = parser().parse_args([name, "--role", word, "--lab", str(farm), "--timeout", "4"])
    source = named_source(options, role, print)
    results = list(play_all(pick(cases_for(role), only, ()), source))
    source.stop()
    missed = [result for result in results if result.verdict is not Verdict.PASSED]
    assert not missed, "\n\n".join(report.explained(result) for result in missed)
    assert len(results) >= len(only)
    assert {name: lab.pid_of(farm, name) for name in before} == before
    assert lab.clock_offset(farm) == offset


class Operator:
    """Runs a server of one's own, in a folder, and knows how to start it anew."""

    def __init__(self, folder: Path, role: Role) -> None:
        self.role = role
        self._folder = folder
        self._ports = _free_ports(3)
        now = time.time()
        certificate, key = certificates.create_authority("own", now)
        own_certificate, own_key = certificates.issue_certificate(
            certificate, key, role, "mine", now, addresses=["127.0.0.1"]
        )
        contents = {"ca.crt": certificate, "ca.key": key, "my.crt": own_certificate}
        for name, content in {**contents, "my.key": own_key}.items():
            (folder / name).write_bytes(content)
            (folder / name).chmod(0o600)
        password = accounts.password_key("own", "user1", b"secret")
        account = Account(name="user1", generation=1, password=password)
        accounts.change(folder / "accounts", "own", lambda _: [account])
        (folder / "state").mkdir()
        (folder / "config.toml").write_text(self._configuration())

    def _configuration(self) -> str:
        own, license_server, directory = self._ports
        is_terminal = self.role is Role.TERMINAL_SERVER
        lines = [
            'farm = "own"',
            'state = "state"',
            f'listen = {{host = "127.0.0.1", port = {own}}}',
            'identity = {certificate = "my.crt", key = "my.key", authority = "ca.crt"}',
            f'discovery = {{servers = [{{host = "127.0.0.1", port = {license_server}}}]}}',
        ]
        if is_terminal:
            lines += [
                'accounts = "accounts"',
                "grace_days = 0",
                f"sessions = {{allow_root = {'true' if os.geteuid() == 0 else 'false'}}}",
                f'directory = {{host = "127.0.0.1", port = {directory}}}',
            ]
        return "\n".join([*lines, ""])

    def arguments(self, fault: str, case: str) -> list[str]:
        own, license_server, directory = self._ports
        program = f"daemons.{self.role.name.lower()}"
        if fault:
            program = f"tests.conformance.wrong '{fault}'"
        fresh = (
            f"cd {self._folder}; cat pid state/keeper.pid 2>&- | xargs -r kill -9; rm -rf state;"
            " mkdir -m 700 state;"
            f" PYTHONPATH={ROOT} {sys.executable} -m {program} --config config.toml 2>log &"
            " echo $! >pid"
        )
        return [
            f"127.0.0.1:{own}",
            *("--role", self.role.name.lower().replace("_", "-")),
            *("--ca", str(self._folder / "ca.crt"), "--ca-key", str(self._folder / "ca.key")),
            *("--user", "user1", "secret"),
            *("--play", f"license-server=127.0.0.1:{license_server}"),
            *("--play", f"session-directory=127.0.0.1:{directory}"),
            *("--fresh", fresh, "--timeout", "2", "--only", case),
        ]

    def end(self) -> None:
        for file in ("pid", "state/keeper.pid"):
            with contextlib.suppress(OSError):
                os.kill(int((self._folder / file).read_text()), signal.SIGKILL)


@pytest.mark.parametrize("name", FOUND)
def test_a_planted_fault_is_found_at_an_address_as_it_is_in_process(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fault = next(fault for fault in FAULTS if fault.name == name)
    operator = Operator(tmp_path, fault.role)
    try:
        right = main(operator.arguments("", fault.found_by))
        assert "1 passed, 0 failed, 0 skipped" in capsys.readouterr().out
        wrong = main(operator.arguments(name, fault.found_by))
        printed = capsys.readouterr().out
    finally:
        operator.end()
    assert (right, wrong) == (0, 1)
    assert f"FAILED  {fault.found_by}" in printed
    assert _complaint(_in_process(fault)) in printed


def _in_process(fault: Fault) -> str:
    case = next(case for case in cases_for(fault.role) if case.id == fault.found_by)
    with fault.plant():
        return play(case, InProcessSource(fault.role, wrap=fault.wrap)).why


def _complaint(why: str) -> str:
    """What was expected; what came instead may be said in other words."""
    return why.partition(",")[0]


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as probes:
        sockets = [probes.enter_context(socket.socket()) for _ in range(count)]
        for probe in sockets:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in sockets]
