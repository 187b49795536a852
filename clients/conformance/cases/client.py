"""A client: how it shows its license, logs on, follows redirects and comes back."""

from __future__ import annotations

import hashlib

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from clients.conformance.acting import CaseContext, ask_for_license, logon_accepted
from clients.conformance.attempt import Attempt
from clients.conformance.case import CLIENT, TERMINAL_SERVER, Case, Chapter
from clients.conformance.cases.opening import expect_turned_away
from clients.conformance.device import DAY, PROOF_DOMAIN, TokenClaims, sign_token
from clients.conformance.peer import Peer
from clients.conformance.target import Issuer, Unavailable, Unmet
from clients.conformance.user import ED25519, PASSWORD, SSH_KEY, is_signed
from tsproto import limits
from tsproto.errors import ErrorCode
from tsproto.messages import (
    Goodbye,
    LicenseInfo,
    LicenseKind,
    LicenseRequest,
    LicenseStored,
    LogonProof,
    LogonRefused,
    NewLicense,
)

chapter = Chapter()

BACK_SECONDS = limits.RECONNECT_SECONDS_MAX + 5


@chapter.case("LIC-02", CLIENT)
def the_proof_of_its_key(context: CaseContext) -> None:
    server = context.accept(TERMINAL_SERVER)
    nonce = context.rng.randbytes(32)
    server.say(LicenseRequest(nonce=nonce, product=context.product, product_version=1))
    info = server.hear(LicenseInfo)
    signed = PROOF_DOMAIN + nonce + server.certificate
    try:
        Ed25519PublicKey.from_public_bytes(info.public_key).verify(info.signature, signed)
    except (InvalidSignature, ValueError):
        raise Unmet("expected a signature over domain, nonce and certificate") from None


def token_for(
    context: CaseContext, info: LicenseInfo, **changes: object
) -> tuple[TokenClaims, Issuer]:
    """A temporary token for the device that sent this LicenseInfo."""
    issuer = context.issuer()
    device_id = hashlib.sha256(info.public_key).digest()
    good = context.claims_of(
        device_id, context.product, issuer, license_id=context.rng.randbytes(16)
    )
    good = msgspec.structs.replace(good, kind=int(LicenseKind.TEMPORARY), key_pack="")
    return msgspec.structs.replace(good, **changes), issuer


def push(server: Peer, claims: TokenClaims, issuer: Issuer) -> bytes:
    token = sign_token(claims, issuer.key)
    server.say(NewLicense(token=token, issuer_certificate=issuer.certificate))
    return token


@chapter.case("LIC-12", CLIENT)
def what_is_pushed_is_stored(context: CaseContext) -> None:
    server = context.accept(TERMINAL_SERVER)
    claims, issuer = token_for(context, ask_for_license(context, server))
    push(server, claims, issuer)
    server.expect_same(claims.license_id, server.hear(LicenseStored).license_id)


@chapter.case("LIC-12", CLIENT)
def a_newer_token_replaces_the_older(context: CaseContext) -> None:
    server = context.accept(TERMINAL_SERVER)
    info = ask_for_license(context, server)
    older, issuer = token_for(context, info)
    newer, _ = token_for(context, info, expires_at=int(context.now) + 40 * DAY)
    for claims in (older, newer):
        token = push(server, claims, issuer)
        server.expect_same(claims.license_id, server.hear(LicenseStored).license_id)
    context.begin_again()
    shown = ask_for_license(context, context.accept(TERMINAL_SERVER))
    server.expect_same(token, shown.token)


@chapter.case("LIC-13", CLIENT)
def tokens_that_are_not_stored(context: CaseContext) -> None:
    other = context.rng.randbytes(32)
    wrong: tuple[dict[str, object], ...] = ({"device_id": other}, {"farm": "elsewhere"}, {})
    for changes in wrong:
        server = context.accept(TERMINAL_SERVER)
        info = ask_for_license(context, server)
        claims, issuer = token_for(context, info, **changes)
        if changes:
            push(server, claims, issuer)
        else:
            server.say(NewLicense(token=b"no token", issuer_certificate=issuer.certificate))
        message = server.next()
        context.check(not isinstance(message, LicenseStored), "no LicenseStored")
        context.begin_again()


@chapter.case("LIC-14", CLIENT)
def the_token_of_this_product_alone(context: CaseContext) -> None:
    server = context.accept(TERMINAL_SERVER)
    claims, issuer = token_for(context, ask_for_license(context, server))
    token = push(server, claims, issuer)
    server.hear(LicenseStored)
    context.begin_again()
    shown = ask_for_license(context, context.accept(TERMINAL_SERVER))
    server.expect_same(token, shown.token)
    server.expect_same(issuer.certificate, shown.issuer_certificate)
    context.begin_again()
    server = context.accept(TERMINAL_SERVER)
    server.say(LicenseRequest(nonce=bytes(32), product="another-product", product_version=1))
    server.expect_same(b"", server.hear(LicenseInfo).token)


