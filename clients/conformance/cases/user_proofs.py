"""How a terminal server challenges users and judges their proofs: passwords, SSH keys, PAM."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from clients.conformance.acting import CaseContext
from clients.conformance.attempt import STRANGERS_KEY, Attempt
from clients.conformance.case import TERMINAL_SERVER, Case, Chapter
from clients.conformance.cases.logon import expect_refused, log_off
from clients.conformance.peer import Peer
from clients.conformance.reach import fully_licensed, joined_directory
from clients.conformance.target import Setup, Unavailable, Unmet
from clients.conformance.user import (
    PAM,
    PAM_OFFERED,
    SSH_KEY_OFFERED,
    UNTOUCHED,
    SshKey,
    User,
)
from tsproto import limits
from tsproto.errors import ErrorCode
from tsproto.messages import (
    LogonAccepted,
    LogonChallenge,
    LogonProof,
    LogonRefused,
    LogonStart,
    PamAnswers,
    PamPrompt,
    PlaceSession,
)

chapter = Chapter()

STARTS_MAX = 16
NONCE_BYTES = 32


def nobody(context: CaseContext) -> User:
    return User(context.fresh_name("nobody"), b"")


@chapter.case("LOGON-01", TERMINAL_SERVER)
def the_right_password(context: CaseContext) -> None:
    client = context.licensed()
    accepted = context.log_on(client, context.user())
    context.check(accepted.user_name == context.user().name, "the user's name")
    log_off(client)


@chapter.case("LOGON-01", TERMINAL_SERVER, setup=Setup.PLAYED)
def the_right_ssh_key(context: CaseContext) -> None:
    for key in _ssh_keys(context):
        for algorithm in key.algorithms:
            client, attempt = _offering(context, key)
            client.say(attempt.by_ssh_key(key, algorithm))
            client.hear(LogonAccepted)
            log_off(client)


def _ssh_keys(context: CaseContext) -> tuple[SshKey, ...]:
    if not context.user().ssh_keys:
        raise Unavailable("needs an account with an SSH key that the suite has (--ssh-key, --lab)")
    return context.user().ssh_keys


def _offering(context: CaseContext, *keys: SshKey) -> tuple[Peer, Attempt]:
    """A client that was challenged to sign with the last of these keys, the only one of the
    account's."""
    client = fully_licensed(context)
    fingerprints = [key.fingerprint for key in keys]
    attempt = context.challenged(client, context.user(), key_fingerprints=fingerprints)
    said = attempt.challenge
    context.check(bool(said.methods & SSH_KEY_OFFERED), "SSH keys among the methods")
    context.expect_fields(said, "the account's key", key_fingerprint=keys[-1].fingerprint)
    return client, attempt


@chapter.case("LOGON-02", TERMINAL_SERVER)
def a_wrong_proof_and_an_unknown_user_are_alike(context: CaseContext) -> None:
    seen = []
    for user in (context.user(), nobody(context)):
        client = context.licensed()
        attempt = context.challenged(client, user)
        answer = expect_refused(client, attempt.wrong(), ErrorCode.LOGON_FAILED)
        seen.append(answer.detail.replace(answer.trace_id, "").replace(user.name, ""))
        context.log_on(client, context.user())
        log_off(client)
    context.check(seen[0] == seen[1], "one text for both")


@chapter.case("LOGON-03", TERMINAL_SERVER)
def three_wrong_proofs(context: CaseContext) -> None:
    client = context.licensed()
    for left in range(limits.LOGON_ATTEMPTS - 1, -1, -1):
        attempt = context.challenged(client, context.user())
        answer = expect_refused(client, attempt.wrong(), ErrorCode.LOGON_FAILED)
        client.expect_same(left, answer.attempts_left)
    client.expect_goodbye(ErrorCode.TOO_MANY_ATTEMPTS)


