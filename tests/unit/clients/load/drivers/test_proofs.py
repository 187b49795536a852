from __future__ import annotations

import pytest

from clients.load.drivers.proofs import Prover
from clients.load.processes.assignment import Person
from daemons import accounts
from daemons.effects import Peer
from daemons.session_directory.proofs import Proofs
from tsproto.messages import PlaceSession, Role

SECRET = b"x" * 32
CERTIFICATE = b"c" * 32
NOW = 1_700_000_000.0


def fault(server: str, application: str, user_name: str = "load00001") -> str:
    """What the directory finds wrong with a proof for `editor` on ts1."""
    [account] = accounts.synthetic("lab", [user_name], SECRET, "", 1)
    prover = Prover("lab", Person("load00001", SECRET, is_synthetic=True))
    proof = prover.proof("ts1", CERTIFICATE, "editor", b"d" * 32, NOW)
    request = PlaceSession(user_name=user_name, application=application, proof=[proof])
    peer = Peer(1, Role.TERMINAL_SERVER, server, "192.0.2.1", 5600, peer_certificate=CERTIFICATE)
    return Proofs("lab", lambda name: account).fault_of(peer, request, NOW)


def test_the_directory_believes_a_synthetic_users_proof() -> None:
    assert fault("ts1", "editor") == ""


@pytest.mark.parametrize(
    ("server", "application", "user_name"),
    [("ts2", "editor", "load00001"), ("ts1", "", "load00001"), ("ts1", "editor", "load00002")],
)
def test_a_proof_is_good_for_one_server_application_and_user(
    server: str, application: str, user_name: str
) -> None:
    assert "is not this user's" in fault(server, application, user_name)
