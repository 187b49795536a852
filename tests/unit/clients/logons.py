"""Logons in each of their phases, and the messages of their hosts."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from clients.logon.procedure import Logon
from clients.logon.steps import (
    Finished,
    Host,
    Plan,
    Seen,
    Send,
    SignWithPassword,
    Step,
)
from tsproto.errors import ErrorCode
from tsproto.messages import (
    LicenseAccepted,
    LicenseKind,
    LicenseRequest,
    LogonAccepted,
    LogonChallenge,
    LogonProof,
    LogonRefused,
    LogonStart,
    Redirect,
)

TS1 = Host("127.0.1.101", 5600)
TS2 = Host("127.0.1.102", 5600)
TARGET = Host("127.0.1.103", 5600, "ts3")
LICENSE_REQUEST = LicenseRequest(nonce=bytes(32), product="terminal-server", product_version=1)
LICENSED = LicenseAccepted(kind=LicenseKind.FULL, expires_at=500)
REDIRECT = Redirect(host="ts3", address="127.0.1.103", port=5600, session_id=7)


SEEN = Seen("lab", "ts1", b"c" * 32, b"d" * 32)
AT_TARGET = Seen("lab", "ts3", b"3" * 32, b"d" * 32)
SALT = b"s" * 16
KEY = b"k" * 32


def logon(*hosts: Host, seed: int = 1, **plan: Any) -> Logon:
    chosen = Plan(hosts=hosts or (TS1,), user_name="user1", **plan)
    return Logon(chosen, random.Random(seed))


def at_logon(*hosts: Host, **plan: Any) -> Logon:
    """A procedure that waits for the password at its first host."""
    procedure = logon(*hosts, **plan)
    procedure.start(0.0)
    through_licensing(procedure)
    procedure.on_message(challenge(), 0.0)
    return procedure


def asked(*hosts: Host, **plan: Any) -> Logon:
    """A procedure that has sent its first proof."""
    procedure = at_logon(*hosts, **plan)
    procedure.on_password(b"secret", 0.0)
    procedure.on_signed("ed25519", b"S" * 64, 0.0)
    return procedure


def challenge(**fields: Any) -> LogonChallenge:
    return LogonChallenge(
        **{
            "nonce": b"n" * 32,
            "time": 9,
            "methods": 3,
            "salt": SALT,
            "memory_kib": 65_536,
            "passes": 3,
            "lanes": 1,
            **fields,
        }
    )


def signing(steps: Sequence[Step]) -> SignWithPassword:
    [step] = [step for step in steps if isinstance(step, SignWithPassword)]
    return step


def attached(*hosts: Host, **plan: Any) -> Logon:
    procedure = asked(*hosts, **plan)
    procedure.on_message(accepted(), 0.0)
    return procedure


def accepted(host: str = "ts1", session_id: int = 7) -> LogonAccepted:
    return LogonAccepted(
        host=host,
        session_id=session_id,
        user_name="user1",
        reattached=False,
        created_at=1,
        attachment=4,
    )


def refused(code: ErrorCode, attempts_left: int = 2, retry: int = 0) -> LogonRefused:
    return LogonRefused(
        code=code, detail="no", attempts_left=attempts_left, retry_after_seconds=retry
    )


def through_licensing(procedure: Logon, now: float = 0.0, seen: Seen = SEEN) -> list[Step]:
    procedure.on_opened(seen, now)
    return procedure.on_message(LICENSED, now)


def start_in(steps: Sequence[Step]) -> LogonStart:
    [message] = [step.message for step in steps if isinstance(step, Send)]
    assert isinstance(message, LogonStart)
    return message


def proof_in(steps: Sequence[Step]) -> LogonProof:
    [message] = [step.message for step in steps if isinstance(step, Send)]
    assert isinstance(message, LogonProof)
    return message


def proved(procedure: Logon, now: float, **fields: Any) -> LogonProof:
    """What is sent for a challenge of a password that was typed before."""
    signing(procedure.on_message(challenge(**fields), now))
    return proof_in(procedure.on_signed("ed25519", b"S" * 64, now))


def finished(steps: Sequence[Step]) -> Finished:
    assert isinstance(steps[-1], Finished)
    return steps[-1]


def wake(procedure: Logon) -> list[Step]:
    deadline = procedure.next_deadline()
    assert deadline is not None
    return procedure.on_deadline(deadline)
