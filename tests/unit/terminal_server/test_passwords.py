"""Changed passwords and stated accounts: what a terminal server does with them."""

from __future__ import annotations

import pytest

from daemons.effects import Answer, NotTaken, Prove, Take, Taken
from daemons.statements import PasswordRecord
from daemons.terminal_server.penalties import FREE_OF_USER
from tests.unit.terminal_server.scenario import (
    DIRECTORY,
    Client,
    Scene,
    names,
    of,
    shape,
    told,
)
from tsproto import limits
from tsproto.errors import ErrorCode
from tsproto.messages import (
    AccountStatement,
    ChangePassword,
    Done,
    LogonChallenge,
    LogonProof,
    LogonRefused,
    LogonStart,
    PasswordChanged,
    PasswordStatement,
    Refused,
)
from tsproto.statements import Standing

FIELDS = {
    "generation": 5,
    "public_key": bytes(32),
    "salt": bytes(16),
    "memory_kib": 65_536,
    "passes": 3,
    "lanes": 1,
    "signature": bytes(64),
}
STATEMENT = PasswordStatement(user_name="ann", **FIELDS)  # type: ignore[arg-type]
WRONG = NotTaken(ErrorCode.LOGON_FAILED, "user name or password is wrong")


def changing(scene: Scene) -> Client:
    """A client whose change the keeper has yet to judge."""
    client = scene.let_in()
    change(client)
    return client


def change(client: Client) -> None:
    client.begin()
    client.say(ChangePassword(**FIELDS))  # type: ignore[arg-type]


def test_the_keeper_judges_a_change_and_the_client_is_told_when_it_is_stored() -> None:
    scene = Scene(directory=True).up()
    client = changing(scene)
    assert scene.open_effect(Take).statement == STATEMENT
    decided = scene.answer(Take, Taken(Standing.NEW))
    assert shape(decided) == ["Persist", "PasswordStatement", "PasswordChanged"]
    assert names(decided) == ["password.changed"]
    assert told(decided) == [STATEMENT]
    assert isinstance(client.heard[-1], PasswordChanged)


def test_a_wrong_password_uses_up_an_attempt_as_a_wrong_proof_does() -> None:
    scene = Scene().up()
    client = changing(scene)
    decided = scene.answer(Take, WRONG)
    assert names(decided) == ["proofs.wrong", "logon.refused"]
    refused = client.last(LogonRefused)
    assert (refused.code, refused.attempts_left) == (ErrorCode.LOGON_FAILED, 2)
    client.ask_for()
    assert scene.opened(Prove)


def test_a_change_that_a_later_one_overtook_looks_like_a_wrong_password() -> None:
    scene = Scene().up()
    client = changing(scene)
    scene.answer(Take, WRONG)
    change(client)
    scene.answer(Take, Taken(Standing.OVERTAKEN))
    first, second = (each for each in client.heard if isinstance(each, LogonRefused))
    assert (first.code, first.detail) == (second.code, second.detail)
    assert (first.attempts_left, second.attempts_left) == (2, 1)


def test_the_last_wrong_password_ends_the_connection() -> None:
    scene = Scene().up()
    client = changing(scene)
    for _ in range(limits.LOGON_ATTEMPTS - 1):
        scene.answer(Take, WRONG)
        change(client)
    scene.answer(Take, WRONG)
    assert client.code is ErrorCode.TOO_MANY_ATTEMPTS


def test_a_fault_that_is_no_wrong_password_costs_no_attempt() -> None:
    scene = Scene().up()
    client = changing(scene)
    scene.answer(Take, NotTaken(ErrorCode.NOT_PERMITTED, "more than a day ahead"))
    refused = client.last(LogonRefused)
    assert (refused.code, refused.attempts_left) == (ErrorCode.NOT_PERMITTED, 3)
    assert "more than a day ahead" in refused.detail


def test_a_change_without_a_challenge_ends_the_connection() -> None:
    client = Scene().up().let_in()
    client.say(ChangePassword(**FIELDS))  # type: ignore[arg-type]
    assert client.code is ErrorCode.OUT_OF_ORDER


@pytest.mark.parametrize("message", [LogonStart(user_name="ann"), LogonProof(method=1)])
def test_nothing_is_heard_while_a_change_is_judged(message: LogonStart | LogonProof) -> None:
    client = changing(Scene().up())
    client.say(message)
    assert client.code is ErrorCode.OUT_OF_ORDER


def test_a_client_that_leaves_meanwhile_has_changed_its_password_everywhere() -> None:
    scene = Scene(directory=True).up()
    client = changing(scene)
    client.lose()
    assert told(scene.answer(Take, Taken(Standing.NEW))) == [STATEMENT]


def test_a_change_while_the_directory_is_away_is_told_when_it_has_joined() -> None:
    scene = Scene(directory=True)
    scene.start()
    changing(scene)
    assert told(scene.answer(Take, Taken(Standing.NEW))) == []
    scene.join()
    assert STATEMENT in told(scene.log)


def test_a_restarted_server_tells_its_changes_again() -> None:
    before = Scene(directory=True).up()
    changing(before)
    before.answer(Take, Taken(Standing.NEW))
    after = Scene(directory=True, records=before.rows())
    assert [row.generation for row in after.rows()[PasswordRecord]] == [5]
    after.up()
    assert told(after.log) == [STATEMENT]


def test_what_the_directory_tells_is_stored_and_told_to_nobody() -> None:
    scene = Scene(directory=True).up()
    link = scene.reach(DIRECTORY)
    client = Client(scene, link, scene.let_in().device)
    client.say(STATEMENT)
    assert scene.open_effect(Take).statement == STATEMENT
    decided = scene.answer(Take, Taken(Standing.NEW))
    assert names(decided) == ["password.changed"]
    assert shape(decided) == []


def test_an_administrators_statement_is_answered_when_the_keeper_has_stored_it() -> None:
    scene = Scene().up()
    statement = AccountStatement(account=b"{}", signer=b"", signature=bytes(64))
    assert of(Answer, scene.ask_as_administrator(statement)) == []
    assert scene.open_effect(Take).statement == statement
    [answer] = of(Answer, scene.answer(Take, Taken(Standing.NEW)))
    assert answer.message == Done()


def test_a_forged_statement_is_refused() -> None:
    scene = Scene().up()
    scene.ask_as_administrator(AccountStatement(account=b"{}", signer=b"", signature=bytes(64)))
    decided = scene.answer(Take, NotTaken(ErrorCode.NOT_PERMITTED, "forged"))
    [answer] = of(Answer, decided)
    assert answer.message == Refused(code=ErrorCode.NOT_PERMITTED, detail="forged")
    assert names(decided) == ["account.refused"]


def test_the_challenge_before_a_change_is_the_one_of_a_logon() -> None:
    client = changing(Scene().up())
    assert client.last(LogonChallenge).nonce == b"n" * 32


def test_wrong_passwords_make_the_next_ones_wait_as_wrong_proofs_do() -> None:
    scene = Scene().up()
    for _ in range(FREE_OF_USER + 1):
        changing(scene)
        scene.answer(Take, WRONG)
    client = changing(scene)
    assert scene.opened(Take) == []
    refused = client.last(LogonRefused)
    assert (refused.code, refused.attempts_left) == (ErrorCode.LOGON_BUSY, 3)
    assert refused.retry_after_seconds == 1
