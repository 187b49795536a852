"""Checks of accounts, on a real loop."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from daemons.account_checks import AccountChecks
from daemons.effects import LookUp, Verified, Verify
from tsproto import limits

HOST = "192.0.2.7"
KNOWN = Verified(accepted=True, system_user="lab")


class OneAccount:
    async def verify(self, user_name: str, password: bytes) -> Verified:
        if user_name != "ann":
            raise OSError("no such account")
        return KNOWN if password == b"pw" else Verified(accepted=False)

    async def look_up(self, user_name: str) -> Verified:
        return KNOWN


class Reports(asyncio.Queue[tuple[int, Verified]]):
    def __init__(self) -> None:
        super().__init__()
        self.checks = AccountChecks(OneAccount(), lambda *report: self.put_nowait(report))


@pytest.mark.parametrize("check", [Verify("ann", b"pw", 7, HOST), LookUp("ann", 7)])
async def test_what_is_found_comes_back_with_its_question_id(check: Verify | LookUp) -> None:
    reports = Reports()
    reports.checks.performers[type(check)](check)
    assert await reports.get() == (7, KNOWN)


class Gate:
    """Accounts whose checks end when they are told to, with the password that was checked."""

    def __init__(self) -> None:
        self.running: list[tuple[bytes, asyncio.Future[Verified]]] = []

    def verify(self, user_name: str, password: bytes) -> asyncio.Future[Verified]:
        check = asyncio.get_running_loop().create_future()
        self.running.append((password, check))
        return check

    async def look_up(self, user_name: str) -> Verified:
        return KNOWN


async def test_sources_take_turns_when_checks_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PASSWORD_CHECKS_AT_ONCE", 1)
    gate, reports = Gate(), asyncio.Queue[tuple[int, Verified]]()
    checks = AccountChecks(gate, lambda *report: reports.put_nowait(report))
    for number in range(1, 6):
        checks.verify(Verify("ann", b"guess", number, "198.51.100.1"))
    checks.verify(Verify("ann", b"pw", 9, HOST))
    served = []
    for _ in range(6):
        ((_, check),) = gate.running
        gate.running.clear()
        check.set_result(KNOWN)
        served.append((await reports.get())[0])
        await asyncio.sleep(0)
    assert served == [1, 9, 2, 3, 4, 5]


async def test_of_too_many_checks_the_oldest_of_the_largest_source_is_busy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "PASSWORD_CHECKS_AT_ONCE", 1)
    monkeypatch.setattr(limits, "PASSWORD_CHECKS_WAITING", 2)
    reports: list[tuple[int, Verified]] = []
    checks = AccountChecks(Gate(), lambda *report: reports.append(report))
    for number in range(1, 4):
        checks.verify(Verify("ann", b"guess", number, "198.51.100.1"))
    checks.verify(Verify("ann", b"pw", 9, HOST))
    assert reports == [(2, Verified(accepted=False, busy=True))]
    checks.close()


async def test_after_the_end_nothing_is_reported() -> None:
    reports, others = Reports(), Reports()
    reports.checks.verify(Verify("ann", b"pw", 7, HOST))
    reports.checks.close()
    others.checks.verify(Verify("ann", b"pw", 8, HOST))
    assert await others.get() == (8, KNOWN)
    assert reports.empty()


async def test_a_check_that_fails_is_a_fault_of_ours_also_when_the_system_fails() -> None:
    raised: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().set_exception_handler(
        lambda loop, context: raised.set_result(context["exception"])
    )
    Reports().checks.verify(Verify("bob", b"pw", 7, HOST))
    assert str(await raised) == ("an account cannot be checked: OSError('no such account')")
    assert isinstance(await raised, RuntimeError)
