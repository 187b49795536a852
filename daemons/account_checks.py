"""Performs Verify and LookUp: asks about accounts off the loop, and reports what was found."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Protocol

from daemons.effects import Effect, LookUp, Verified, Verify


class Accounts(Protocol):
    def verify(self, user_name: str, password: bytes) -> Awaitable[Verified]: ...
    def look_up(self, user_name: str) -> Awaitable[Verified]: ...


class AccountChecks:
    """`report` is given each question id once, with its outcome. A check that raises is a
    bug: it goes to the loop's exception handler."""

    def __init__(self, accounts: Accounts, report: Callable[[int, Verified], None]) -> None:
        self._accounts = accounts
        self._report = report
        self._under_way: set[asyncio.Future[Verified]] = set()

    @property
    def performers(self) -> dict[type[Effect], Callable[[Any], None]]:
        return {Verify: self.verify, LookUp: self.look_up}

    def verify(self, effect: Verify) -> None:
        self._check(effect.question_id, self._accounts.verify(effect.user_name, effect.password))

    def look_up(self, effect: LookUp) -> None:
        self._check(effect.question_id, self._accounts.look_up(effect.user_name))

    def close(self) -> None:
        """Cancel the checks: nothing more is reported."""
        for check in self._under_way:
            check.cancel()

    def _check(self, question_id: int, work: Awaitable[Verified]) -> None:
        check = asyncio.ensure_future(work)
        self._under_way.add(check)
        check.add_done_callback(partial(self._on_checked, question_id))

    def _on_checked(self, question_id: int, check: asyncio.Future[Verified]) -> None:
        self._under_way.discard(check)
        if check.cancelled():
            return
        if error := check.exception():
            raise RuntimeError(f"an account cannot be checked: {error!r}") from error
        self._report(question_id, check.result())
