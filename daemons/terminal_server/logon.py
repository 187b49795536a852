"""The logon phase of one client link: who the user is, proved by a password, by the ticket of a
redirect, or by the cookie of the session that this device was attached to last.

After that the user is taken to their session (`placement`). The link has one thing under way at a
time, and the client may try again after a refusal.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from functools import partial
from typing import TypeAlias

import msgspec

from daemons.effects import (
    Ask,
    Close,
    Effect,
    LookUp,
    Note,
    Outcome,
    Peer,
    Tell,
    Verified,
    Verify,
)
from daemons.settings import TerminalServerSettings
from daemons.terminal_server.directory import DirectoryLink
from daemons.terminal_server.licensing import DETAIL_CHARACTERS, LicensedDevice
from daemons.terminal_server.lifecycle import Lifecycle
from daemons.terminal_server.placement import Placing
from daemons.terminal_server.sessions import Session
from daemons.terminal_server.tickets import Tickets
from daemons.terminal_server.validation import Validations
from tsproto import limits
from tsproto.errors import ErrorCode
from tsproto.messages import (
    Credential,
    LogonRefused,
    LogonRequest,
    RedeemTicket,
    Redirect,
    SessionPlaced,
    TicketRedeemed,
)

TICKET_BYTES = 16
# Requests of any kind on one connection: a client tries its ticket or cookie once, then passwords;
# a busy host makes it repeat some.
LOGON_REQUESTS_MAX = 16
BUSY_RETRY_SECONDS = 2

Enter: TypeAlias = Callable[[str, float], list[Effect]]
"""Goes on to the session, given the system user and `now`."""


class LogonParts(msgspec.Struct, frozen=True, kw_only=True):
    """What the logon phases of all clients share."""

    name: str
    settings: TerminalServerSettings
    tickets: Tickets
    directory: DirectoryLink
    lifecycle: Lifecycle
    validations: Validations


class Step(Enum):
    READY = auto()
    """Waits for the client's request."""
    BUSY = auto()
    """Credentials are checked, a place is looked for, or a session starts."""
    SHOWN = auto()
    LEFT = auto()


