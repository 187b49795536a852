"""The rules of a farm that a load must not break, asked of its daemons as their administrator.

Before and after the run, license servers tell their pools; every few seconds, and at the end, the
session directory tells all its sessions. What drivers see for themselves comes as violations.
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
from clients.steps import Host
from tsproto.messages import PoolRow, Role, SessionRow, SessionState

CONSERVED: Final = "tokens are conserved"
ONE_SESSION: Final = "never two sessions of a user"
LOGGED_OFF: Final = "sessions logged off"  # which the workers do, and tell of as well

SAMPLE_SECONDS = 3.0
# Of the time, so much may a sample take of it: a directory with many sessions is asked more rarely.
SAMPLE_SHARE = 0.1
BROKEN_MAX = 20  # sightings kept of one rule
SHOWN_MAX = 3  # of them told
# A session that was logged off stands in the directory until its program has ended.
LEAVING_SECONDS = 3.0
LEAVING_LOOK_SECONDS = 0.25

Pools = dict[tuple[str, str, int], PoolRow]


class Asks(Protocol):
    """The part of `clients.administrator.Administrator` that is used here."""

    async def sessions(self, daemon: Daemon, user_name: str = "") -> list[SessionRow]: ...
    async def pools(self, daemon: Daemon) -> list[PoolRow]: ...


class Checks:
    """The checks of one run. `administrator` None: there is nobody to ask as."""

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
    async def around(self) -> AsyncIterator[None]:
        """What is within is watched; `look_again` is for after it. A daemon that does not answer is
        told of by `results`."""
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
        """Whether all is as it must be after a run."""
        await self._look_at_pools(is_first=False)
        await self._look_at_sessions()
        await self._look_at_what_is_left()

    def not_looked_again(self, why: str) -> None:
        """What only a look after the run can show is unknown."""
        self._unknown[CONSERVED] = self._unknown[ONE_SESSION] = why

    def results(
        self, violations: Iterable[tuple[str, str]], looked_at: Mapping[str, int]
    ) -> list[CheckResult]:
        """`looked_at` is how often the drivers looked at each of their rules, `violations` what
        they have seen. Nothing is said of a rule that nothing has shown."""
        seen: dict[str, list[str]] = {rule: [] for rule in looked_at}
        for rule, detail in [*violations, *((LOGGED_OFF, each) for each in self._left)]:
            seen.setdefault(rule, []).append(detail)
        from_drivers = [
            _from_driver(rule, details, looked_at.get(rule, 0))
            for rule, details in seen.items()
            if details or looked_at.get(rule)
        ]
        return [self._pools_result(), self._sessions_result(), *from_drivers]

    def _pools_result(self) -> CheckResult:
        if not self._license_servers:
            return CheckResult(CONSERVED, None, "no license server is named: give --license-server")
        total = sum(pool.total for pool in self._pools.values())
        servers = figures.counted(len(self._license_servers), "license server")
        tokens = figures.counted(total, "token")
        return self._result(CONSERVED, f"{tokens} of {servers}, all there")

    def _sessions_result(self) -> CheckResult:
        if self._directory is None:
            return CheckResult(ONE_SESSION, None, "no session directory is named: give --directory")
        return self._result(
            ONE_SESSION, f"the directory was asked {figures.counted(self._samples, 'time')}"
        )

    def _result(self, rule: str, good: str) -> CheckResult:
        if self._administrator is None:
            why = "nobody to ask as: give --admin CERT KEY"
            return CheckResult(rule, None, why)
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
        """Sessions of the run's people that were not there before it."""
        if not self._people:
            return
        until = time.monotonic() + LEAVING_SECONDS
        while True:
            self._left = [
                f"{row.user_name} still has {_place(row)}"
                for row in await self._sessions()
                if row.user_name in self._people
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
    """Users who have more than one session of an application, and where. One that is being logged
    off is none any more."""
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
    """Totals that are other ones than before. A pool without tokens may come: it counts the
    temporary ones of a product."""
    totals = Counter({key: pool.total for key, pool in after.items()})
    totals.subtract({key: pool.total for key, pool in before.items()})
    return [
        f"{_named(key)}: {figures.counted(abs(change), 'token')}"
        f" {'more' if change > 0 else 'fewer'} than before"
        for key, change in totals.items()
        if change
    ]


def told(details: Sequence[str]) -> str:
    """A few of them in words, nothing for none; the same one once, with how often it came."""
    counts = Counter(details)
    shown = list(counts)[:SHOWN_MAX]
    words = [f"{each} ({counts[each]} times)" if counts[each] > 1 else each for each in shown]
    more = len(details) - sum(counts[each] for each in shown)
    return "; ".join(words) + (f"; and {more} more" if more else "")


def _from_driver(rule: str, details: Sequence[str], looked_at: int) -> CheckResult:
    if details:
        return CheckResult(rule, False, told(details))
    return CheckResult(rule, True, f"looked at {figures.counted(looked_at, 'time')}")


def _place(row: SessionRow) -> str:
    return f"{row.host}:{row.session_id}"


def _named(key: tuple[str, str, int]) -> str:
    server, product, version = key
    return f"{product} {version} at {server}"
