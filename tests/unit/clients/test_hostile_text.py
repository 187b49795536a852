"""Text of a hostile farm in every field of every answer, on the way to the user's terminal.

The protocol forbids such text (`VALUE-14`), so these answers are made without a connection: what
the commands print is made printable, whatever a later field or another implementation lets through.
"""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from clients import connect, query
from clients.administrator import Administrator
from clients.ask import AskFailed
from clients.cli import main
from clients.interactive import Terminal
from clients.logon.steps import Finished, Host, Outcome
from clients.prompts import Prompts
from clients.trust import Stranger
from tests.unit.clients.hostile import HOSTILE, assert_printable, hostile
from tsproto.errors import ErrorCode, TsfarmError
from tsproto.messages import (
    LicenseRow,
    LicenseServers,
    Message,
    PoolRow,
    ServerRow,
    SessionRow,
)

QUERIES = {
    "session": ("sessions", SessionRow),
    "user": ("sessions", SessionRow),
    "server": ("servers", ServerRow),
    "license": ("licenses", LicenseRow),
    "pool": ("pools", PoolRow),
    "license-server": ("license_servers", LicenseServers),
}


def texts(value: Any) -> list[str]:
    match value:
        case str():
            return [value]
        case dict():
            return [text for each in value.values() for text in texts(each)]
        case list():
            return [text for each in value for text in texts(each)]
    return []


@pytest.fixture
def administrator(monkeypatch: pytest.MonkeyPatch) -> Administrator:
    made = Administrator("admin", None)
    monkeypatch.setattr(query.Target, "administrator", lambda self: made)
    return made


def asked(monkeypatch: pytest.MonkeyPatch, name: str, answer: Any, *options: str) -> Any:
    method, _ = QUERIES[name]

    async def answered(*given: Any) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(Administrator, method, answered)
    return CliRunner().invoke(main, ["query", name, "--server", "127.0.0.1", *options])


@pytest.mark.usefixtures("administrator")
@pytest.mark.parametrize("name", QUERIES)
def test_every_query_prints_printable_rows_in_both_forms(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    kind = QUERIES[name][1]
    row = hostile(kind)
    answer = row if issubclass(kind, Message) else [row]
    table = asked(monkeypatch, name, answer)
    document = asked(monkeypatch, name, answer, "--json")
    assert (table.exit_code, document.exit_code) == (0, 0), table.output
    assert len(table.output.splitlines()) == 2
    assert_printable(table.output)
    assert_printable(document.output)
    assert HOSTILE in texts(json.loads(document.output))  # programs get what was sent


def test_every_command_that_asks_is_here() -> None:
    without_text = {"deny-list"}  # it shows numbers of what was signed
    assert query.query.commands.keys() == QUERIES.keys() | without_text


@pytest.mark.usefixtures("administrator")
@pytest.mark.parametrize("name", QUERIES)
def test_a_refusal_is_printable(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    done = asked(monkeypatch, name, AskFailed(ErrorCode.BUSY, HOSTILE))
    assert done.exit_code == 5
    assert "tsfarm: a\\u001b[2J" in done.output
    assert_printable(done.output)


@pytest.mark.parametrize("outcome", Outcome)
def test_the_end_of_a_session_is_printable(
    capsys: pytest.CaptureFixture[str], outcome: Outcome
) -> None:
    connect.report(Finished(outcome, ErrorCode.BUSY, HOSTILE), is_interactive=True)
    assert_printable(capsys.readouterr().err)


def test_what_a_farm_says_in_a_session_is_printable(capsys: pytest.CaptureFixture[str]) -> None:
    Terminal(Prompts()).say(HOSTILE)
    assert_printable(capsys.readouterr().err)


async def test_questions_to_the_user_are_printable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def answered(descriptor: int) -> str:
        return "no"

    monkeypatch.setattr("os.isatty", lambda descriptor: True)
    monkeypatch.setattr("clients.tty.read_line", answered)
    monkeypatch.setattr("clients.tty.silent", nullcontext)
    stranger = Stranger(Host(HOSTILE, 5600), HOSTILE, HOSTILE, b"")
    assert not await Prompts().confirm(stranger)
    assert await Prompts().password(HOSTILE, HOSTILE, again=False) == b"no"
    assert_printable(capsys.readouterr().err)


def test_an_error_of_a_command_is_printable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def failing(*given: Any) -> Any:
        raise TsfarmError(f"one line\n{HOSTILE}")

    monkeypatch.setattr("clients.license_show.held_licenses", failing)
    done = CliRunner().invoke(main, ["license", "show", "--store", str(tmp_path)])
    assert done.output.startswith("tsfarm: one line\na\\u001b[2J")
    assert_printable(done.output)
