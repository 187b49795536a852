"""The lawful no."""

from __future__ import annotations

from daemons.refusal import Refusal
from tsproto.errors import ErrorCode


def test_the_detail_of_a_refusal_is_what_a_message_may_carry() -> None:
    refusal = Refusal(ErrorCode.BUSY, "x\n" * 1024)
    assert refusal.detail == "x\\u000a" * 146 + "x…"
    assert str(refusal) == "x\n" * 1024
