"""Synthetic devices: made from a seed, in memory or kept in a folder like real ones.

The same seed and folder give the same devices, with their licenses, in a later run.
"""

from __future__ import annotations

import hashlib
import itertools
from pathlib import Path

from clients.device import Device
from clients.licensed_device import License, LicensedDevice
from tsproto import limits
from tsproto.identity import DeviceKey


class LicensesInMemory:
    """The licenses of a device that is not kept."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, str], License] = {}

    def find(self, farm: str, product: str) -> License | None:
        return self._held.get((farm, product))

    def keep(self, held: License) -> None:
        self._held[held.claims.farm, held.claims.product] = held


class Devices:
    """Any number of devices for each user, numbered from 0.

    In `folder` (None: in memory) each has a folder named by its device id. They are written as
    durably as a real device's files, while the loop waits: a few flushes of the disk for each
    license.
    """

    def __init__(self, seed: int, folder: Path | None) -> None:
        self._seed = seed
        self._folder = folder
        self._last: dict[str, int] = {}

    def usual(self, owner: str) -> LicensedDevice:
        """The user's newest device. In memory it begins without a license."""
        ordinal = self._last.setdefault(owner, max(0, self._unused(owner) - 1))
        return self._open(owner, ordinal)

    def fresh(self, owner: str) -> LicensedDevice:
        """A device that no farm knows, unless an earlier run in memory had the same seed."""
        last = self._last.get(owner)
        ordinal = self._unused(owner) if last is None else last + 1
        self._last[owner] = ordinal
        return self._open(owner, ordinal)

    def _unused(self, owner: str) -> int:
        """The first number that no earlier run has kept."""
        folder, ordinals = self._folder, itertools.count()
        return next(n for n in ordinals if not (folder and self._place(folder, owner, n).exists()))

    def _open(self, owner: str, ordinal: int) -> LicensedDevice:
        name = f"{owner[: limits.DEVICE_NAME_CHARACTERS - 8]}-{ordinal}"
        key = self._key(owner, ordinal)
        if self._folder is None:
            return LicensedDevice(key, name, LicensesInMemory())
        return Device.open(self._place(self._folder, owner, ordinal), name, key)

    def _place(self, folder: Path, owner: str, ordinal: int) -> Path:
        return folder / self._key(owner, ordinal).device_id.hex()

    def _key(self, owner: str, ordinal: int) -> DeviceKey:
        """Derived from the owner's name, so that workers share no device."""
        made_from = f"tsfarm load device {self._seed} {ordinal} {owner}"
        return DeviceKey(hashlib.sha256(made_from.encode()).digest())
