"""Hello and Welcome: which version is spoken, and whether the peer's role and name are true.

The certificate decides; Hello and Welcome must not contradict it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from tsproto import limits
from tsproto.errors import CertificateRevoked, VersionUnsupported, WrongRole
from tsproto.lawful import have_business
from tsproto.messages import AdministratorRole, Hello, Role, Welcome

if TYPE_CHECKING:
    from tsproto.deny_list import DenyLists
    from tsproto.identity import Identity


class Opening(msgspec.Struct, frozen=True):
    """One end's part in opening a connection; the fields are arguments of `Connection`."""

    role: Role
    name: str
    farm: str
    certified: Identity | None
    trusted: bool
    expect_role: Role | None
    expect_name: str
    deny_lists: DenyLists | None
    certificate: bytes  # SHA-256 of the peer's; empty for none

    @property
    def certified_farm(self) -> str:
        return "" if self.certified is None else self.certified.farm

    def hello(self) -> Hello:
        return Hello(
            version_min=limits.PROTOCOL_VERSION_MIN,
            version_max=limits.PROTOCOL_VERSION_MAX,
            role=self.role,
            name=self.name,
            **self._denied(),
        )

    def welcome(self, hello: Hello) -> Welcome:
        """The answer to `hello`, with the highest version that both speak.

        Raises WrongRole or VersionUnsupported.
        """
        self._check_identity(hello.role, hello.name)
        if not have_business(hello.role, self.role):
            asker, asked = hello.role.words, self.role.words
            raise WrongRole(f"{asker} has nothing to ask {asked}")
        version = min(hello.version_max, limits.PROTOCOL_VERSION_MAX)
        if version < max(hello.version_min, limits.PROTOCOL_VERSION_MIN):
            raise _unspoken(f"{hello.version_min} to {hello.version_max}")
        return Welcome(
            version=version, role=self.role, name=self.name, farm=self.farm, **self._denied()
        )

    def check_welcome(self, welcome: Welcome) -> None:
        """Raises WrongRole or VersionUnsupported."""
        self._check_identity(welcome.role, welcome.name)
        if welcome.role not in Welcome.entry.senders:
            raise WrongRole(f"{welcome.role.words} welcomes nobody")
        if not limits.PROTOCOL_VERSION_MIN <= welcome.version <= limits.PROTOCOL_VERSION_MAX:
            raise _unspoken(str(welcome.version))

    def unpermitted(self, wanted: AdministratorRole) -> str:
        """Why the administrator at the other end may not ask this; empty if it may. On a trusted
        connection there is no certificate, and everything is permitted."""
        if self.certified is None:
            return ""
        has = self.certified.administrator_role
        if has is not None and has.includes(wanted):
            return ""
        return (
            f"wants an administrator with the role {wanted.word}; the certificate of"
            f" {self.certified.name!r} says {has.word if has else 'none'}"
        )

    def _denied(self) -> dict[str, int]:
        if self.deny_lists is None:
            return {}
        certificates, devices = self.deny_lists.numbers
        is_client = self.role is Role.CLIENT
        return {
            "denied_certificates": certificates,
            "denied_devices": 0 if is_client else devices,
        }

    def _check_identity(self, role: Role, name: str) -> None:
        said = f"{role.words} {name!r}"
        if self.deny_lists and self.deny_lists.denies_certificate(self.certificate):
            raise CertificateRevoked(revoked(said, self.certificate))
        if self.certified is None:
            if not self.trusted and role is not Role.CLIENT:
                raise WrongRole(f"the peer calls itself {said} and showed no certificate")
        elif (role, name) != (self.certified.role, self.certified.name):
            certified = f"{self.certified.role.words} {self.certified.name!r}"
            raise WrongRole(f"the peer calls itself {said}, its certificate says {certified}")
        wanted_role = self.expect_role or role
        wanted_name = self.expect_name or name
        if (role, name) != (wanted_role, wanted_name):
            wanted = f"{wanted_role.words} {wanted_name!r}"
            raise WrongRole(f"the peer is {said}, wanted was {wanted}")


def revoked(whose: str, certificate: bytes) -> str:
    """Why nobody talks to the peer any more, for the Goodbye."""
    return (
        f"{whose} shows a revoked certificate (SHA-256 {certificate.hex()}): if it is still to"
        " serve, issue a new one with `tsfarm pki issue`"
    )


def _unspoken(versions: str) -> VersionUnsupported:
    spoken = f"{limits.PROTOCOL_VERSION_MIN} to {limits.PROTOCOL_VERSION_MAX}"
    return VersionUnsupported(f"this end speaks versions {spoken}, the peer {versions}")
