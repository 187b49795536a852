"""The farms that the user trusts, kept as ssh keeps `known_hosts`.

A user accepts an authority once; every host is remembered with the authority that it showed first.
A host that shows another one later is refused until the user deletes its line.

    known_farms            `HOST:PORT FINGERPRINT`, a line for every known host
    authorities/HEX.pem    the accepted authority of that fingerprint
    authorities/HEX.deny   the newest deny list of certificates that it has signed
"""

from __future__ import annotations

import re
import ssl
from pathlib import Path

from clients import files
from clients.files import DeviceStoreError
from daemons.files import durable
from tsproto import identity
from tsproto.errors import DenyListError

KNOWN_FARMS_BYTES_MAX = 4 * 1024 * 1024  # some 50,000 hosts

_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")


class KnownFarms:
    """The trusted farms in a device's folder, which exists."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.file = folder / "known_farms"

    def authorities(self) -> list[bytes]:
        """The accepted authorities (certificates, PEM) in the order of their fingerprints."""
        with files.explained(self._folder):
            paths = sorted((self._folder / "authorities").glob("*.pem"))
        return [pem for path in paths if (pem := _authority(path)) is not None]

    def authority(self, fingerprint: bytes) -> bytes | None:
        """The accepted authority of this SHA-256, as PEM, or None."""
        return _authority(self._authority_file(fingerprint))

    def deny_list(self, authority: bytes) -> bytes:
        """The deny list kept for this authority (PEM), as it was signed; empty for none."""
        file = self._deny_list_file(authority)
        signed = files.read(file)
        if signed:
            from tsproto import deny_list

            try:
                deny_list.read(signed)
            except DenyListError:
                raise DeviceStoreError(
                    f"{file} is damaged: delete it, and the farm's next server sends it again"
                ) from None
        return signed or b""

    def keep_deny_list(self, authority: bytes, signed: bytes) -> None:
        """Keeps a verified deny list, durably."""
        file = self._deny_list_file(authority)
        with files.explained(file), durable.locked(self._folder / "lock"):
            durable.make_folder(file.parent)
            durable.replace(file, signed)

    def fingerprint_of(self, host: str, port: int) -> str | None:
        """The fingerprint, as shown to users, of this host's authority; None for an unknown
        host."""
        return self._hosts().get(_where(host, port))

    def remember(self, host: str, port: int, authority: bytes) -> None:
        """Keeps this authority (PEM), which the user has accepted, and this host as one of its
        farm.

        A host that is known with another authority keeps that one.
        """
        fingerprint = _fingerprint(authority)
        with files.explained(self.file), durable.locked(self._folder / "lock"):
            if self.authority(fingerprint) is None:
                path = self._authority_file(fingerprint)
                durable.make_folder(path.parent)
                durable.replace(path, authority)
            hosts = self._hosts()
            if _where(host, port) not in hosts:
                hosts[_where(host, port)] = identity.show_fingerprint(fingerprint)
                lines = "".join(f"{where} {shown}\n" for where, shown in hosts.items())
                durable.replace(self.file, lines.encode())

    def _authority_file(self, fingerprint: bytes) -> Path:
        return self._folder / "authorities" / f"{fingerprint.hex()}.pem"

    def _deny_list_file(self, authority: bytes) -> Path:
        return self._authority_file(_fingerprint(authority)).with_suffix(".deny")

    def _hosts(self) -> dict[str, str]:
        content = files.read(self.file, KNOWN_FARMS_BYTES_MAX) or b""
        hosts: dict[str, str] = {}
        for number, line in enumerate(content.decode(errors="replace").splitlines(), start=1):
            words = line.split()
            if len(words) != 2 or not _FINGERPRINT.fullmatch(words[1]):
                raise DeviceStoreError(
                    f"{self.file}, line {number}: expected HOST:PORT SHA256:…; correct or delete it"
                )
            hosts[words[0]] = words[1]
        return hosts


def _authority(path: Path) -> bytes | None:
    pem = files.read(path)
    if pem is None:
        return None
    try:
        fingerprint = _fingerprint(pem)
    except ValueError:
        fingerprint = b""
    if fingerprint.hex() != path.stem:
        raise DeviceStoreError(
            f"{path} is damaged: delete it, and compare the farm's fingerprint at the next"
            " connection"
        )
    return pem


def _fingerprint(authority: bytes) -> bytes:
    """Raises ValueError when this is no certificate in PEM form."""
    return identity.fingerprint(ssl.PEM_cert_to_DER_cert(authority.decode("ascii")))


def _where(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