# --- logon ----------------------------------------------------------------------------------------


@chapter.case("LOGON-18", CLIENT)
def one_logon_at_a_time(context: CaseContext) -> None:
    server = context.accept(TERMINAL_SERVER)
    context.client_logon(server)
    server.expect_silence(3.0)


@chapter.case("LOGON-18", CLIENT, also=("LOGON-19",))
def busy_is_waited_for(context: CaseContext) -> None:
    wait = 5
    context.needs_seconds(2 * wait)
    server = context.accept(TERMINAL_SERVER)
    context.client_logon(server)
    server.say(LogonRefused(code=ErrorCode.LOGON_BUSY, attempts_left=3, retry_after_seconds=wait))
    began = context.now
    context.hear_logon_again(server, BACK_SECONDS)
    context.check(context.now - began >= wait - 1, f"no LogonStart before {wait} s have passed")


@chapter.case("LOGON-25", CLIENT)
def a_proof_for_this_host_alone(context: CaseContext) -> None:
    server = context.accept(TERMINAL_SERVER)
    attempt = context.challenge(server, context.client_logon(server))
    expect_good_proof(attempt, server.hear(LogonProof))


@chapter.case("LOGON-25", CLIENT)
def a_proof_for_each_host_of_a_visit(context: CaseContext) -> None:
    """The key that the password gives depends on salt and cost: each host may say others."""
    server = context.accept(TERMINAL_SERVER)
    attempt = context.challenge(server, context.client_logon(server))
    expect_good_proof(attempt, server.hear(LogonProof))
    server.say(context.redirect(session_id=12))
    server = context.accept(TERMINAL_SERVER)
    start = context.client_logon(server)
    attempt = context.challenge(server, start, salt=b"of another host ", passes=3)
    expect_good_proof(attempt, server.hear(LogonProof))


def expect_good_proof(attempt: Attempt, proof: LogonProof) -> None:
    """Raises Unavailable when the suite does not know the user's password."""
    if not attempt.user.password:
        raise Unavailable(f"needs the password of {attempt.start.user_name} (--user)")
    if (proof.method, proof.algorithm) != (PASSWORD, ED25519):
        said = f"method {proof.method}, algorithm {proof.algorithm!r}"
        raise Unmet(f"expected a proof by the password's key, came {said}")
    statement = attempt.statement(command=proof.command)
    if not is_signed(attempt.key.public_key(), statement, proof.signature):
        raise Unmet(f"expected a signature over these values: {statement}")


@chapter.case("LOGON-24", CLIENT)
def costs_that_no_key_is_derived_with(context: CaseContext) -> None:
    for wrong in (
        {"memory_kib": limits.ARGON2_MEMORY_KIB_MIN - 1},
        {"memory_kib": limits.ARGON2_MEMORY_KIB_MAX + 1},
        {"memory_kib": 2**32 - 1},
        {"passes": limits.ARGON2_PASSES_MIN - 1},
        {"passes": limits.ARGON2_PASSES_MAX + 1},
        {"lanes": 0},
        {"lanes": limits.ARGON2_LANES_MAX + 1},
    ):
        server = context.accept(TERMINAL_SERVER)
        context.challenge(server, context.client_logon(server), **wrong)
        message = server.next()
        if isinstance(message, LogonProof):
            raise Unmet(f"expected no LogonProof for a cost with {wrong}")
        context.begin_again()


@chapter.case("LOGON-26", CLIENT)
def ssh_keys_that_were_not_named(context: CaseContext) -> None:
    for named in (b"", context.rng.randbytes(32)):
        server = context.accept(TERMINAL_SERVER)
        start = context.client_logon(server)
        if not start.key_fingerprints:
            raise Unavailable("the client has no SSH keys")
        context.challenge(server, start, key_fingerprint=named)
        message = server.next()
        is_by_key = isinstance(message, LogonProof) and message.method == SSH_KEY
        context.check(not is_by_key, "no signature of an SSH key")
        context.begin_again()


@chapter.case("LOGON-26", CLIENT, also=("LOGON-25",))
def the_ssh_key_that_was_named(context: CaseContext) -> None:
    server = context.accept(TERMINAL_SERVER)
    start = context.client_logon(server)
    if not start.key_fingerprints:
        raise Unavailable("the client has no SSH keys")
    named = start.key_fingerprints[-1]
    attempt = context.challenge(server, start, key_fingerprint=named)
    proof = server.hear(LogonProof)
    context.expect_fields(proof, "by the SSH key", method=SSH_KEY)
    key = next((key for key in attempt.user.ssh_keys if key.fingerprint == named), None)
    if key is None or key.kind != "ssh-ed25519":
        raise Unavailable("the suite does not know the client's SSH key")
    context.expect_fields(proof, "its algorithm", algorithm="ssh-ed25519")
    expected = attempt.by_ssh_key(key).signature
    context.expect_fields(proof, "the key's SSHSIG, raw", signature=expected)


