"""The licensing phase of a terminal server."""

from __future__ import annotations

from clients.conformance.acting import Stage
from clients.conformance.case import TERMINAL_SERVER, Case, Chapter
from clients.conformance.device import DAY, Device
from clients.conformance.peer import Peer
from clients.conformance.stage import Cast
from tsproto import limits, messages
from tsproto.errors import ErrorCode
from tsproto.messages import LicenseKind, Role

chapter = Chapter()

RENEWAL = limits.RENEWAL_DAYS * DAY


def license_server_of(stage: Stage) -> Peer:
    return stage.accept(Role.LICENSE_SERVER)


def with_token(stage: Stage, **changes: object) -> Device:
    """A device that holds a full token of the license server that the suite plays."""
    device, issuer = stage.device(), stage.issuer()
    stage.holds(device, stage.claims(device, issuer, **changes), issuer)
    return device


@chapter.case("LIC-01", TERMINAL_SERVER)
def every_nonce_is_another(stage: Stage) -> None:
    nonces = {stage.licensing()[1].nonce for _ in range(5)}
    stage.check(len(nonces) == 5, "five different nonces")


@chapter.case("LIC-03", TERMINAL_SERVER)
def a_proof_that_is_wrong(stage: Stage) -> None:
    device = stage.device()
    for wrong in range(4):
        client, request = stage.licensing()
        info = device.show(request, client.certificate)
        if wrong == 0:
            info.signature = bytes([info.signature[0] ^ 1]) + info.signature[1:]
        elif wrong == 1:
            info.signature = device.prove(request.nonce, client.certificate, domain=b"")
        elif wrong == 2:
            info.signature = device.prove(request.nonce, b"\x01" * 32)
        else:
            info.public_key = stage.device().public_key
        client.say(info)
        client.expect_goodbye(ErrorCode.DEVICE_PROOF_INVALID)


@chapter.case("LIC-04", TERMINAL_SERVER)
def a_proof_made_for_another_link(stage: Stage) -> None:
    device = stage.device()
    first, request = stage.licensing()
    second, _ = stage.licensing()
    second.say(device.show(request, first.certificate))
    second.expect_goodbye(ErrorCode.DEVICE_PROOF_INVALID)


@chapter.case("LIC-05", TERMINAL_SERVER)
def the_proof_comes_before_the_token(stage: Stage) -> None:
    device = stage.device()
    device.token = b"no token"
    client, request = stage.licensing()
    info = device.show(request, client.certificate)
    info.signature = device.prove(bytes(32), client.certificate)
    client.say(info)
    client.expect_goodbye(ErrorCode.DEVICE_PROOF_INVALID)


@chapter.case("LIC-06", TERMINAL_SERVER, cast=Cast.PLAYED)
def who_has_no_live_full_token_needs_one(stage: Stage) -> None:
    license_server = license_server_of(stage)
    past = int(stage.now) - DAY
    for device in (
        stage.device(),
        with_token(stage, expires_at=past),
        with_token(stage, kind=LicenseKind.TEMPORARY),
    ):
        stage.show(device)
        acquire = license_server.hear(messages.AcquireLicense)
        stage.check(acquire.device_id == device.id, "this device's id in AcquireLicense")
        stage.check(acquire.product == stage.product, "this server's product")


@chapter.case("LIC-07", TERMINAL_SERVER, cast=Cast.PLAYED)
def a_lasting_token_needs_nobody(stage: Stage) -> None:
    license_server = license_server_of(stage)
    ends = int(stage.now) + RENEWAL + 60
    accepted = stage.show(with_token(stage, expires_at=ends)).hear(messages.LicenseAccepted)
    stage.check(accepted.expires_at == ends, "the token's end")
    license_server.expect_silence(1.0)


@chapter.case("LIC-08", TERMINAL_SERVER, cast=Cast.PLAYED)
def the_last_days_of_a_token(stage: Stage) -> None:
    license_server = license_server_of(stage)
    for left in (RENEWAL, DAY):
        device = with_token(stage, expires_at=int(stage.now) + left)
        stage.show(device)
        renew = license_server.hear(messages.RenewLicense)
        stage.check(renew.license_id == device.id[:16], "the token's license id in RenewLicense")


@chapter.case("LIC-09", TERMINAL_SERVER)
def a_new_token_is_stored_first(stage: Stage) -> None:
    device = stage.device()
    client = stage.show(device)
    claims = device.store(client.hear(messages.NewLicense))
    client.expect_silence(1.0)
    client.say(messages.LicenseStored(license_id=claims.license_id))
    client.hear(messages.LicenseAccepted)


@chapter.case("LIC-09", TERMINAL_SERVER)
def a_token_that_is_held_is_not_pushed(stage: Stage) -> None:
    device = stage.device()
    stage.take_license(stage.show(device), device)
    stage.show(device).hear(messages.LicenseAccepted)


