"""One connection, either side of it: hello, requests and answers, heartbeat, close.

Bytes and `now` go in, events and bytes come out; nothing waits and no clock is read. The table says
which messages are lawful. The peer's faults never raise: each becomes a Goodbye with its code, and
a `Closed`, in one place. A fault of our own raises OutOfOrder.

`now` is in seconds of any clock that never goes back; a transport passes its loop's time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from tsproto import limits
from tsproto.codec import SESSION_KIND, FrameReader, decode_message, encode, session_header
from tsproto.errors import ErrorCode, MalformedMessage, OutOfOrder, ProtocolError
from tsproto.lawful import lawful, unlawful
from tsproto.messages import (
    Goodbye,
    Heartbeat,
    Hello,
    Kind,
    LinkState,
    Message,
    Refused,
    Role,
    Welcome,
)
from tsproto.opening import Opening
from tsproto.printable import detail_of
from tsproto.requests import Requests

if TYPE_CHECKING:
    from tsproto.deny_list import DenyLists
    from tsproto.identity import Identity

# How long a phase may last. The end that listens enforces it; the end that dialled enforces OPENING
# alone. In LEAVING the peer may still have much to read.
PHASE_SECONDS = {
    LinkState.OPENING: limits.OPENING_SECONDS,
    LinkState.LICENSING: limits.LICENSING_SECONDS,
    LinkState.LOGON: limits.LOGON_SECONDS,
    LinkState.LEAVING: limits.SILENT_SECONDS,
}
NOBODY: frozenset[type[Message]] = frozenset()


class Event(msgspec.Struct, frozen=True, gc=False):
    """Something that happened on a connection."""


class Opened(Event, frozen=True, gc=False):
    """Hello and Welcome were exchanged; role and name are those of the peer's certificate. `farm`
    comes from Welcome, or from the dialler's certificate: it is empty for a client. `denied` holds
    the numbers of the peer's deny lists, of certificates and of devices."""

    role: Role
    name: str
    version: int
    farm: str
    denied: tuple[int, int] = (0, 0)


class Received(Event, frozen=True, gc=False):
    """A lawful request or notification; a request waits for its answer under `request_id`."""

    message: Message


class Answered(Event, frozen=True, gc=False):
    """The answer, a Refused included, to the request of ours whose id it carries."""

    message: Message


class SessionBytes(Event, frozen=True, gc=False):
    data: bytes


class Closed(Event, frozen=True, gc=False):
    """The last event. `by_peer` is True for the peer's Goodbye or its loss, False where this end
    decided."""

    code: ErrorCode
    detail: str = ""
    trace_id: str = ""
    retry_after_seconds: int = 0
    by_peer: bool = True


