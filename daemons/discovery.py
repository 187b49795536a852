"""How a daemon finds license servers: it broadcasts queries, and dials who answered.

An answer may be forged: only the certificate of a dialled server says that it is one.
"""

from __future__ import annotations

from collections.abc import Callable

from daemons.effects import Broadcast, Dial, Effect, Endpoint, Randomness
from daemons.settings import Discovery, ServerAddress
from tsproto.discovery import Candidate, Search, scopes_of
from tsproto.messages import Role

NONCE_BYTES = 16


class Finder:
    """`search` holds what was answered. With `every_scope` all are searched, else the first in
    which anybody answers; `instance` marks the queries of this process."""

    def __init__(
        self,
        farm: str,
        settings: Discovery,
        *,
        next_question_id: Callable[[], int],
        rng: Randomness,
        every_scope: bool = False,
        instance: bytes = b"",
    ) -> None:
        self.search = Search(
            farm,
            scopes_of(settings.workgroup, settings.domain, settings.site),
            window_seconds=settings.window_seconds,
            every_scope=every_scope,
            instance=instance,
        )
        self._next_question_id = next_question_id
        self._rng = rng
        self._dials: dict[int, Endpoint] = {}

    def begin(self, now: float) -> list[Effect]:
        """Ask the first scope; nothing when there is none."""
        return self._ask(self.search.start, now)

    def on_deadline(self, now: float) -> list[Effect]:
        """Ask the next scope when its turn has come."""
        return self._ask(self.search.on_deadline, now)

    def next_scope(self, now: float) -> list[Effect]:
        """Nobody who answered could be used: ask the next scope; nothing when all were asked."""
        return self._ask(self.search.next_scope, now)

    def _ask(self, query: Callable[[float, bytes], bytes | None], now: float) -> list[Effect]:
        datagram = query(now, self._rng.randbytes(NONCE_BYTES))
        return [Broadcast(datagram)] if datagram else []

    def dial(self, endpoint: Endpoint) -> list[Effect]:
        """Dial it, unless that is under way."""
        if self.is_dialling(endpoint):
            return []
        question_id = self._next_question_id()
        self._dials[question_id] = endpoint
        return [Dial(endpoint, question_id)]

    def is_dialling(self, endpoint: Endpoint) -> bool:
        return endpoint in self._dials.values()

    def is_dial(self, question_id: int) -> bool:
        return question_id in self._dials

    def forget(self, endpoint: Endpoint) -> None:
        """It was reached, or is given up: a failure that comes later is not its own."""
        self._dials = {question_id: e for question_id, e in self._dials.items() if e != endpoint}

    def failed(self, question_id: int) -> Endpoint | None:
        """The endpoint whose dial has failed; None for another question."""
        return self._dials.pop(question_id, None)


def endpoint_of(place: Candidate | ServerAddress) -> Endpoint:
    return Endpoint(Role.LICENSE_SERVER, place.host, place.port, place.name)
