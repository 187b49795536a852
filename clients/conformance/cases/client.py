"""A client: how it shows its license, logs on, follows redirects and comes back."""

from __future__ import annotations

import hashlib

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from clients.conformance.acting import CaseContext, ask_for_license
from clients.conformance.case import CLIENT, TERMINAL_SERVER, Case, Chapter
from clients.conformance.cases.opening import expect_turned_away
from clients.conformance.device import DAY, PROOF_DOMAIN, TokenClaims, sign_token
from clients.conformance.peer import Peer
from clients.conformance.target import Issuer, Unmet
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


@chapter.case("LOGON-14", CLIENT)
def a_ticket_that_failed_is_not_shown_again(context: CaseContext) -> None:
    server = _redirected_here(context)
    ticket = context.client_logon(server).credential
    server.say(LogonRefused(code=ErrorCode.TICKET_INVALID, attempts_left=3))
    again = context.hear_logon_again(server)
    context.check(again.credential != ticket, "another credential than the ticket that failed")


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
    context.check(context.now - began >= wait - 1, f"no LogonRequest before {wait} s have passed")


# --- redirects ------------------------------------------------------------------------------------


def _redirected_here(context: CaseContext) -> Peer:
    """A client that has followed a redirect to the suite."""
    server = context.accept(TERMINAL_SERVER)
    context.client_logon(server)
    server.say(context.redirect())
    return context.accept(TERMINAL_SERVER)


@chapter.case("REDIR-02", CLIENT)
def a_redirect_is_followed_with_its_ticket(context: CaseContext) -> None:
    server = context.accept(TERMINAL_SERVER)
    first = context.client_logon(server)
    redirect = context.redirect(session_id=12)
    server.say(redirect)
    request = context.client_logon(context.accept(TERMINAL_SERVER))
    said = (request.credential_kind, request.credential, request.session_id, request.user_name)
    server.expect_same((Credential.TICKET, redirect.ticket, 12, first.user_name), said)


@chapter.case("REDIR-03", CLIENT)
def the_host_that_was_named(context: CaseContext) -> None:
    server = context.accept(TERMINAL_SERVER)
    context.client_logon(server)
    server.say(context.redirect(host="another-name"))
    expect_turned_away(context, context.accept_unwelcomed(TERMINAL_SERVER))


@chapter.case("REDIR-10", CLIENT)
def too_many_redirects(context: CaseContext) -> None:
    server = context.accept(TERMINAL_SERVER)
    for _ in range(limits.REDIRECTS_MAX):
        context.client_logon(server)
        server.say(context.redirect())
        server = context.accept(TERMINAL_SERVER)
    context.client_logon(server)
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
    context.client_logon(server)
    away = msgspec.structs.replace(context.redirect(host="gone"), port=1, address="127.0.0.9")
    server.say(away)
    back = context.accept(TERMINAL_SERVER, seconds=limits.DIAL_SECONDS + 5)
    server.expect_same("gone", context.client_logon(back).unreachable_host)


# --- reconnecting ---------------------------------------------------------------------------------


@chapter.case("SESS-13", CLIENT)
def a_lost_session_is_asked_for_with_its_cookie(context: CaseContext) -> None:
    cookie = context.rng.randbytes(32)
    context.client_session(cookie).hang_up()
    back = context.client_logon(context.accept_again(BACK_SECONDS))
    kind = Credential.RECONNECT
    context.expect_fields(
        back, "the session's cookie", credential_kind=kind, credential=cookie, session_id=1
    )


@chapter.case("LOGON-14", CLIENT)
def a_cookie_that_failed_is_not_shown_again(context: CaseContext) -> None:
    cookie = context.rng.randbytes(32)
    context.client_session(cookie).hang_up()
    server = context.accept_again(BACK_SECONDS)
    context.client_logon(server)
    server.say(LogonRefused(code=ErrorCode.TICKET_INVALID, attempts_left=3))
    again = context.hear_logon_again(server)
    context.check(again.credential != cookie, "another credential than the cookie that failed")


def cases() -> list[Case]:
    return chapter.cases
