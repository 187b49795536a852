"""Bugs in who is believed: keepers, directories and terminal servers that leave out one comparison
of proofs, receipts or attachments."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from daemons.effects import Core, Peer
from daemons.keeper import messages as km
from daemons.keeper.proving import Monitor, Spent
from daemons.session_directory.placement import Placer
from daemons.session_directory.proofs import Proofs
from daemons.session_directory.receipts import SEEN, Receipts
from daemons.terminal_server.client import User
from daemons.terminal_server.logon import Logon
from daemons.terminal_server.sessions import Session
from tests.simulation.keeper import Judged
from tests.simulation.network import certificate_named
from tests.simulation.wrong import Wrong, hosts, plant
from tsproto.messages import PlaceSession, SessionRow

if TYPE_CHECKING:
    from tests.simulation.farm import Farm


# --- keepers ----------------------------------------------------------------------------------


class SpendsNoNonce(Monitor):
    """A challenge may be answered again."""

    def prove(self, request: km.Prove, now: float) -> Judged:
        known = self._challenges.get(request.nonce)
        reply = super().prove(request, now)
        if known is not None:
            self._challenges[request.nonce] = known
        return reply


class SpendsNoProof(Monitor):
    """A second session is started with one proof."""

    def spend(self, request: km.StartProved, now: float) -> Spent:
        known = self._proofs.get(request.proof_id)
        spent = super().spend(request, now)
        if known is not None:
            self._proofs[request.proof_id] = known
        return spent


class StartsWhatIsAsked(Monitor):
    """What the terminal server asks for is not compared with what was signed."""

    def spend(self, request: km.StartProved, now: float) -> Spent:
        proof = self._proofs.get(request.proof_id)
        if proof is not None:
            request = replace(request, asked=proof.asked)
        return super().spend(request, now)


class ReadsNoAccountAgain(Monitor):
    """The account may have been changed between a proof and its session."""

    def spend(self, request: km.StartProved, now: float) -> Spent:
        proof = self._proofs.get(request.proof_id)
        account = self._account_of(proof.user_name) if proof else None
        if proof is not None and account is not None:
            self._proofs[request.proof_id] = replace(proof, generation=account.generation)
        return super().spend(request, now)


class TrustsTheTerminalServer(Monitor):
    """What was signed is not compared with what the terminal server says was asked for."""

    def prove(self, request: km.Prove, now: float) -> Judged:
        for asked in (request.asked, replace(request.asked, command="")):
            known = self._challenges.get(request.nonce)
            reply = super().prove(replace(request, asked=asked), now)
            if isinstance(reply, km.Proved):
                proof = self._proofs[reply.proof_id]
                self._proofs[reply.proof_id] = replace(proof, asked=request.asked)
                return reply
            if known is not None:
                self._challenges[request.nonce] = known
        self._challenges.pop(request.nonce, None)
        return reply


def _monitor(kind: type[Monitor]) -> Callable[[Farm], None]:
    def planted(farm: Farm) -> None:
        for _, terminal_server in farm.terminal_servers:
            keeper = terminal_server.keeper
            right = keeper.monitor
            keeper.monitor = kind(right.host, right._account_of, right._rng)

    return planted


# --- the directory ----------------------------------------------------------------------------


class AnyHostsProofs(Proofs):
    """A proof that was given at one host counts at every other one."""

    certificates: dict[str, bytes]

    def fault_of(self, peer: Peer, request: PlaceSession, now: float) -> str:
        fault = ""
        for name, certificate in self.certificates.items():
            host = replace(peer, name=name, peer_certificate=certificate)
            fault = super().fault_of(host, request, now)
            if not fault:
                break
        return fault


class TakesAnyReceipt(Receipts):
    def judged(self, row: SessionRow) -> bytes:
        return SEEN if row.receipt else b""


class TakesOtherReceipts(Receipts):
    """A receipt counts whatever row it was given for."""

    def __init__(self, right: Receipts) -> None:
        self._secret = right._secret
        self._given: set[bytes] = set()

    def give(self, server: str, user_name: str, application: str, placement: int) -> bytes:
        receipt = super().give(server, user_name, application, placement)
        self._given.add(receipt)
        return receipt

    def judged(self, row: SessionRow) -> bytes:
        return SEEN if row.receipt in self._given else super().judged(row)


class OtherProofs(Wrong):
    def __init__(self, core: Core, certificates: dict[str, bytes]) -> None:
        super().__init__(core)
        placer: Placer = self._placer
        proofs = AnyHostsProofs(placer._proofs._farm, placer._proofs._account_of)
        proofs.certificates = certificates
        placer._proofs = proofs


class NoProofs(Wrong):
    """A terminal server's word reserves a place."""

    def __init__(self, core: Core) -> None:
        super().__init__(core)
        placer: Placer = self._placer
        placer._proofs = Proofs(placer._proofs._farm, None)


class AnyReceipt(Wrong):
    def __init__(self, core: Core) -> None:
        super().__init__(core)
        self._farm.receipts = TakesAnyReceipt(self._own)


class OtherReceipts(Wrong):
    def __init__(self, core: Core) -> None:
        super().__init__(core)
        self._farm.receipts = self._placer._receipts = TakesOtherReceipts(self._farm.receipts)


class LeadsToAnyRow(Wrong):
    """Users are led to rows without a receipt."""

    def __init__(self, core: Core) -> None:
        super().__init__(core)
        self._farm.receipts = LeavesReceipts(self._own)


class LeavesReceipts(Receipts):
    def judged(self, row: SessionRow) -> bytes:
        return SEEN


# --- terminal servers -------------------------------------------------------------------------


class TakesBack(Logon):
    """A device is shown the session that it showed last, whether another has shown it since."""

    def _resumed(self, user: User) -> Session | None:
        session = self.lifecycle.table.get(user.asked.session_id)
        is_open = session is not None and session.is_open_to(user)
        return session if user.asked.attachment and is_open else None


class AnyAttachment(Wrong):
    def __init__(self, core: Core) -> None:
        super().__init__(core)
        right: Logon = self._logon
        fields = {name: getattr(right, name) for name in right.__struct_fields__}
        core._logon = TakesBack(**fields)  # type: ignore[attr-defined]


class KeepsNoProof(Wrong):
    """A session that began while the directory was away never gets a receipt."""

    def __init__(self, core: Core) -> None:
        super().__init__(core)
        self._directory.worth_keeping = lambda proof: None


PROOFS: dict[str, Callable[[Farm], None]] = {
    "a nonce not spent": _monitor(SpendsNoNonce),
    "a proof not used up": _monitor(SpendsNoProof),
    "another session than was signed": _monitor(StartsWhatIsAsked),
    "an account changed meanwhile": _monitor(ReadsNoAccountAgain),
    "a command added to a proof": _monitor(TrustsTheTerminalServer),
    "another host's proof taken": lambda farm: plant(
        [farm.directory],
        lambda core: OtherProofs(
            core, {node.name: certificate_named(node.name) for node in hosts(farm)}
        ),
    ),
    "a place without a proof": lambda farm: plant([farm.directory], NoProofs),
    "any receipt taken": lambda farm: plant([farm.directory], AnyReceipt),
    "another session's receipt taken": lambda farm: plant([farm.directory], OtherReceipts),
    "rows without a receipt": lambda farm: plant([farm.directory], LeadsToAnyRow),
    "a session taken back": lambda farm: plant(hosts(farm), AnyAttachment),
    "receipts never regained": lambda farm: plant(hosts(farm), KeepsNoProof),
}
