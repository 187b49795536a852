from __future__ import annotations

import pytest

from daemons import events
from daemons.effects import Ask, Failed, Prove
from tests.unit.terminal_server.scenario import (
    CERTIFICATE,
    DAY,
    LAPTOP,
    LS_A,
    LS_B,
    NOW,
    PHONE,
    STRANGER,
    Issuer,
    Scene,
    issued,
    license_id,
    names,
    of,
    questions,
    token,
)
from tsproto.errors import ErrorCode
from tsproto.messages import (
    AcquireLicense,
    LicenseAccepted,
    LicenseKind,
    LicenseRequest,
    LicenseStored,
    LogonStart,
    Message,
    NewLicense,
    Refused,
    RenewLicense,
)

TEMPORARY = LicenseKind.TEMPORARY
FULL = LicenseKind.FULL
UNANSWERED = Failed(ErrorCode.UNANSWERED)


def test_a_client_is_first_asked_for_its_license() -> None:
    client = Scene().up().connect()
    asked = client.last(LicenseRequest)
    assert (asked.product, asked.product_version) == ("terminal-server", 1)
    assert len(asked.nonce) == 32


def test_every_connection_gets_another_nonce() -> None:
    scene = Scene().up()
    assert scene.connect().last(LicenseRequest).nonce != scene.connect().last(LicenseRequest).nonce


def test_a_device_without_token_gets_a_temporary_one_before_its_logon() -> None:
    scene = Scene().up()
    client = scene.connect()
    client.show()
    asked = scene.open_effect(Ask)
    assert asked.endpoint.host == "ls-a.lab"
    acquire = asked.message
    assert isinstance(acquire, AcquireLicense)
    assert (acquire.device_id, acquire.device_name, acquire.user_name) == (
        LAPTOP.device_id,
        "laptop1",
        "ann",
    )
    temporary = token(TEMPORARY, expires_at=NOW + 90 * DAY)
    scene.answer(Ask, issued(temporary))
    pushed = client.last(NewLicense)
    assert (pushed.token, pushed.issuer_certificate) == (temporary, LS_A.certificate)
    client.store()
    accepted = client.last(LicenseAccepted)
    assert (accepted.kind, accepted.expires_at) == (TEMPORARY, NOW + 90 * DAY)


def test_a_device_is_let_in_only_when_the_pushed_token_is_stored() -> None:
    scene = Scene().up()
    client = scene.connect()
    client.show()
    scene.answer(Ask, issued(token(TEMPORARY)))
    assert [type(m).__name__ for m in client.heard] == ["LicenseRequest", "NewLicense"]
    client.store(number=2)
    assert client.code is ErrorCode.OUT_OF_ORDER


def test_a_live_temporary_token_is_offered_for_an_upgrade_and_a_full_one_is_pushed() -> None:
    scene = Scene().up()
    client = scene.connect()
    assert [type(q) for q in questions(client.show(token(TEMPORARY)))] == [AcquireLicense]
    scene.answer(Ask, issued(token(FULL, number=2)))
    client.store(number=2)
    assert client.last(LicenseAccepted).kind is FULL


def test_the_same_token_as_answer_is_not_pushed_again() -> None:
    scene = Scene().up()
    client = scene.connect()
    held = token(TEMPORARY)
    client.show(held)
    scene.answer(Ask, issued(held))
    assert [type(m) for m in client.heard] == [LicenseRequest, LicenseAccepted]


@pytest.mark.parametrize(
    ("left", "asked"),
    [(7 * DAY + 1, []), (7 * DAY, [RenewLicense]), (1, [RenewLicense]), (0, [AcquireLicense])],
)
def test_a_full_token_is_renewed_from_seven_days_before_its_expiry(
    left: int, asked: list[type[Message]]
) -> None:
    client = Scene().up().connect()
    effects = client.show(token(FULL, expires_at=NOW + left))
    assert [type(question) for question in questions(effects)] == asked