@chapter.case("LIC-10", TERMINAL_SERVER)
def another_license_was_stored(stage: Stage) -> None:
    client = stage.show(stage.device())
    client.hear(messages.NewLicense)
    client.say(messages.LicenseStored(license_id=bytes(16)))
    client.expect_goodbye(ErrorCode.OUT_OF_ORDER)


@chapter.case("LIC-11", TERMINAL_SERVER)
def stored_before_anything_was_pushed(stage: Stage) -> None:
    client, _ = stage.licensing()
    client.say(messages.LicenseStored(license_id=bytes(16)))
    client.expect_goodbye(ErrorCode.OUT_OF_ORDER)


@chapter.case("LIC-11", TERMINAL_SERVER)
def information_for_the_second_time(stage: Stage) -> None:
    device = stage.device()
    client, request = stage.licensing()
    info = device.show(request, client.certificate)
    client.say(info)
    client.hear(messages.NewLicense)
    client.say(info)
    client.expect_goodbye(ErrorCode.OUT_OF_ORDER)


@chapter.case("LIC-15", TERMINAL_SERVER, cast=Cast.PLAYED)
def a_live_token_is_enough(stage: Stage) -> None:
    license_server = license_server_of(stage)
    ends = int(stage.now) + DAY
    client = stage.show(with_token(stage, expires_at=ends))
    no = messages.Refused(code=ErrorCode.UNKNOWN_LICENSE)
    license_server.answer(license_server.hear(messages.RenewLicense), no)
    accepted = client.hear(messages.LicenseAccepted)
    stage.check(accepted.expires_at == ends, "the token's own end")


@chapter.case("LIC-15", TERMINAL_SERVER, cast=Cast.PLAYED)
def a_temporary_token_that_is_not_upgraded(stage: Stage) -> None:
    license_server = license_server_of(stage)
    client = stage.show(with_token(stage, kind=LicenseKind.TEMPORARY))
    no = messages.Refused(code=ErrorCode.NO_LICENSE)
    license_server.answer(license_server.hear(messages.AcquireLicense), no)
    accepted = client.hear(messages.LicenseAccepted)
    stage.check(accepted.kind is LicenseKind.TEMPORARY, "the temporary token")


@chapter.case("LIC-16", TERMINAL_SERVER, cast=Cast.PLAYED)
def no_token_and_none_left(stage: Stage) -> None:
    license_server = license_server_of(stage)
    client = stage.show(stage.device())
    no = messages.Refused(code=ErrorCode.NO_LICENSE)
    license_server.answer(license_server.hear(messages.AcquireLicense), no)
    client.expect_goodbye(ErrorCode.NO_LICENSE)


@chapter.case("LIC-17", TERMINAL_SERVER, cast=Cast.PLAYED)
def an_expired_token_and_none_left(stage: Stage) -> None:
    license_server = license_server_of(stage)
    client = stage.show(with_token(stage, expires_at=int(stage.now) - DAY))
    no = messages.Refused(code=ErrorCode.NO_LICENSE)
    license_server.answer(license_server.hear(messages.AcquireLicense), no)
    client.expect_goodbye(ErrorCode.LICENSE_EXPIRED)


@chapter.case("LIC-18", TERMINAL_SERVER, cast=Cast.PLAYED)
def nobody_answers_and_no_grace(stage: Stage) -> None:
    license_server = license_server_of(stage)
    client = stage.show(stage.device())
    request = license_server.hear(messages.AcquireLicense)
    not_served = messages.Refused(code=ErrorCode.SERVER_NOT_SERVED)
    license_server.answer(request, not_served)
    client.expect_goodbye(ErrorCode.NO_LICENSE_SERVER, seconds=limits.LICENSING_SECONDS)


@chapter.case("LIC-18", TERMINAL_SERVER, cast=Cast.GRACE)
def nobody_answers_but_grace(stage: Stage) -> None:
    accepted = _let_in_by_nobody(stage)
    stage.check(accepted.kind is LicenseKind.GRACE, "GRACE")


@chapter.case("LIC-19", TERMINAL_SERVER, cast=Cast.GRACE)
def grace_runs_from_the_first_connection(stage: Stage) -> None:
    first = _let_in_by_nobody(stage).expires_at
    grace = limits.GRACE_DAYS * DAY
    stage.check(abs(first - stage.now - grace) <= 60, f"an end {limits.GRACE_DAYS} days away")
    stage.target.restart()
    stage.target.move_clock(first - stage.now - 3_600)
    stage.check(_let_in_by_nobody(stage).expires_at == first, "the same end after a restart")
    stage.target.move_clock(first - stage.now)
    _refused_by_nobody(stage)


