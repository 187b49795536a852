"""Asks the license servers a question: one after the other, until one decides.

The known ones are asked in their order. When none of them answers, a search begins, and the servers
that it finds are asked. A refusal because of the device decides. After any other refusal (this
terminal server is not served, say) the next license server is asked, also one that a search under
way finds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeAlias, TypeVar

import msgspec

from daemons import events
from daemons.effects import Failed
from daemons.procedures import Procedure, Procedures, ask
from daemons.terminal_server.license_servers import KnownLicenseServers
from tsproto import limits
from tsproto.errors import ErrorCode
from tsproto.messages import AcquireLicense, MarkValidated, Message, Refused, RenewLicense

# After this no further server is asked: the device waits LICENSING_SECONDS in all, and has still to
# store its token.
ASKING_SECONDS = limits.LICENSING_SECONDS - 2 * limits.REQUEST_SECONDS

DECISIONS = (ErrorCode.NO_LICENSE, ErrorCode.DEVICE_REVOKED)

M = TypeVar("M", bound=Message)
Question: TypeAlias = AcquireLicense | RenewLicense | MarkValidated


class Verdict(msgspec.Struct, Generic[M], frozen=True, kw_only=True):
    """An `answer`; or the last `refusal`, which may be decisive; or neither, when no server
    answered. `asked` names the servers in their order."""

    answer: M | None = None
    refusal: Refused | None = None
    asked: tuple[str, ...] = ()

    @property
    def is_decided(self) -> bool:
        return self.refusal is not None and self.refusal.code in DECISIONS

    @property
    def denies_device(self) -> bool:
        """The license server has a newer deny list than this terminal server."""
        return self.refusal is not None and self.refusal.code is ErrorCode.DEVICE_REVOKED


def inquire(
    question: Question,
    answer: type[M],
    *,
    issuer: str,
    fault_of: Callable[[M], str],
    servers: KnownLicenseServers,
    procedures: Procedures,
) -> Procedure[Verdict[M]]:
    """Ask each license server, until one decides. `fault_of` says what is wrong with an answer, or
    nothing. `issuer` is the license server that knows the device, if any."""
    ends_at = procedures.now + ASKING_SECONDS
    asked: list[str] = []
    refused_by: dict[str, Refused] = {}
    has_searched = False
    unasked = servers.in_order(issuer)
    while procedures.now < ends_at:
        if unasked:
            server = unasked.pop(0)
            asked.append(server.name)
            copy = msgspec.structs.replace(question)
            outcome = yield from ask(server.endpoint, copy, answer, limits.REQUEST_SECONDS)
            about = {
                "trace_id": question.trace_id,
                "question": type(question).__name__,
                "server": server.name,
            }
            match outcome:
                case Refused(code=code):
                    refused_by[server.name] = outcome
                    procedures.do(events.LicenseRequestRefused(**about, code=code))
                    if code in DECISIONS:
                        break
                case Failed(code=code, detail=detail):
                    servers.on_failed(server.endpoint)
                    unanswered = events.LicenseRequestUnanswered(**about, code=code, detail=detail)
                    procedures.do(unanswered)
                case _:
                    if not (fault := fault_of(outcome)):
                        return Verdict(answer=outcome, asked=tuple(asked))
                    procedures.do(events.LicenseRequestAnswerUnusable(**about, detail=fault))
        elif servers.may_find_more or not (refused_by or has_searched):
            has_searched = True
            yield from servers.wait_for_search()
            unasked = [s for s in servers.in_order(issuer) if s.name not in refused_by]
        else:
            break
    last = [*refused_by.values()][-1] if refused_by else None
    return Verdict(refusal=last, asked=tuple(asked))