@chapter.case("LOGON-04", TERMINAL_SERVER, setup=Setup.PLAYED)
def a_second_logon_while_the_first_waits(context: CaseContext) -> None:
    directory = joined_directory(context)
    client = fully_licensed(context)
    context.prove(client, context.user())
    directory.hear(PlaceSession)
    client.say(LogonStart(user_name=context.user().name))
    client.expect_goodbye(ErrorCode.OUT_OF_ORDER)


@chapter.case("LOGON-04", TERMINAL_SERVER)
def a_second_start_before_the_proof(context: CaseContext) -> None:
    client = context.licensed()
    context.challenged(client, context.user())
    client.say(LogonStart(user_name=context.user().name))
    client.expect_goodbye(ErrorCode.OUT_OF_ORDER)


@chapter.case("LOGON-04", TERMINAL_SERVER)
def a_proof_of_no_challenge(context: CaseContext) -> None:
    spent = context.licensed()
    proof = context.challenged(spent, context.user()).wrong()
    expect_refused(spent, proof, ErrorCode.LOGON_FAILED)
    for client in (context.licensed(), spent):
        client.say(proof)
        client.expect_goodbye(ErrorCode.OUT_OF_ORDER)


@chapter.case("LOGON-05", TERMINAL_SERVER)
def sixteen_starts_and_one_more(context: CaseContext) -> None:
    client = context.licensed()
    for _ in range(STARTS_MAX):
        attempt = context.challenged(client, context.user(), application="no-such-thing")
        expect_refused(client, attempt.proof(), ErrorCode.UNKNOWN_APPLICATION)
    client.say(attempt.start)
    client.expect_goodbye(ErrorCode.TOO_MANY_ATTEMPTS)


@chapter.case("LOGON-06", TERMINAL_SERVER, setup=Setup.BUSY)
def busy_with_proofs(context: CaseContext) -> None:
    client = context.licensed()
    start = LogonStart(user_name=context.user().name)
    for _ in range(limits.LOGON_ATTEMPTS + 1):
        answer = expect_refused(client, start, ErrorCode.LOGON_BUSY)
        context.check(answer.retry_after_seconds > 0, "retry_after_seconds")
        client.expect_same(limits.LOGON_ATTEMPTS, answer.attempts_left)


@chapter.case("LOGON-20", TERMINAL_SERVER)
def every_challenge_is_another(context: CaseContext) -> None:
    nonces = set()
    for _ in range(3):
        client = context.licensed()
        for user in (context.user(), nobody(context)):
            attempt = context.challenged(client, user)
            nonces.add(attempt.challenge.nonce)
            expect_refused(client, attempt.wrong(), ErrorCode.LOGON_FAILED)
    context.check(len(nonces) == 6 and bytes(NONCE_BYTES) not in nonces, "six nonces")


@chapter.case("LOGON-20", TERMINAL_SERVER)
def the_time_of_a_challenge(context: CaseContext) -> None:
    said = context.challenged(context.licensed(), context.user()).challenge
    context.check(abs(said.time - context.now) <= 5, f"the time, came {said.time}")


@chapter.case("LOGON-21", TERMINAL_SERVER)
def signatures_over_something_else(context: CaseContext) -> None:
    """One wrong value at a time; a connection takes three wrong proofs."""
    client = context.licensed()
    other = context.rng.randbytes(32)
    for changes in (
        {"farm": "elsewhere"},
        {"server": "another-ts"},
        {"certificate": other},
        {"nonce": other},
        {"device_id": other},
        {"user_name": context.fresh_name("user")},
        {"method": 2},
        {"methods": 15},
        {"salt": other[:16]},
        {"memory_kib": 1},
        {"passes": 1},
        {"lanes": 9},
        {"time": 1},
        {"application": "another"},
        {"command": "another"},
        {"session_id": 77},
        {"attachment": 77},
    ):
        attempt = context.challenged(client, context.user())
        proof = attempt.signed(attempt.statement(**changes))
        client = _expect_failed(context, client, proof, f"another {', '.join(changes)}")


