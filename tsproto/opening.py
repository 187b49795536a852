"""Hello and Welcome: which version is spoken, and whether the peer's role and name are true.

The certificate decides; Hello and Welcome must not contradict it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tsproto import limits
from tsproto.errors import VersionUnsupported, WrongRole
from tsproto.lawful import have_business, role_words
from tsproto.messages import Hello, Role, Welcome

if TYPE_CHECKING:
    from tsproto.identity import Identity


class Opening:
    """One end's part in opening a connection; the arguments are those of `Connection`."""

    def __init__(
        self,
        role: Role,
        name: str,
        farm: str,
        certified: Identity | None,
        trusted: bool,
        expect_role: Role | None,
        expect_name: str,
    ) -> None:
        self._role = role
        self._name = name
        self._farm = farm
        self._certified = certified
        self._trusted = trusted
        self._expect_role = expect_role
        self._expect_name = expect_name

    @property
    def certified_farm(self) -> str:
        return "" if self._certified is None else self._certified.farm

    def hello(self) -> Hello:
        return Hello(
            version_min=limits.PROTOCOL_VERSION_MIN,
            version_max=limits.PROTOCOL_VERSION_MAX,
            role=self._role,
            name=self._name,
        )

    def welcome(self, hello: Hello) -> Welcome:
        """The answer to `hello`, with the highest version that both speak.

        Raises WrongRole or VersionUnsupported.
        """
        self._check_identity(hello.role, hello.name)
        if not have_business(hello.role, self._role):
            asker, asked = role_words(hello.role), role_words(self._role)
            raise WrongRole(f"{asker} has nothing to ask {asked}")
        version = min(hello.version_max, limits.PROTOCOL_VERSION_MAX)
        if version < max(hello.version_min, limits.PROTOCOL_VERSION_MIN):
            raise _unspoken(f"{hello.version_min} to {hello.version_max}")
        return Welcome(version=version, role=self._role, name=self._name, farm=self._farm)

    def check_welcome(self, welcome: Welcome) -> None:
        """Raises WrongRole or VersionUnsupported."""
        self._check_identity(welcome.role, welcome.name)
        if welcome.role not in Welcome.entry.senders:
            raise WrongRole(f"{role_words(welcome.role)} welcomes nobody")
        if not limits.PROTOCOL_VERSION_MIN <= welcome.version <= limits.PROTOCOL_VERSION_MAX:
            raise _unspoken(str(welcome.version))

    def _check_identity(self, role: Role, name: str) -> None:
        said = f"{role_words(role)} {name!r}"
        if self._certified is None:
            if not self._trusted and role is not Role.CLIENT:
                raise WrongRole(f"the peer calls itself {said} and showed no certificate")
        elif (role, name) != (self._certified.role, self._certified.name):
            certified = f"{role_words(self._certified.role)} {self._certified.name!r}"
            raise WrongRole(f"the peer calls itself {said}, its certificate says {certified}")
        wanted_role = self._expect_role or role
        wanted_name = self._expect_name or name
        if (role, name) != (wanted_role, wanted_name):
            wanted = f"{role_words(wanted_role)} {wanted_name!r}"
            raise WrongRole(f"the peer is {said}, wanted was {wanted}")


def _unspoken(versions: str) -> VersionUnsupported:
    spoken = f"{limits.PROTOCOL_VERSION_MIN} to {limits.PROTOCOL_VERSION_MAX}"
    return VersionUnsupported(f"this end speaks versions {spoken}, the peer {versions}")
