"""Judges of users' proofs that compare less than they should."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from tsproto.account import Account
from tsproto.user_proof import Statement

_is_proved = Account.is_proved_by


def accepting(**values: list[Any]) -> Any:
    """A signature counts too when the statement has one of these values."""

    def is_proved(self: Account, statement: Statement, *signed: Any) -> bool:
        return _is_proved(self, statement, *signed) or any(
            _is_proved(self, replace(statement, **{name: value}), *signed)
            for name, others in values.items()
            for value in others
        )

    return is_proved
