"""The licensing phase of a terminal server."""

from __future__ import annotations

from clients.conformance.acting import CaseContext
from clients.conformance.case import TERMINAL_SERVER, Case, Chapter
from clients.conformance.device import DAY, Device
from clients.conformance.peer import Peer
from clients.conformance.target import Setup
from tsproto import limits, messages
from tsproto.errors import ErrorCode
from tsproto.messages import LicenseKind, Role

chapter = Chapter()

RENEWAL = limits.RENEWAL_DAYS * DAY


def license_server_of(context: CaseContext) -> Peer:
    return context.accept(Role.LICENSE_SERVER)


def with_token(context: CaseContext, **changes: object) -> Device:
    """A device that holds a full token of the license server that the suite plays."""
    device, issuer = context.device(), context.issuer()
    context.holds(device, context.claims(device, issuer, **changes), issuer)
    return device


@chapter.case("LIC-01", TERMINAL_SERVER)
def every_nonce_is_another(context: CaseContext) -> None:
    nonces = {context.licensing()[1].nonce for _ in range(5)}
    context.check(len(nonces) == 5, "five different nonces")


@chapter.case("LIC-03", TERMINAL_SERVER)
def a_proof_that_is_wrong(context: CaseContext) -> None:
    device = context.device()
    for wrong in range(4):
        client, request = context.licensing()
        info = device.show(request, client.certificate)
        if wrong == 0:
            info.signature = bytes([info.signature[0] ^ 1]) + info.signature[1:]
        elif wrong == 1:
            info.signature = device.prove(request.nonce, client.certificate, domain=b"")
        elif wrong == 2:
            info.signature = device.prove(request.nonce, b"\x01" * 32)
        else:
            info.public_key = context.device().public_key
        client.say(info)
        client.expect_goodbye(ErrorCode.DEVICE_PROOF_INVALID)


@chapter.case("LIC-04", TERMINAL_SERVER)
def a_proof_made_for_another_link(context: CaseContext) -> None:
    device = context.device()
    first, request = context.licensing()
    second, _ = context.licensing()
    second.say(device.show(request, first.certificate))
    second.expect_goodbye(ErrorCode.DEVICE_PROOF_INVALID)


@chapter.case("LIC-05", TERMINAL_SERVER)
def the_proof_comes_before_the_token(context: CaseContext) -> None:
    device = context.device()
    device.token = b"no token"
    client, request = context.licensing()
    info = device.show(request, client.certificate)
    info.signature = device.prove(bytes(32), client.certificate)
    client.say(info)
    client.expect_goodbye(ErrorCode.DEVICE_PROOF_INVALID)


@chapter.case("LIC-06", TERMINAL_SERVER, setup=Setup.PLAYED)
def who_has_no_live_full_token_needs_one(context: CaseContext) -> None:
    license_server = license_server_of(context)
    past = int(context.now) - DAY
    for device in (
        context.device(),
        with_token(context, expires_at=past),
        with_token(context, kind=LicenseKind.TEMPORARY),
    ):
        context.show(device)
        acquire = license_server.hear(messages.AcquireLicense)
        context.check(acquire.device_id == device.id, "this device's id in AcquireLicense")
        context.check(acquire.product == context.product, "this server's product")


@chapter.case("LIC-07", TERMINAL_SERVER, setup=Setup.PLAYED)
def a_lasting_token_needs_nobody(context: CaseContext) -> None:
    license_server = license_server_of(context)
    ends = int(context.now) + RENEWAL + 60
    accepted = context.show(with_token(context, expires_at=ends)).hear(messages.LicenseAccepted)
    context.check(accepted.expires_at == ends, "the token's end")
    license_server.expect_silence(1.0)


@chapter.case("LIC-08", TERMINAL_SERVER, setup=Setup.PLAYED)
def the_last_days_of_a_token(context: CaseContext) -> None:
    license_server = license_server_of(context)
    for left in (RENEWAL, DAY):
        device = with_token(context, expires_at=int(context.now) + left)
        context.show(device)
        renew = license_server.hear(messages.RenewLicense)
        context.check(renew.license_id == device.id[:16], "the token's license id in RenewLicense")


@chapter.case("LIC-09", TERMINAL_SERVER)
def a_new_token_is_stored_first(context: CaseContext) -> None:
    device = context.device()
    client = context.show(device)
    claims = device.store(client.hear(messages.NewLicense))
    client.expect_silence(1.0)
    client.say(messages.LicenseStored(license_id=claims.license_id))
    client.hear(messages.LicenseAccepted)


@chapter.case("LIC-09", TERMINAL_SERVER)
def a_token_that_is_held_is_not_pushed(context: CaseContext) -> None:
    device = context.device()
    context.take_license(context.show(device), device)
    context.show(device).hear(messages.LicenseAccepted)