@chapter.case("LIC-19", TERMINAL_SERVER, cast=Cast.GRACE)
def a_full_token_ends_the_grace(stage: Stage) -> None:
    _let_in_by_nobody(stage)
    stage.show(with_token(stage)).hear(messages.LicenseAccepted)
    _refused_by_nobody(stage)


def _let_in_by_nobody(stage: Stage) -> messages.LicenseAccepted:
    client = stage.show(stage.device())
    return client.hear(messages.LicenseAccepted, limits.LICENSING_SECONDS)


def _refused_by_nobody(stage: Stage) -> None:
    client = stage.show(stage.device())
    client.expect_goodbye(ErrorCode.NO_LICENSE_SERVER, seconds=limits.LICENSING_SECONDS)


@chapter.case("LIC-20", TERMINAL_SERVER)
def the_authority_is_told(stage: Stage) -> None:
    client, _ = stage.licensing()
    authority = client.ask_for(messages.Authority, messages.QueryAuthority())
    stage.check(authority.certificate[:1] == b"\x30", "a certificate in DER form")
    again = client.ask_for(messages.Authority, messages.QueryAuthority())
    stage.check(again.certificate == authority.certificate, "the same certificate again")


@chapter.case("LIC-20", TERMINAL_SERVER)
def the_authority_is_told_while_a_token_is_stored(stage: Stage) -> None:
    client = stage.show(stage.device())
    client.hear(messages.NewLicense)
    client.ask_for(messages.Authority, messages.QueryAuthority())


@chapter.case("LIC-21", TERMINAL_SERVER, cast=Cast.PLAYED)
def what_a_license_server_issues_is_looked_at(stage: Stage) -> None:
    license_server = license_server_of(stage)
    device, other = stage.device(), stage.device()
    issuer, foreign = stage.issuer(), stage.issuer(farm="elsewhere")
    for issued in (
        stage.issued(stage.claims(other, issuer), issuer),
        stage.issued(stage.claims(device, foreign), foreign),
        stage.issued(stage.claims(device, issuer, expires_at=int(stage.now) - 1), issuer),
    ):
        client = stage.show(device)
        license_server.answer(license_server.hear(messages.AcquireLicense), issued)
        again = license_server.next(0.2)  # the target may ask once more
        if again is not None:
            license_server.answer(again, issued)
        client.expect_goodbye(ErrorCode.NO_LICENSE_SERVER, seconds=limits.LICENSING_SECONDS)


@chapter.case("LIC-22", TERMINAL_SERVER)
def accepted_says_what_lets_the_device_in(stage: Stage) -> None:
    ends = int(stage.now) + 20 * DAY
    accepted = stage.show(with_token(stage, expires_at=ends)).hear(messages.LicenseAccepted)
    stage.check(accepted.kind is LicenseKind.FULL, "FULL")
    stage.check(accepted.expires_at == ends, "the token's end")


@chapter.case("LIC-22", TERMINAL_SERVER)
def accepted_says_what_a_new_token_says(stage: Stage) -> None:
    device = stage.device()
    client = stage.show(device)
    claims = device.store(client.hear(messages.NewLicense))
    client.say(messages.LicenseStored(license_id=claims.license_id))
    accepted = client.hear(messages.LicenseAccepted)
    stage.check((accepted.kind, accepted.expires_at) == (claims.kind, claims.expires_at), "its end")


@chapter.case("LIC-23", TERMINAL_SERVER, cast=Cast.TWO_LICENSE_SERVERS)
def the_issuer_is_asked_first(stage: Stage) -> None:
    first, second = (license_server_of(stage) for _ in range(2))
    for server, other in ((first, second), (second, first)):
        issuer = stage.issuer(server.name)
        device = stage.device()
        claims = stage.claims(device, issuer, expires_at=int(stage.now) + DAY)
        stage.holds(device, claims, issuer)
        client = stage.show(device)
        renew = server.hear(messages.RenewLicense)
        other.expect_silence(0.5)
        server.answer(renew, stage.issued(claims, issuer))
        client.hear_past(messages.LicenseAccepted)


@chapter.case("LIC-24", TERMINAL_SERVER, cast=Cast.PLAYED)
def validated_by_a_logon_and_not_before(stage: Stage) -> None:
    license_server = license_server_of(stage)
    device, issuer = stage.device(), stage.issuer()
    client = stage.show(device)
    claims = stage.claims(device, issuer, kind=LicenseKind.TEMPORARY)
    license_server.answer(
        license_server.hear(messages.AcquireLicense), stage.issued(claims, issuer)
    )
    stage.take_license(client, device)
    license_server.expect_silence(1.0)
    stage.log_on(client, stage.user())
    validated = license_server.hear(messages.MarkValidated)
    stage.check(validated.device_id == device.id, "this device's id in MarkValidated")


def cases() -> list[Case]:
    return chapter.cases
