"""Where a case is played: the target, the peers that the suite plays, and what both have said.

A target is what is tested, in process under virtual time or at an address. A case sees none of the
difference: it dials, says, hears, and lets time pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Protocol

import msgspec

from tsproto.messages import Role


def word_of(role: Role) -> str:
    """As the command line and certificates call it: license-server."""
    return role.name.lower().replace("_", "-")


class Unmet(Exception):
    """What was expected did not come. The text says what was expected, and what came."""


class Unavailable(Exception):
    """This target cannot show it; the text says why. The case is skipped, not passed."""


class Cast(Enum):
    """How the target is set up, and who plays the daemons that it dials itself: right ones, or the
    case."""

    RIGHT = "right"
    OUTSIDE_A_LAB = "right, and no lab moves its clock"
    PLAYED = "played"
    SECOND_VERSION = "played, and it runs version 2 of the product"
    TWO_LICENSE_SERVERS = "played, and two license servers are listed"
    SEARCHED = "played, and the license server has to be found"
    GRACE = "no license server and no directory, but a grace period"
    CHOOSY = "serves the terminal server `served` alone"
    BUSY = "checks too many passwords already"
    ONE_SESSION = "one session at most"


# In these the target dials the suite when it starts.
DIALS_THE_SUITE = (
    Cast.PLAYED,
    Cast.SECOND_VERSION,
    Cast.TWO_LICENSE_SERVERS,
    Cast.SEARCHED,
)


class Said(msgspec.Struct, frozen=True):
    """Bytes on one link: `who` is the suite's peer, `heard` tells the target's from ours. No bytes
    mean the end of the link."""

    who: str
    heard: bool
    data: bytes


class Line(Protocol):
    """The suite's end of one link; `name` is what the suite is called there. `certificate` is the
    SHA-256 of the target's certificate, 32 zero bytes on a plain link."""

    name: str
    certificate: bytes

    def write(self, data: bytes) -> None: ...

    def read(self, seconds: float) -> bytes | None:
        """What came within this time: bytes, b"" for the end of the link, None for nothing."""

    def close(self) -> None: ...


class Issuer(msgspec.Struct, frozen=True):
    """A license server that the suite plays: its name, its certificate (DER), its key (PEM)."""

    name: str
    certificate: bytes
    key: bytes


class User(msgspec.Struct, frozen=True):
    name: str
    password: bytes


class Target(Protocol):
    """What is tested. Whatever it cannot do raises Unavailable.

    `seconds` is how long an answer may take, `longest_seconds` how long a case may wait for a
    deadline, `all_points` whether cuts and splits are tried at
    every byte or at some, `product` what its licenses are for, `applications` what its users may
    start, `scopes` where it is found: workgroup 1, domain 2, site 3.
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
        """Nothing more is asked of it."""

    def begin(self) -> None:
        """A case begins: a client under test starts anew."""

    def dial(self, role: Role, name: str, to: Role) -> Line:
        """A link to the target, or to the right daemon of another role beside it."""

    def accept(self, role: Role, seconds: float) -> Line:
        """A link that the target has dialled to the `role` that the suite plays."""

    def issuer(self, role: Role, name: str, farm: str, expired: bool) -> Issuer:
        """A certificate of that farm: the target's own, or one that is invented."""

    def now(self) -> float: ...

    def let_pass(self, seconds: float) -> None:
        """Time passes, and links live on."""

    def move_clock(self, seconds: float) -> None:
        """Days pass; links may break."""

    def broken_application(self) -> str:
        """The name of an application that cannot be started."""

    def disconnect(self) -> None:
        """The user of a client under test leaves the session running."""

    def accepting_at(self) -> tuple[str, int]:
        """Address and port at which a client under test finds the suite."""

    def send_datagram(self, datagram: bytes) -> None:
        """To the target's discovery port."""

    def answer_query(self, datagram: bytes) -> None:
        """To where the target's last query came from."""

    def datagram(self, seconds: float) -> bytes | None:
        """What the target sent, to us or as a broadcast."""

    def dial_with_no_identity(self) -> Line:
        """With a certificate of the farm's authority in which no role and name stand."""

    def accept_as_a_stranger(self, seconds: float) -> Line:
        """As a terminal server whose certificate another authority signed."""

    def accepts_tls_1_2(self) -> bool: ...

    def accepts_a_foreign_certificate(self) -> bool: ...

    def restart(self) -> None:
        """The target dies without a word, and starts again from what it has made durable."""


class Transcript:
    """All that was said on one stage, in its order; the longest and oldest is forgotten first."""

    KEPT = 400

    def __init__(self) -> None:
        self.said: list[Said] = []

    def note(self, who: str, heard: bool, data: bytes) -> None:
        self.said.append(Said(who, heard, data))
        del self.said[: -self.KEPT]
