"""Which users come to which sessions: checked at the instant at which a terminal server says so.

A user comes to a session of their own, by a password, a ticket or a cookie that nobody else can
have used; and what a client is told of is on its host's disk.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from daemons.effects import Caller, Peer
from daemons.terminal_server.records import SessionRecord
from tests.simulation.node import Node
from tsproto.errors import ErrorCode
from tsproto.limits import TICKET_SECONDS
from tsproto.messages import (
    Credential,
    LogonAccepted,
    LogonRefused,
    LogonRequest,
    Message,
    PlaceSession,
    RedeemTicket,
    Redirect,
    SessionPlaced,
    TicketRedeemed,
)

if TYPE_CHECKING:
    from tests.simulation.device import Device
    from tests.simulation.farm import Farm

BY_PROOF = "a user comes to a session of their own"
ON_DISK = "a session that a client was told of is on its host's disk"


class Ticket(msgspec.Struct, frozen=True):
    user_name: str
    device_id: bytes
    host: str
    application: str
    issued_at: float


class Logons:
    def __init__(self, farm: Farm) -> None:
        self._farm = farm
        self._requests: dict[tuple[str, int, int], LogonRequest] = {}
        self._cookies: dict[tuple[str, int, int], tuple[bytes, str]] = {}
        self._tickets: dict[bytes, Ticket] = {}
        self._redeemed: set[bytes] = set()

    def asked(self, node: Node, peer: Peer, message: Message) -> None:
        if isinstance(message, LogonRequest):
            self._requests[node.name, node.life, peer.link] = message

    def lost(self, node: Node, peer: Peer) -> None:
        self._requests.pop((node.name, node.life, peer.link), None)

    def told(self, node: Node, peer: Peer, message: Message) -> None:
        if not isinstance(message, LogonAccepted | LogonRefused | Redirect):
            return
        request = self._requests.get((node.name, node.life, peer.link))
        device = self._farm.device_at(peer.host)
        if request is None:
            self._broken(f"{node.name} tells {device.name} {message}, which has not asked")
        elif isinstance(message, LogonAccepted):
            self._shown(node, device, request, message)
        elif isinstance(message, Redirect):
            self._redirected(node, device, request, message)
        elif message.code is ErrorCode.LOGON_FAILED and self._is_password(request):
            self._broken(f"{node.name} refused a good password of {request.user_name}")

    def _shown(
        self, node: Node, device: Device, request: LogonRequest, accepted: LogonAccepted
    ) -> None:
        what = f"{node.name} shows {device.name} session {accepted.session_id}"
        if accepted.user_name != request.user_name:
            self._broken(f"{what} of {accepted.user_name}, not of {request.user_name}")
        if not self._is_proved(node, device, request):
            self._broken(f"{what} of {request.user_name} without a proof")
        self._farm.license_rows.shown.add(device.device_id)
        program = self._farm.kind_of(node).programs.get(accepted.session_id)
        if program is not None:
            if program.user_name != accepted.user_name:
                self._broken(f"{what} of {accepted.user_name}, which is of {program.user_name}")
            wanted = request.application, request.command
            is_wanted = (program.application, program.command) == wanted
            if request.credential_kind is Credential.PASSWORD and not is_wanted:
                self._broken(f"{what} for {wanted}, which runs {program}")
            ticket = self._tickets.get(request.credential)
            if ticket is not None and program.application != ticket.application:
                self._broken(f"{what} by {ticket}, which runs {program}")
        key = node.name, node.life, accepted.session_id
        self._cookies[key] = accepted.cookie, device.name

    def _is_proved(self, node: Node, device: Device, request: LogonRequest) -> bool:
        self._farm.world.saw(f"logon by {request.credential_kind.name.lower()}")
        match request.credential_kind:
            case Credential.TICKET:
                ticket = self._tickets.get(request.credential)
                is_same = ticket is not None and ticket.device_id == device.device_id
                return is_same and request.credential in self._redeemed
            case Credential.RECONNECT:
                return self._is_cookie(node, device, request)
        return self._is_password(request)

    def _is_cookie(self, node: Node, device: Device, request: LogonRequest) -> bool:
        """The last one that this process gave out; before the first, the one on its disk."""
        known = self._cookies.get((node.name, node.life, request.session_id))
        if known is not None:
            return known == (request.credential, device.name)
        row = node.disk.row(SessionRecord, request.session_id)
        kept = row.cookie_hash if row and row.device_id == device.device_id else b""
        return kept == hashlib.sha256(request.credential).digest()

    def _is_password(self, request: LogonRequest) -> bool:
        is_password = request.credential_kind is Credential.PASSWORD
        return is_password and self._farm.passwords.get(request.user_name) == request.credential

    def _redirected(
        self, node: Node, device: Device, request: LogonRequest, redirect: Redirect
    ) -> None:
        ticket = self._tickets.get(redirect.ticket)
        what = f"{node.name} sends {device.name} to {redirect.host}/{redirect.session_id}"
        is_proved = request.credential_kind is not Credential.PASSWORD or self._is_password(request)
        if not is_proved:
            self._broken(f"{what} without a proof")
        if redirect.host == node.name:
            self._broken(f"{what}, which is itself")
        theirs = request.user_name, device.device_id, redirect.host
        if ticket is None or (ticket.user_name, ticket.device_id, ticket.host) != theirs:
            self._broken(f"{what} with the ticket {ticket}")
        if redirect.address != self._farm.node(redirect.host).host:
            self._broken(f"{what} at {redirect.address}")

    # --- what the directory says ------------------------------------------------------------------

    def placed(self, request: PlaceSession, placed: Message, now: float) -> None:
        if isinstance(placed, SessionPlaced) and placed.ticket:
            self._tickets[placed.ticket] = Ticket(
                request.user_name, request.device_id, placed.host, request.application, now
            )

    def redeemed(
        self, caller: Caller, request: RedeemTicket, redeemed: TicketRedeemed, now: float
    ) -> None:
        ticket = self._tickets.get(request.ticket)
        what = f"{caller.peer.name} redeems a ticket of {request.user_name}"
        if ticket is None or request.ticket in self._redeemed:
            self._broken(f"{what} that was used, or never given")
            return
        self._redeemed.add(request.ticket)
        asked = request.user_name, request.device_id, caller.peer.name, redeemed.application
        given = ticket.user_name, ticket.device_id, ticket.host, ticket.application
        if asked != given or redeemed.user_name != request.user_name:
            self._broken(f"{what}, which is {ticket}")
        if now >= ticket.issued_at + TICKET_SECONDS:
            self._broken(f"{what}, {now - ticket.issued_at:.0f} s old")

    # --- a session that is attached ---------------------------------------------------------------

    def attached(self, node: Node, session_id: int) -> None:
        """What a client was told of runs, or has just ended, and is on its host's disk."""
        program = self._farm.kind_of(node).programs.get(session_id)
        if program is None or program.command:
            return
        row = node.disk.row(SessionRecord, session_id)
        owner = program.user_name, program.application
        if row is None or (row.user_name, row.application) != owner:
            text = f"{node.name} shows session {session_id} of {owner}, and on its disk is {row}"
            self._farm.broken(ON_DISK, text)

    def _broken(self, text: str) -> None:
        self._farm.broken(BY_PROOF, text)
