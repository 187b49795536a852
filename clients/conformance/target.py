"""The surroundings of a case: its target, the peers that the suite plays, and the transcript.

A target is tested in process under virtual time, or at an address. A case is the same for both: it
dials, sends, reads, and lets time pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Protocol

import msgspec

from clients.conformance.user import User
from tsproto.messages import Role


def word_of(role: Role) -> str:
    """The role's word on the command line and in certificates: license-server."""
    return role.name.lower().replace("_", "-")


class Unmet(Exception):
    """An expectation was not met. The text says what was expected, and what came."""


class Unavailable(Exception):
    """The case cannot be played on this target; the text says why. It is skipped, not passed."""


class Setup(Enum):
    """How the target is set up, and whether the daemons that it dials are right ones or played by
    the case."""

    RIGHT = "right"
    OUTSIDE_A_LAB = "right, and no lab moves its clock"
    PLAYED = "played"
    SECOND_VERSION = "played, and it runs version 2 of the product"
    TWO_LICENSE_SERVERS = "played, and two license servers are listed"
    SEARCHED = "played, and the license server has to be found"
    GRACE = "no license server and no directory, but a grace period"
    CHOOSY = "serves the terminal server `served` alone"
    BUSY = "cannot judge proofs now"
    PAM = "offers PAM, which asks for the user's password"
    ONE_SESSION = "one session at most"


# With these set-ups the target dials the suite when it starts.
DIALS_THE_SUITE = (
    Setup.PLAYED,
    Setup.SECOND_VERSION,
    Setup.TWO_LICENSE_SERVERS,
    Setup.SEARCHED,
)


class Said(msgspec.Struct, frozen=True):
    """Bytes on one link: `who` is the suite's peer, `heard` whether the target sent them. No bytes
    mean the end of the link."""

    who: str
    heard: bool
    data: bytes


class Line(Protocol):
    """The suite's end of one link; `name` is the name of the peer that the suite plays.

    `certificate` is the SHA-256 of the certificate that the listening end showed, `own_certificate`
    that of the suite's; 32 zero bytes for none, and on a plain link.
    """

    name: str
    certificate: bytes
    own_certificate: bytes

    def write(self, data: bytes) -> None: ...

    def read(self, seconds: float) -> bytes | None:
        """The bytes that come within these seconds; b"" for the end of the link, None for
        nothing."""

    def close(self) -> None: ...


class Issuer(msgspec.Struct, frozen=True):
    """A license server that the suite plays: its name, its certificate (DER), its key (PEM)."""

    name: str
    certificate: bytes
    key: bytes


class Target(Protocol):
    """The implementation under test. A method that it cannot carry out raises Unavailable.

    `seconds` is how long an answer may take, `longest_seconds` how long a case may wait for a
    deadline, `all_points` whether frames are cut at every byte or at some. `product` is the product
    of its licenses, `applications` are those that its users may start, `scopes` the names of its
    workgroup (1), domain (2) and site (3).
    """

    role: Role
    farm: str
    product: str
    seconds: float
    longest_seconds: float
    has_sockets: bool
    has_certificates: bool
    all_points: bool
    users: Sequence[User]
    applications: Sequence[str]
    scopes: dict[int, str]

    def stop(self) -> None:
        """Ends the use of the target."""

    def begin(self) -> None:
        """A case begins: a client under test starts anew."""

    def dial(self, role: Role, name: str, to: Role) -> Line:
        """A link to the target, or to the right daemon of another role beside it."""

    def accept(self, role: Role, seconds: float) -> Line:
        """The next link that the target dials to the suite in this `role`."""

    def issuer(self, role: Role, name: str, farm: str, expired: bool) -> Issuer:
        """A license server with a certificate of that farm: the target's own farm, or an invented
        one."""

    def authority(self) -> Issuer:
        """The authority of the target's farm."""

    def fingerprint(self, role: Role, name: str) -> bytes:
        """SHA-256 of the certificate with which the suite plays this peer."""

    def now(self) -> float: ...

    def let_pass(self, seconds: float) -> None:
        """Lets time pass; links stay open."""

    def move_clock(self, seconds: float) -> None:
        """Moves the target's clock forward; links may break."""

    def broken_application(self) -> str:
        """The name of an application that cannot be started."""

    def disconnect(self) -> None:
        """Makes a client under test leave its session running."""

    def accepting_at(self) -> tuple[str, int]:
        """The address and port at which a client under test finds the suite."""

    def send_datagram(self, datagram: bytes) -> None:
        """Sends to the target's discovery port."""

    def answer_query(self, datagram: bytes) -> None:
        """Sends to the address of the target's last query."""

    def datagram(self, seconds: float) -> bytes | None:
        """The target's next datagram, to the suite or as a broadcast."""

    def dial_with_no_identity(self) -> Line:
        """A link with a certificate of the farm's authority that carries no role and name."""

    def accept_as_a_stranger(self, seconds: float) -> Line:
        """The next link that the target dials; the suite shows a certificate of another
        authority."""

    def strangers_authority(self) -> bytes:
        """That authority's certificate, DER."""

    def accept_without_address(self, seconds: float) -> Line:
        """The next link that the target dials; the suite's certificate carries its name, and not
        the address."""

    def accepts_tls_1_2(self) -> bool: ...

    def accepts_a_foreign_certificate(self) -> bool: ...

    def restart(self) -> None:
        """Kills the target, and starts it again with its durable state."""


class Transcript:
    """The last KEPT pieces that were said in one case, in their order."""

    KEPT = 400

    def __init__(self) -> None:
        self.said: list[Said] = []

    def note(self, who: str, heard: bool, data: bytes) -> None:
        self.said.append(Said(who, heard, data))
        del self.said[: -self.KEPT]
