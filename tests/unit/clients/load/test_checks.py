from __future__ import annotations

from collections.abc import Sequence

import pytest

from clients.administrator import Daemon
from clients.ask import AskFailed
from clients.load.checks import CONSERVED, LOGGED_OFF, ONE_SESSION, Checks, told
from clients.load.measuring.results import CheckResult
from clients.logon.steps import Host
from tsproto.errors import ErrorCode
from tsproto.messages import PoolRow, SessionRow, SessionState

LICENSE_SERVER = Host("127.0.0.1", 5601, "license-a")
DIRECTORY = Host("127.0.0.1", 5602, "directory")


def pool(total: int = 5, available: int = 5, issued: int = 0, lent: int = 0) -> PoolRow:
    return PoolRow(
        product="terminal-server",
        product_version=1,
        total=total,
        available=available,
        issued=issued,
        lent=lent,
    )


def session(
    host: str, user: str = "user1", state: SessionState = SessionState.ACTIVE, application: str = ""
) -> SessionRow:
    return SessionRow(
        host=host,
        session_id=7,
        user_name=user,
        application=application,
        state=state,
        created_at=1,
    )


class Farm:
    """Answers an administrator with these pools and sessions, one list after the other."""

    def __init__(
        self,
        pools: Sequence[Sequence[PoolRow]] = ((),),
        sessions: Sequence[Sequence[SessionRow]] = ((),),
        silent: bool = False,
    ) -> None:
        self._pools = list(pools)
        self._sessions = list(sessions)
        self._silent = silent

    async def pools(self, daemon: Daemon) -> list[PoolRow]:
        if self._silent:
            raise AskFailed(ErrorCode.UNREACHABLE, f"{daemon.host} is not there")
        return list(self._pools.pop(0) if len(self._pools) > 1 else self._pools[0])

    async def sessions(self, daemon: Daemon, user_name: str = "") -> list[SessionRow]:
        if self._silent:
            raise AskFailed(ErrorCode.UNREACHABLE, f"{daemon.host} is not there")
        return list(self._sessions.pop(0) if len(self._sessions) > 1 else self._sessions[0])


async def result_of(
    rule: str, farm: Farm | None, directory: Host | None = DIRECTORY
) -> CheckResult:
    checks = Checks(farm, [LICENSE_SERVER], directory)
    async with checks.sampling():
        pass
    await checks.look_again()
    [found] = [check for check in checks.results((), {}) if check.rule == rule]
    return found


# --- tokens ---------------------------------------------------------------------------------------


async def test_tokens_that_went_out_are_still_tokens() -> None:
    farm = Farm(pools=([pool()], [pool(available=2, issued=2, lent=1)]))
    found = await result_of(CONSERVED, farm)
    assert (found.passed, found.detail) == (True, "5 tokens of 1 license server, all there")


async def test_a_pool_that_does_not_add_up_is_broken() -> None:
    found = await result_of(CONSERVED, Farm(pools=([pool()], [pool(available=3, issued=3)])))
    assert found.passed is False
    assert found.detail == (
        "terminal-server 1 at license-a: 3 available, 3 issued and 0 lent are not its 5"
    )


async def test_tokens_that_are_gone_are_broken() -> None:
    found = await result_of(CONSERVED, Farm(pools=([pool()], [pool(total=4, available=4)])))
    assert found.passed is False
    assert found.detail == "terminal-server 1 at license-a: 1 token fewer than before"


async def test_a_pool_that_has_come_without_tokens_is_none() -> None:
    farm = Farm(pools=([], [pool(total=0, available=0)]))
    assert (await result_of(CONSERVED, farm)).passed is True


# --- sessions -------------------------------------------------------------------------------------


async def test_two_sessions_of_a_user_are_broken() -> None:
    farm = Farm(sessions=([], [session("ts1"), session("ts2"), session("ts1", user="user2")]))
    found = await result_of(ONE_SESSION, farm)
    assert (found.passed, found.detail) == (False, "user1 has ts1:7 and ts2:7")


async def test_sessions_of_two_applications_and_one_that_is_being_logged_off_are_not() -> None:
    rows = [
        session("ts1"),
        session("ts2", application="editor"),
        session("ts3", state=SessionState.RESET),
    ]
    assert (await result_of(ONE_SESSION, Farm(sessions=([], rows)))).passed is True


async def test_two_sessions_that_were_there_before_are_not_the_runs() -> None:
    rows = [session("ts1"), session("ts2")]
    assert (await result_of(ONE_SESSION, Farm(sessions=(rows, rows)))).passed is True


# --- what cannot be asked -------------------------------------------------------------------------


async def test_without_an_administrator_nothing_is_known() -> None:
    for rule in (CONSERVED, ONE_SESSION):
        found = await result_of(rule, None)
        assert (found.passed, found.detail) == (None, "nobody to ask as: give --admin CERT KEY")


async def test_without_a_directory_the_option_is_named() -> None:
    found = await result_of(ONE_SESSION, Farm(), directory=None)
    assert found.passed is None
    assert "--directory" in found.detail


async def test_a_daemon_that_does_not_answer_leaves_it_unknown() -> None:
    found = await result_of(CONSERVED, Farm(silent=True))
    assert (found.passed, found.detail) == (None, "license-a is not there")


# --- what drivers have seen -----------------------------------------------------------------------


def test_what_drivers_have_seen_broken_is_told_and_what_they_looked_at_was_kept() -> None:
    checks = Checks(None, [], None)
    found = checks.results([("b", "once"), ("b", "twice"), ("c", "odd")], {"a": 3, "b": 0, "d": 0})
    assert {check.rule: (check.passed, check.detail) for check in found[2:]} == {
        "a": (True, "looked at 3 times"),
        "b": (False, "once; twice"),
        "c": (False, "odd"),
    }


def test_a_few_of_many_are_told() -> None:
    assert told(["1", "2", "3", "4", "5"]) == "1; 2; 3; and 2 more"
    assert told([]) == ""
    assert told(["a", "a", "b", "a", "c", "d", "d"]) == "a (3 times); b; c; and 2 more"


# --- what is left ---------------------------------------------------------------------------------


async def after_a_run(*sessions: Sequence[SessionRow]) -> CheckResult:
    checks = Checks(Farm(sessions=sessions), [], DIRECTORY, {"user1"})
    async with checks.sampling():
        pass
    await checks.look_again()
    [found] = [check for check in checks.results((), {LOGGED_OFF: 1}) if check.rule == LOGGED_OFF]
    return found


async def test_a_session_that_a_run_leaves_behind_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clients.load.checks.LEAVING_SECONDS", 0.0)
    found = await after_a_run([], [session("ts1"), session("ts1", user="somebody else")])
    assert (found.passed, found.detail) == (False, "user1 still has ts1:7")


async def test_what_was_there_before_and_what_is_just_ending_is_not_left_behind() -> None:
    ending = session("ts1", state=SessionState.RESET)
    assert (await after_a_run([session("ts2")], [session("ts2"), ending])).passed is True


async def test_a_session_may_take_a_moment_to_leave_the_directory() -> None:
    there = [session("ts1")]
    assert (await after_a_run([], there, there, [])).passed is True


def test_a_look_that_was_given_up_leaves_it_unknown() -> None:
    checks = Checks(Farm(), [LICENSE_SERVER], DIRECTORY)
    checks.not_looked_again("given up")
    assert [check.passed for check in checks.results((), {})] == [None, None]
