"""Checks of accounts, on a real loop."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from daemons.account_checks import AccountChecks
from daemons.effects import LookUp, Verified, Verify

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


@pytest.mark.parametrize("check", [Verify("ann", b"pw", 7), LookUp("ann", 7)])
async def test_what_is_found_comes_back_with_its_question_id(check: Verify | LookUp) -> None:
    reports = Reports()
    reports.checks.performers[type(check)](check)
    assert await reports.get() == (7, KNOWN)


async def test_after_the_end_nothing_is_reported() -> None:
    reports, others = Reports(), Reports()
    reports.checks.verify(Verify("ann", b"pw", 7))
    reports.checks.close()
    others.checks.verify(Verify("ann", b"pw", 8))
    assert await others.get() == (8, KNOWN)
    assert reports.empty()


async def test_a_check_that_fails_is_a_fault_of_ours_also_when_the_system_fails() -> None:
    raised: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().set_exception_handler(
        lambda loop, context: raised.set_result(context["exception"])
    )
    Reports().checks.verify(Verify("bob", b"pw", 7))
    assert str(await raised) == ("an account cannot be checked: OSError('no such account')")
    assert isinstance(await raised, RuntimeError)
