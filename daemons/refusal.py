"""A lawful "no", as the exception that a decision raises; it is caught where it is answered."""

from __future__ import annotations

from tsproto.errors import ErrorCode, TsfarmError
from tsproto.printable import detail_of


class Refusal(TsfarmError):
    """Its text tells the user why, and what to do; `detail` is that text as messages carry it."""

    def __init__(self, code: ErrorCode, detail: str, *, retry_after_seconds: int = 0) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail_of(detail)
        self.retry_after_seconds = retry_after_seconds
