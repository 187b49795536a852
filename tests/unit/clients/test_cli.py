from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from clients.cli import main
from clients.device import Device
from clients.exit_codes import ExitCode


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, command in subcommands(group):
        yield (*path, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


def subcommands(group: click.Group) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield name, command


# --- help ---------------------------------------------------------------------------------------


def test_the_help_lists_every_command_with_a_line() -> None:
    shown = run("--help").output
    for name, command in subcommands(main):
        line = next(line for line in shown.splitlines() if line.strip().startswith(f"{name} "))
        assert line.strip().removeprefix(name).strip() == command.get_short_help_str(100)
        assert not line.endswith("...")


def test_the_keeper_is_nobodys_command() -> None:
    assert "keeper" not in run("--help").output


def test_the_help_tells_the_exit_statuses() -> None:
    shown = run("--help").output
    for code in ExitCode:
        assert f"{code.value}  {code.meaning}" in shown


@pytest.mark.parametrize("path", [(), *commands(main)], ids="-".join)
def test_every_command_has_help_with_an_example(path: tuple[str, ...]) -> None:
    done = run(*path, "--help")
    assert done.exit_code == 0
    assert "Example:\n    tsfarm " in done.output or "Example:\n    echo " in done.output
    assert " ".join(path) in done.output.split("Example:")[1]


def test_the_version_is_the_packages() -> None:
    assert run("--version").output.startswith("tsfarm ")


# What a command does not need, it must not wait for: an import of these takes as long as the rest.
EVERYTHING = {"tsproto.messages", "msgspec", "asyncio", "cryptography", "ssl", "rich", "argon2"}
# Each of these takes longer to import than a logon takes on the client, or brings others that do.
NOT_FOR_CONNECT = {
    "apsw",
    "argon2",
    "clients.conformance",
    "clients.decode",
    "clients.interactive",
    "clients.lab",
    "clients.load",
    "clients.pki",
    "clients.query",
    "clients.trace",
    "clients.user",
    "cryptography",
    "daemons.config",
    "daemons.lab",
    "encodings.idna",
    "hmac",
    "json",
    "msgpack",
    "random",
    "secrets",
    "structlog",
    "tomllib",
    "tsproto.certificates",
    "uvloop",
}


def imported_by(*arguments: str | Path) -> set[str]:
    """The modules in memory when `tsfarm` with these arguments ends."""
    script = (
        "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.__stderr__));"
        "from clients.entry import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, timeout=20
    )
    assert "Traceback" not in done.stderr
    return set(done.stderr.split())


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_an_answer_about_tsfarm_itself_imports_hardly_anything(option: str) -> None:
    assert not imported_by(option) & EVERYTHING


@pytest.mark.parametrize("farm", ["plain", "of an unknown farm"])
def test_connect_imports_up_to_its_dial_only_what_dialling_takes(tmp_path: Path, farm: str) -> None:
    password = tmp_path / "password"
    password.write_text("secret\n")
    password.chmod(0o600)
    options = ["--plain"] if farm == "plain" else []
    imported = imported_by(
        "connect",
        "127.0.0.1:1",
        *options,
        "--store",
        tmp_path / "store",
        "--password-file",
        password,
        "--",
        "true",
    )
    assert "tsproto.transport" in imported
    assert not imported & NOT_FOR_CONNECT


# --- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("connect",),
        ("connect", "ts1:0", "--", "true"),
        ("connect", "ts1", "--password-file", "/nonexistent", "--", "true"),
        ("connect", "ts1", "--trace-secrets", "--", "true"),
        ("lab", "warp", "soon"),
        ("pki", "issue", "client", "laptop1"),
        ("query", "session"),
        ("query", "session", "--server", "ts1"),
        ("license-server",),
    ],
)
def test_a_wrong_command_line_is_status_2(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert done.exit_code == ExitCode.USAGE
    assert "Traceback" not in done.output


def test_an_error_is_one_line_and_no_traceback(tmp_path: Path) -> None:
    Device.open(tmp_path)
    (tmp_path / "key").chmod(0o644)
    password = tmp_path / "password"
    password.write_text("secret\n")
    password.chmod(0o600)
    arguments = ("connect", "ts1", "--store", tmp_path, "--password-file", password, "--", "true")
    done = run(*arguments)
    assert done.exit_code == ExitCode.FAILED
    assert done.stderr.splitlines() == [
        f"tsfarm: {tmp_path}/key is open to others (mode 0644), who could pass for this device:"
        f" run `chmod 600 {tmp_path}/key`"
    ]


def test_an_interrupt_is_status_130_and_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(folder: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("clients.license_show.held_licenses", interrupted)
    done = run("license", "show")
    assert (done.exit_code, done.output) == (ExitCode.CANCELLED, "")


def test_a_password_file_that_others_may_read_is_told(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("secret\n")
    password.chmod(0o644)
    arguments = ("--store", tmp_path / "store", "--plain", "--password-file", password)
    done = run("connect", "127.0.0.1:1", *arguments, "--", "true")
    assert done.stderr.startswith(
        f"[tsfarm] others may read {password}: run `chmod 600 {password}`"
    )


def test_an_interactive_session_without_a_terminal_is_refused() -> None:
    done = run("connect", "ts1", "--user", "user1")
    assert done.exit_code == ExitCode.FAILED
    assert done.stderr.startswith("tsfarm: standard input is no terminal: run one command with")


@pytest.mark.parametrize("content", ["", "\n", "x" * 1025])
def test_a_password_file_without_a_password_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "password"
    file.write_text(content)
    done = run("connect", "ts1", "--store", tmp_path / "s", "--password-file", file, "--", "true")
    assert done.exit_code == ExitCode.USAGE
    assert f"--password-file {file}: its first line must be a password" in done.stderr


def test_an_unreachable_host_is_status_5(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("secret\n")
    (tmp_path / "password").chmod(0o600)
    done = run(
        "connect",
        "127.0.0.1:1",
        "--store",
        tmp_path / "store",
        "--plain",
        "--password-file",
        tmp_path / "password",
        "--",
        "true",
    )
    assert done.exit_code == ExitCode.UNREACHABLE
    assert done.stderr.startswith("tsfarm: no connection: 127.0.0.1:1")


def test_a_missing_lab_is_an_error_with_its_remedy(tmp_path: Path) -> None:
    done = run("query", "pool", "--lab", tmp_path)
    assert done.exit_code == ExitCode.FAILED
    assert done.stderr.startswith("tsfarm: ")
