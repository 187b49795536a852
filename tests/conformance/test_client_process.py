"""The command of a client under test: what is refused before a case is played, and what is told of
a client that did not come."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.conformance.client_process import SHOWN_LINES, ClientProcess, Command
from clients.conformance.command import main
from clients.conformance.listening import Listening, OneClient
from clients.conformance.over_sockets import Address, Settings
from clients.conformance.target import Setup, Unmet
from tsproto.messages import Role

HERE = Address("127.0.0.1", 0)
PLAIN = Settings(role=Role.CLIENT, address=HERE, tls=False)
CLIENT = ["127.0.0.1:0", "--role", "client", "--plain", "--only", "LIC-02"]


def python(source: str) -> str:
    return f'{sys.executable} -c "{source}"'


@pytest.fixture
def telephone() -> Iterator[socket.socket]:
    """Where a client that takes long says something, so that nobody has to wait for it by the
    clock."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10.0)
        yield listener


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        ("client {hots}", "there is no {hots}, only {host}, {port}, {ca}, {folder}"),
        ("client {}", "there is no {}, only"),
        ("client {port:5}", "there is no {port:5}, only"),
        ("client {host", "expected '}' before end of string; a brace itself is {{ or }}"),
        ("client 'x", "No closing quotation"),
        ("no-such-client {host}", "there is no program 'no-such-client'"),
        ("/etc/passwd {host}", "there is no program '/etc/passwd'"),
        (" ", "the command is empty"),
    ],
)
def test_a_command_that_cannot_be_run_is_no_run(
    command: str, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*CLIENT, "--run", command]) == 2
    printed = capsys.readouterr()
    assert complaint in printed.err and "Traceback" not in printed.err
    assert (printed.err.count("\n"), printed.out) == (1, "")


def test_a_value_stays_one_word_whatever_is_in_it() -> None:
    command = Command("sh {folder} '{host} {{x}}'")
    assert command.filled({"folder": "a b", "host": "here"}) == ["sh", "a b", "here {x}"]


def test_a_client_that_did_not_come_is_told_with_its_command_status_and_words() -> None:
    why = _why_not(python("print('no such option'); raise SystemExit(3)") + " at={port}")
    head, command, became, shown = why.splitlines()
    port = head.removeprefix("the client did not dial 127.0.0.1:")
    assert command.startswith("the command was: ") and command.endswith(f" at={port}")
    assert became == "it ended with status 3, and showed:"
    assert shown == "  | no such option"


def _why_not(command: str) -> str:
    """What is told of a client that fails; nobody waits for it as long as they would."""
    client = Listening(PLAIN, command=command)
    try:
        client.begin()
        with pytest.raises(Unmet) as unmet:
            client.accept(Role.TERMINAL_SERVER, 600.0)
    finally:
        client.stop()
    return str(unmet.value)


def test_the_end_of_what_a_client_has_shown_can_be_read() -> None:
    coloured = "f'\\x1b[31mline {{n}}\\x1b[0m\\x07\\r'"
    why = _why_not(python(f"[print({coloured}) for n in range(99)]; raise SystemExit(1)"))
    head, *shown = why.split("\n  | ")
    assert head.endswith("it ended with status 1, and showed:")
    assert shown == [f"line {n}\\u0007" for n in range(99 - SHOWN_LINES, 99)]


def test_a_client_that_still_runs_is_said_to() -> None:
    client = Listening(PLAIN, command=python("input()"))
    try:
        client.begin()
        with pytest.raises(Unmet, match="it is still running; it showed nothing"):
            client.accept(Role.TERMINAL_SERVER, 0.01)
    finally:
        client.stop()


def test_whoever_starts_the_client_by_hand_is_told_where_it_is_to_connect() -> None:
    told: list[str] = []
    client = Listening(PLAIN, say=told.append)
    client.begin()
    client.stop()
    assert told == [f"connect the client: 127.0.0.1:{client.accepting_at()[1]}"]


def test_what_a_client_has_started_ends_with_it(telephone: socket.socket) -> None:
    port = telephone.getsockname()[1]
    call = f"import socket; s = socket.create_connection(('127.0.0.1', {port})); s.recv(1)"
    process = ClientProcess(["sh", "-c", f'{sys.executable} -c "{call}" & wait'])
    line, _ = telephone.accept()
    with line:
        line.settimeout(10.0)
        process.end()
        assert line.recv(1) == b""


CALLER = """
import os, socket, sys
port, folder = sys.argv[1:]
with socket.create_connection(("127.0.0.1", int(port))) as line:
    line.sendall(f"{folder} {len(os.listdir(folder))}".encode())
    open(os.path.join(folder, "key"), "w").close()
"""


def test_each_case_has_an_empty_folder_of_its_own(telephone: socket.socket, tmp_path: Path) -> None:
    (tmp_path / "caller.py").write_text(CALLER)
    port = telephone.getsockname()[1]
    command = f"{sys.executable} {tmp_path / 'caller.py'} {port} {{folder}}"
    client = Listening(PLAIN, command=command)
    source = OneClient(client)
    seen = []
    try:
        for _ in range(2):
            target = source.target(Setup.RIGHT, fresh=True)
            for _ in range(2):  # as a case does that looks what the device has kept
                target.begin()
                seen.append(_heard(telephone))
    finally:
        client.stop()
    (first, before), (again, kept), (second, anew), _ = seen
    assert (before, kept, anew) == ("0", "1", "0")
    assert first == again != second
    assert not Path(first).exists() and not Path(second).exists()


def _heard(telephone: socket.socket) -> tuple[str, str]:
    line, _ = telephone.accept()
    with line:
        line.settimeout(10.0)
        said = b""
        while data := line.recv(1024):  # until the key is there, too
            said += data
    folder, count = said.decode().split()
    return folder, count


def test_a_program_that_is_none_fails_its_case_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "client"
    program.write_text("no program\n")
    program.chmod(0o755)
    assert main([*CLIENT, "--run", f"{program} {{host}}"]) == 1
    printed = capsys.readouterr().out
    assert f"expected a client: {program} 127.0.0.1: Exec format error" in printed
    assert "Traceback" not in printed
