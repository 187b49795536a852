"""The device's own folder: its key, its name, its licenses.

The key is the device: whoever copies it is the device, so it is refused where others could read it.

    key                     the device's Ed25519 key, PEM, mode 0600
    name                    what the device calls itself
    licenses/FARM/PRODUCT   a token and its issuer's certificate
"""

from __future__ import annotations

import os
import re
import secrets
import socket
import stat
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from clients import files
from clients.files import DeviceStoreError
from clients.known_farms import KnownFarms
from tsproto import identity, limits
from tsproto.errors import LicenseError
from tsproto.license_token import Claims, read_claims
from tsproto.messages import LicenseInfo, LicenseRequest

DEVICE_NAME_CHARACTERS = 64

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class License(msgspec.Struct, frozen=True):
    """A stored token with its issuer's certificate (DER), and what the token says.

    The claims are unverified: terminal servers verify, the device only keeps.
    """

    file: Path
    token: bytes
    issuer_certificate: bytes
    claims: Claims


class _LicenseFile(msgspec.Struct, forbid_unknown_fields=True):
    token: Annotated[bytes, Meta(max_length=limits.TOKEN_BYTES)]
    issuer_certificate: Annotated[bytes, Meta(max_length=limits.CERTIFICATE_BYTES)]


class Device:
    """An open device store."""

    def __init__(self, folder: Path, key: identity.DeviceKey, name: str) -> None:
        self.folder = folder
        self.key = key
        self.name = name
        self.known_farms = KnownFarms(folder)

    @classmethod
    def open(cls, folder: Path, name: str = "") -> Device:
        """Open the store in `folder`, making it with key and name when it is new.

        A `name` that is given replaces the one that the device had; the first one is the host's.
        Raises DeviceStoreError.
        """
        with files.explained(folder):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with files.locked(folder):
                key = _load_key(folder) or _make_key(folder)
                return cls(folder, key, _name_of_device(folder, name))

    def license_info(
        self, farm: str, request: LicenseRequest, server_certificate: bytes, user_name: str
    ) -> LicenseInfo:
        """The answer to a terminal server: the device's proof, and its license where it has one.

        `server_certificate` is the SHA-256 of the server's certificate, zeros on a plain link.
        """
        held = self.license(farm, request.product)
        return LicenseInfo(
            public_key=self.key.public_key,
            signature=self.key.prove(request.nonce, server_certificate),
            device_name=self.name,
            user_name=user_name,
            token=held.token if held else b"",
            issuer_certificate=held.issuer_certificate if held else b"",
        )

    def license(self, farm: str, product: str) -> License | None:
        """The license for this product of this farm, or None."""
        return _read_license(self._license_file(farm, product))

    def licenses(self) -> list[License]:
        """Every license that the device holds, by farm and product."""
        return held_licenses(self.folder)

    def store_license(self, farm: str, token: bytes, issuer_certificate: bytes) -> bytes:
        """Keep a token durably in place of the one for its product; gives its license id.

        Raises DeviceStoreError when the token is unreadable, or of another farm or device: it
        would only push a good one out.
        """
        try:
            claims = read_claims(token)
        except LicenseError as error:
            raise DeviceStoreError(f"the farm sent an unreadable license: {error}") from None
        if claims.device_id != self.key.device_id or claims.farm != farm:
            raise DeviceStoreError(
                "the farm sent a license that is not this device's, so it was not stored: tell the"
                " farm's administrator"
            )
        file = self._license_file(farm, claims.product)
        with files.explained(file), files.locked(self.folder):
            for folder in (file.parent.parent, file.parent):
                files.make_folder(folder)
            files.replace(file, msgspec.json.encode(_LicenseFile(token, issuer_certificate)))
        return claims.license_id

    def _license_file(self, farm: str, product: str) -> Path:
        for name in (farm, product):
            if not _NAME.fullmatch(name):
                raise DeviceStoreError(f"{name!r} names neither a farm nor a product")
        return self.folder / "licenses" / farm / product


def default_folder() -> Path:
    """`$XDG_DATA_HOME/tsfarm`, or `~/.local/share/tsfarm` (XDG Base Directory Specification: a
    relative XDG_DATA_HOME is ignored)."""
    data = os.environ.get("XDG_DATA_HOME", "")
    base = Path(data) if os.path.isabs(data) else Path.home() / ".local" / "share"
    return base / "tsfarm"


def held_licenses(folder: Path) -> list[License]:
    """The licenses in a device's folder, which need not exist; its key is not touched."""
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
    mode = stat.S_IMODE(file.stat().st_mode)
    if mode & 0o077:
        raise DeviceStoreError(
            f"{file} is open to others (mode {mode:04o}), who could pass for this device: run"
            f" `chmod 600 {file}`"
        )
    try:
        return identity.DeviceKey.from_pem(pem)
    except identity.IdentityError as error:
        raise DeviceStoreError(
            f"{file} is damaged ({error}): put a copy back, or delete {folder} to begin anew as"
            " another device"
        ) from None


def _make_key(folder: Path) -> identity.DeviceKey:
    key = identity.DeviceKey.from_seed(secrets.token_bytes(32))
    files.replace(folder / "key", key.to_pem())
    return key


def _name_of_device(folder: Path, wanted: str) -> str:
    file = folder / "name"
    kept = (files.read(file) or b"").decode(errors="replace")
    name = _cleaned(wanted) or _cleaned(kept) or _cleaned(socket.gethostname()) or "device"
    if f"{name}\n" != kept:
        files.replace(file, f"{name}\n".encode())
    return name


def _cleaned(name: str) -> str:
    return _CONTROL.sub("", name).strip()[:DEVICE_NAME_CHARACTERS]


def _read_license(file: Path) -> License | None:
    content = files.read(file)
    if content is None:
        return None
    try:
        kept = msgspec.json.decode(content, type=_LicenseFile)
        return License(file, kept.token, kept.issuer_certificate, read_claims(kept.token))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, LicenseError):
        raise DeviceStoreError(
            f"{file} is damaged: delete it, and the farm gives this device the same license again"
        ) from None
