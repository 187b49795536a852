"""Salt and cost of the user's passwords, as each farm said them at the last logon.

Kept in the device's folder, in one file `known_hashings`: JSON, by farm and user.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from clients import files
from clients.files import DeviceStoreError
from clients.logon.steps import Hashing
from daemons.files import durable

USERS_MAX = 256  # of a farm; the one that logged on first is forgotten


class KnownHashings:
    """Those in a device's folder, which exists. Raises DeviceStoreError."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / "known_hashings"

    def find(self, farm: str, user_name: str) -> Hashing | None:
        return self._read().get(farm, {}).get(user_name)

    def keep(self, farm: str, user_name: str, hashing: Hashing) -> None:
        """Durable when it returns."""
        with files.explained(self._file), durable.locked(self._folder / "lock"):
            known = self._read()
            of_farm = known.setdefault(farm, {})
            of_farm.pop(user_name, None)
            of_farm[user_name] = hashing
            while len(of_farm) > USERS_MAX:
                del of_farm[next(iter(of_farm))]
            durable.replace(self._file, msgspec.json.encode(known))

    def _read(self) -> dict[str, dict[str, Hashing]]:
        content = files.read(self._file, FILE_BYTES_MAX)
        if content is None:
            return {}
        try:
            return msgspec.json.decode(content, type=dict[str, dict[str, Hashing]])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise DeviceStoreError(
                f"{self._file} is damaged: delete it, and each farm's salt is believed once"
            ) from None


FILE_BYTES_MAX = 4 * 1024 * 1024  # some 60 farms with as many users as are remembered
