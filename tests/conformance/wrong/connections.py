"""Faults of a connection; most are shown by a license server, whichever daemon has them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

import msgspec

from tests.conformance.wrong.fault import Fault, Plant, limit, replaced, together
from tsproto import codec, connection, limits, opening, requests
from tsproto.codec import HEADER, MESSAGE_KIND, SESSION_KIND, FrameReader, encode
from tsproto.connection import Connection
from tsproto.errors import (
    MalformedMessage,
    OutOfOrder,
    UnknownFrameKind,
    UnknownMessage,
    VersionUnsupported,
    WrongRole,
)
from tsproto.messages import TABLE, AnyMessage, Heartbeat, Kind, LinkState, Message, Role
from tsproto.opening import Opening
from tsproto.requests import Requests

_decode = codec.decode_message
_on_message = Connection._on_message
_take_request = Requests.take_request
_take_answer = Requests.take_answer
_receive_data = Connection.receive_data
_enter = Connection._enter
_welcome = Opening.welcome
_header = FrameReader._header
_feed = FrameReader.feed


def _forgiving(body: bytes) -> Message:
    values = msgspec.msgpack.decode(body)
    try:
        message: Message = msgspec.convert(values, AnyMessage, strict=False)
    except msgspec.ValidationError:
        return _decode(body)
    return message


def _blind_to_directions(body: bytes) -> Message:
    return _decode(body.replace("\u202e".encode(), b"..."))


def _deaf_to(error: type[Exception]) -> Any:
    def decode(body: bytes) -> Message:
        try:
            return _decode(body)
        except error:
            return Heartbeat()

    return decode


def _calls_unknown_malformed(body: bytes) -> Message:
    try:
        return _decode(body)
    except UnknownMessage as error:
        raise MalformedMessage(str(error)) from None


def _wants_no_more_fields(body: bytes) -> Message:
    message = _decode(body)
    values = msgspec.msgpack.decode(body, type=list[msgspec.Raw])
    if len(values) > 1 + len(message.__struct_fields__):
        raise MalformedMessage("too many fields")
    return message


def _looks_at_roles_first(self: Connection, data: bytes, now: float) -> Any:
    """A message that the peer's role never sends is WRONG_ROLE, whatever is in its fields."""

    def decode(body: bytes) -> Message:
        try:
            return _decode(body)
        except MalformedMessage:
            kind = TABLE.get(_number(body))
            if kind is not None and self.peer_role not in (None, *kind.entry.senders):
                raise WrongRole(kind.__name__) from None
            raise

    with patch.object(connection, "decode_message", decode):
        return _receive_data(self, data, now)


def _number(body: bytes) -> int:
    try:
        first = msgspec.msgpack.decode(body)[0]
    except (msgspec.MsgspecError, ValueError, LookupError, TypeError, RecursionError):
        return -1
    return first if isinstance(first, int) else -1


def _looks_at_ids_of_requests_last(self: Connection, message: Message) -> Any:
    entry = message.entry
    if entry.kind is Kind.REQUEST and self.peer_role not in (None, *entry.senders):
        raise WrongRole(type(message).__name__)
    return _on_message(self, message)


def _looks_at_versions_first(self: Opening, hello: Any) -> Any:
    if not hello.version_min <= limits.PROTOCOL_VERSION_MAX <= hello.version_max:
        raise VersionUnsupported("not spoken here")
    return _welcome(self, hello)


def _leaves_for_long_frames(self: Connection, state: LinkState) -> None:
    _enter(self, state)
    if state is LinkState.LEAVING:
        self._reader.frame_bytes = limits.FRAME_BYTES


def _header_of_any_kind(self: FrameReader, data: bytes, start: int) -> tuple[int, int]:
    try:
        return _header(self, data, start)
    except UnknownFrameKind:
        _, length, kind = HEADER.unpack_from(data, start)
        return kind, length


def _refuses_a_kind_late(self: FrameReader, data: bytes) -> Iterator[tuple[int, bytes]]:
    for kind, body in _feed(self, data):
        if kind not in (MESSAGE_KIND, SESSION_KIND):
            raise UnknownFrameKind("only now")
        yield kind, body


def _lawful_for_any_role(sender: Role, receiver: Role, state: LinkState) -> frozenset[Any]:
    return frozenset(message for message in TABLE.values() if state in message.entry.states)


