"""Which users come to which sessions: checked at the instant at which a terminal server says so.

A user comes to a session of their own, by a proof that this device gave for this link's challenge;
a session that another device has shown since is not taken back; and what a client is told of is on
its host's disk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from daemons.effects import Peer
from daemons.terminal_server.records import SessionRecord
from tests.simulation.node import Node
from tests.simulation.proofs import Proofs
from tsproto.messages import (
    LogonAccepted,
    LogonChallenge,
    LogonProof,
    LogonStart,
    Message,
    Redirect,
)

if TYPE_CHECKING:
    from tests.simulation.device import Device
    from tests.simulation.farm import Farm

BY_PROOF = "a user comes to a session of their own"
NOT_BACK = "a session that another device has shown since is not taken back"
ON_DISK = "a session that a client was told of is on its host's disk"


class Asked(msgspec.Struct):
    """What a client has said on one link, and the nonce that it was told."""

    start: LogonStart
    nonce: bytes = b""
    proof: LogonProof | None = None
    resumes: bool = False  # a session that had been shown when the proof came


class Logons:
    def __init__(self, farm: Farm, proofs: Proofs) -> None:
        self._farm = farm
        self._proofs = proofs
        self._asked: dict[tuple[str, int, int], Asked] = {}

    def asked(self, node: Node, peer: Peer, message: Message) -> None:
        """The first of each that was not answered counts: a client that does not wait is sent
        away."""
        key = node.name, node.life, peer.link
        known = self._asked.get(key)
        if isinstance(message, LogonStart) and (known is None or known.proof is not None):
            self._asked[key] = Asked(message)
        elif isinstance(message, LogonProof) and known is not None and known.proof is None:
            known.proof = message
            row = node.disk.row(SessionRecord, known.start.session_id)
            known.resumes = bool(known.start.attachment) and row is not None

    def lost(self, node: Node, peer: Peer) -> None:
        self._asked.pop((node.name, node.life, peer.link), None)

    def told(self, node: Node, peer: Peer, message: Message) -> None:
        asked = self._asked.get((node.name, node.life, peer.link))
        match message:
            case LogonChallenge(nonce=nonce) if asked is not None:
                asked.nonce = nonce
            case LogonAccepted() | Redirect():
                device = self._farm.device_at(peer.host)
                if asked is None or asked.proof is None:
                    self._broken(f"{node.name} tells {device.name} {message} without a proof")
                    return
                self._is_proved(node, device, asked, asked.proof, message)
                if isinstance(message, LogonAccepted):
                    self._shown(node, device, asked, asked.proof, message)
                else:
                    self._redirected(node, device, message)

    def _is_proved(
        self, node: Node, device: Device, asked: Asked, proof: LogonProof, message: Message
    ) -> None:
        nonce = self._proofs.nonce_of(node.name, proof.signature)
        if nonce != asked.nonce:
            what = f"{node.name} tells {device.name} of {asked.start.user_name} {message}"
            self._broken(f"{what} for the proof of {nonce.hex()}, and not of {asked.nonce.hex()}")

    def _shown(
        self,
        node: Node,
        device: Device,
        asked: Asked,
        proof: LogonProof,
        accepted: LogonAccepted,
    ) -> None:
        start = asked.start
        what = f"{node.name} shows {device.name} session {accepted.session_id}"
        if accepted.user_name != start.user_name:
            self._broken(f"{what} of {accepted.user_name}, not of {start.user_name}")
        self._farm.license_rows.shown.add(device.device_id)
        is_same = asked.resumes and start.session_id == accepted.session_id
        self._farm.world.saw(f"logon {_way(proof, is_same)}")
        if is_same and accepted.attachment != start.attachment + 1:
            text = f"{what} for the {accepted.attachment}th time, and it knows of the"
            self._farm.broken(NOT_BACK, f"{text} {start.attachment}th")
        program = self._farm.kind_of(node).programs.get(accepted.session_id)
        if program is None:
            return
        if program.user_name != accepted.user_name:
            self._broken(f"{what} of {accepted.user_name}, which is of {program.user_name}")
        wanted = start.application, proof.command
        if not is_same and (program.application, program.command) != wanted:
            self._broken(f"{what} for {wanted}, which runs {program}")

    def _redirected(self, node: Node, device: Device, redirect: Redirect) -> None:
        what = f"{node.name} sends {device.name} to {redirect.host}/{redirect.session_id}"
        if redirect.host == node.name:
            self._broken(f"{what}, which is itself")
        if redirect.address != self._farm.node(redirect.host).host:
            self._broken(f"{what} at {redirect.address}")

    # --- a session that is attached ---------------------------------------------------------------

    def attached(self, node: Node, session_id: int) -> None:
        """What a client was told of runs, or has just ended, and is on its host's disk."""
        program = self._farm.kind_of(node).programs.get(session_id)
        if program is None or program.command:
            return
        row = node.disk.row(SessionRecord, session_id)
        owner = program.user_name, program.application
        if row is None or (row.user_name, row.application) != owner:
            text = f"{node.name} shows session {session_id} of {owner}, and on its disk is {row}"
            self._farm.broken(ON_DISK, text)

    def _broken(self, text: str) -> None:
        self._farm.broken(BY_PROOF, text)


def _way(proof: LogonProof, is_same: bool) -> str:
    if is_same:
        return "resumed"
    return "redirected" if proof.redirected else "anew"
