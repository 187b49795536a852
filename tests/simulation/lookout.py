"""Hands what is seen at the edges of cores, disks and devices to the laws that are about it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from daemons.effects import Ask, Caller, Close, Effect, Outcome, Peer, Persist
from tests.simulation import faults
from tests.simulation.admissions import Admissions
from tests.simulation.answers import Answers
from tests.simulation.device import Device
from tests.simulation.histories import Histories
from tests.simulation.license_rows import LicenseRows
from tests.simulation.logons import Logons
from tests.simulation.marks import Marks
from tests.simulation.node import Node
from tests.simulation.placements import Placements
from tests.simulation.proofs import Proofs
from tests.simulation.session_rows import SessionRows
from tests.simulation.watch import WatchedKind
from tsproto.license_token import Claims
from tsproto.messages import (
    AcquireLicense,
    JoinFarm,
    LendLicense,
    LicenseIssued,
    LogonAccepted,
    Message,
    PlaceSession,
    RenewLicense,
    Role,
)

if TYPE_CHECKING:
    from tests.simulation.farm import Farm


class Lookout:
    """Keeps what one law or another has to remember of a run."""

    def __init__(self, farm: Farm) -> None:
        self._farm = farm
        self.license_rows = LicenseRows(farm)
        self.session_rows = SessionRows(farm)
        self.proofs = Proofs(farm)
        self.logons = Logons(farm, self.proofs)
        self._admissions = Admissions(farm)
        self._answers = Answers(farm)
        self.placements = Placements(farm)
        self.histories = Histories(farm)
        self._marks = Marks(farm.world.seen)
        self._requests: dict[tuple[str, int, int, int], Message] = {}

    def watch(self) -> None:
        """From now on: all devices, and the daemons that start."""
        for node in self._farm.nodes:
            node.kind = WatchedKind(node.kind, self)
            node.disk.before = partial(self.changed, node)
        for device in self._farm.devices:
            device.on_token = self._stored
            device.on_attached = self._attached
            device.on_signed = self.proofs.on_signed
        for _, kind in self._farm.terminal_servers:
            kind.keeper.watcher = self.proofs

    # --- around cores ---------------------------------------------------------------------------

    def asked(self, node: Node, caller: Caller, message: Message, now: float) -> None:
        peer = caller.peer
        if self._farm.is_device(peer):
            self._admissions.asked(node, peer, message)
            self.logons.asked(node, peer, message)
            self.session_rows.asked(node, peer, message)
            self.histories.users.asked(node, peer, message)
        elif node is self._farm.directory and self._farm.is_node(peer):
            if isinstance(message, JoinFarm):
                self.placements.joins(node, peer.name)
            self.placements.told(message)
            if isinstance(message, PlaceSession):
                self.proofs.shown(message)
        elif node.kind.role is Role.LICENSE_SERVER and self._farm.is_node(peer):
            self._answers.asked(node, message)
        elif node.kind.role is Role.LICENSE_SERVER:
            self.histories.licenses.stranger_asks(node, peer, message)
        if self._farm.unheard and isinstance(message, LendLicense | RenewLicense):
            if peer.role is Role.LICENSE_SERVER and self._farm.is_node(peer):
                faults.lose_the_answer(self._farm, node, peer.name, message, self._farm.unheard)
        if caller.request_id:
            self._requests[node.name, node.life, peer.link, caller.request_id] = message

    def answered(self, node: Node, caller: Caller, answer: Message, now: float) -> None:
        key = node.name, node.life, caller.peer.link, caller.request_id
        request = self._requests.pop(key, None)
        if isinstance(request, AcquireLicense) and self._farm.is_node(caller.peer):
            self._answers.not_given(node, request, answer)
        match request, answer:
            case PlaceSession(), _:
                self.proofs.placed(caller, request, answer)
                self.placements.placed(node, caller, request, answer, now)
            case ((AcquireLicense() | RenewLicense() | LendLicense()), LicenseIssued()):
                self._answers.issued(node, caller, request, answer)

    def told(self, node: Node, peer: Peer, message: Message, now: float) -> None:
        if self._farm.is_device(peer):
            self._admissions.told(node, peer, message, now)
            self.logons.told(node, peer, message)
            self.histories.users.told(node, peer, message)

    def hung_up(self, node: Node, close: Close, now: float) -> None:
        self._admissions.hung_up(node, close, now)
        self.logons.lost(node, close.peer)

    def asks(self, node: Node, ask: Ask) -> None:
        self.histories.licenses.asks(node, ask)

    def heard(self, node: Node, ask: Ask, outcome: Outcome, now: float) -> None:
        self.histories.licenses.heard(node, ask, outcome)
        self._answers.heard(node, ask, outcome)
        self._marks.heard(node, ask, outcome)

    def lost(self, node: Node, peer: Peer) -> None:
        self._admissions.lost(node, peer)
        self.logons.lost(node, peer)
        if node is self._farm.directory and self._farm.is_node(peer):
            self.placements.lost(node, peer.name)

    def noted(self, node: Node, effect: Effect) -> None:
        self._marks.noted(node, effect)

    def performed(self, node: Node, effect: Effect) -> None:
        if node.kind.role is Role.TERMINAL_SERVER:
            self.session_rows.performed(node, effect)

    def program_ended(self, node: Node, session_id: int) -> None:
        self.session_rows.program_ended(node)
        owner = self.session_rows.started.get((node.name, session_id))
        if owner is not None:
            self.histories.users.ended((node.name, session_id), owner)

    # --- disks and devices ----------------------------------------------------------------------

    def changed(self, node: Node, change: Persist) -> None:
        """A change is about to be on the disk."""
        if node.kind.role is Role.LICENSE_SERVER:
            self.license_rows.changed(node, change)
        elif node.kind.role is Role.TERMINAL_SERVER:
            self.session_rows.changed(node, change)

    def _stored(self, device: Device, claims: Claims) -> None:
        self._farm.world.saw(f"{claims.kind.name.lower()} token")
        self.histories.device(device.name).stored(claims)

    def _attached(self, device: Device, accepted: LogonAccepted) -> None:
        if not accepted.attachment:
            return  # a command belongs to its connection
        owner = self.session_rows.started.get((accepted.host, accepted.session_id))
        self.histories.users.shown(device, accepted, owner or (accepted.user_name, ""))