def _expect_failed(context: CaseContext, client: Peer, proof: LogonProof, what: str) -> Peer:
    """The target refuses the proof with LOGON_FAILED. Returns a client that may try again: this
    one, or a new one."""
    client.say(proof)
    answer = client.next()
    if not isinstance(answer, LogonRefused) or answer.code is not ErrorCode.LOGON_FAILED:
        raise Unmet(f"expected LogonRefused with LOGON_FAILED for {what}, came {answer}")
    return client if answer.attempts_left else context.licensed()


@chapter.case("LOGON-21", TERMINAL_SERVER)
def signatures_that_are_none(context: CaseContext) -> None:
    client = context.licensed()
    for what, change in _spoilt(context.challenged(context.licensed(), context.user()).proof()):
        attempt = context.challenged(client, context.user())
        right = attempt.proof()
        wrong = replace(right, **{name: change[name] for name in change})
        client = _expect_failed(context, client, wrong, what)
    attempt = context.challenged(client, context.user())
    wrong = attempt.signed(attempt.statement(), STRANGERS_KEY)
    client = _expect_failed(context, client, wrong, "somebody else's key")
    attempt = context.challenged(client, context.user())
    wrong = attempt.signed(attempt.statement(), domain=b"")
    client = _expect_failed(context, client, wrong, "no domain")
    attempt = context.challenged(client, context.user(1))
    wrong = replace(attempt, user=context.user()).proof()
    _expect_failed(context, client, wrong, "another user's key")


def _spoilt(proof: LogonProof) -> Iterator[tuple[str, dict[str, object]]]:
    yield "an earlier proof", {"signature": proof.signature}
    yield "no signature", {"signature": b""}
    yield "zeros", {"signature": bytes(64)}
    yield "another algorithm", {"algorithm": "ssh-ed25519"}
    yield "the algorithm left out", {"algorithm": ""}
    yield "another command", {"command": "ls"}
    yield "an SSH key that was not named", {"method": 2}


@chapter.case("LOGON-21", TERMINAL_SERVER, setup=Setup.PLAYED)
def ssh_signatures_that_are_none(context: CaseContext) -> None:
    keys = _ssh_keys(context)
    stranger = keys[0].another()
    for key in keys:
        wrong: dict[str, dict[str, Any]] = {
            "another namespace": {"namespace": b"file"},
            "the domain of another signature": {"namespace": b""},
        }
        if key.kind.startswith("sk-"):
            wrong["nobody's touch"] = {"trailer": UNTOUCHED}
        for what, signing in wrong.items():
            client, attempt = _offering(context, stranger, key)
            proof = attempt.by_ssh_key(key, **signing)
            _expect_failed(context, client, proof, f"{key.kind} with {what}")
        client, attempt = _offering(context, key)
        proof = attempt.by_ssh_key(key.another(), key.algorithms[0])
        _expect_failed(context, client, proof, f"another key of the kind {key.kind}")


@chapter.case("LOGON-21", TERMINAL_SERVER, setup=Setup.PLAYED)
def an_rsa_signature_with_sha_1(context: CaseContext) -> None:
    key = next((key for key in _ssh_keys(context) if key.kind == "ssh-rsa"), None)
    if key is None:
        raise Unavailable("needs an account with an RSA key")
    client, attempt = _offering(context, key)
    _expect_failed(context, client, attempt.by_ssh_key(key, "ssh-rsa"), "SHA-1")


@chapter.case("LOGON-22", TERMINAL_SERVER)
def a_proof_of_another_connection(context: CaseContext) -> None:
    device = context.device()
    first, second = context.licensed(device), context.licensed(device)
    good = context.challenged(first, context.user()).proof()
    context.challenged(second, context.user())
    _expect_failed(context, second, good, "the proof of another connection's challenge")
    first.say(good)
    first.hear(LogonAccepted)
    log_off(first)


@chapter.case("LOGON-22", TERMINAL_SERVER)
def a_proof_of_an_earlier_challenge(context: CaseContext) -> None:
    client = context.licensed()
    earlier = context.challenged(client, context.user())
    expect_refused(client, earlier.wrong(), ErrorCode.LOGON_FAILED)
    context.challenged(client, context.user())
    _expect_failed(context, client, earlier.proof(), "the proof of an earlier challenge")