def test_a_full_token_far_from_its_expiry_is_accepted_at_once() -> None:
    scene = Scene().up()
    client = scene.connect()
    client.show(token(FULL, expires_at=NOW + 60 * DAY))
    accepted = client.last(LicenseAccepted)
    assert (accepted.kind, accepted.expires_at, accepted.notice) == (FULL, NOW + 60 * DAY, "")


def test_a_renewal_names_the_license_and_its_new_token_is_pushed() -> None:
    scene = Scene().up()
    client = scene.connect()
    client.show(token(FULL, expires_at=NOW + DAY, number=3))
    renewal = scene.open_effect(Ask).message
    assert isinstance(renewal, RenewLicense)
    assert renewal.license_id == license_id(3)
    scene.answer(Ask, issued(token(FULL, expires_at=NOW + 70 * DAY, number=3)))
    client.store(number=3)
    assert client.last(LicenseAccepted).expires_at == NOW + 70 * DAY


def test_a_token_whose_renewal_is_refused_is_good_until_it_expires() -> None:
    scene = Scene().up()
    client = scene.connect()
    client.show(token(FULL, expires_at=NOW + DAY))
    effects = scene.answer(Ask, Refused(code=ErrorCode.LENDER_UNREACHABLE))
    accepted = client.last(LicenseAccepted)
    assert (accepted.kind, accepted.expires_at) == (FULL, NOW + DAY)
    assert "could not be renewed" in accepted.notice
    (failed,) = of(events.RenewalFailed, effects)
    assert (failed.expires_at, failed.detail) == (NOW + DAY, accepted.notice)


def test_a_token_that_no_license_server_renews_is_good_until_it_expires() -> None:
    scene = Scene().up()
    client = scene.connect()
    client.show(token(FULL, expires_at=NOW + DAY))
    scene.answer(Ask, UNANSWERED)  # a search finds it again, and it is asked once more
    scene.answer(Ask, UNANSWERED)
    accepted = client.last(LicenseAccepted)
    assert (accepted.kind, accepted.expires_at) == (FULL, NOW + DAY)
    assert "could not be renewed" in accepted.notice


def test_a_temporary_token_goes_on_when_no_full_one_is_left() -> None:
    scene = Scene().up()
    client = scene.connect()
    client.show(token(TEMPORARY))
    effects = scene.answer(Ask, Refused(code=ErrorCode.NO_LICENSE))
    accepted = client.last(LicenseAccepted)
    assert (accepted.kind, accepted.notice) == (TEMPORARY, "")
    assert names(effects) == ["license_request.refused", "license.accepted"]


def test_a_token_that_expired_while_the_license_server_was_asked_lets_nobody_in() -> None:
    scene = Scene().up()
    client = scene.connect()
    client.show(token(TEMPORARY, expires_at=NOW + 2))
    scene.now += 2
    scene.answer(Ask, Refused(code=ErrorCode.NO_LICENSE))
    assert client.code is ErrorCode.NO_LICENSE


def test_a_device_whose_token_has_expired_is_logged_as_lapsed() -> None:
    scene = Scene().up()
    client = scene.connect()
    client.show(token(FULL, expires_at=NOW))
    effects = scene.answer(Ask, Refused(code=ErrorCode.NO_LICENSE))
    (lapsed,) = of(events.LicenseLapsed, effects)
    assert client.closed is not None
    assert (lapsed.code, lapsed.detail) == (ErrorCode.LICENSE_EXPIRED, client.closed.detail)


@pytest.mark.parametrize(("left", "code"), [(1, None), (0, ErrorCode.LICENSE_EXPIRED)])
def test_a_temporary_token_lets_in_up_to_the_second_of_its_expiry(
    left: int, code: ErrorCode | None
) -> None:
    scene = Scene().up()
    client = scene.connect()
    client.show(token(TEMPORARY, expires_at=NOW + left))
    scene.answer(Ask, Refused(code=ErrorCode.NO_LICENSE))
    assert client.code is code


