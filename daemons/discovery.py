"""How a daemon finds license servers: it broadcasts queries, and dials who answered.

An answer may be forged: only the certificate of a dialled server says that it is one.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from daemons.effects import Broadcast, Dial, Effect, Endpoint, Randomness
from daemons.settings import ServerAddress
from tsproto.discovery import Candidate
from tsproto.messages import Role

NONCE_BYTES = 16


class Finder(msgspec.Struct, eq=False):
    next_question_id: Callable[[], int]
    rng: Randomness
    dials: dict[int, Endpoint] = {}

    def ask(self, query: Callable[[float, bytes], bytes | None], now: float) -> list[Effect]:
        """Broadcast the datagram that this method of `search` returns, if any."""
        datagram = query(now, self.rng.randbytes(NONCE_BYTES))
        return [Broadcast(datagram)] if datagram else []

    def dial(self, endpoint: Endpoint) -> list[Effect]:
        """Dial it, unless that is under way."""
        if self.is_dialling(endpoint):
            return []
        question_id = self.next_question_id()
        self.dials[question_id] = endpoint
        return [Dial(endpoint, question_id)]

    def is_dialling(self, endpoint: Endpoint) -> bool:
        return endpoint in self.dials.values()

    def forget(self, endpoint: Endpoint) -> None:
        """The endpoint was reached, or is given up: `failed` no longer knows its dial."""
        self.dials = {question_id: e for question_id, e in self.dials.items() if e != endpoint}

    def failed(self, question_id: int) -> Endpoint | None:
        """The endpoint whose dial has failed; None for another question."""
        return self.dials.pop(question_id, None)


def endpoint_of(place: Candidate | ServerAddress) -> Endpoint:
    return Endpoint(Role.LICENSE_SERVER, place.host, place.port, place.name)