@chapter.case("LOGON-23", TERMINAL_SERVER)
def unknown_names_are_challenged_alike(context: CaseContext) -> None:
    stranger = nobody(context)
    known, unknown, again = (
        _challenge(context, user) for user in (context.user(), stranger, stranger)
    )
    other = _challenge(context, nobody(context))
    names = ("methods", "resume_seconds")
    wanted = {name: getattr(known, name) for name in names}
    context.expect_fields(unknown, "as for a known user", **wanted, key_fingerprint=b"")
    wanted = {name: getattr(unknown, name) for name in ("salt", "memory_kib", "passes", "lanes")}
    context.expect_fields(again, "the same at each try", **wanted)
    context.check(other.salt != unknown.salt, "another salt for another name")
    salts = {known.salt, unknown.salt, other.salt}
    context.check(len(salts) == 3 and bytes(16) not in salts, "salts that tell nothing")


def _challenge(context: CaseContext, user: User) -> LogonChallenge:
    return context.challenged(context.licensed(), user).challenge


@chapter.case("LOGON-31", TERMINAL_SERVER, setup=Setup.PLAYED)
def the_key_that_the_account_has(context: CaseContext) -> None:
    first = _ssh_keys(context)[0]
    stranger = first.another()
    _offering(context, stranger, first)
    for user, keys in (
        (context.user(), [stranger.fingerprint]),
        (context.user(1), [stranger.fingerprint, first.fingerprint]),
        (nobody(context), [first.fingerprint]),
    ):
        client = fully_licensed(context)
        said = context.challenged(client, user, key_fingerprints=keys).challenge
        context.expect_fields(said, "no key", key_fingerprint=b"")


# --- PAM ------------------------------------------------------------------------------------------


def prompted(context: CaseContext) -> tuple[Peer, PamPrompt]:
    """A client that the target's PAM has asked something."""
    client = context.licensed()
    attempt = context.challenged(client, context.user())
    context.check(bool(attempt.challenge.methods & PAM_OFFERED), "PAM among the methods")
    client.say(LogonProof(method=PAM))
    return client, client.hear(PamPrompt)


@chapter.case("LOGON-32", TERMINAL_SERVER, setup=Setup.PAM)
def what_pam_asks(context: CaseContext) -> None:
    client, prompt = prompted(context)
    context.check(prompt.round == 1 and len(prompt.prompts) > 0, "a prompt of round 1")
    client.say(PamAnswers(round=1, answers=[context.user().password]))
    client.hear(LogonAccepted)
    log_off(client)


@chapter.case("LOGON-32", TERMINAL_SERVER, setup=Setup.PAM)
def a_wrong_answer_to_pam(context: CaseContext) -> None:
    client, prompt = prompted(context)
    client.say(PamAnswers(round=prompt.round, answers=[b"certainly wrong"]))
    answer = client.hear(LogonRefused)
    context.expect_fields(answer, code=ErrorCode.LOGON_FAILED)


@chapter.case("LOGON-04", TERMINAL_SERVER)
def answers_that_nobody_asked_for(context: CaseContext) -> None:
    started = context.licensed()
    context.challenged(started, context.user())
    for client in (context.licensed(), started):
        client.say(PamAnswers(round=1, answers=[b"secret"]))
        client.expect_goodbye(ErrorCode.OUT_OF_ORDER)


@chapter.case("LOGON-33", TERMINAL_SERVER)
def a_method_that_was_not_offered(context: CaseContext) -> None:
    client = context.licensed()
    attempt = context.challenged(client, context.user())
    if attempt.challenge.methods & PAM_OFFERED:
        raise Unavailable("the target offers PAM")
    expect_refused(client, LogonProof(method=PAM), ErrorCode.LOGON_FAILED)
    context.log_on(client, context.user())
    log_off(client)


def cases() -> list[Case]:
    return chapter.cases
