from __future__ import annotations

from collections.abc import Iterable

import pytest

from daemons import events
from daemons.copied import copied
from daemons.effects import (
    Answer,
    Caller,
    Effect,
    NotTaken,
    Outcome,
    Peer,
    Persist,
    Record,
    Take,
    Taken,
    Tell,
)
from daemons.procedures import Procedure, Procedures
from daemons.statements import OF_ONE_USER_MAX, OPEN_MAX, PasswordRecord, Statements
from tsproto import limits
from tsproto.errors import ErrorCode
from tsproto.messages import AccountStatement, Done, PasswordStatement, Refused, Role
from tsproto.statements import Standing

NOW = 1_000.0
DIRECTORY = Peer(link=9, role=Role.SESSION_DIRECTORY, name="sd", host="127.0.0.1", port=1)
ADMINISTRATOR = Caller(
    Peer(link=1, role=Role.ADMINISTRATOR, name="me", host="127.0.0.1", port=1), request_id=5
)
ACCOUNT = AccountStatement(account=b"{}", signer=b"", signature=bytes(64))
REFUSED = NotTaken(ErrorCode.LOGON_FAILED, "user name or password is wrong")


def change(user_name: str = "user1", generation: int = 1) -> PasswordStatement:
    return PasswordStatement(
        user_name=user_name,
        generation=generation,
        public_key=bytes(32),
        salt=bytes(16),
        memory_kib=65_536,
        passes=3,
        lanes=1,
        signature=bytes(64),
    )


class Core:
    """A core that has nothing but statements."""

    def __init__(self, records: Iterable[PasswordRecord] = (), *, keeps_told: bool = True) -> None:
        self.procedures = Procedures()
        held: dict[type[Record], list[Record]] = {PasswordRecord: list(records)}
        self.statements = Statements(
            self.procedures, held, lambda each: [Tell(DIRECTORY, each)], keeps_told=keeps_told
        )
        self.outcomes: list[Taken | NotTaken] = []

    def from_client(self, statement: PasswordStatement, client: str = "client") -> list[Effect]:
        def changing() -> Procedure[None]:
            self.outcomes.append((yield from self.statements.change(statement)))

        return self.procedures.start(client, changing(), NOW)

    def answer(self, effects: list[Effect], outcome: Outcome) -> list[Effect]:
        [question] = [effect for effect in effects if isinstance(effect, Take)]
        return self.procedures.on_answer(question.question_id, outcome, NOW)


def kept(statement: PasswordStatement, *gone: PasswordStatement) -> Persist:
    return Persist(
        put=(copied(PasswordRecord, statement),),
        delete=tuple(copied(PasswordRecord, each) for each in gone),
    )


def changed(user_name: str = "user1") -> events.PasswordChanged:
    return events.PasswordChanged(user_name=user_name)


# --- of administrators ----------------------------------------------------------------------------


def test_an_administrator_is_answered_once_the_account_is_stored() -> None:
    core = Core()
    asked = core.statements.on_account(ADMINISTRATOR, ACCOUNT, NOW)
    assert asked == [Take(ACCOUNT, 1)]
    assert core.answer(asked, Taken(Standing.NEW)) == [
        events.AccountStated(administrator="me"),
        Answer(ADMINISTRATOR, Done()),
    ]


@pytest.mark.parametrize("standing", [Standing.KNOWN, Standing.OVERTAKEN])
def test_an_account_that_changes_nothing_is_done_and_no_event(standing: Standing) -> None:
    core = Core()
    asked = core.statements.on_account(ADMINISTRATOR, ACCOUNT, NOW)
    assert core.answer(asked, Taken(standing)) == [Answer(ADMINISTRATOR, Done())]


def test_a_refused_account_names_the_cause_to_administrator_and_operator() -> None:
    core = Core()
    asked = core.statements.on_account(ADMINISTRATOR, ACCOUNT, NOW)
    refused = NotTaken(ErrorCode.NOT_PERMITTED, "forged")
    assert core.answer(asked, refused) == [
        Answer(ADMINISTRATOR, Refused(code=ErrorCode.NOT_PERMITTED, detail="forged")),
        events.AccountRefused(peer="me", code=ErrorCode.NOT_PERMITTED, detail="forged"),
    ]


# --- of clients -----------------------------------------------------------------------------------


def test_a_clients_change_is_durable_before_it_is_passed_on() -> None:
    core = Core(keeps_told=False)
    statement = change()
    asked = core.from_client(statement)
    assert asked == [Take(statement, 1)]
    decided = core.answer(asked, Taken(Standing.NEW))
    assert decided == [changed(), kept(statement), Tell(DIRECTORY, statement)]
    assert core.outcomes == [Taken(Standing.NEW)]
    assert core.statements.kept() == [statement]
    assert core.statements.rows() == [copied(PasswordRecord, statement)]


