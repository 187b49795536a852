"""A lawful "no", as the exception that a decision raises; it is caught where it is answered."""

from __future__ import annotations

from tsproto.errors import ErrorCode, TsfarmError

DETAIL_CHARACTERS = 1024  # bound of messages.Detail


class Refusal(TsfarmError):
    """Its text tells the user why, and what to do; `detail` is that text, clipped."""

    def __init__(self, code: ErrorCode, detail: str, *, retry_after_seconds: int = 0) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = clipped(detail)
        self.retry_after_seconds = retry_after_seconds


def clipped(detail: str) -> str:
    """The text, cut to the length that a message may carry."""
    return detail if len(detail) <= DETAIL_CHARACTERS else detail[: DETAIL_CHARACTERS - 1] + "…"
