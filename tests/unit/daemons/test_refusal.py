"""The lawful no."""

from __future__ import annotations

from daemons.refusal import Refusal
from tsproto.errors import ErrorCode


def test_the_detail_of_a_refusal_is_clipped_to_what_a_message_carries() -> None:
    assert Refusal(ErrorCode.BUSY, "x" * 1024).detail == "x" * 1024
    refusal = Refusal(ErrorCode.BUSY, "x" * 1025)
    assert refusal.detail == "x" * 1023 + "…"
    assert str(refusal) == "x" * 1025
