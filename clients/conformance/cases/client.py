"""A client: how it shows its license, logs on, follows redirects and comes back."""

from __future__ import annotations

import hashlib

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from clients.conformance.acting import Stage, ask_for_license
from clients.conformance.case import CLIENT, TERMINAL_SERVER, Case, Chapter
from clients.conformance.cases.opening import expect_turned_away
from clients.conformance.device import DAY, PROOF_DOMAIN, TokenClaims, sign_token
from clients.conformance.peer import Peer
from clients.conformance.stage import Issuer, Unmet
from tsproto import limits
from tsproto.errors import ErrorCode
from tsproto.messages import (
    Credential,
    LicenseInfo,
    LicenseKind,
    LicenseRequest,
    LicenseStored,
    LogonRefused,
    NewLicense,
)

chapter = Chapter()

BACK_SECONDS = limits.RECONNECT_SECONDS_MAX + 5


@chapter.case("LIC-02", CLIENT)
def the_proof_of_its_key(stage: Stage) -> None:
    server = stage.accept(TERMINAL_SERVER)
    nonce = stage.rng.randbytes(32)
    server.say(LicenseRequest(nonce=nonce, product=stage.product, product_version=1))
    info = server.hear(LicenseInfo)
    signed = PROOF_DOMAIN + nonce + server.certificate
    try:
        Ed25519PublicKey.from_public_bytes(info.public_key).verify(info.signature, signed)
    except (InvalidSignature, ValueError):
        raise Unmet("expected a signature over domain, nonce and certificate") from None


def token_for(stage: Stage, info: LicenseInfo, **changes: object) -> tuple[TokenClaims, Issuer]:
    """A temporary token for the device that sent this LicenseInfo."""
    issuer = stage.issuer()
    device_id = hashlib.sha256(info.public_key).digest()
    good = stage.claims_of(device_id, stage.product, issuer, license_id=stage.rng.randbytes(16))
    good = msgspec.structs.replace(good, kind=int(LicenseKind.TEMPORARY), key_pack="")
    return msgspec.structs.replace(good, **changes), issuer


def push(server: Peer, claims: TokenClaims, issuer: Issuer) -> bytes:
    token = sign_token(claims, issuer.key)
    server.say(NewLicense(token=token, issuer_certificate=issuer.certificate))
    return token


@chapter.case("LIC-12", CLIENT)
def what_is_pushed_is_stored(stage: Stage) -> None:
    server = stage.accept(TERMINAL_SERVER)
    claims, issuer = token_for(stage, ask_for_license(stage, server))
    push(server, claims, issuer)
    server.expect_same(claims.license_id, server.hear(LicenseStored).license_id)


@chapter.case("LIC-12", CLIENT)
def a_newer_token_replaces_the_older(stage: Stage) -> None:
    server = stage.accept(TERMINAL_SERVER)
    info = ask_for_license(stage, server)
    older, issuer = token_for(stage, info)
    newer, _ = token_for(stage, info, expires_at=int(stage.now) + 40 * DAY)
    for claims in (older, newer):
        token = push(server, claims, issuer)
        server.expect_same(claims.license_id, server.hear(LicenseStored).license_id)
    stage.begin_again()
    shown = ask_for_license(stage, stage.accept(TERMINAL_SERVER))
    server.expect_same(token, shown.token)


@chapter.case("LIC-13", CLIENT)
def tokens_that_are_not_stored(stage: Stage) -> None:
    other = stage.rng.randbytes(32)
    wrong: tuple[dict[str, object], ...] = ({"device_id": other}, {"farm": "elsewhere"}, {})
    for changes in wrong:
        server = stage.accept(TERMINAL_SERVER)
        info = ask_for_license(stage, server)
        claims, issuer = token_for(stage, info, **changes)
        if changes:
            push(server, claims, issuer)
        else:
            server.say(NewLicense(token=b"no token", issuer_certificate=issuer.certificate))
        message = server.next()
        stage.check(not isinstance(message, LicenseStored), "no LicenseStored")
        stage.begin_again()


@chapter.case("LIC-14", CLIENT)
def the_token_of_this_product_alone(stage: Stage) -> None:
    server = stage.accept(TERMINAL_SERVER)
    claims, issuer = token_for(stage, ask_for_license(stage, server))
    token = push(server, claims, issuer)
    server.hear(LicenseStored)
    stage.begin_again()
    shown = ask_for_license(stage, stage.accept(TERMINAL_SERVER))
    server.expect_same(token, shown.token)
    server.expect_same(issuer.certificate, shown.issuer_certificate)
    stage.begin_again()
    server = stage.accept(TERMINAL_SERVER)
    server.say(LicenseRequest(nonce=bytes(32), product="another-product", product_version=1))
    server.expect_same(b"", server.hear(LicenseInfo).token)


