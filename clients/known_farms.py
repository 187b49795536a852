"""The farms that the user trusts, kept as ssh keeps `known_hosts`.

A user accepts an authority once; every host is remembered with the authority that it showed first.
A host that shows another one later is refused until the user deletes its line, unless the authority
that is known endorses the new one. Both are trusted for a while then, since other hosts behind the
same address may still show the old one.

    known_farms            `HOST:PORT FINGERPRINT [OLDER UNTIL]`, a line for every known host; OLDER
                           is the fingerprint of the authority before, UNTIL the last day of it
    authorities/HEX.pem    the accepted authority of that fingerprint
    authorities/HEX.deny   the newest deny list of certificates that it has signed
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import msgspec

from clients import files
from clients.files import DeviceStoreError
from daemons.files import durable
from tsproto import identity
from tsproto.errors import DenyListError
from tsproto.limits import TEMPORARY_DAYS

KNOWN_FARMS_BYTES_MAX = 4 * 1024 * 1024  # some 50,000 hosts

OLDER_DAYS = TEMPORARY_DAYS  # a rotation lasts at least so long, see `tsfarm pki rotate --finish`

_FINGERPRINT = "(?:[0-9A-F]{2}:){31}[0-9A-F]{2}"
_LINE = re.compile(rf"\S+ {_FINGERPRINT}(?: {_FINGERPRINT} \d{{4}}-\d{{2}}-\d{{2}})?")


class KnownHost(msgspec.Struct, frozen=True):
    """Fingerprints as users read them; `until` is a date, empty where there is no `older`."""

    fingerprint: str
    older: str = ""
    until: str = ""

    def words(self) -> list[str]:
        return [word for word in msgspec.structs.astuple(self) if word]


class KnownFarms:
    """The trusted farms in a device's folder, which exists."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.file = folder / "known_farms"

    def authorities(self, today: date) -> list[bytes]:
        """The authorities (certificates, PEM) that count on this day, in the order of their
        fingerprints."""
        with files.explained(self._folder):
            paths = sorted((self._folder / "authorities").glob("*.pem"))
        hosts = self._hosts().values()
        over = {_hex(host.older) for host in hosts if host.until < today.isoformat()}
        over -= {_hex(host.fingerprint) for host in hosts}
        return [
            pem for path in paths if path.stem not in over and (pem := _authority(path)) is not None
        ]

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
        known = self._hosts().get(_where(host, port))
        return None if known is None else known.fingerprint

    def authorities_of(self, host: str, port: int, today: date) -> list[bytes]:
        """The authorities (PEM) that a known host may show, the newest first."""
        known = self._hosts()[_where(host, port)]
        shown = [known.fingerprint, *([known.older] if today.isoformat() <= known.until else [])]
        found = (self.authority(bytes.fromhex(_hex(each))) for each in shown)
        return [pem for pem in found if pem is not None]

    def remember(self, host: str, port: int, authority: bytes) -> None:
        """Keeps this authority (PEM), which the user has accepted, and this host as one of its
        farm.

        A host that is known with another authority keeps that one.
        """
        new = {_where(host, port): KnownHost(identity.show_fingerprint(_fingerprint(authority)))}
        self._keep(authority, lambda hosts: {**hosts, **new, **hosts})

    def succeed(self, host: str, port: int, authority: bytes, today: date) -> None:
        """Keeps this authority (PEM), which a known one has endorsed. A host that is known trusts
        the one before for OLDER_DAYS more; an unknown one stays unknown."""
        where, shown = _where(host, port), identity.show_fingerprint(_fingerprint(authority))
        until = (today + timedelta(days=OLDER_DAYS)).isoformat()

        def changed(hosts: dict[str, KnownHost]) -> dict[str, KnownHost]:
            if where not in hosts or hosts[where].fingerprint == shown:
                return hosts
            return {**hosts, where: KnownHost(shown, hosts[where].fingerprint, until)}

        self._keep(authority, changed)

    def _keep(
        self,
        authority: bytes,
        change: Callable[[dict[str, KnownHost]], dict[str, KnownHost]],
    ) -> None:
        fingerprint = _fingerprint(authority)
        with files.explained(self.file), durable.locked(self._folder / "lock"):
            if self.authority(fingerprint) is None:
                path = self._authority_file(fingerprint)
                durable.make_folder(path.parent)
                durable.replace(path, authority)
            hosts = self._hosts()
            changed = change(hosts)
            if changed != hosts:
                lines = (" ".join([where, *known.words()]) for where, known in changed.items())
                durable.replace(self.file, "".join(f"{line}\n" for line in lines).encode())

    def _authority_file(self, fingerprint: bytes) -> Path:
        return self._folder / "authorities" / f"{fingerprint.hex()}.pem"

    def _deny_list_file(self, authority: bytes) -> Path:
        return self._authority_file(_fingerprint(authority)).with_suffix(".deny")

    def _hosts(self) -> dict[str, KnownHost]:
        content = files.read(self.file, KNOWN_FARMS_BYTES_MAX) or b""
        hosts: dict[str, KnownHost] = {}
        for number, line in enumerate(content.decode(errors="replace").splitlines(), start=1):
            if not _LINE.fullmatch(line):
                raise DeviceStoreError(
                    f"{self.file}, line {number}: expected HOST:PORT AA:BB:…; correct or delete it"
                )
            where, *words = line.split()
            hosts[where] = KnownHost(*words)
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


def _hex(shown: str) -> str:
    """A fingerprint as the name of a file has it."""
    return shown.replace(":", "").lower()