@chapter.case("LIC-10", TERMINAL_SERVER)
def another_license_was_stored(context: CaseContext) -> None:
    client = context.show(context.device())
    client.hear(messages.NewLicense)
    client.say(messages.LicenseStored(license_id=bytes(16)))
    client.expect_goodbye(ErrorCode.OUT_OF_ORDER)


@chapter.case("LIC-11", TERMINAL_SERVER)
def stored_before_anything_was_pushed(context: CaseContext) -> None:
    client, _ = context.licensing()
    client.say(messages.LicenseStored(license_id=bytes(16)))
    client.expect_goodbye(ErrorCode.OUT_OF_ORDER)


@chapter.case("LIC-11", TERMINAL_SERVER)
def information_for_the_second_time(context: CaseContext) -> None:
    device = context.device()
    client, request = context.licensing()
    info = device.show(request, client.certificate)
    client.say(info)
    client.hear(messages.NewLicense)
    client.say(info)
    client.expect_goodbye(ErrorCode.OUT_OF_ORDER)


@chapter.case("LIC-15", TERMINAL_SERVER, setup=Setup.PLAYED)
def a_live_token_is_enough(context: CaseContext) -> None:
    license_server = license_server_of(context)
    ends = int(context.now) + DAY
    client = context.show(with_token(context, expires_at=ends))
    no = messages.Refused(code=ErrorCode.UNKNOWN_LICENSE)
    license_server.answer(license_server.hear(messages.RenewLicense), no)
    accepted = client.hear(messages.LicenseAccepted)
    context.check(accepted.expires_at == ends, "the token's own end")


@chapter.case("LIC-15", TERMINAL_SERVER, setup=Setup.PLAYED)
def a_temporary_token_that_is_not_upgraded(context: CaseContext) -> None:
    license_server = license_server_of(context)
    client = context.show(with_token(context, kind=LicenseKind.TEMPORARY))
    no = messages.Refused(code=ErrorCode.NO_LICENSE)
    license_server.answer(license_server.hear(messages.AcquireLicense), no)
    accepted = client.hear(messages.LicenseAccepted)
    context.check(accepted.kind is LicenseKind.TEMPORARY, "the temporary token")


@chapter.case("LIC-16", TERMINAL_SERVER, setup=Setup.PLAYED)
def no_token_and_none_left(context: CaseContext) -> None:
    license_server = license_server_of(context)
    client = context.show(context.device())
    no = messages.Refused(code=ErrorCode.NO_LICENSE)
    license_server.answer(license_server.hear(messages.AcquireLicense), no)
    client.expect_goodbye(ErrorCode.NO_LICENSE)


@chapter.case("LIC-17", TERMINAL_SERVER, setup=Setup.PLAYED)
def an_expired_token_and_none_left(context: CaseContext) -> None:
    license_server = license_server_of(context)
    client = context.show(with_token(context, expires_at=int(context.now) - DAY))
    no = messages.Refused(code=ErrorCode.NO_LICENSE)
    license_server.answer(license_server.hear(messages.AcquireLicense), no)
    client.expect_goodbye(ErrorCode.LICENSE_EXPIRED)


@chapter.case("LIC-18", TERMINAL_SERVER, setup=Setup.PLAYED)
def nobody_answers_and_no_grace(context: CaseContext) -> None:
    license_server = license_server_of(context)
    client = context.show(context.device())
    request = license_server.hear(messages.AcquireLicense)
    not_served = messages.Refused(code=ErrorCode.SERVER_NOT_SERVED)
    license_server.answer(request, not_served)
    client.expect_goodbye(ErrorCode.NO_LICENSE_SERVER, seconds=limits.LICENSING_SECONDS)


@chapter.case("LIC-18", TERMINAL_SERVER, setup=Setup.GRACE)
def nobody_answers_but_grace(context: CaseContext) -> None:
    accepted = _let_in_by_nobody(context)
    context.check(accepted.kind is LicenseKind.GRACE, "GRACE")


@chapter.case("LIC-19", TERMINAL_SERVER, setup=Setup.GRACE)
def grace_runs_from_the_first_connection(context: CaseContext) -> None:
    first = _let_in_by_nobody(context).expires_at
    grace = limits.GRACE_DAYS * DAY
    context.check(abs(first - context.now - grace) <= 60, f"an end {limits.GRACE_DAYS} days away")
    context.target.restart()
    context.target.move_clock(first - context.now - 3_600)
    context.check(_let_in_by_nobody(context).expires_at == first, "the same end after a restart")
    context.target.move_clock(first - context.now)
    _refused_by_nobody(context)