def test_a_device_without_token_is_refused_when_none_is_left_for_it() -> None:
    scene = Scene().up()
    client = scene.connect()
    client.show()
    scene.answer(Ask, Refused(code=ErrorCode.NO_LICENSE, detail="ls-a has 0 of 5 tokens"))
    closed = client.closed
    assert closed is not None
    assert closed.code is ErrorCode.NO_LICENSE
    assert "ls-a has 0 of 5 tokens" in closed.detail
    assert closed.trace_id in closed.detail


def test_a_device_that_a_license_server_denies_is_refused_with_a_live_token_too() -> None:
    scene = Scene().up()
    client = scene.connect()
    client.show(token(TEMPORARY))
    denied = Refused(code=ErrorCode.DEVICE_REVOKED, detail="device 1 was revoked")
    effects = scene.answer(Ask, denied)
    assert client.closed is not None and client.code is ErrorCode.DEVICE_REVOKED
    assert "device 1 was revoked" in client.closed.detail
    assert names(effects) == ["license_request.refused", "device.refused"]


def test_the_trace_id_of_a_refusal_is_in_the_request_and_in_every_event() -> None:
    scene = Scene().up()
    client = scene.connect()
    client.show()
    request = scene.open_effect(Ask).message
    effects = scene.answer(Ask, Refused(code=ErrorCode.NO_LICENSE))
    closed = client.closed
    assert closed is not None
    assert isinstance(request, AcquireLicense)
    assert request.trace_id == closed.trace_id != ""
    assert names(effects) == ["license_request.refused", "device.refused"]
    (refused,) = of(events.DeviceRefused, effects)
    assert (refused.trace_id, refused.code) == (closed.trace_id, ErrorCode.NO_LICENSE)


@pytest.mark.parametrize(
    ("held", "issuer", "code"),
    [
        (token()[:-1] + bytes([token()[-1] ^ 1]), LS_A, ErrorCode.LICENSE_TAMPERED),
        (token(issuer=STRANGER), STRANGER, ErrorCode.LICENSE_FOREIGN),
        (token(device=PHONE), LS_A, ErrorCode.LICENSE_NOT_YOURS),
        (token(device=PHONE, expires_at=NOW), LS_A, ErrorCode.LICENSE_NOT_YOURS),
    ],
)
def test_a_token_that_does_not_count_is_refused_with_its_own_code(
    held: bytes, issuer: Issuer, code: ErrorCode | None
) -> None:
    client = Scene().up().connect()
    effects = client.show(held, issuer)
    assert client.code is code
    assert questions(effects) == []
    (rejected,) = of(events.LicenseRejected, effects)
    assert (rejected.code, rejected.device_id) == (code, LAPTOP.device_id)


@pytest.mark.parametrize("kind", [LicenseKind.TEMPORARY, LicenseKind.FULL])
def test_a_token_for_an_older_version_counts_as_none_and_is_replaced(kind: LicenseKind) -> None:
    scene = Scene(product_version=2).up()
    client = scene.connect()
    client.show(token(kind))
    request = scene.open_effect(Ask).message
    assert isinstance(request, AcquireLicense)
    assert request.product_version == 2
    newer = token(kind, product_version=2)
    scene.answer(Ask, issued(newer))
    assert client.last(NewLicense).token == newer
    client.store()
    assert client.last(LicenseAccepted).kind is kind


def test_a_device_with_an_older_version_is_told_so_when_there_is_no_newer_token() -> None:
    scene = Scene(product_version=2).up()
    client = scene.connect()
    client.show(token())
    scene.answer(Ask, Refused(code=ErrorCode.NO_LICENSE, detail="more licenses do not help"))
    assert client.closed is not None
    assert client.code is ErrorCode.NO_LICENSE
    assert "its license is for an older version" in client.closed.detail
    assert "more licenses do not help; trace" in client.closed.detail
    assert "ask the administrator" not in client.closed.detail


