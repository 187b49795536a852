"""One question to the license servers: to one after the other, until one decides.

Those known are asked in their order. When none of them answers, discovery starts again, and those
that it finds are asked. A refusal that is about the device is a decision; any other, as that this
terminal server is not served, leaves the question open for the next license server: also for one
that a search under way may still find.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import msgspec

from daemons.effects import Ask, Effect, Failed, Note, Outcome
from daemons.terminal_server.license_servers import KnownServer, LicenseServers
from daemons.terminal_server.tickets import Tickets
from tsproto import limits
from tsproto.errors import ErrorCode
from tsproto.messages import AcquireLicense, MarkValidated, Message, Refused, RenewLicense

# After this no further server is asked: the device waits LICENSING_SECONDS in all, and has still to
# store its token.
ASKING_SECONDS = limits.LICENSING_SECONDS - 2 * limits.REQUEST_SECONDS

DECISIONS = (ErrorCode.NO_LICENSE,)


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What came of an inquiry: an `answer`, or a `refusal`, the decisive one if there was one, else
    the last; or neither, when nobody answered. `asked` names the servers in their order."""

    answer: Message | None = None
    refusal: Refused | None = None
    asked: tuple[str, ...] = ()

    @property
    def is_decided(self) -> bool:
        return self.refusal is not None and self.refusal.code in DECISIONS


Check: TypeAlias = Callable[[Message, float], str]
Finish: TypeAlias = Callable[[Verdict, float], list[Effect]]


class Inquiry:
    """`check` says what is wrong with an answer, or nothing; `finish` is called once, unless the
    inquiry was `abandoned`. `issuer` is the license server that knows the device, if any."""

    def __init__(
        self,
        question: AcquireLicense | RenewLicense | MarkValidated,
        *,
        servers: LicenseServers,
        tickets: Tickets,
        issuer: str,
        check: Check,
        finish: Finish,
    ) -> None:
        self.abandoned = False
        self._question = question
        self._servers = servers
        self._tickets = tickets
        self._issuer = issuer
        self._check = check
        self._finish = finish
        self._began_at = 0.0
        self._queue: list[KnownServer] = []
        self._asked: list[str] = []
        self._refused_by: dict[str, Refused] = {}
        self._has_searched = False

    def begin(self, now: float) -> list[Effect]:
        self._began_at = now
        self._queue = self._servers.in_order(self._issuer)
        return self._ask_next(now)

    def _ask_next(self, now: float) -> list[Effect]:
        in_time = now < self._began_at + ASKING_SECONDS
        if self._queue and in_time:
            return self._ask(self._queue.pop(0))
        may_search = not self._refused_by and not self._has_searched
        if in_time and (may_search or self._servers.may_find_more):
            self._has_searched = True
            return self._servers.search_then(self._on_searched, now)
        return self._end(Verdict(refusal=self._last_refusal(), asked=tuple(self._asked)), now)

    def _ask(self, server: KnownServer) -> list[Effect]:
        self._asked.append(server.name)
        ticket = self._tickets.open(partial(self._on_answer, server))
        question = msgspec.structs.replace(self._question)
        return [Ask(server.endpoint, question, ticket, limits.REQUEST_SECONDS)]

    def _on_searched(self, now: float) -> list[Effect]:
        if self.abandoned:
            return []
        known = self._servers.in_order(self._issuer)
        self._queue = [server for server in known if server.name not in self._refused_by]
        return self._ask_next(now)

    def _on_answer(self, server: KnownServer, outcome: Outcome, now: float) -> list[Effect]:
        if self.abandoned:
            return []
        if isinstance(outcome, Refused):
            return self._on_refused(server, outcome, now)
        if isinstance(outcome, Failed):
            self._servers.on_failed(server.endpoint)
            return [self._note("unanswered", server, outcome.code.name), *self._ask_next(now)]
        assert isinstance(outcome, Message), outcome
        fault = self._check(outcome, now)
        if fault:
            return [self._note("answer_unusable", server, fault), *self._ask_next(now)]
        return self._end(Verdict(answer=outcome, asked=tuple(self._asked)), now)

    def _on_refused(self, server: KnownServer, refused: Refused, now: float) -> list[Effect]:
        self._refused_by[server.name] = refused
        note = self._note("refused", server, refused.code.name)
        if refused.code in DECISIONS:
            verdict = Verdict(refusal=refused, asked=tuple(self._asked))
            return [note, *self._end(verdict, now)]
        return [note, *self._ask_next(now)]

    def _end(self, verdict: Verdict, now: float) -> list[Effect]:
        self.abandoned = True
        return self._finish(verdict, now)

    def _last_refusal(self) -> Refused | None:
        return [*self._refused_by.values()][-1] if self._refused_by else None

    def _note(self, what: str, server: KnownServer, why: str) -> Note:
        fields = {
            "trace_id": self._question.trace_id,
            "question": type(self._question).__name__,
            "server": server.name,
            "why": why,
        }
        return Note(f"license_request.{what}", fields)