@chapter.case("LIC-19", TERMINAL_SERVER, setup=Setup.GRACE)
def a_full_token_ends_the_grace(context: CaseContext) -> None:
    _let_in_by_nobody(context)
    context.show(with_token(context)).hear(messages.LicenseAccepted)
    _refused_by_nobody(context)


def _let_in_by_nobody(context: CaseContext) -> messages.LicenseAccepted:
    client = context.show(context.device())
    return client.hear(messages.LicenseAccepted, limits.LICENSING_SECONDS)


def _refused_by_nobody(context: CaseContext) -> None:
    client = context.show(context.device())
    client.expect_goodbye(ErrorCode.NO_LICENSE_SERVER, seconds=limits.LICENSING_SECONDS)


@chapter.case("LIC-20", TERMINAL_SERVER)
def the_authority_is_told(context: CaseContext) -> None:
    client, _ = context.licensing()
    authority = client.ask_for(messages.Authority, messages.QueryAuthority())
    context.check(authority.certificate[:1] == b"\x30", "a certificate in DER form")
    again = client.ask_for(messages.Authority, messages.QueryAuthority())
    context.check(again.certificate == authority.certificate, "the same certificate again")


@chapter.case("LIC-20", TERMINAL_SERVER)
def the_authority_is_told_while_a_token_is_stored(context: CaseContext) -> None:
    client = context.show(context.device())
    client.hear(messages.NewLicense)
    client.ask_for(messages.Authority, messages.QueryAuthority())


@chapter.case("LIC-21", TERMINAL_SERVER, setup=Setup.PLAYED)
def what_a_license_server_issues_is_looked_at(context: CaseContext) -> None:
    license_server = license_server_of(context)
    device, other = context.device(), context.device()
    issuer, foreign = context.issuer(), context.issuer(farm="elsewhere")
    for issued in (
        context.issued(context.claims(other, issuer), issuer),
        context.issued(context.claims(device, foreign), foreign),
        context.issued(context.claims(device, issuer, expires_at=int(context.now) - 1), issuer),
    ):
        client = context.show(device)
        license_server.answer(license_server.hear(messages.AcquireLicense), issued)
        again = license_server.next(0.2)  # the target may ask once more
        if again is not None:
            license_server.answer(again, issued)
        client.expect_goodbye(ErrorCode.NO_LICENSE_SERVER, seconds=limits.LICENSING_SECONDS)


@chapter.case("LIC-22", TERMINAL_SERVER)
def accepted_says_what_lets_the_device_in(context: CaseContext) -> None:
    ends = int(context.now) + 20 * DAY
    accepted = context.show(with_token(context, expires_at=ends)).hear(messages.LicenseAccepted)
    context.check(accepted.kind is LicenseKind.FULL, "FULL")
    context.check(accepted.expires_at == ends, "the token's end")


@chapter.case("LIC-22", TERMINAL_SERVER)
def accepted_says_what_a_new_token_says(context: CaseContext) -> None:
    device = context.device()
    client = context.show(device)
    claims = device.store(client.hear(messages.NewLicense))
    client.say(messages.LicenseStored(license_id=claims.license_id))
    accepted = client.hear(messages.LicenseAccepted)
    context.check(
        (accepted.kind, accepted.expires_at) == (claims.kind, claims.expires_at), "its end"
    )


@chapter.case("LIC-23", TERMINAL_SERVER, setup=Setup.TWO_LICENSE_SERVERS)
def the_issuer_is_asked_first(context: CaseContext) -> None:
    first, second = (license_server_of(context) for _ in range(2))
    for server, other in ((first, second), (second, first)):
        issuer = context.issuer(server.name)
        device = context.device()
        claims = context.claims(device, issuer, expires_at=int(context.now) + DAY)
        context.holds(device, claims, issuer)
        client = context.show(device)
        renew = server.hear(messages.RenewLicense)
        other.expect_silence(0.5)
        server.answer(renew, context.issued(claims, issuer))
        client.hear_past(messages.LicenseAccepted)


@chapter.case("LIC-24", TERMINAL_SERVER, setup=Setup.PLAYED)
def validated_by_a_logon_and_not_before(context: CaseContext) -> None:
    license_server = license_server_of(context)
    device, issuer = context.device(), context.issuer()
    client = context.show(device)
    claims = context.claims(device, issuer, kind=LicenseKind.TEMPORARY)
    license_server.answer(
        license_server.hear(messages.AcquireLicense), context.issued(claims, issuer)
    )
    context.take_license(client, device)
    license_server.expect_silence(1.0)
    context.log_on(client, context.user())
    validated = license_server.hear(messages.MarkValidated)
    context.check(validated.device_id == device.id, "this device's id in MarkValidated")


def cases() -> list[Case]:
    return chapter.cases
