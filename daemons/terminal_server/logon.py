"""The logon phase of one client link: who the user is, proved by a password, by the ticket of a
redirect, or by the cookie of the session that this device was attached to last.

After that the user is taken to their session (`placement`). The link has one thing under way at a
time, and the client may try again after a refusal.
"""

from __future__ import annotations

import msgspec

from daemons.effects import Close, Note, Peer, Tell
from daemons.procedures import Inbox, Procedure, Procedures, look_up, verify
from daemons.settings import TerminalServerSettings
from daemons.terminal_server.directory import DirectoryLink
from daemons.terminal_server.licensing import DETAIL_CHARACTERS, LicensedDevice
from daemons.terminal_server.lifecycle import Lifecycle, NotShown
from daemons.terminal_server.placement import Placing
from daemons.terminal_server.sessions import Session
from daemons.terminal_server.validation import Validations
from tsproto import limits
from tsproto.errors import ErrorCode
from tsproto.messages import (
    Credential,
    DisconnectSession,
    LogoffSession,
    LogonRefused,
    LogonRequest,
    Message,
    RedeemTicket,
    Redirect,
    ResizeSession,
    SessionPlaced,
    TicketRedeemed,
)

TICKET_BYTES = 16
# Requests of any kind on one connection: a client tries its ticket or cookie once, then passwords;
# a busy host makes it repeat some.
LOGON_REQUESTS_MAX = 16
BUSY_RETRY_SECONDS = 2


class LogonParts(msgspec.Struct, frozen=True, kw_only=True):
    """What the logon phases of all clients share."""

    name: str
    settings: TerminalServerSettings
    procedures: Procedures
    directory: DirectoryLink
    lifecycle: Lifecycle
    validations: Validations


