"""How a client returns to its session by the device's key alone."""

from __future__ import annotations

from clients.logon.procedure import Logon
from clients.logon.steps import SignWithDevice, SignWithPassword
from tests.unit.clients.logons import (
    attached,
    challenge,
    proof_in,
    refused,
    start_in,
    through_licensing,
)
from tsproto.errors import ErrorCode
from tsproto.user_proof import Method

RESUMABLE = challenge(methods=15, resume_seconds=60)


def lost() -> Logon:
    """Its link was lost, and the host is reached again."""
    procedure = attached()
    procedure.on_closed(ErrorCode.CONNECTION_LOST, "", 0, 1.0)
    procedure.on_deadline(1e6)
    assert start_in(through_licensing(procedure)[1:]).attachment == 4
    return procedure


def test_where_the_host_lets_it_the_device_signs_and_nobody_types() -> None:
    procedure = lost()
    (step,) = procedure.on_message(RESUMABLE, 2.0)
    assert isinstance(step, SignWithDevice)
    assert (step.statement.method, step.statement.asked.attachment) == (Method.DEVICE, 4)
    proof = proof_in(procedure.on_signed("ed25519", b"k" * 96, 2.0))
    assert (proof.method, proof.signature) == (Method.DEVICE, b"k" * 96)


def test_a_device_that_is_refused_lets_the_user_prove_themselves() -> None:
    procedure = lost()
    procedure.on_message(RESUMABLE, 2.0)
    procedure.on_signed("ed25519", b"k" * 96, 2.0)
    procedure.on_message(refused(ErrorCode.LOGON_FAILED), 3.0)
    steps = procedure.on_message(RESUMABLE, 3.0)
    assert not any(isinstance(step, SignWithDevice) for step in steps)


def test_where_the_host_does_not_say_so_the_user_is_asked() -> None:
    (step,) = lost().on_message(challenge(), 2.0)
    assert isinstance(step, SignWithPassword)  # with the key in memory
