"""Performs Verify and LookUp: asks about accounts off the loop, and reports what was found.

PASSWORD_CHECKS_AT_ONCE passwords are checked at a time, PASSWORD_CHECKS_WAITING more may wait, and
their sources take turns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Protocol

from daemons.effects import Effect, LookUp, Verified, Verify
from tsproto import limits
from tsproto.fairness import Turns, source_of


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
        self._turns: Turns[Verify] = Turns(
            limits.PASSWORD_CHECKS_AT_ONCE, limits.PASSWORD_CHECKS_WAITING
        )

    @property
    def performers(self) -> dict[type[Effect], Callable[[Any], None]]:
        return {Verify: self.verify, LookUp: self.look_up}

    def verify(self, effect: Verify) -> None:
        gives_way = self._turns.wait(effect, source_of(effect.host))
        if gives_way is not None:
            self._report(gives_way.question_id, Verified(accepted=False, busy=True))
        self._begin()

    def look_up(self, effect: LookUp) -> None:
        self._check(effect.question_id, self._accounts.look_up(effect.user_name))

    def close(self) -> None:
        """Cancel the checks: nothing more is reported."""
        for check in self._under_way:
            check.cancel()

    def _begin(self) -> None:
        while (effect := self._turns.next()) is not None:
            work = self._accounts.verify(effect.user_name, effect.password)
            self._check(effect.question_id, work).add_done_callback(partial(self._on_turn, effect))

    def _on_turn(self, effect: Verify, check: asyncio.Future[Verified]) -> None:
        self._turns.leave(effect)
        if not check.cancelled():
            self._begin()

    def _check(self, question_id: int, work: Awaitable[Verified]) -> asyncio.Future[Verified]:
        check = asyncio.ensure_future(work)
        self._under_way.add(check)
        check.add_done_callback(partial(self._on_checked, question_id))
        return check

    def _on_checked(self, question_id: int, check: asyncio.Future[Verified]) -> None:
        self._under_way.discard(check)
        if check.cancelled():
            return
        if error := check.exception():
            raise RuntimeError(f"an account cannot be checked: {error!r}") from error
        self._report(question_id, check.result())
