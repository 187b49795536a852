"""The parts of a user's proof: the statement to sign, the message, and a word about a salt."""

from __future__ import annotations

from clients.logon.steps import Hashing, Host, Plan, Seen, Step, Told
from tsproto.messages import LogonChallenge, LogonProof, LogonStart
from tsproto.user_proof import Asked, Cost, Method, Methods, Statement


def statement(
    seen: Seen, start: LogonStart, challenge: LogonChallenge, command: str, method: Method
) -> Statement:
    """What the user signs for the host that was seen and its challenge, the answer to `start`."""
    return Statement(
        farm=seen.farm,
        server=seen.server,
        certificate=seen.certificate,
        nonce=challenge.nonce,
        time=challenge.time,
        device_id=seen.device_id,
        user_name=start.user_name,
        method=method,
        methods=Methods(challenge.methods),
        salt=challenge.salt,
        cost=Cost(challenge.memory_kib, challenge.passes, challenge.lanes),
        asked=Asked(start.application, command, start.session_id, start.attachment),
    )


def proof(plan: Plan, method: Method, algorithm: str, signature: bytes) -> LogonProof:
    return LogonProof(
        method=method,
        algorithm=algorithm,
        signature=signature,
        command=plan.command,
        columns=plan.columns,
        rows=plan.rows,
        terminal=plan.terminal,
        lang=plan.lang,
        tz=plan.tz,
        colorterm=plan.colorterm,
    )


def methods(seen: Seen, challenge: LogonChallenge) -> Methods:
    """Those offered, without PAM where the host's certificate does not let it ask."""
    offered = Methods(challenge.methods)
    return offered if seen.asks_secrets else offered & ~Methods.PAM


def told_of_pam(seen: Seen, challenge: LogonChallenge, host: Host) -> list[Step]:
    if Methods.PAM not in methods(seen, challenge):
        return []
    return [Told(f"an empty password lets {host} ask you itself")]


def told_of_change(
    seen: Seen, user_name: str, hashing: Hashing, said_before: Hashing | None
) -> list[Step]:
    """A salt that a host chose anew may help it to guess the password, so it is not changed behind
    the user's back. Told once: `said_before` is that of the challenge before."""
    if seen.hashing in (None, hashing) or hashing == said_before:
        return []
    return [
        Told(
            f"the farm {seen.farm} hashes {user_name}'s password otherwise than before: if it was"
            " not changed, tell the farm's administrator"
        )
    ]