class LogonPhase:
    """One client from LicenseAccepted to the end of its link; a `Viewer` once it has a session."""

    def __init__(self, peer: Peer, device: LicensedDevice, parts: LogonParts) -> None:
        self.peer = peer
        self.device_id = device.device_id
        self.device_name = device.device_name
        self.trace_id = device.trace_id
        self.columns = 80
        self.rows = 24
        self.session: Session | None = None
        self._device = device
        self._parts = parts
        self._step = Step.READY
        self._request: LogonRequest
        self._requests = 0
        self._attempts_left = limits.LOGON_ATTEMPTS
        self._has_rejoined = False  # the directory, for the sake of this client's ticket

    def on_logon_request(self, request: LogonRequest, now: float) -> list[Effect]:
        if self._step is not Step.READY:
            return [
                *self.on_lost(now),
                self._close(ErrorCode.OUT_OF_ORDER, "an earlier LogonRequest is not answered yet"),
            ]
        self._requests += 1
        if self._requests > LOGON_REQUESTS_MAX:
            return self._turn_away()
        self._step = Step.BUSY
        self._request = request
        self.columns, self.rows = request.columns, request.rows
        match request.credential_kind:
            case Credential.PASSWORD:
                ticket = self._parts.tickets.open(self._on_verified)
                return [Verify(request.user_name, request.credential, ticket)]
            case Credential.TICKET:
                return self._redeem(request)
            case Credential.RECONNECT:
                return self._reconnect(request)

    def on_lost(self, now: float) -> list[Effect]:
        """The client is gone, or is being sent away; what it had under way goes on without it."""
        self._step = Step.LEFT
        if self.session is None:
            return []
        return self._parts.lifecycle.leave(self.session, self, now)

    # --- a password -------------------------------------------------------------------------------

    def _on_verified(self, outcome: Outcome, now: float) -> list[Effect]:
        if self.has_left:
            return []
        assert isinstance(outcome, Verified), outcome
        if outcome.busy:
            detail = "too many passwords are being checked; try again in a moment"
            return self.refuse(ErrorCode.LOGON_BUSY, detail, BUSY_RETRY_SECONDS)
        if not outcome.accepted:
            return self._wrong_password()
        return self._placing(self._request, outcome.system_user).begin(now)

    def _wrong_password(self) -> list[Effect]:
        self._attempts_left -= 1
        refused = self.refuse(
            ErrorCode.LOGON_FAILED, f"user name or password is wrong; trace {self.trace_id}"
        )
        return refused if self._attempts_left else [*refused, *self._turn_away()]

    def _turn_away(self) -> list[Effect]:
        self._step = Step.LEFT
        return [
            self._close(
                ErrorCode.TOO_MANY_ATTEMPTS,
                f"too many logons failed on this connection; connect again; trace {self.trace_id}",
            )
        ]

    # --- the ticket of a redirect -----------------------------------------------------------------

    def _redeem(self, request: LogonRequest) -> list[Effect]:
        directory = self._parts.directory
        if directory.endpoint is None or not directory.is_ready:
            return self._ticket_invalid("the session directory is away")
        if len(request.credential) != TICKET_BYTES:
            return self._ticket_invalid("not a ticket")
        redeem = RedeemTicket(
            ticket=request.credential, device_id=self.device_id, user_name=request.user_name
        )
        ticket = self._parts.tickets.open(self._on_redeemed)
        return [Ask(directory.endpoint, redeem, ticket, limits.REQUEST_SECONDS)]

    def _on_redeemed(self, outcome: Outcome, now: float) -> list[Effect]:
        if self.has_left:
            return []
        if not isinstance(outcome, TicketRedeemed):
            return self._on_not_redeemed(outcome, now)
        request = msgspec.structs.replace(
            self._request,
            user_name=outcome.user_name,
            application=outcome.application,
            command="",
            unreachable_host="",
        )
        return self._look_up(request.user_name, partial(self._enter_redeemed, request, outcome))

    def _on_not_redeemed(self, outcome: Outcome, now: float) -> list[Effect]:
        directory = self._parts.directory
        code = getattr(outcome, "code", ErrorCode.TICKET_INVALID)
        if code is ErrorCode.NOT_JOINED and not self._has_rejoined:
            self._has_rejoined = True
            return directory.rejoin_then(self._on_rejoined, now)
        return [*directory.on_no_help(outcome, now), *self._ticket_invalid(code.name)]

    def _on_rejoined(self, now: float) -> list[Effect]:
        return [] if self.has_left else self._redeem(self._request)

    def _enter_redeemed(
        self, request: LogonRequest, redeemed: TicketRedeemed, system_user: str, now: float
    ) -> list[Effect]:
        placing = self._placing(request, system_user)
        return placing.enter(redeemed.placement, redeemed.session_id, now)

    # --- the cookie of an earlier connection ------------------------------------------------------

    def _reconnect(self, request: LogonRequest) -> list[Effect]:
        if self._session_of_cookie(request) is None:
            return self._ticket_invalid("the cookie is not that session's, or was used")
        return self._look_up(request.user_name, partial(self._enter_reconnected, request))

    def _enter_reconnected(
        self, request: LogonRequest, system_user: str, now: float
    ) -> list[Effect]:
        session = self._session_of_cookie(request)
        if session is None:
            return self._ticket_invalid("the session has ended, or was taken, in this moment")
        return self._parts.lifecycle.show(session, self, 0, now)

    def _session_of_cookie(self, request: LogonRequest) -> Session | None:
        session = self._parts.lifecycle.table.get(request.session_id)
        if session is None or not session.accepts_cookie(
            request.credential, request.user_name, self.device_id
        ):
            return None
        return session

    # --- tickets and cookies alike ----------------------------------------------------------------

    def _look_up(self, user_name: str, enter: Enter) -> list[Effect]:
        """A ticket or cookie outlives a removed account: look whether there is one, and as which
        system user its sessions run."""
        ticket = self._parts.tickets.open(partial(self._on_looked_up, enter))
        return [LookUp(user_name, ticket)]

    def _on_looked_up(self, enter: Enter, outcome: Outcome, now: float) -> list[Effect]:
        if self.has_left:
            return []
        assert isinstance(outcome, Verified), outcome
        if not outcome.accepted:
            return self._ticket_invalid("there is no such account")
        return enter(outcome.system_user, now)

    def _ticket_invalid(self, why: str) -> list[Effect]:
        """Which check failed is for the log, not for whoever shows a stolen one."""
        detail = f"log on with the password; trace {self.trace_id}"
        return self.refuse(ErrorCode.TICKET_INVALID, detail, why=why)

    # --- on the way to a session ------------------------------------------------------------------

    def _placing(self, request: LogonRequest, system_user: str) -> Placing:
        parts = self._parts
        return Placing(
            request,
            system_user,
            client=self,
            name=parts.name,
            applications=parts.settings.sessions.applications,
            directory=parts.directory,
            lifecycle=parts.lifecycle,
            tickets=parts.tickets,
        )

    @property
    def has_left(self) -> bool:
        """Whether the client is gone, or was sent away."""
        return self._step is Step.LEFT

    def on_redirected(self, placed: SessionPlaced) -> list[Effect]:
        """The client says Goodbye when it has read this."""
        self._step = Step.LEFT
        redirect = Redirect(
            host=placed.host,
            address=placed.address,
            port=placed.port,
            ticket=placed.ticket,
            session_id=placed.session_id,
        )
        fields = {"trace_id": self.trace_id, "to": placed.host, "session_id": placed.session_id}
        return [Tell(self.peer, redirect), Note("logon.redirected", fields)]

    def on_shown(self, session: Session, now: float) -> list[Effect]:
        self._step = Step.SHOWN
        return self._parts.validations.on_logon(self._device, session.user_name, now)

    def on_not_started(self, code: ErrorCode, detail: str, now: float) -> list[Effect]:
        self.session = None
        return self.refuse(code, f"{detail}; trace {self.trace_id}")

    def refuse(
        self, code: ErrorCode, detail: str, retry_after_seconds: int = 0, why: str = ""
    ) -> list[Effect]:
        """The client may try again; `why` is what only the log tells."""
        self._step = Step.READY
        refused = LogonRefused(
            code=code,
            detail=detail[:DETAIL_CHARACTERS],
            attempts_left=self._attempts_left,
            retry_after_seconds=retry_after_seconds,
            trace_id=self.trace_id,
        )
        fields = {
            "trace_id": self.trace_id,
            "user_name": self._request.user_name,
            "code": code.name,
            "why": why or detail,
        }
        return [Tell(self.peer, refused), Note("logon.refused", fields)]

    def _close(self, code: ErrorCode, detail: str) -> Close:
        return Close(self.peer, code, detail, self.trace_id)
