"""Users' accounts on a host: their file, the keys of passwords, and what `tsfarm user` does."""

from daemons.accounts.file import SECRET_BYTES, Accounts, AccountsError, change, read
from daemons.accounts.keys import converted, password_key, synthetic

__all__ = [
    "SECRET_BYTES",
    "Accounts",
    "AccountsError",
    "change",
    "converted",
    "password_key",
    "read",
    "synthetic",
]
