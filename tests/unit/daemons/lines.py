"""A line in memory: what a switchboard does with it goes into a list."""

from __future__ import annotations

from tsproto.errors import ErrorCode, TooManyRequests
from tsproto.messages import Message


class MemoryLine:
    """`done` is what was said and done, in order. `requests_left` are taken before BUSY; once
    `has_ended`, a request gets no id."""

    host = "10.0.0.1"
    port = 5600
    own_certificate = bytes(32)
    peer_certificate = b""

    def __init__(self, number: int) -> None:
        self.id = number
        self.done: list[object] = []
        self.requests_left = 100
        self.has_ended = False
        self._last_request = 0

    def send(self, message: Message, request_id: int = 0) -> None:
        self.done.append(("send", message, request_id))

    def request(self, message: Message) -> int:
        if self.has_ended:
            return 0
        if not self.requests_left:
            raise TooManyRequests("too many requests are unanswered")
        self.requests_left -= 1
        self._last_request += 1
        self.done.append(("request", message))
        return self._last_request

    def give_up(self, request_id: int) -> None:
        self.done.append(("give up", request_id))

    def flush(self) -> None:
        self.done.append("flush")

    def close(
        self, code: ErrorCode, detail: str = "", trace_id: str = "", retry_after_seconds: int = 0
    ) -> None:
        self.done.append(("close", code, detail, trace_id, retry_after_seconds))
