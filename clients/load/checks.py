"""Checks during a run that the farm keeps its rules, by asking its daemons as an administrator.

Reads the pools of the license servers before and after the run, and all sessions of the session
directory every few seconds. Drivers report violations that they see themselves.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from typing import Final, Protocol

from clients.administrator import Daemon
from clients.ask import AskFailed
from clients.load.measuring.results import CheckResult
from clients.load.report import figures
from clients.logon.steps import Host
from tsproto.messages import PoolRow, Role, SessionRow, SessionState

CONSERVED: Final = "tokens are conserved"
ONE_SESSION: Final = "never two sessions of a user"
LOGGED_OFF: Final = "sessions logged off"  # the workers report it, too
NOBODY_NAMED: Final = {
    CONSERVED: "no license server is named: give --license-server",
    ONE_SESSION: "no session directory is named: give --directory",
}

SAMPLE_SECONDS = 3.0
SAMPLE_SHARE = 0.1  # of the time: samples of many sessions take long, and so become rarer
BROKEN_MAX = 20  # violations kept of one rule
SHOWN_MAX = 3  # of these shown
# A session that is logged off stays in the directory until its program has ended.
LEAVING_SECONDS = 3.0
LEAVING_LOOK_SECONDS = 0.25

Pools = dict[tuple[str, str, int], PoolRow]


class Asks(Protocol):
    """The part of `clients.administrator.Administrator` that `Checks` uses."""

    async def sessions(self, daemon: Daemon, user_name: str = "") -> list[SessionRow]: ...
    async def pools(self, daemon: Daemon) -> list[PoolRow]: ...


class Checks:
    """The checks of one run. Without an `administrator` nothing can be asked."""

    def __init__(
        self,
        administrator: Asks | None,
        license_servers: Sequence[Host],
        directory: Host | None,
        people: Collection[str] = (),
    ) -> None:
        self._administrator = administrator
        self._license_servers = [Daemon(Role.LICENSE_SERVER, host) for host in license_servers]
        self._directory = Daemon(Role.SESSION_DIRECTORY, directory) if directory else None
        self._pools: Pools = {}
        self._people = people
        self._known: frozenset[tuple[str, str]] = frozenset()
        self._known_sessions: frozenset[str] = frozenset()
        self._left: list[str] = []
        self._broken: dict[str, list[str]] = {CONSERVED: [], ONE_SESSION: []}
        self._unknown: dict[str, str] = {}
        self._samples = 0

    @contextlib.asynccontextmanager
    async def sampling(self) -> AsyncIterator[None]:
        """Samples pools and sessions while the block runs; call `look_again()` afterwards.
        `results` names a daemon that does not answer."""
        await self._look_at_pools(is_first=True)
        sessions = await self._sessions()
        self._known = frozenset(several(sessions))
        self._known_sessions = frozenset(map(_place, sessions))
        sampling = asyncio.create_task(self._sample())
        try:
            yield
        finally:
            sampling.cancel()
            await asyncio.gather(sampling, return_exceptions=True)

    async def look_again(self) -> None:
        """Compare pools and sessions after the run with those before it."""
        await self._look_at_pools(is_first=False)
        await self._look_at_sessions()
        await self._look_at_what_is_left()

    def not_looked_again(self, why: str) -> None:
        """Mark the rules that need a look after the run as unknown."""
        self._unknown[CONSERVED] = self._unknown[ONE_SESSION] = why

    def results(
        self, violations: Iterable[tuple[str, str]], looked_at: Mapping[str, int]
    ) -> list[CheckResult]:
        """`looked_at` counts how often the drivers checked each of their rules; `violations` are
        pairs of a rule and a detail. A driver's rule that was never checked has no result."""
        seen: dict[str, list[str]] = {rule: [] for rule in looked_at}
        for rule, detail in [*violations, *((LOGGED_OFF, each) for each in self._left)]:
            seen.setdefault(rule, []).append(detail)
        from_drivers = [
            CheckResult(rule, not details, told(details) or f"looked at {_times(looked_at[rule])}")
            for rule, details in seen.items()
            if details or looked_at.get(rule)
        ]
        tokens = figures.counted(sum(pool.total for pool in self._pools.values()), "token")
        servers = figures.counted(len(self._license_servers), "license server")
        return [
            self._result(CONSERVED, self._license_servers, f"{tokens} of {servers}, all there"),
            self._result(
                ONE_SESSION, self._directory, f"the directory was asked {_times(self._samples)}"
            ),
            *from_drivers,
        ]

    def _result(self, rule: str, asked: object, good: str) -> CheckResult:
        if not asked:
            return CheckResult(rule, None, NOBODY_NAMED[rule])
        if self._administrator is None:
            return CheckResult(rule, None, "nobody to ask as: give --admin CERT KEY")
        if broken := self._broken[rule]:
            return CheckResult(rule, False, told(broken))
        if unknown := self._unknown.get(rule):
            return CheckResult(rule, None, unknown)
        return CheckResult(rule, True, good)

    # --- asking -----------------------------------------------------------------------------------

    async def _look_at_pools(self, *, is_first: bool) -> None:
        if self._administrator is None:
            return
        found: Pools = {}
        for daemon in self._license_servers:
            try:
                rows = await self._administrator.pools(daemon)
            except AskFailed as failed:
                self._unknown[CONSERVED] = str(failed)
                return
            for row in rows:
                found[str(daemon.host), row.product, row.product_version] = row
        self._broken[CONSERVED] += unbalanced(found)
        if is_first:
            self._pools = found
        else:
            self._broken[CONSERVED] += changed(self._pools, found)

    async def _sample(self) -> None:
        pause = SAMPLE_SECONDS
        while True:
            await asyncio.sleep(pause)
            began_at = time.monotonic()
            await self._look_at_sessions()
            pause = max(SAMPLE_SECONDS, (time.monotonic() - began_at) / SAMPLE_SHARE)

    async def _look_at_sessions(self) -> None:
        for user, sessions in several(await self._sessions()).items():
            if user not in self._known and len(self._broken[ONE_SESSION]) < BROKEN_MAX:
                self._broken[ONE_SESSION].append(f"{user[0]} has {' and '.join(sessions)}")

    async def _look_at_what_is_left(self) -> None:
        """Find sessions of the run's users that did not exist before the run."""
        if not self._people:
            return
        until = time.monotonic() + LEAVING_SECONDS
        while True:
            self._left = [
                f"{row.user_name} still has {_place(row)}"
                for row in await self._sessions()
                if row.user_name in self._people
                and not row.application  # those are of a directory-only run at the same time
                and row.state is not SessionState.RESET
                and _place(row) not in self._known_sessions
            ]
            if not self._left or time.monotonic() > until:
                return
            await asyncio.sleep(LEAVING_LOOK_SECONDS)

    async def _sessions(self) -> list[SessionRow]:
        if self._administrator is None or self._directory is None:
            return []
        try:
            rows = await self._administrator.sessions(self._directory)
        except AskFailed as failed:
            self._unknown[ONE_SESSION] = str(failed)
            return []
        self._samples += 1
        return rows