class LogonPhase:
    """One client from LicenseAccepted to the end of its link; a `Viewer` once it has a session."""

    def __init__(self, peer: Peer, device: LicensedDevice, parts: LogonParts) -> None:
        self.peer = peer
        self.device_id = device.device_id
        self.device_name = device.device_name
        self.trace_id = device.trace_id
        self.columns = 80
        self.rows = 24
        self.inbox = Inbox()
        self.session: Session | None = None
        self._device = device
        self._parts = parts
        self._do = parts.procedures.do
        self._attempts_left = limits.LOGON_ATTEMPTS
        self._placing = Placing(
            self,
            name=parts.name,
            applications=parts.settings.sessions.applications,
            directory=parts.directory,
            lifecycle=parts.lifecycle,
            procedures=parts.procedures,
        )

    def run(self) -> Procedure[None]:
        try:
            where = yield from self._log_on()
            if isinstance(where, SessionPlaced):
                self._redirect(where)
            elif where is not None:
                now = self._parts.procedures.now
                self._do(*self._parts.validations.on_logon(self._device, where.user_name, now))
                yield from self._use(where)
        finally:
            self._leave()

    def _log_on(self) -> Procedure[Session | SessionPlaced | None]:
        """The session that is shown, or where it is; None when the client was sent away."""
        for _ in range(LOGON_REQUESTS_MAX):
            request = yield from self.inbox.hear(LogonRequest)
            self.columns, self.rows = request.columns, request.rows
            try:
                match request.credential_kind:
                    case Credential.PASSWORD:
                        return (yield from self._by_password(request))
                    case Credential.TICKET:
                        return (yield from self._by_ticket(request))
                    case Credential.RECONNECT:
                        return (yield from self._by_cookie(request))
            except NotShown as no:
                self._refuse(request, no)
            if not self._attempts_left:
                break
        else:
            yield from self.inbox.hear(LogonRequest)
        self._do(
            self._close(
                ErrorCode.TOO_MANY_ATTEMPTS,
                f"too many logons failed on this connection; connect again; trace {self.trace_id}",
            )
        )
        return None

    def _use(self, session: Session) -> Procedure[None]:
        lifecycle = self._parts.lifecycle
        while True:
            message = yield from self.inbox.hear(Message)
            match message:
                case ResizeSession():
                    self._do(*lifecycle.resize(session, message.columns, message.rows))
                case LogoffSession():
                    self._do(*lifecycle.log_off(session))
                case DisconnectSession():
                    self._leave()
                    detail = "disconnected; the session goes on"
                    self._do(self._close(ErrorCode.DISCONNECTED_BY_USER, detail))
                    return
                case _:
                    self._leave()
                    detail = f"{type(message).__name__} is not expected now"
                    self._do(self._close(ErrorCode.OUT_OF_ORDER, detail))
                    return

    def _leave(self) -> None:
        session, self.session = self.session, None
        if session is not None:
            now = self._parts.procedures.now
            self._do(*self._parts.lifecycle.leave(session, self, now))

    # --- three proofs -----------------------------------------------------------------------------

    def _by_password(self, request: LogonRequest) -> Procedure[Session | SessionPlaced]:
        verified = yield from verify(request.user_name, request.credential)
        if verified.busy:
            detail = "too many passwords are being checked; try again in a moment"
            raise NotShown(ErrorCode.LOGON_BUSY, detail, retry_seconds=BUSY_RETRY_SECONDS)
        if not verified.accepted:
            self._attempts_left -= 1
            raise NotShown(
                ErrorCode.LOGON_FAILED, f"user name or password is wrong; trace {self.trace_id}"
            )
        return (yield from self._placing.place(request, verified.system_user))

    def _by_ticket(self, request: LogonRequest) -> Procedure[Session | SessionPlaced]:
        """The ticket of a redirect."""
        if len(request.credential) != TICKET_BYTES:
            raise self._ticket_invalid("not a ticket")
        redeem = RedeemTicket(
            ticket=request.credential, device_id=self.device_id, user_name=request.user_name
        )
        redeemed = yield from self._parts.directory.ask(
            redeem, TicketRedeemed, limits.REQUEST_SECONDS
        )
        if not isinstance(redeemed, TicketRedeemed):
            raise self._ticket_invalid(redeemed.code.name)
        here = msgspec.structs.replace(
            request,
            user_name=redeemed.user_name,
            application=redeemed.application,
            command="",
            unreachable_host="",
        )
        system_user = yield from self._system_user_of(here.user_name)
        return (
            yield from self._placing.enter(
                here, system_user, redeemed.placement, redeemed.session_id
            )
        )

    def _by_cookie(self, request: LogonRequest) -> Procedure[Session]:
        """The cookie of an earlier connection."""
        if self._session_of_cookie(request) is None:
            raise self._ticket_invalid("the cookie is not that session's, or was used")
        yield from self._system_user_of(request.user_name)
        session = self._session_of_cookie(request)
        if session is None:
            raise self._ticket_invalid("the session has ended, or was taken, in this moment")
        return (yield from self._parts.lifecycle.show(session, self, 0))

    def _session_of_cookie(self, request: LogonRequest) -> Session | None:
        session = self._parts.lifecycle.table.get(request.session_id)
        if session is None or not session.accepts_cookie(
            request.credential, request.user_name, self.device_id
        ):
            return None
        return session

    def _system_user_of(self, user_name: str) -> Procedure[str]:
        """A ticket or cookie outlives a removed account: look whether there is one, and as which
        system user its sessions run."""
        known = yield from look_up(user_name)
        if not known.accepted:
            raise self._ticket_invalid("there is no such account")
        return known.system_user

    def _ticket_invalid(self, why: str) -> NotShown:
        """Which check failed is for the log, not for whoever shows a stolen one."""
        detail = f"log on with the password; trace {self.trace_id}"
        return NotShown(ErrorCode.TICKET_INVALID, detail, why=why)

    # --- what the client is told ------------------------------------------------------------------

    def _redirect(self, placed: SessionPlaced) -> None:
        """The client says Goodbye when it has read this."""
        redirect = Redirect(
            host=placed.host,
            address=placed.address,
            port=placed.port,
            ticket=placed.ticket,
            session_id=placed.session_id,
        )
        fields = {"trace_id": self.trace_id, "to": placed.host, "session_id": placed.session_id}
        self._do(Tell(self.peer, redirect), Note("logon.redirected", fields))

    def _refuse(self, request: LogonRequest, no: NotShown) -> None:
        """The client may try again."""
        self.session = None
        detail = f"{no}; trace {self.trace_id}" if no.is_ours else str(no)
        refused = LogonRefused(
            code=no.code,
            detail=detail[:DETAIL_CHARACTERS],
            attempts_left=self._attempts_left,
            retry_after_seconds=no.retry_seconds,
            trace_id=self.trace_id,
        )
        fields = {
            "trace_id": self.trace_id,
            "user_name": request.user_name,
            "code": no.code.name,
            "why": no.why or detail,
        }
        self._do(Tell(self.peer, refused), Note("logon.refused", fields))

    def _close(self, code: ErrorCode, detail: str) -> Close:
        return Close(self.peer, code, detail, self.trace_id)
