"""The device's own folder: its key, its name, its licenses.

The key is the device's identity. A key that other users could read is refused, since a copy of it
passes for the device.

    key                     the device's Ed25519 key, PEM, mode 0600
    name                    the device's name, for people
    licenses/FARM/PRODUCT   a token and its issuer's certificate
"""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from clients import files
from clients.files import DeviceStoreError
from clients.known_farms import KnownFarms
from clients.licensed_device import License, LicensedDevice
from daemons.files import durable, private
from tsproto import identity, limits
from tsproto.errors import LicenseError
from tsproto.license_token import read_claims
from tsproto.printable import UNPRINTABLE

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_UNPRINTABLE = re.compile(f"[{UNPRINTABLE}]")


class _LicenseFile(msgspec.Struct, forbid_unknown_fields=True):
    token: Annotated[bytes, Meta(max_length=limits.TOKEN_BYTES)]
    issuer_certificate: Annotated[bytes, Meta(max_length=limits.CERTIFICATE_BYTES)]


class Device(LicensedDevice):
    """An open device store."""

    def __init__(self, folder: Path, key: identity.DeviceKey, name: str) -> None:
        super().__init__(key, name, LicenseFolder(folder))
        self.folder = folder
        self.known_farms = KnownFarms(folder)

    @classmethod
    def open(
        cls, folder: Path, name: str = "", new_key: identity.DeviceKey | None = None
    ) -> Device:
        """Opens the store in `folder`, and makes it with key and name when it is new.

        A given `name` replaces the device's; a new device without one takes the host's name.
        Without `new_key` a new store draws its key. Raises DeviceStoreError.
        """
        with files.explained(folder):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if intrusion := private.intrusion(folder):
                raise DeviceStoreError(intrusion)
            with durable.locked(folder / "lock"):
                key = _load_key(folder) or _keep_key(folder, new_key)
                return cls(folder, key, _name_of_device(folder, name))


class LicenseFolder:
    """Licenses as files in a device's folder, which must exist. A crash leaves the old or the new
    file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, farm: str, product: str) -> License | None:
        return _read_license(self._file(farm, product))

    def keep(self, held: License) -> None:
        file = self._file(held.claims.farm, held.claims.product)
        content = _LicenseFile(held.token, held.issuer_certificate)
        with files.explained(file), durable.locked(self._folder / "lock"):
            for folder in (file.parent.parent, file.parent):
                durable.make_folder(folder)
            durable.replace(file, msgspec.json.encode(content))

    def _file(self, farm: str, product: str) -> Path:
        for name in (farm, product):
            if not _NAME.fullmatch(name):
                raise DeviceStoreError(f"{name!r} names neither a farm nor a product")
        return self._folder / "licenses" / farm / product


def default_folder() -> Path:
    """`$XDG_DATA_HOME/tsfarm`, or `~/.local/share/tsfarm` (XDG Base Directory Specification: a
    relative XDG_DATA_HOME is ignored)."""
    data = os.environ.get("XDG_DATA_HOME", "")
    base = Path(data) if os.path.isabs(data) else Path.home() / ".local" / "share"
    return base / "tsfarm"


def held_licenses(folder: Path) -> list[License]:
    """The licenses in a device's folder, by farm and product; none if there is no folder. The key
    is not read."""
    with files.explained(folder):
        paths = sorted((folder / "licenses").glob("*/*"))
    held = [_read_license(path) for path in paths if _NAME.fullmatch(path.name)]
    return [each for each in held if each is not None]


def _load_key(folder: Path) -> identity.DeviceKey | None:
    file = folder / "key"
    pem = files.read(file)
    if pem is None:
        if any((folder / "licenses").glob("*/*")):
            raise DeviceStoreError(
                f"{file} is missing, and the licenses beside it are worthless without it: put the"
                f" key back, or delete {folder / 'licenses'} to begin anew as another device"
            )
        return None
    if exposed := private.exposure(file, "device"):
        raise DeviceStoreError(exposed)
    try:
        return identity.DeviceKey.from_pem(pem)
    except identity.IdentityError as error:
        raise DeviceStoreError(
            f"{file} is damaged ({error}): put a copy back, or delete {folder} to begin anew as"
            " another device"
        ) from None


def _keep_key(folder: Path, given: identity.DeviceKey | None) -> identity.DeviceKey:
    key = given or identity.DeviceKey(os.urandom(32))
    durable.replace(folder / "key", key.to_pem())
    return key


def _name_of_device(folder: Path, wanted: str) -> str:
    file = folder / "name"
    kept = (files.read(file) or b"").decode(errors="replace")
    name = _cleaned(wanted) or _cleaned(kept) or _cleaned(socket.gethostname()) or "device"
    if f"{name}\n" != kept:
        durable.replace(file, f"{name}\n".encode())
    return name


def _cleaned(name: str) -> str:
    return _UNPRINTABLE.sub("", name).strip()[: limits.DEVICE_NAME_CHARACTERS]


def _read_license(file: Path) -> License | None:
    content = files.read(file)
    if content is None:
        return None
    try:
        kept = msgspec.json.decode(content, type=_LicenseFile)
        return License(kept.token, kept.issuer_certificate, read_claims(kept.token))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, LicenseError):
        raise DeviceStoreError(
            f"{file} is damaged: delete it, and the farm gives this device the same license again"
        ) from None