class Connection:
    """The protocol at one end of a link.

    `certified` is the identity in the peer's certificate. Without a certificate a `trusted`
    connection (plain TCP) accepts the role and name that the peer gives, and any other one accepts
    only a client. The end that dials may demand the role and the name that it expects.

    `deny_lists` are asked when the connection opens; `certificate` is the SHA-256 of the peer's.
    """

    def __init__(
        self,
        role: Role,
        name: str,
        *,
        dialling: bool,
        now: float,
        farm: str = "",
        certified: Identity | None = None,
        trusted: bool = True,
        expect_role: Role | None = None,
        expect_name: str = "",
        deny_lists: DenyLists | None = None,
        certificate: bytes = b"",
    ) -> None:
        self.role = role
        self.state = LinkState.OPENING
        self.peer_role: Role | None = None
        self._dialling = dialling
        self._opening = Opening(
            role,
            name,
            farm,
            certified,
            trusted,
            expect_role,
            expect_name,
            deny_lists,
            certificate,
        )
        self._requests = Requests()
        self._reader = FrameReader(limits.FRAME_BYTES_OPENING)
        self._sendable = self._receivable = NOBODY
        self._sendable_late = self._receivable_late = NOBODY
        self._left_session = False
        self._outbox: list[bytes] = []
        self._outbox_bytes = 0
        self._outbox_bytes_max = limits.OUTBOX_BYTES_BEFORE_LOGON
        self._now = self._sent_at = self._received_at = now
        self._receiving = True
        self._phase_ends_at: float | None = now + PHASE_SECONDS[LinkState.OPENING]
        if dialling:
            self._queue(encode(self._opening.hello()))

    # --- what comes in ----------------------------------------------------------------------------

    def receive_data(self, data: bytes, now: float) -> list[Event]:
        """The events that these bytes complete. Bytes after a `Closed` are ignored."""
        if self.state is LinkState.CLOSED:
            return []
        self._now = self._received_at = now
        events: list[Event] = []
        try:
            for frame_kind, body in self._reader.feed(data):
                if frame_kind == SESSION_KIND:
                    event = self._on_session_bytes(body)
                else:
                    event = self._on_message(decode_message(body))
                if event is not None:
                    events.append(event)
                if type(event) is Closed:
                    break
        except ProtocolError as error:
            events.append(self._fail(error.code, str(error)))
        return events

    def receive_eof(
        self, now: float, detail: str = "", code: ErrorCode = ErrorCode.CONNECTION_LOST
    ) -> list[Event]:
        """The peer is gone: `Closed`, unless the connection had ended before. Where TLS gives a
        reason, `code` is another one."""
        if self.state is LinkState.CLOSED:
            return []
        self._now = now
        self._drop_outbox()
        self._enter(LinkState.CLOSED)
        return [Closed(code, detail)]

    def _on_session_bytes(self, data: bytes) -> Event | None:
        if self.state is LinkState.SESSION:
            return SessionBytes(data) if data else None
        if self._left_session:
            return None
        raise OutOfOrder(f"session bytes in state {self.state.value}")

    def _on_message(self, message: Message) -> Event | None:
        entry = message.entry
        if entry.kind is Kind.NOTIFICATION and message.request_id:
            raise MalformedMessage(f"{_name(message)}: the request id of a notification is 0")
        if entry.kind is Kind.REQUEST and not message.request_id:
            raise MalformedMessage(f"{_name(message)}: the request id of a request is not 0")
        if type(message) is Goodbye:  # a tenth of the time of `isinstance`, for each message
            return self._on_goodbye(message)
        if self.peer_role is None:
            return self._on_opening(message)
        if type(message) not in self._receivable:
            if type(message) in self._receivable_late:
                return None
            raise unlawful(type(message), self.peer_role, self.role, self.state)
        if entry.kind is Kind.ANSWER:
            return Answered(message) if self._requests.take_answer(message) else None
        if entry.kind is Kind.REQUEST:
            self._requests.take_request(message)
            if entry.wants and (fault := self._opening.unpermitted(entry.wants)):
                detail = f"{_name(message)}: {fault}"
                refused = Refused(code=ErrorCode.NOT_PERMITTED, detail=detail)
                self.send(refused, message.request_id)
                return None
        if entry.then is not None:
            self._enter(entry.then)
        return None if type(message) is Heartbeat else Received(message)

    def _on_opening(self, message: Message) -> Opened:
        if isinstance(message, Hello) and not self._dialling:
            welcome = self._opening.welcome(message)
            self._queue(encode(welcome))
            self._open(message.role, dialler=message.role)
            farm = self._opening.certified_farm
        elif isinstance(message, Welcome) and self._dialling:
            welcome = message
            self._opening.check_welcome(welcome)
            self._open(welcome.role, dialler=self.role)
            farm = welcome.farm
        else:
            first = "Welcome" if self._dialling else "Hello"
            raise OutOfOrder(f"{_name(message)} where {first} comes first")
        denied = message.denied_certificates, message.denied_devices
        return Opened(message.role, message.name, welcome.version, farm, denied)

    def _on_goodbye(self, goodbye: Goodbye) -> Closed:
        self._drop_outbox()
        self._enter(LinkState.CLOSED)
        return Closed(goodbye.code, goodbye.detail, goodbye.trace_id, goodbye.retry_after_seconds)

    # --- what goes out ----------------------------------------------------------------------------

    def tell_time(self, now: float) -> None:
        """Set the time of what is sent next; a phase that it begins is counted from `now`."""
        self._now = now

    def send(self, message: Message, request_id: int = 0) -> None:
        """Queue a notification, or the answer to the peer's request `request_id`.

        Raises OutOfOrder or WrongRole when the table does not allow it now. In LEAVING a message
        that was lawful in the state before is dropped; after the end every message is.
        """
        if not self._may_send(message):
            return
        entry = message.entry
        if entry.kind is Kind.ANSWER:
            self._requests.answer(message, request_id)
        elif entry.kind is Kind.REQUEST or request_id or isinstance(message, Goodbye):
            raise OutOfOrder(f"{_name(message)} is not sent like that: use request or close")
        self._queue(encode(message, request_id))
        if entry.then is not None:
            self._enter(entry.then)

    def request(self, message: Message) -> int:
        """Queue a request; its answer is the `Answered` with the id that this returns.

        Raises TooManyRequests when REQUESTS_IN_FLIGHT are unanswered, those given up included;
        OutOfOrder or WrongRole as `send` does. After the end the id is 0, and nothing is sent.
        """
        if not self._may_send(message):
            return 0
        if message.entry.kind is not Kind.REQUEST:
            raise OutOfOrder(f"{_name(message)} is no request")
        request_id = self._requests.ask(type(message))
        self._queue(encode(message, request_id))
        return request_id

    def give_up(self, request_id: int) -> None:
        """Ignore the answer to a request of ours, should it still come."""
        self._requests.give_up(request_id)

    def send_session_bytes(self, data: bytes) -> None:
        """Queue bytes of the session, in chunks; dropped once the connection has left SESSION."""
        if self.state is LinkState.CLOSED or self._left_session:
            return
        if self.state is not LinkState.SESSION:
            raise OutOfOrder(f"session bytes in state {self.state.value}")
        for start in range(0, len(data), limits.SESSION_CHUNK_BYTES):
            chunk = data[start : start + limits.SESSION_CHUNK_BYTES]
            self._queue(session_header(len(chunk)))
            self._queue(chunk)

    def close(
        self, code: ErrorCode, detail: str = "", trace_id: str = "", retry_after_seconds: int = 0
    ) -> None:
        """Queue a Goodbye, the last message of this end; no `Closed` follows."""
        if self.state is LinkState.CLOSED:
            return
        self._enter(LinkState.CLOSED)
        goodbye = Goodbye(
            code=code,
            detail=detail_of(detail),
            retry_after_seconds=retry_after_seconds,
            trace_id=trace_id,
        )
        self._queue(encode(goodbye))

    def data_to_send(self) -> bytes:
        if not self._outbox:
            return b""
        data = b"".join(self._outbox)
        self._drop_outbox()
        self._sent_at = self._now
        return data

    def _may_send(self, message: Message) -> bool:
        """False: dropped in silence."""
        if self.state is LinkState.CLOSED:
            return False
        if self.peer_role is None:
            raise OutOfOrder(f"{_name(message)} before the connection is open")
        if type(message) in self._sendable:
            return True
        if type(message) in self._sendable_late:
            return False
        raise unlawful(type(message), self.role, self.peer_role, self.state)

    def _queue(self, data: bytes) -> None:
        self._outbox.append(data)
        self._outbox_bytes += len(data)

    def _drop_outbox(self) -> None:
        self._outbox.clear()
        self._outbox_bytes = 0

    # --- time and limits --------------------------------------------------------------------------

    @property
    def is_overfull(self) -> bool:
        """More than OUTBOX_BYTES, or OUTBOX_BYTES_BEFORE_LOGON, wait for a peer that does not read;
        `on_deadline` ends that."""
        return self._outbox_bytes > self._outbox_bytes_max

    def pause_receiving(self) -> None:
        """We stop reading: from now on silence is not the peer's fault."""
        self._receiving = False

    def resume_receiving(self, now: float) -> None:
        self._receiving = True
        self._now = self._received_at = now

    def next_deadline(self) -> float | None:
        """When to call `on_deadline`. Sending and receiving only move it later, so a timer may be
        left to fire early; an overfull outbox alone is due at once."""
        if self.state is LinkState.CLOSED:
            return None
        if self.is_overfull:
            return self._now
        if self.state is LinkState.OPENING:
            return self._phase_ends_at
        deadline = self._sent_at + limits.HEARTBEAT_SECONDS
        if self._receiving:
            deadline = min(deadline, self._received_at + limits.SILENT_SECONDS)
        return deadline if self._phase_ends_at is None else min(deadline, self._phase_ends_at)

    def on_deadline(self, now: float) -> list[Event]:
        """End a phase or a silence that lasted too long, or queue the heartbeat that is due."""
        if self.state is LinkState.CLOSED:
            return []
        self._now = now
        if self.is_overfull:
            self._drop_outbox()
            return [self._fail(ErrorCode.PEER_TOO_SLOW, "the peer does not read what it is sent")]
        if self._phase_ends_at is not None and self._phase_ends_at <= now:
            return [self._fail(ErrorCode.TIMED_OUT, f"state {self.state.value} lasted too long")]
        if self.state is LinkState.OPENING:
            return []
        if self._receiving and self._received_at + limits.SILENT_SECONDS <= now:
            return [self._fail(ErrorCode.PEER_SILENT, "not even a heartbeat came")]
        if self._sent_at + limits.HEARTBEAT_SECONDS <= now:
            self._sent_at = now
            if not self._outbox:  # unsent bytes show as well that this end is alive
                self._queue(encode(Heartbeat()))
        return []

    # --- the state, and the one end ---------------------------------------------------------------

    def _open(self, peer_role: Role, dialler: Role) -> None:
        self.peer_role = peer_role
        self._enter(LinkState.LICENSING if dialler is Role.CLIENT else LinkState.SERVICE)

    def _enter(self, state: LinkState) -> None:
        left, self.state = self.state, state
        seconds = None if self._dialling else PHASE_SECONDS.get(state)
        self._phase_ends_at = None if seconds is None else self._now + seconds
        if state is LinkState.CLOSED:
            self._requests.clear()
        elif self.peer_role is not None:
            if state is LinkState.LEAVING:
                # The peer learns later that the procedure is over: its messages may be late.
                self._sendable_late, self._receivable_late = self._sendable, self._receivable
                self._left_session = left is LinkState.SESSION
            self._sendable = lawful(self.role, self.peer_role, state)
            self._receivable = lawful(self.peer_role, self.role, state)
            match state:
                case LinkState.LICENSING if self.role is not Role.CLIENT:
                    self._reader.frame_bytes = limits.FRAME_BYTES_LICENSING
                case LinkState.LICENSING | LinkState.LOGON:
                    self._reader.frame_bytes = limits.FRAME_BYTES_LOGON
                case LinkState.SERVICE | LinkState.SESSION:
                    self._reader.frame_bytes = limits.FRAME_BYTES
                    self._outbox_bytes_max = limits.OUTBOX_BYTES

    def _fail(self, code: ErrorCode, detail: str) -> Closed:
        """The one place where a connection ends for the peer's fault."""
        self.close(code, detail)
        return Closed(code, detail_of(detail), by_peer=False)


def _name(message: Message) -> str:
    return type(message).__name__