@chapter.case("LOGON-34", CLIENT)
def a_challenge_twice(context: CaseContext) -> None:
    server = context.accept(TERMINAL_SERVER)
    start = context.client_logon(server)
    context.challenge(server, start)
    server.hear(LogonProof)
    context.challenge(server, start)
    server.expect_goodbye(ErrorCode.OUT_OF_ORDER)


@chapter.case("LOGON-34", CLIENT)
def a_challenge_that_was_not_asked_for(context: CaseContext) -> None:
    server = context.accept(TERMINAL_SERVER)
    start = context.client_logon(server)
    context.challenge(server, start)
    server.hear(LogonProof)
    server.say(logon_accepted(start.user_name))
    server.expect_no_fault(0.1)  # a ResizeSession may come
    context.challenge(server, start)
    server.expect_goodbye(ErrorCode.OUT_OF_ORDER)


@chapter.case("LOGON-35", CLIENT)
def a_wrong_proof_begins_anew(context: CaseContext) -> None:
    server = context.accept(TERMINAL_SERVER)
    context.client_proof(server)
    server.say(LogonRefused(code=ErrorCode.LOGON_FAILED, attempts_left=2))
    context.hear_logon_again(server)


# --- redirects ------------------------------------------------------------------------------------


@chapter.case("REDIR-02", CLIENT)
def a_redirect_is_followed_and_proved_anew(context: CaseContext) -> None:
    server = context.accept(TERMINAL_SERVER)
    first, _ = context.client_proof(server)
    server.say(context.redirect(session_id=12))
    server = context.accept(TERMINAL_SERVER)
    start, proof = context.client_proof(server)
    wanted = {"user_name": first.user_name, "application": first.application}
    context.expect_fields(start, "the same user", **wanted, session_id=12, attachment=0)
    context.expect_fields(proof, "by a Redirect", redirected=True, avoid="")


@chapter.case("REDIR-02", CLIENT)
def nobody_has_redirected_it(context: CaseContext) -> None:
    start, proof = context.client_proof(context.accept(TERMINAL_SERVER))
    context.expect_fields(start, "no session", session_id=0, attachment=0)
    context.expect_fields(proof, "by nobody", redirected=False, avoid="")


@chapter.case("REDIR-03", CLIENT)
def the_host_that_was_named(context: CaseContext) -> None:
    server = context.accept(TERMINAL_SERVER)
    context.client_proof(server)
    server.say(context.redirect(host="another-name"))
    expect_turned_away(context, context.accept_unwelcomed(TERMINAL_SERVER))


@chapter.case("REDIR-10", CLIENT)
def too_many_redirects(context: CaseContext) -> None:
    server = context.accept(TERMINAL_SERVER)
    for _ in range(limits.REDIRECTS_MAX):
        context.client_proof(server)
        server.say(context.redirect())
        server = context.accept(TERMINAL_SERVER)
    context.client_proof(server)
    server.say(context.redirect())
    try:
        context.accept_unwelcomed(TERMINAL_SERVER, seconds=3.0)
    except Unmet:
        return
    raise Unmet(f"expected no dial after more than {limits.REDIRECTS_MAX} redirects")


@chapter.case("REDIR-11", CLIENT)
def a_host_that_is_not_there(context: CaseContext) -> None:
    context.needs_seconds(limits.DIAL_SECONDS)
    server = context.accept(TERMINAL_SERVER)
    context.client_proof(server)
    away = msgspec.structs.replace(context.redirect(host="gone"), port=1, address="127.0.0.9")
    server.say(away)
    back = context.accept(TERMINAL_SERVER, seconds=limits.DIAL_SECONDS + 5)
    start, proof = context.client_proof(back)
    context.expect_fields(proof, "the host that is not there", avoid="gone", redirected=False)
    context.expect_fields(start, "no session", session_id=0, attachment=0)


# --- reconnecting ---------------------------------------------------------------------------------


@chapter.case("SESS-13", CLIENT, also=("LOGON-29",))
def a_lost_session_is_resumed(context: CaseContext) -> None:
    context.client_session(attachment=5).hang_up()
    back = context.client_logon(context.accept_again(BACK_SECONDS))
    context.expect_fields(back, "as in LogonAccepted", session_id=1, attachment=5)


@chapter.case("SESS-14", CLIENT)
def a_session_that_another_client_shows(context: CaseContext) -> None:
    server = context.client_session()
    server.say(Goodbye(code=ErrorCode.DISCONNECTED_BY_OTHER))
    server.expect_end()
    try:
        context.accept_unwelcomed(TERMINAL_SERVER, seconds=3.0)
    except Unmet:
        return
    raise Unmet("expected no dial by itself")


def cases() -> list[Case]:
    return chapter.cases