def test_a_device_that_signed_another_nonce_is_refused() -> None:
    client = Scene().up().connect()
    client.show(signature=LAPTOP.prove(b"n" * 32, CERTIFICATE))
    assert client.code is ErrorCode.DEVICE_PROOF_INVALID


def test_a_device_that_signed_another_servers_certificate_is_refused() -> None:
    client = Scene().up().connect()
    nonce = client.last(LicenseRequest).nonce
    client.show(token(), signature=LAPTOP.prove(nonce, bytes(32)))
    assert client.code is ErrorCode.DEVICE_PROOF_INVALID


def test_a_token_for_another_device_from_a_license_server_is_never_pushed() -> None:
    scene = Scene().up()
    client = scene.connect()
    client.show()
    scene.answer(Ask, issued(token(TEMPORARY, device=PHONE)))
    assert client.code is None  # discovery found it again, and it is asked once more
    scene.answer(Ask, issued(token(TEMPORARY, device=PHONE)))
    assert client.code is ErrorCode.NO_LICENSE_SERVER
    assert NewLicense not in [type(m) for m in client.heard]


def test_an_expired_token_as_answer_is_never_pushed() -> None:
    scene = Scene(license_servers=(LS_A, LS_B)).up()
    client = scene.connect()
    client.show()
    scene.answer(Ask, issued(token(TEMPORARY, expires_at=NOW)))
    assert scene.open_effect(Ask).endpoint.host == "ls-b.lab"


def test_the_license_server_that_knows_the_device_is_asked_first() -> None:
    scene = Scene(license_servers=(LS_A, LS_B)).up()
    scene.connect().show(token(TEMPORARY, issuer=LS_B), LS_B)
    assert scene.open_effect(Ask).endpoint.host == "ls-b.lab"


def test_an_expired_token_still_tells_which_license_server_knows_the_device() -> None:
    scene = Scene(license_servers=(LS_A, LS_B)).up()
    scene.connect().show(token(FULL, issuer=LS_B, expires_at=NOW - 1), LS_B)
    assert scene.open_effect(Ask).endpoint.host == "ls-b.lab"


def test_a_token_from_a_lender_whom_this_host_never_met_is_pushed() -> None:
    scene = Scene().up()
    client = scene.connect()
    client.show(token(TEMPORARY))
    scene.answer(Ask, issued(token(FULL, issuer=LS_B, number=2), LS_B, lender="ls-b"))
    assert client.last(NewLicense).issuer_certificate == LS_B.certificate


@pytest.mark.parametrize(
    "message",
    [
        LicenseStored(license_id=license_id(1)),
        LogonStart(user_name="ann"),
    ],
)
def test_a_message_that_does_not_come_now_ends_the_connection(message: Message) -> None:
    client = Scene().up().connect()
    client.say(message)
    assert client.code is ErrorCode.OUT_OF_ORDER


def test_a_second_license_info_while_a_license_server_is_asked_ends_the_connection() -> None:
    scene = Scene().up()
    client = scene.connect()
    client.show()
    client.show()
    assert client.code is ErrorCode.OUT_OF_ORDER
    assert scene.answer(Ask, issued(token(TEMPORARY))) == []


def test_nothing_follows_for_a_device_that_was_lost_while_a_license_server_was_asked() -> None:
    scene = Scene().up()
    client = scene.connect()
    client.show()
    assert client.lose() == []
    assert scene.answer(Ask, issued(token(TEMPORARY))) == []


def test_nothing_follows_for_a_device_that_was_lost_before_it_stored_its_token() -> None:
    scene = Scene().up()
    client = scene.connect()
    client.show()
    scene.answer(Ask, issued(token(TEMPORARY)))
    assert client.lose() == []
    assert client.store() == []


def test_a_logon_follows_the_licensing_phase() -> None:
    scene = Scene().up()
    client = scene.let_in()
    client.ask_for()
    assert scene.opened(Prove)