def several(rows: Iterable[SessionRow]) -> dict[tuple[str, str], list[str]]:
    """Users with more than one session of an application, and the places of these. A session that
    is being logged off does not count."""
    found: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if row.state is not SessionState.RESET:
            sessions = found.setdefault((row.user_name, row.application), [])
            sessions.append(_place(row))
    return {user: sessions for user, sessions in found.items() if len(sessions) > 1}


def unbalanced(pools: Pools) -> list[str]:
    return [
        f"{_named(key)}: {pool.available} available, {pool.issued} issued and {pool.lent} lent"
        f" are not its {pool.total}"
        for key, pool in pools.items()
        if pool.available + pool.issued + pool.lent != pool.total
    ]


def changed(before: Pools, after: Pools) -> list[str]:
    """Pools whose total changed; a new pool without tokens counts temporary ones, and is none."""
    totals = Counter({key: pool.total for key, pool in after.items()})
    totals.subtract({key: pool.total for key, pool in before.items()})
    return [
        f"{_named(key)}: {figures.counted(abs(change), 'token')}"
        f" {'more' if change > 0 else 'fewer'} than before"
        for key, change in totals.items()
        if change
    ]


def told(details: Sequence[str]) -> str:
    """The first SHOWN_MAX distinct details, each with how often it came; empty for none."""
    counts = Counter(details)
    shown = list(counts)[:SHOWN_MAX]
    words = [f"{each} ({counts[each]} times)" if counts[each] > 1 else each for each in shown]
    more = len(details) - sum(counts[each] for each in shown)
    return "; ".join(words) + (f"; and {more} more" if more else "")


def _times(count: int) -> str:
    return figures.counted(count, "time")


def _place(row: SessionRow) -> str:
    return f"{row.host}:{row.session_id}"


def _named(key: tuple[str, str, int]) -> str:
    server, product, version = key
    return f"{product} {version} at {server}"
