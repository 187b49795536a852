"""A peer that the suite plays, on a line of made-up bytes and time."""

from __future__ import annotations

import pytest

from clients.conformance import wire
from clients.conformance.peer import Peer
from clients.conformance.target import Transcript, Unmet
from tsproto.messages import Role

CHUNK = bytes(16_384)


class SlowLine:
    """Gives one piece of `pieces` every 4 s, then nothing."""

    name = "laptop1"
    certificate = bytes(32)
    own_certificate = bytes(32)

    def __init__(self, *pieces: bytes) -> None:
        self.now = 0.0
        self._pieces = list(pieces)

    def read(self, seconds: float) -> bytes | None:
        self.now += min(seconds, 4.0)
        return wire.frame(self._pieces.pop(0), wire.SESSION_KIND) if self._pieces else None

    def write(self, data: bytes) -> None:
        pass

    def close(self) -> None:
        pass


def peer(line: SlowLine) -> Peer:
    return Peer("client 1", Role.CLIENT, line, seconds=5.0, now=lambda: line.now, said=Transcript())


def test_session_bytes_are_waited_for_as_long_as_some_come() -> None:
    line = SlowLine(*[CHUNK] * 20, b"do", b"ne\n")
    hearing = peer(line)
    hearing.hear_session_bytes(b"done\n")
    assert line.now == 88.0
    assert hearing.session_bytes == CHUNK * 20 + b"done\n"


def test_session_bytes_that_do_not_come_are_shown_by_their_number_and_end() -> None:
    with pytest.raises(Unmet) as unmet:
        peer(SlowLine(CHUNK, b"end")).hear_session_bytes(b"done\n")
    said = str(unmet.value)
    assert said.startswith(
        r"expected session bytes with b'done\n', nothing came in time after 16387"
    )
    assert said.endswith(r"\x00end'") and len(said) < 400
