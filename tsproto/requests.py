"""The requests in flight on one connection: ours, which the peer answers, and the peer's.

Answers come in any order. At most REQUESTS_IN_FLIGHT are open in each direction.
"""

from __future__ import annotations

from tsproto import limits
from tsproto.errors import OutOfOrder, TooManyRequests
from tsproto.messages import Message, Refused

REQUEST_ID_MAX = 2**32 - 1


class Requests:
    def __init__(self) -> None:
        self._last_id = 0
        # None: given up. It counts until it is answered, because the peer may still work on it.
        self._ours: dict[int, type[Message] | None] = {}
        self._theirs: dict[int, type[Message]] = {}

    def ask(self, request: type[Message]) -> int:
        """The id of a new request of ours; raises TooManyRequests."""
        if len(self._ours) >= limits.REQUESTS_IN_FLIGHT:
            raise TooManyRequests(f"{len(self._ours)} requests wait for the peer's answer")
        request_id = self._next_id()
        self._ours[request_id] = request
        return request_id

    def give_up(self, request_id: int) -> None:
        if request_id in self._ours:
            self._ours[request_id] = None

    def take_answer(self, answer: Message) -> bool:
        """Match the peer's answer with our request; False when that was given up.

        Raises OutOfOrder when we never asked, or asked something else.
        """
        if answer.request_id not in self._ours:
            raise OutOfOrder(f"{_name(answer)}: request {answer.request_id} was never made")
        request = self._ours.pop(answer.request_id)
        if request is not None:
            _check_pair(request, answer)
        return request is not None

    def take_request(self, request: Message) -> None:
        """Note the peer's request; raises OutOfOrder or TooManyRequests."""
        if request.request_id in self._theirs:
            raise OutOfOrder(f"{_name(request)}: request {request.request_id} is still open")
        if len(self._theirs) >= limits.REQUESTS_IN_FLIGHT:
            raise TooManyRequests(f"{len(self._theirs)} requests wait for an answer already")
        self._theirs[request.request_id] = type(request)

    def answer(self, answer: Message, request_id: int) -> None:
        """Settle the peer's request; raises OutOfOrder when this does not answer an open one."""
        if request_id not in self._theirs:
            raise OutOfOrder(f"{_name(answer)}: request {request_id} does not wait for an answer")
        _check_pair(self._theirs[request_id], answer)
        del self._theirs[request_id]

    def clear(self) -> None:
        self._ours.clear()
        self._theirs.clear()

    def _next_id(self) -> int:
        while True:
            self._last_id = self._last_id % REQUEST_ID_MAX + 1
            if self._last_id not in self._ours:
                return self._last_id


def _check_pair(request: type[Message], answer: Message) -> None:
    if not isinstance(answer, Refused) and _name(answer) not in request.entry.answers:
        raise OutOfOrder(f"{_name(answer)} is no answer to {request.__name__}")


def _name(message: Message) -> str:
    return type(message).__name__
