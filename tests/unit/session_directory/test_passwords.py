"""Changed passwords and stated accounts: how a directory keeps them and tells the farm."""

from __future__ import annotations

from daemons.copied import copied
from daemons.effects import Answer, Caller, Effect, NotTaken, Peer, Persist, Take, Taken, Tell
from daemons.events import Event
from daemons.session_directory.records import DirectoryRecord
from daemons.statements import PasswordRecord
from tests.unit.session_directory.scenario import (
    ADMINISTRATOR,
    SECRET,
    Directory,
    answer,
    link,
    logged,
    refusal,
)
from tsproto.errors import ErrorCode
from tsproto.messages import AccountStatement, Done, PasswordStatement
from tsproto.statements import Standing

ACCOUNT = AccountStatement(account=b"{}", signer=b"", signature=bytes(64))


def change(generation: int = 5) -> PasswordStatement:
    return PasswordStatement(
        user_name="ann",
        generation=generation,
        public_key=bytes(32),
        salt=bytes(16),
        memory_kib=65_536,
        passes=3,
        lanes=1,
        signature=bytes(64),
    )


def with_accounts(*kept: PasswordStatement) -> Directory:
    records = [copied(PasswordRecord, each) for each in kept]
    own = DirectoryRecord(name="sd", secret=SECRET)
    return Directory(
        account_of=lambda _: None, records={DirectoryRecord: [own], PasswordRecord: records}
    )


def judged(directory: Directory, effects: list[Effect], outcome: Taken | NotTaken) -> list[Effect]:
    [question] = [effect for effect in effects if isinstance(effect, Take)]
    return directory.core.on_answer(question.question_id, outcome, directory.now)


def told(effects: list[Effect]) -> list[tuple[Peer, PasswordStatement]]:
    tells = [effect for effect in effects if isinstance(effect, Tell)]
    return [(e.peer, e.message) for e in tells if isinstance(e.message, PasswordStatement)]


def test_a_change_is_kept_durably_and_told_to_every_host_that_has_joined() -> None:
    directory = with_accounts()
    ts1, ts2 = directory.joined("ts1"), directory.joined("ts2")
    asked = directory.hears(ts1, change())
    assert asked == [Take(change(), 1)]
    decided = judged(directory, asked, Taken(Standing.NEW))
    record = copied(PasswordRecord, change())
    assert [e for e in decided if not isinstance(e, Event)] == [
        Persist(put=(record,)),
        Tell(ts1, change()),
        Tell(ts2, change()),
    ]
    assert record in directory.core.durable().rows


def test_a_change_that_an_accounts_file_in_common_knew_already_is_told_too() -> None:
    directory = with_accounts()
    ts1 = directory.joined("ts1")
    decided = judged(directory, directory.hears(ts1, change()), Taken(Standing.KNOWN))
    assert told(decided) == [(ts1, change())]


def test_a_host_that_joins_is_told_what_it_may_have_missed() -> None:
    directory = with_accounts(change(7), change(5))
    ts1 = link("ts1")
    assert told(directory.asked_to_join(ts1)) == []
    assert told(directory.synchronized(ts1, last=False)) == []
    assert told(directory.synchronized(ts1)) == [(ts1, change(5)), (ts1, change(7))]


def test_a_refused_list_is_told_nothing() -> None:
    directory = with_accounts(change())
    ts1 = directory.joined("ts1")
    again = directory.synchronized(ts1)
    assert refusal(again) is ErrorCode.NOT_JOINED
    assert told(again) == []


def test_a_forged_change_is_told_to_nobody() -> None:
    directory = with_accounts()
    ts1 = directory.joined("ts1")
    asked = directory.hears(ts1, change())
    decided = judged(directory, asked, NotTaken(ErrorCode.LOGON_FAILED, "wrong"))
    [event] = logged(decided, Event)
    assert event.event == "password.refused"
    assert len(decided) == 1


def test_a_host_that_has_not_joined_changes_nothing() -> None:
    assert with_accounts().hears(link("ts1"), change()) == []


def test_a_directory_without_accounts_takes_no_part() -> None:
    directory = Directory()
    assert directory.hears(directory.joined("ts1"), change()) == []
    assert directory.hears(ADMINISTRATOR, ACCOUNT) == [Answer(Caller(ADMINISTRATOR, 1), Done())]


def test_an_administrators_statement_is_answered_when_it_is_stored() -> None:
    directory = with_accounts()
    asked = directory.hears(ADMINISTRATOR, ACCOUNT)
    assert asked == [Take(ACCOUNT, 1)]
    assert answer(judged(directory, asked, Taken(Standing.NEW)), Done) == Done()
    asked = directory.hears(ADMINISTRATOR, ACCOUNT)
    refused = judged(directory, asked, NotTaken(ErrorCode.NOT_PERMITTED, "forged"))
    assert refusal(refused) is ErrorCode.NOT_PERMITTED