def _lawful_in_any_state(sender: Role, receiver: Role, state: LinkState) -> frozenset[Any]:
    return frozenset(
        message
        for message in TABLE.values()
        if sender in message.entry.senders and receiver in message.entry.receivers
    )


def _all_is_out_of_order(message: type[Message], *_: object) -> OutOfOrder:
    return OutOfOrder(message.__name__)


def _closes_without_a_word(self: Connection, *_: object) -> None:
    self._enter(LinkState.CLOSED)


def _answers_heartbeats(self: Connection, message: Message) -> Any:
    if isinstance(message, Heartbeat):
        self._queue(encode(Heartbeat()))
    return _on_message(self, message)


def _answers_goodbye(self: Connection, goodbye: Any) -> Any:
    self.close(goodbye.code)
    return connection.Closed(goodbye.code)


def _hears_no_id_0(body: bytes) -> Message:
    message = _decode(body)
    is_request = message.entry.kind is Kind.REQUEST
    return Heartbeat() if is_request and not message.request_id else message


def _takes_open_ids(self: Requests, request: Message) -> None:
    self._theirs.pop(request.request_id, None)
    _take_request(self, request)


def _takes_any_answer(self: Requests, answer: Message) -> bool:
    return answer.request_id in self._ours and _take_answer(self, answer)


def _forgets_what_it_gave_up(self: Requests, request_id: int) -> None:
    self._ours.pop(request_id, None)


def _phase(state: LinkState, seconds: float) -> Plant:
    def plant() -> AbstractContextManager[Any]:
        return patch.dict(connection.PHASE_SECONDS, {state: seconds})

    return plant


def _license_server(name: str, found_by: str, plant: Plant) -> Fault:
    return Fault(name=name, role=Role.LICENSE_SERVER, found_by=found_by, plant=plant)


def _terminal_server(name: str, found_by: str, plant: Plant) -> Fault:
    return Fault(name=name, role=Role.TERMINAL_SERVER, found_by=found_by, plant=plant)


FOREVER = 1e9