# --- logon ----------------------------------------------------------------------------------------


@chapter.case("LOGON-14", CLIENT)
def a_ticket_that_failed_is_not_shown_again(stage: Stage) -> None:
    server = _redirected_here(stage)
    ticket = stage.client_logon(server).credential
    server.say(LogonRefused(code=ErrorCode.TICKET_INVALID, attempts_left=3))
    again = stage.hear_logon_again(server)
    stage.check(again.credential != ticket, "another credential than the ticket that failed")


@chapter.case("LOGON-18", CLIENT)
def one_logon_at_a_time(stage: Stage) -> None:
    server = stage.accept(TERMINAL_SERVER)
    stage.client_logon(server)
    server.expect_silence(3.0)


@chapter.case("LOGON-18", CLIENT, also=("LOGON-19",))
def busy_is_waited_for(stage: Stage) -> None:
    wait = 5
    stage.needs_seconds(2 * wait)
    server = stage.accept(TERMINAL_SERVER)
    stage.client_logon(server)
    server.say(LogonRefused(code=ErrorCode.LOGON_BUSY, attempts_left=3, retry_after_seconds=wait))
    began = stage.now
    stage.hear_logon_again(server, BACK_SECONDS)
    stage.check(stage.now - began >= wait - 1, f"no LogonRequest before {wait} s have passed")


# --- redirects ------------------------------------------------------------------------------------


def _redirected_here(stage: Stage) -> Peer:
    """A client that has followed a redirect to the suite."""
    server = stage.accept(TERMINAL_SERVER)
    stage.client_logon(server)
    server.say(stage.redirect())
    return stage.accept(TERMINAL_SERVER)


@chapter.case("REDIR-02", CLIENT)
def a_redirect_is_followed_with_its_ticket(stage: Stage) -> None:
    server = stage.accept(TERMINAL_SERVER)
    first = stage.client_logon(server)
    redirect = stage.redirect(session_id=12)
    server.say(redirect)
    request = stage.client_logon(stage.accept(TERMINAL_SERVER))
    said = (request.credential_kind, request.credential, request.session_id, request.user_name)
    server.expect_same((Credential.TICKET, redirect.ticket, 12, first.user_name), said)


@chapter.case("REDIR-03", CLIENT)
def the_host_that_was_named(stage: Stage) -> None:
    server = stage.accept(TERMINAL_SERVER)
    stage.client_logon(server)
    server.say(stage.redirect(host="another-name"))
    expect_turned_away(stage, stage.accept_unwelcomed(TERMINAL_SERVER))


@chapter.case("REDIR-10", CLIENT)
def too_many_redirects(stage: Stage) -> None:
    server = stage.accept(TERMINAL_SERVER)
    for _ in range(limits.REDIRECTS_MAX):
        stage.client_logon(server)
        server.say(stage.redirect())
        server = stage.accept(TERMINAL_SERVER)
    stage.client_logon(server)
    server.say(stage.redirect())
    try:
        stage.accept_unwelcomed(TERMINAL_SERVER, seconds=3.0)
    except Unmet:
        return
    raise Unmet(f"expected no dial after more than {limits.REDIRECTS_MAX} redirects")


@chapter.case("REDIR-11", CLIENT)
def a_host_that_is_not_there(stage: Stage) -> None:
    stage.needs_seconds(limits.DIAL_SECONDS)
    server = stage.accept(TERMINAL_SERVER)
    stage.client_logon(server)
    away = msgspec.structs.replace(stage.redirect(host="gone"), port=1, address="127.0.0.9")
    server.say(away)
    back = stage.accept(TERMINAL_SERVER, seconds=limits.DIAL_SECONDS + 5)
    server.expect_same("gone", stage.client_logon(back).unreachable_host)


# --- reconnecting ---------------------------------------------------------------------------------


@chapter.case("SESS-13", CLIENT)
def a_lost_session_is_asked_for_with_its_cookie(stage: Stage) -> None:
    cookie = stage.rng.randbytes(32)
    stage.client_session(cookie).hang_up()
    back = stage.client_logon(stage.accept_again(BACK_SECONDS))
    kind = Credential.RECONNECT
    stage.expect_fields(
        back, "the session's cookie", credential_kind=kind, credential=cookie, session_id=1
    )


@chapter.case("LOGON-14", CLIENT)
def a_cookie_that_failed_is_not_shown_again(stage: Stage) -> None:
    cookie = stage.rng.randbytes(32)
    stage.client_session(cookie).hang_up()
    server = stage.accept_again(BACK_SECONDS)
    stage.client_logon(server)
    server.say(LogonRefused(code=ErrorCode.TICKET_INVALID, attempts_left=3))
    again = stage.hear_logon_again(server)
    stage.check(again.credential != cookie, "another credential than the cookie that failed")


def cases() -> list[Case]:
    return chapter.cases
