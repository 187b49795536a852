"""The logon phase of one client's link: prove who the user is, by a password, by the ticket of a
redirect, or by the cookie of the session that this device showed last; find their session; show it
here, or send the client there.

The link has one thing under way at a time, and the client may try again after a refusal.
"""

from __future__ import annotations

import msgspec

from daemons import events
from daemons.effects import Close, Tell
from daemons.procedures import Procedure, Procedures, look_up, verify
from daemons.refusal import Refusal
from daemons.terminal_server.client import Client
from daemons.terminal_server.destinations import Destinations
from daemons.terminal_server.directory import DirectoryLink
from daemons.terminal_server.lifecycle import Lifecycle
from daemons.terminal_server.penalties import Attempt, Penalties
from daemons.terminal_server.sessions import Session
from daemons.terminal_server.validation import Validations
from tsproto import limits
from tsproto.errors import ErrorCode
from tsproto.messages import (
    Credential,
    LogonRefused,
    LogonRequest,
    RedeemTicket,
    Redirect,
    TicketRedeemed,
)

TICKET_BYTES = 16
# Requests of any kind on one connection: a client tries its ticket or cookie once, then passwords;
# a busy server makes it repeat some.
LOGON_REQUESTS_MAX = 16
BUSY_RETRY_SECONDS = 2


class WrongPassword(Refusal):
    """The one refusal that uses up an attempt."""


class TicketInvalid(Refusal):
    """`why` is for the log: a thief who shows a stolen ticket is not told which check failed."""

    def __init__(self, client: Client, why: str) -> None:
        detail = f"log on with the password; trace {client.trace_id}"
        super().__init__(ErrorCode.TICKET_INVALID, detail)
        self.why = why


class Logon(msgspec.Struct, eq=False, kw_only=True):
    """The logon phase of every client."""

    procedures: Procedures
    directory: DirectoryLink
    lifecycle: Lifecycle
    destinations: Destinations
    validations: Validations
    penalties: Penalties

    def log_on(self, client: Client) -> Procedure[None]:
        """Take LogonRequests until the client shows a session, was redirected, or was sent away."""
        attempts_left = limits.LOGON_ATTEMPTS
        for _ in range(LOGON_REQUESTS_MAX):
            request = yield from client.inbox.hear(LogonRequest)
            client.columns, client.rows = request.columns, request.rows
            try:
                found = yield from self._find(client, request)
                if isinstance(found, Redirect):
                    self._redirect(client, found)
                elif (yield from self.lifecycle.show(client, found)):
                    now = self.procedures.now
                    self.procedures.do(*self.validations.on_logon(client, found.user_name, now))
                return
            except Refusal as refusal:
                attempts_left -= isinstance(refusal, WrongPassword)
                self._refuse(client, request, refusal, attempts_left)
            if not attempts_left:
                break
        else:
            yield from client.inbox.hear(LogonRequest)  # the one that is too many
        detail = (
            f"too many logons failed on this connection; connect again; trace {client.trace_id}"
        )
        self.procedures.do(Close(client.peer, ErrorCode.TOO_MANY_ATTEMPTS, detail, client.trace_id))

    def _find(self, client: Client, request: LogonRequest) -> Procedure[Redirect | Session]:
        """Prove the user, and find their session."""
        match request.credential_kind:
            case Credential.PASSWORD:
                return (yield from self._by_password(client, request))
            case Credential.TICKET:
                return (yield from self._by_ticket(client, request))
            case Credential.RECONNECT:
                return (yield from self._by_cookie(client, request))

    # --- three proofs -----------------------------------------------------------------------------

    def _by_password(self, client: Client, request: LogonRequest) -> Procedure[Redirect | Session]:
        attempt = Attempt(request.user_name, client.peer.host, client.device_id)
        if seconds := self.penalties.delay(attempt, self.procedures.now):
            detail = f"too many logons failed; wait {seconds} s; trace {client.trace_id}"
            raise Refusal(ErrorCode.LOGON_BUSY, detail, retry_after_seconds=seconds)
        verified = yield from verify(request.user_name, request.credential, attempt.host)
        accepted = None if verified.busy else verified.accepted
        self.procedures.do(*self.penalties.settle(attempt, accepted, self.procedures.now))
        if verified.busy:
            detail = "too many passwords are being checked; try again in a moment"
            raise Refusal(ErrorCode.LOGON_BUSY, detail, retry_after_seconds=BUSY_RETRY_SECONDS)
        if not verified.accepted:
            detail = f"user name or password is wrong; trace {client.trace_id}"
            raise WrongPassword(ErrorCode.LOGON_FAILED, detail)
        return (yield from self.destinations.find(client, request, verified.system_user))

    def _by_ticket(self, client: Client, request: LogonRequest) -> Procedure[Redirect | Session]:
        """The ticket of a redirect: the directory tells whose it is, and to which session."""
        if len(request.credential) != TICKET_BYTES:
            raise TicketInvalid(client, "not a ticket")
        redeem = RedeemTicket(
            ticket=request.credential, device_id=client.device_id, user_name=request.user_name
        )
        redeemed = yield from self.directory.ask(redeem, TicketRedeemed, limits.REQUEST_SECONDS)
        if not isinstance(redeemed, TicketRedeemed):
            raise TicketInvalid(client, redeemed.code.name)
        here = msgspec.structs.replace(
            request,
            user_name=redeemed.user_name,
            application=redeemed.application,
            command="",
            unreachable_host="",
        )
        system_user = yield from self._system_user_of(client, here.user_name)
        return (yield from self.destinations.find(client, here, system_user, redeemed))

    def _by_cookie(self, client: Client, request: LogonRequest) -> Procedure[Session]:
        """The cookie of an earlier connection, good for the session that it was given for."""
        if self._session_of_cookie(client, request) is None:
            raise TicketInvalid(client, "the cookie is not that session's, or was used")
        yield from self._system_user_of(client, request.user_name)
        session = self._session_of_cookie(client, request)
        if session is None:
            raise TicketInvalid(client, "the session has ended, or was taken, in this moment")
        return session

    def _session_of_cookie(self, client: Client, request: LogonRequest) -> Session | None:
        session = self.lifecycle.table.get(request.session_id)
        if session is None or not session.accepts_cookie(
            request.credential, request.user_name, client.device_id
        ):
            return None
        return session

    def _system_user_of(self, client: Client, user_name: str) -> Procedure[str]:
        """A ticket or cookie outlives a removed account: look whether there is one, and as which
        system user its sessions run."""
        known = yield from look_up(user_name)
        if not known.accepted:
            raise TicketInvalid(client, "there is no such account")
        return known.system_user

    # --- what the client is told ------------------------------------------------------------------

    def _redirect(self, client: Client, redirect: Redirect) -> None:
        """The client says Goodbye when it has read this."""
        redirected = events.LogonRedirected(
            trace_id=client.trace_id, server=redirect.host, session_id=redirect.session_id
        )
        self.procedures.do(Tell(client.peer, redirect), redirected)

    def _refuse(
        self, client: Client, request: LogonRequest, refusal: Refusal, attempts_left: int
    ) -> None:
        refused = LogonRefused(
            code=refusal.code,
            detail=refusal.detail,
            attempts_left=attempts_left,
            retry_after_seconds=refusal.retry_after_seconds,
            trace_id=client.trace_id,
        )
        event = events.LogonRefused(
            trace_id=client.trace_id,
            user_name=request.user_name,
            code=refusal.code,
            detail=refusal.why if isinstance(refusal, TicketInvalid) else refusal.detail,
        )
        self.procedures.do(Tell(client.peer, refused), event)
