"""Judges of users' proofs that compare less than they should."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from tsproto.account import Account
from tsproto.user_proof import Statement

_is_proved = Account.is_proved_by


def accepting(others: Sequence[dict[str, Any]]) -> Any:
    """A signature counts too when the statement has these values, of one of the others."""

    def is_proved(self: Account, statement: Statement, *signed: Any) -> bool:
        return _is_proved(self, statement, *signed) or any(
            _is_proved(self, replace(statement, **values), *signed) for values in others
        )

    return is_proved