def test_a_client_that_leaves_meanwhile_does_not_keep_its_change_from_others() -> None:
    core = Core(keeps_told=False)
    asked = core.from_client(change())
    assert core.procedures.stop("client", NOW) == []
    decided = core.answer(asked, Taken(Standing.NEW))
    assert decided == [changed(), kept(change()), Tell(DIRECTORY, change())]
    assert core.outcomes == []


def test_a_change_that_the_accounts_file_knew_is_passed_on_too() -> None:
    """The client says it again, or another daemon of this machine has stored it."""
    core = Core(keeps_told=False)
    asked = core.from_client(change())
    decided = core.answer(asked, Taken(Standing.KNOWN))
    assert decided == [kept(change()), Tell(DIRECTORY, change())]
    again = core.from_client(change())
    assert core.answer(again, Taken(Standing.KNOWN)) == []


@pytest.mark.parametrize("outcome", [REFUSED, Taken(Standing.OVERTAKEN)])
def test_a_change_that_does_not_count_is_not_passed_on(outcome: Taken | NotTaken) -> None:
    core = Core(keeps_told=False)
    asked = core.from_client(change())
    assert core.answer(asked, outcome) == []
    assert core.outcomes == [outcome]
    assert core.statements.kept() == []


# --- of peers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("standing", [Standing.NEW, Standing.KNOWN])
def test_a_directory_keeps_and_passes_on_what_it_is_told_once(standing: Standing) -> None:
    core = Core()
    asked = core.statements.on_password(change(), NOW)
    event = [changed()] if standing is Standing.NEW else []
    decided = core.answer(asked, Taken(standing))
    assert decided == [*event, kept(change()), Tell(DIRECTORY, change())]
    again = core.statements.on_password(change(), NOW)
    assert core.answer(again, Taken(Standing.KNOWN)) == []


def test_a_terminal_server_stores_what_it_is_told_and_keeps_nothing() -> None:
    core = Core(keeps_told=False)
    asked = core.statements.on_password(change(), NOW)
    assert core.answer(asked, Taken(Standing.NEW)) == [changed()]
    assert core.statements.kept() == []


def test_a_change_that_does_not_fit_the_account_is_an_event() -> None:
    core = Core()
    asked = core.statements.on_password(change(), NOW)
    assert core.answer(asked, REFUSED) == [
        events.PasswordRefused(user_name="user1", code=REFUSED.code, detail=REFUSED.detail)
    ]
    overtaken = core.statements.on_password(change(), NOW)
    assert core.answer(overtaken, Taken(Standing.OVERTAKEN)) == []


def test_so_many_are_judged_at_once_and_the_rest_is_not_heard() -> None:
    core = Core()
    asked = [core.statements.on_password(change("u", n), NOW) for n in range(1, OPEN_MAX + 1)]
    assert all(asked)
    assert core.statements.on_password(change("v"), NOW) == []
    assert core.answer(asked[0], Taken(Standing.OVERTAKEN)) == []
    assert core.statements.on_password(change("v"), NOW) != []


# --- what is kept ---------------------------------------------------------------------------------


def test_what_was_kept_is_told_in_the_order_of_generations_after_a_restart() -> None:
    records = [copied(PasswordRecord, change("user1", n)) for n in (3, 1, 2)]
    core = Core(records)
    assert [each.generation for each in core.statements.kept()] == [1, 2, 3]


def test_one_user_has_the_last_changes_kept_and_pushes_out_nobody_elses() -> None:
    core = Core([copied(PasswordRecord, change("user2", 1))])
    for n in range(1, OF_ONE_USER_MAX + 1):
        core.answer(core.from_client(change("user1", n), f"{n}"), Taken(Standing.NEW))
    last = change("user1", OF_ONE_USER_MAX + 1)
    decided = core.answer(core.from_client(last), Taken(Standing.NEW))
    assert kept(last, change("user1", 1)) in decided
    assert len(core.statements.kept()) == OF_ONE_USER_MAX + 1
    assert change("user2", 1) in core.statements.kept()


def test_of_too_many_the_oldest_gives_way() -> None:
    full = [
        copied(PasswordRecord, change(f"user{n}", n))
        for n in range(1, limits.STATEMENTS_KEPT_MAX + 1)
    ]
    core = Core(full)
    last = change("last", 5_000)
    decided = core.answer(core.from_client(last), Taken(Standing.NEW))
    assert kept(last, change("user1", 1)) in decided
    assert len(core.statements.rows()) == limits.STATEMENTS_KEPT_MAX
