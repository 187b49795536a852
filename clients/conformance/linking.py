"""The links of one case: between the peers that the suite plays and its target."""

from __future__ import annotations

import random

from clients.conformance.peer import Peer
from clients.conformance.target import Line, Setup, Target, Transcript
from tsproto import limits
from tsproto.messages import Hello, Role, Welcome

NAMES = {
    Role.CLIENT: "device",
    Role.TERMINAL_SERVER: "conformance-ts",
    Role.LICENSE_SERVER: "conformance-ls",
    Role.SESSION_DIRECTORY: "conformance-sd",
    Role.ADMINISTRATOR: "admin",
}


class Links:
    """One run of one case: its target, and the peers that the suite plays."""

    def __init__(self, target: Target, setup: Setup, rng: random.Random) -> None:
        self.target = target
        self.setup = setup
        self.rng = rng
        self.transcript = Transcript()
        self.target_name = ""  # as its latest Welcome says
        self._peers: list[Peer] = []

    @property
    def now(self) -> float:
        return self.target.now()

    def dial(self, role: Role = Role.CLIENT, *, name: str = "", to: Role | None = None) -> Peer:
        """A new link on which neither end has sent anything yet."""
        to = to or self.target.role
        name = name or NAMES[role]
        return self._peer(role, self.target.dial(role, name, to))

    def open(self, role: Role = Role.CLIENT, *, name: str = "", to: Role | None = None) -> Peer:
        """A link after Hello and Welcome."""
        peer = self.dial(role, name=name, to=to)
        peer.say(hello(role, peer.name))
        welcome = peer.hear(Welcome)
        if welcome.role is self.target.role:
            self.target_name = welcome.name
        return peer

    def accept(self, role: Role, *, seconds: float | None = None) -> Peer:
        """The link that the target dials to this role, after Hello and Welcome."""
        return self._welcomed(self.accept_unwelcomed(role, seconds=seconds))

    def accept_unwelcomed(self, role: Role, *, seconds: float | None = None) -> Peer:
        line = self.target.accept(role, self.target.seconds if seconds is None else seconds)
        return self._peer(role, line)

    def dial_with_no_identity(self) -> Peer:
        return self._peer(Role.ADMINISTRATOR, self.target.dial_with_no_identity())

    def accept_as_a_stranger(self) -> Peer:
        line = self.target.accept_as_a_stranger(self.target.seconds)
        return self._peer(Role.TERMINAL_SERVER, line)

    def begin_again(self) -> None:
        """A client under test is started again; a daemon is left running."""
        self.target.begin()

    def welcome(self, role: Role, name: str = "") -> Welcome:
        version = limits.PROTOCOL_VERSION_MAX
        return Welcome(version=version, role=role, name=name or NAMES[role], farm=self.target.farm)

    def leave(self) -> None:
        for peer in self._peers:
            peer.hang_up()

    def _welcomed(self, peer: Peer) -> Peer:
        self.target_name = peer.hear(Hello).name
        peer.say(self.welcome(peer.role, peer.name))
        return peer

    def _peer(self, role: Role, line: Line) -> Peer:
        label = f"{role.name.lower()} {len(self._peers) + 1}"
        peer = Peer(
            label,
            role,
            line,
            seconds=self.target.seconds,
            now=self.target.now,
            said=self.transcript,
        )
        self._peers.append(peer)
        return peer


def hello(
    role: Role = Role.CLIENT,
    name: str = "",
    lowest: int = limits.PROTOCOL_VERSION_MIN,
    highest: int = limits.PROTOCOL_VERSION_MAX,
) -> Hello:
    name = name or NAMES[role]
    return Hello(version_min=lowest, version_max=highest, role=role, name=name)
