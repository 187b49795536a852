"""How much memory a client costs the core, its `Peer` and its session included."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

from daemons.effects import (
    Ask,
    Attach,
    Caller,
    Challenge,
    Effect,
    Peer,
    ProgramStarted,
    Prove,
    Proved,
    StartProgram,
    Tell,
)
from tests.unit.terminal_server.scenario import (
    CERTIFICATE,
    CHALLENGED,
    LS_A,
    SIGNATURE,
    Scene,
    of,
    token,
)
from tsproto.identity import DeviceKey
from tsproto.messages import (
    LicenseInfo,
    LicenseRequest,
    LogonProof,
    LogonStart,
    Message,
    Role,
)

CLIENTS = 20
# With 10,000 clients: waiting 3,675 bytes each, showing 2,009; with call-backs in place of
# procedures 1,799 and 2,009. A device that a user logged on with takes some 300 more.
WAITING_BYTES_MAX = 4_096
SHOWING_BYTES_MAX = 2_600


class Client:
    """Talks to the core without keeping a log: what stays in memory is the core's."""

    def __init__(self, scene: Scene, number: int, *, is_licensed: bool) -> None:
        self.scene = scene
        self.number = number
        self.device = DeviceKey(number.to_bytes(32, "big"))
        self.token = token(device=self.device) if is_licensed else b""

    def wait_for_a_license_server(self) -> None:
        assert of(Ask, self._show_license())

    def show_a_session(self) -> None:
        core, now = self.scene.core, self.scene.now
        peer = self._peer()
        self._show_license()
        (asked,) = of(Challenge, self._say(peer, LogonStart(user_name=f"ann{self.number}")))
        core.on_answer(asked.question_id, CHALLENGED, now)
        proof = LogonProof(method=1, algorithm="ed25519", signature=SIGNATURE)
        (prove,) = of(Prove, self._say(peer, proof))
        proved = Proved(self.number, 1, "sys")
        (start,) = of(StartProgram, core.on_answer(prove.question_id, proved, now))
        assert of(Attach, core.on_answer(start.question_id, ProgramStarted(pid=1), now))

    def _show_license(self) -> list[Effect]:
        peer = self._peer()
        (tell,) = of(Tell, self.scene.core.on_peer_opened(peer, self.scene.now))
        assert isinstance(tell.message, LicenseRequest)
        info = LicenseInfo(
            public_key=self.device.public_key,
            signature=self.device.prove(tell.message.nonce, CERTIFICATE),
            device_name=f"laptop{self.number}",
            user_name=f"ann{self.number}",
            token=self.token,
            issuer_certificate=LS_A.certificate if self.token else b"",
        )
        return self._say(peer, info)

    def _say(self, peer: Peer, message: Message) -> list[Effect]:
        return self.scene.core.on_message(Caller(peer), message, self.scene.now)

    def _peer(self) -> Peer:
        link = 1_000 + self.number
        return Peer(link, Role.CLIENT, "", f"10.0.0.{self.number}", 40_000, None, CERTIFICATE)


def bytes_for_each(clients: list[Client], act: Callable[[Client], None]) -> float:
    act(clients.pop())  # imports, caches and the first of everything
    tracemalloc.start()
    try:
        for client in clients:
            act(client)
        return tracemalloc.get_traced_memory()[0] / len(clients)
    finally:
        tracemalloc.stop()


def test_a_client_that_waits_for_its_license_takes_at_most_four_kilobytes() -> None:
    scene = Scene().up()
    clients = [Client(scene, number, is_licensed=False) for number in range(CLIENTS)]
    assert bytes_for_each(clients, Client.wait_for_a_license_server) <= WAITING_BYTES_MAX


def test_a_client_that_shows_a_session_keeps_no_procedure() -> None:
    scene = Scene(sessions_max=CLIENTS).up()
    clients = [Client(scene, number, is_licensed=True) for number in range(CLIENTS)]
    assert bytes_for_each(clients, Client.show_a_session) <= SHOWING_BYTES_MAX
    assert scene.core.whereabouts() == {}