FAULTS = (
    _license_server(
        "accepts over-long frames before logon",
        "FRAME-04.one-byte-more-while-opening",
        limit(connection, FRAME_BYTES_OPENING=2**20),
    ),
    _license_server(
        "accepts only short frames in service",
        "FRAME-05.longest-frames-in-service-and-session",
        limit(connection, FRAME_BYTES=2**16),
    ),
    _license_server(
        "waits for the body of a frame that it will refuse",
        "FRAME-06.a-kind-needs-no-body",
        together(
            replaced(FrameReader, "_header", _header_of_any_kind),
            replaced(FrameReader, "feed", _refuses_a_kind_late),
        ),
    ),
    _license_server(
        "takes every frame for a message",
        "FRAME-03.unknown-kinds",
        replaced(FrameReader, "_header", _header_of_any_kind),
    ),
    _license_server(
        "takes text for numbers",
        "VALUE-01.AddKeyPack.tokens.wrong-type",
        replaced(connection, "decode_message", _forgiving),
    ),
    _license_server(
        "takes text that runs backwards",
        "VALUE-14.text-that-is-not-printable",
        replaced(connection, "decode_message", _blind_to_directions),
    ),
    _license_server(
        "ignores messages with a value out of bounds",
        "VALUE-02.AddKeyPack.tokens.one-over",
        replaced(connection, "decode_message", _deaf_to(MalformedMessage)),
    ),
    _license_server(
        "ignores messages that it does not know",
        "VALUE-09.administrator-in-service.unknown-number",
        replaced(connection, "decode_message", _deaf_to(UnknownMessage)),
    ),
    _license_server(
        "calls an unknown message malformed",
        "VALUE-09.administrator-in-service.unknown-number",
        replaced(connection, "decode_message", _calls_unknown_malformed),
    ),
    _license_server(
        "looks at roles before fields",
        "VALUE-13.the-first-check-that-fails",
        replaced(Connection, "receive_data", _looks_at_roles_first),
    ),
    _license_server(
        "looks at roles before request ids",
        "VALUE-13.the-first-check-that-fails",
        replaced(Connection, "_on_message", _looks_at_ids_of_requests_last),
    ),
    _terminal_server(
        "takes longer frames once it is left",
        "FRAME-04.one-byte-more-after-a-redirect",
        replaced(Connection, "_enter", _leaves_for_long_frames),
    ),
    _license_server(
        "looks at versions before names",
        "HELLO-10.a-wrong-name-and-a-wrong-version",
        replaced(Opening, "welcome", _looks_at_versions_first),
    ),
    _license_server(
        "refuses fields of a newer peer",
        "VALUE-07.QueryLicenses.trailing-field",
        replaced(connection, "decode_message", _wants_no_more_fields),
    ),
    _license_server(
        "listens to every role",
        "ROLE-04.QueryPools.terminal-server-in-service",
        replaced(connection, "lawful", _lawful_for_any_role),
    ),
    _terminal_server(
        "listens in every state",
        "ROLE-05.QueryAuthority.client-in-logon",
        replaced(connection, "lawful", _lawful_in_any_state),
    ),
    _license_server(
        "says OUT_OF_ORDER to a wrong role",
        "ROLE-04.QueryPools.terminal-server-in-service",
        replaced(connection, "unlawful", _all_is_out_of_order),
    ),
    _license_server(
        "hangs up without a word",
        "CLOSE-01.the-last-word-is-goodbye",
        replaced(Connection, "close", _closes_without_a_word),
    ),
    _license_server(
        "answers heartbeats",
        "BEAT-04.heartbeats-are-not-answered",
        replaced(Connection, "_on_message", _answers_heartbeats),
    ),
    _license_server(
        "answers Goodbye",
        "CLOSE-02.goodbye-is-not-answered",
        replaced(Connection, "_on_goodbye", _answers_goodbye),
    ),
    _license_server(
        "never says Heartbeat",
        "BEAT-01.terminal-server-in-service.idle",
        limit(connection, HEARTBEAT_SECONDS=FOREVER),
    ),
    _license_server(
        "keeps a silent peer for ever",
        "BEAT-02.terminal-server-in-service.silent",
        limit(connection, SILENT_SECONDS=FOREVER),
    ),
    _license_server(
        "waits for Hello for ever",
        "TIME-01.terminal-server-in-opening.silent",
        _phase(LinkState.OPENING, FOREVER),
    ),
    _terminal_server(
        "never ends the licensing phase",
        "BEAT-05.client-in-licensing.heartbeats",
        _phase(LinkState.LICENSING, FOREVER),
    ),
    _terminal_server(
        "never ends the logon phase",
        "TIME-04.client-in-logon.heartbeats",
        _phase(LinkState.LOGON, FOREVER),
    ),
    _license_server(
        "limits how long a service lasts",
        "TIME-06.terminal-server-in-service.heartbeats",
        _phase(LinkState.SERVICE, 60.0),
    ),
    _license_server(
        "ignores requests with the id 0",
        "REQ-02.QueryPools.request-id-0",
        replaced(connection, "decode_message", _hears_no_id_0),
    ),
    _license_server(
        "takes an id that still waits",
        "REQ-03.an-id-that-still-waits",
        together(
            replaced(Requests, "take_request", _takes_open_ids),
            replaced(Requests, "answer", lambda self, answer, request_id: None),
        ),
    ),
    _license_server(
        "lets any number of requests wait",
        "REQ-07.one-more-than-may-wait",
        limit(requests, REQUESTS_IN_FLIGHT=2**20),
    ),
    _license_server(
        "ignores answers to nothing",
        "REQ-05.an-answer-to-nothing",
        replaced(Requests, "take_answer", _takes_any_answer),
    ),
    _license_server(
        "takes any answer to any request",
        "REQ-06.an-answer-to-something-else",
        replaced(requests, "_check_pair", lambda request, answer: None),
    ),
    _license_server(
        "ends the link when an answer comes late",
        "REQ-10.an-answer-that-comes-too-late",
        replaced(Requests, "give_up", _forgets_what_it_gave_up),
    ),
    _license_server(
        "speaks versions that do not exist",
        "HELLO-03.no-common-version",
        limit(opening, PROTOCOL_VERSION_MAX=9),
    ),
    _license_server(
        "believes Hello more than the certificate",
        "ROLE-01.another-role-than-the-certificates",
        replaced(Opening, "_check_identity", lambda self, role, name: None),
    ),
    _license_server(
        "permits everything to every administrator",
        "ADMIN-11.a-viewer-buys-nothing",
        replaced(Opening, "unpermitted", lambda self, wanted: ""),
    ),
    _license_server(
        "welcomes a role that has nothing to ask",
        "ROLE-03.a-role-with-nothing-to-ask",
        replaced(opening, "have_business", lambda dialler, listener: True),
    ),
)
