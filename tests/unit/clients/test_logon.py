from __future__ import annotations

from typing import Any

import pytest

from clients.logon.procedure import Phase
from clients.logon.steps import (
    AskPassword,
    Attached,
    DialHost,
    Finished,
    HangUp,
    Licensed,
    Outcome,
    Redirected,
    Send,
    ShowLicense,
    StoreDenyList,
    StoreLicense,
    Waiting,
    outcome_of,
)
from tests.unit.clients.logons import (
    AT_TARGET,
    LICENSE_REQUEST,
    REDIRECT,
    SEEN,
    TARGET,
    TS1,
    TS2,
    accepted,
    asked,
    at_logon,
    attached,
    challenge,
    finished,
    logon,
    proof_in,
    proved,
    refused,
    signing,
    start_in,
    through_licensing,
    wake,
)
from tsproto import limits
from tsproto.errors import ErrorCode
from tsproto.messages import (
    DisconnectSession,
    LicenseInfo,
    LicenseKind,
    LicenseStored,
    LogoffSession,
    LogonStart,
    Message,
    NewDenyList,
    NewLicense,
    ResizeSession,
    SessionEnded,
)
from tsproto.user_proof import Asked

# --- licensing --------------------------------------------------------------------------------


def test_the_device_shows_its_license_when_the_host_asks() -> None:
    procedure = logon()
    assert procedure.start(0.0) == [DialHost(TS1)]
    assert procedure.on_opened(SEEN, 0.0) == []
    assert procedure.on_message(LICENSE_REQUEST, 0.0) == [ShowLicense(LICENSE_REQUEST)]
    info = LicenseInfo(
        public_key=bytes(32), signature=bytes(64), device_name="laptop1", user_name="user1"
    )
    assert procedure.on_license_info(info, 0.0) == [Send(info)]


def test_a_new_license_is_acknowledged_only_when_it_is_stored() -> None:
    procedure = logon()
    procedure.start(0.0)
    procedure.on_opened(SEEN, 0.0)
    pushed = NewLicense(token=b"token", issuer_certificate=b"der")
    assert procedure.on_message(pushed, 0.0) == [StoreLicense(b"token", b"der")]
    stored = LicenseStored(license_id=b"i" * 16)
    assert procedure.on_stored(b"i" * 16, 0.0) == [Send(stored)]


def test_a_deny_list_is_stored_in_every_phase_and_changes_none() -> None:
    news, kept = NewDenyList(signed=b"list"), [StoreDenyList(b"list")]
    procedure = logon()
    procedure.start(0.0)
    procedure.on_opened(SEEN, 0.0)
    assert procedure.on_message(news, 0.0) == kept
    assert procedure.phase is Phase.LICENSING
    procedure = attached()
    assert procedure.on_message(news, 0.0) == kept
    assert procedure.phase is Phase.SESSION


def test_another_host_serves_where_the_first_is_revoked() -> None:
    procedure = logon(TS1, TS2)
    procedure.start(0.0)
    procedure.on_opened(SEEN, 0.0)
    steps = procedure.on_closed(ErrorCode.CERTIFICATE_REVOKED, "revoked", 0, 0.0)
    assert steps == [DialHost(TS2)]
    procedure.on_opened(SEEN, 0.0)
    (last,) = procedure.on_closed(ErrorCode.CERTIFICATE_REVOKED, "revoked", 0, 0.0)
    assert last == Finished(Outcome.UNREACHABLE, ErrorCode.CERTIFICATE_REVOKED, "revoked")


def test_a_user_who_was_led_to_a_revoked_host_goes_back() -> None:
    procedure = asked(TS1)
    procedure.on_message(REDIRECT, 0.0)
    procedure.on_opened(AT_TARGET, 0.0)
    steps = procedure.on_closed(ErrorCode.CERTIFICATE_REVOKED, "revoked", 0, 0.0)
    assert steps == [DialHost(TS1)]
    through_licensing(procedure)
    assert proved(procedure, 0.0).avoid == "ts3"


def test_a_revoked_device_tries_nowhere_else() -> None:
    procedure = asked(TS1, TS2)
    (last,) = procedure.on_closed(ErrorCode.DEVICE_REVOKED, "revoked", 0, 0.0)
    assert last == Finished(Outcome.NO_LICENSE, ErrorCode.DEVICE_REVOKED, "revoked")


def test_a_licensed_device_asks_for_a_challenge_and_then_for_the_password() -> None:
    procedure = logon()
    procedure.start(0.0)
    licensed, *steps = through_licensing(procedure)
    assert licensed == Licensed(LicenseKind.FULL, 500, "")
    assert start_in(steps) == LogonStart(user_name="user1")
    assert procedure.on_message(challenge(), 0.0) == [AskPassword(again=False)]


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (ErrorCode.NO_LICENSE, Outcome.NO_LICENSE),
        (ErrorCode.LICENSE_TAMPERED, Outcome.NO_LICENSE),
        (ErrorCode.VERSION_UNSUPPORTED, Outcome.FAILED),
        (ErrorCode.WRONG_ROLE, Outcome.FAILED),
    ],
)
def test_a_refusal_that_is_final_ends_it_though_other_hosts_are_listed(
    code: ErrorCode, outcome: Outcome
) -> None:
    procedure = logon(TS1, TS2)
    procedure.start(0.0)
    procedure.on_opened(SEEN, 0.0)
    assert procedure.on_closed(code, "why", 0, 1.0) == [Finished(outcome, code, "why")]
    assert procedure.next_deadline() is None


def test_without_license_servers_the_next_host_is_tried_and_then_the_refusal_is_told() -> None:
    procedure = logon(TS1, TS2)
    procedure.start(0.0)
    procedure.on_opened(SEEN, 0.0)
    assert procedure.on_closed(ErrorCode.NO_LICENSE_SERVER, "grace is over", 900, 1.0) == [
        DialHost(TS2)
    ]
    steps = procedure.on_unreachable(ErrorCode.UNREACHABLE, "nobody there", 2.0)
    assert steps == [Finished(Outcome.NO_LICENSE, ErrorCode.NO_LICENSE_SERVER, "grace is over")]


# --- refusals of a logon ------------------------------------------------------------------------


def test_an_unknown_application_ends_it() -> None:
    steps = asked(TS1, TS2).on_message(refused(ErrorCode.UNKNOWN_APPLICATION), 1.0)
    assert steps == [
        HangUp(),
        Finished(Outcome.LOGON_FAILED, ErrorCode.UNKNOWN_APPLICATION, "no"),
    ]


def test_a_busy_host_is_asked_again_over_the_same_link_after_its_hint() -> None:
    procedure = asked()
    [waiting] = procedure.on_message(refused(ErrorCode.LOGON_BUSY, retry=2), 10.0)
    assert isinstance(waiting, Waiting)
    assert 2.5 <= waiting.seconds <= 3.0
    assert procedure.on_deadline(11.0) == []
    start_in(wake(procedure))
    assert signing(procedure.on_message(challenge(), 13.0)).password == b"secret"


def test_a_host_that_stays_busy_is_given_up() -> None:
    procedure = asked(connect_seconds=4.0)
    procedure.on_message(refused(ErrorCode.LOGON_BUSY, retry=2), 0.0)
    wake(procedure)
    steps = procedure.on_message(refused(ErrorCode.LOGON_BUSY, retry=2), 3.0)
    assert steps == [HangUp(), Finished(Outcome.LOGON_FAILED, ErrorCode.LOGON_BUSY, "no")]


def test_a_program_that_does_not_start_is_tried_on_the_next_host() -> None:
    procedure = asked(TS1, TS2)
    steps = procedure.on_message(refused(ErrorCode.PROGRAM_FAILED), 1.0)
    assert steps == [HangUp(), DialHost(TS2)]
    start_in(through_licensing(procedure)[1:])
    assert signing(procedure.on_message(challenge(), 1.0)).password == b"secret"


# --- which host ---------------------------------------------------------------------------------


def test_unreachable_hosts_are_passed_over_in_their_order_and_only_once() -> None:
    procedure = logon(TS1, TS2)
    procedure.start(0.0)
    unreachable = ErrorCode.UNREACHABLE
    assert procedure.on_unreachable(unreachable, "refused", 1.0) == [DialHost(TS2)]
    assert procedure.on_unreachable(unreachable, "timeout", 2.0) == [
        Finished(Outcome.UNREACHABLE, unreachable, "timeout")
    ]


def test_a_host_with_a_wrong_certificate_is_not_passed_over() -> None:
    procedure = logon(TS1, TS2)
    procedure.start(0.0)
    steps = procedure.on_unreachable(ErrorCode.WRONG_ROLE, "not a terminal server", 1.0)
    assert finished(steps).outcome is Outcome.FAILED


def test_a_full_host_is_tried_again_when_it_says_to_come_back() -> None:
    procedure = logon(TS1)
    procedure.start(0.0)
    [waiting] = procedure.on_closed(ErrorCode.TOO_MANY_CONNECTIONS, "full", 5, 1.0)
    assert isinstance(waiting, Waiting) and not waiting.reconnecting
    assert wake(procedure) == [DialHost(TS1)]


# --- redirects ------------------------------------------------------------------------------------


def test_a_redirect_is_followed_and_proved_without_a_second_question() -> None:
    procedure = asked()
    steps = procedure.on_message(REDIRECT, 1.0)
    assert steps == [HangUp(), Redirected(TARGET), DialHost(TARGET, redirected=True)]
    start = start_in(through_licensing(procedure, 1.0, AT_TARGET)[1:])
    assert (start.session_id, start.attachment) == (7, 0)
    step = signing(procedure.on_message(challenge(nonce=b"m" * 32), 1.0))
    assert (step.statement.server, step.statement.certificate) == ("ts3", b"3" * 32)
    assert step.statement.asked == Asked("", "", 7, 0)
    proof = proof_in(procedure.on_signed("ed25519", b"S" * 64, 1.0))
    assert (proof.redirected, proof.avoid) == (True, "")


def test_more_redirects_than_allowed_end_it() -> None:
    procedure = asked()
    for _ in range(limits.REDIRECTS_MAX):
        procedure.on_message(REDIRECT, 1.0)
        through_licensing(procedure, 1.0)
    steps = procedure.on_message(REDIRECT, 1.0)
    assert finished(steps).outcome is Outcome.UNREACHABLE


@pytest.mark.parametrize("code", [ErrorCode.UNREACHABLE, ErrorCode.SHUTTING_DOWN])
def test_an_unreachable_target_leads_back_with_its_name(code: ErrorCode) -> None:
    procedure = asked()
    procedure.on_message(REDIRECT, 1.0)
    assert procedure.on_unreachable(code, "nobody", 2.0) == [DialHost(TS1)]
    through_licensing(procedure, 2.0)
    proof = proved(procedure, 2.0)
    assert (proof.redirected, proof.avoid) == (False, "ts3")


def test_a_target_that_waited_too_long_for_a_proof_is_no_unreachable_one() -> None:
    procedure = asked()
    procedure.on_message(REDIRECT, 1.0)
    through_licensing(procedure, 1.0, AT_TARGET)
    assert procedure.on_closed(ErrorCode.TIMED_OUT, "", 0, 121.0) == [DialHost(TS1)]
    through_licensing(procedure, 121.0)
    proof = proved(procedure, 121.0)
    assert (proof.redirected, proof.avoid) == (False, "")


def test_a_target_lost_in_its_licensing_phase_leads_back_too() -> None:
    procedure = asked()
    procedure.on_message(REDIRECT, 1.0)
    procedure.on_opened(SEEN, 1.0)
    assert procedure.on_closed(ErrorCode.CONNECTION_LOST, "", 0, 2.0) == [DialHost(TS1)]


def test_after_two_hops_the_way_back_leads_to_the_first_host() -> None:
    procedure = asked(TS1, TS2)
    procedure.on_message(REDIRECT, 1.0)
    through_licensing(procedure, 1.0)
    procedure.on_message(REDIRECT, 1.0)
    assert procedure.on_unreachable(ErrorCode.UNREACHABLE, "", 2.0) == [DialHost(TS1)]


def test_a_busy_target_is_waited_for_since_the_session_is_there() -> None:
    procedure = asked(TS1, TS2)
    procedure.on_message(REDIRECT, 1.0)
    procedure.on_opened(SEEN, 1.0)
    [waiting] = procedure.on_closed(ErrorCode.TOO_MANY_CONNECTIONS, "full", 2, 2.0)
    assert isinstance(waiting, Waiting)
    assert wake(procedure) == [DialHost(TS1)]
    through_licensing(procedure, 6.0)
    assert proved(procedure, 6.0).avoid == ""


def test_a_target_that_refuses_the_device_ends_it() -> None:
    procedure = asked()
    procedure.on_message(REDIRECT, 1.0)
    procedure.on_opened(SEEN, 1.0)
    steps = procedure.on_closed(ErrorCode.NO_LICENSE, "", 0, 1.0)
    assert finished(steps).outcome is Outcome.NO_LICENSE


# --- session ------------------------------------------------------------------------------------


def test_an_accepted_logon_attaches() -> None:
    assert asked().on_message(accepted(), 1.0)[-1] == Attached("ts1", 7, "user1", False)


def test_a_session_that_ended_gives_its_exit_status() -> None:
    steps = attached().on_message(SessionEnded(exit_status=3), 9.0)
    ended = Finished(Outcome.ENDED, ErrorCode.LOGGED_OFF, "", 3)
    assert steps == [HangUp(), ended]


def test_a_program_may_end_before_it_was_shown() -> None:
    assert finished(asked().on_message(SessionEnded(exit_status=1), 1.0)).exit_status == 1


def test_a_new_size_is_told_while_attached_and_remembered_before() -> None:
    procedure = at_logon()
    assert procedure.resize(100, 40) == []
    procedure.on_password(b"secret", 0.0)
    proof = proof_in(procedure.on_signed("ed25519", b"S" * 64, 0.0))
    assert (proof.columns, proof.rows) == (100, 40)
    procedure.on_message(accepted(), 0.0)
    assert procedure.resize(90, 30) == [Send(ResizeSession(columns=90, rows=30))]
    clipped = ResizeSession(columns=limits.COLUMNS_MAX, rows=1)
    assert procedure.resize(5_000, 0) == [Send(clipped)]


def test_a_disconnect_waits_for_the_hosts_goodbye() -> None:
    procedure = attached()
    assert procedure.disconnect(5.0) == [Send(DisconnectSession())]
    by_user = ErrorCode.DISCONNECTED_BY_USER
    steps = procedure.on_closed(by_user, "", 0, 5.0)
    assert steps == [Finished(Outcome.DISCONNECTED, by_user)]


def test_a_disconnect_does_not_wait_for_ever() -> None:
    procedure = attached()
    procedure.disconnect(5.0)
    assert procedure.next_deadline() == 5.0 + limits.GOODBYE_SECONDS
    assert finished(wake(procedure)).outcome is Outcome.DISCONNECTED


def test_a_logoff_ends_when_the_session_has() -> None:
    procedure = attached()
    assert procedure.log_off(5.0) == [Send(LogoffSession())]
    ended = finished(procedure.on_message(SessionEnded(exit_status=129), 6.0))
    assert (ended.outcome, ended.code) == (Outcome.ENDED, ErrorCode.LOGGED_OFF)


def test_there_is_nothing_to_log_off_before_a_session_is_shown() -> None:
    assert asked().log_off(5.0) == []


@pytest.mark.parametrize(
    "code",
    [
        ErrorCode.DISCONNECTED_BY_OTHER,
        ErrorCode.LOGGED_OFF,
    ],
)
def test_who_was_disconnected_does_not_come_back(code: ErrorCode) -> None:
    assert attached().on_closed(code, "", 0, 5.0) == [Finished(Outcome.DISCONNECTED, code)]


# --- reconnecting -----------------------------------------------------------------------------


def test_a_lost_session_is_resumed_by_session_and_attachment() -> None:
    procedure = attached()
    [waiting] = procedure.on_closed(ErrorCode.CONNECTION_LOST, "", 0, 100.0)
    assert isinstance(waiting, Waiting) and waiting.reconnecting
    assert 0.5 <= waiting.seconds <= 1.0
    assert wake(procedure) == [DialHost(TS1)]
    start = start_in(through_licensing(procedure, 101.0)[1:])
    assert (start.session_id, start.attachment) == (7, 4)
    step = signing(procedure.on_message(challenge(), 101.0))
    assert step.statement.asked == Asked("", "", 7, 4)


def test_after_a_logon_the_password_is_forgotten_and_its_key_signs() -> None:
    procedure = attached()
    procedure.on_closed(ErrorCode.CONNECTION_LOST, "", 0, 100.0)
    wake(procedure)
    through_licensing(procedure, 101.0)
    assert signing(procedure.on_message(challenge(), 101.0)).password is None


@pytest.mark.parametrize("fields", [{"salt": b"t" * 16}, {"passes": 4}])
def test_for_another_salt_or_cost_the_password_is_asked_for_again(fields: dict[str, Any]) -> None:
    procedure = attached()
    procedure.on_closed(ErrorCode.CONNECTION_LOST, "", 0, 100.0)
    wake(procedure)
    through_licensing(procedure, 101.0)
    assert procedure.on_message(challenge(**fields), 101.0) == [AskPassword(again=False)]


def test_another_host_is_not_told_of_the_attachment() -> None:
    procedure = attached(TS1, TS2)
    procedure.on_closed(ErrorCode.CONNECTION_LOST, "", 0, 100.0)
    procedure.on_deadline(116.0)
    procedure.on_unreachable(ErrorCode.UNREACHABLE, "", 116.0)
    start = start_in(through_licensing(procedure, 116.0, AT_TARGET)[1:])
    assert (start.session_id, start.attachment) == (0, 0)


def test_a_redirect_back_to_the_sessions_host_resumes_it() -> None:
    procedure = asked()
    procedure.on_message(REDIRECT, 1.0)
    through_licensing(procedure, 1.0, AT_TARGET)
    procedure.on_message(accepted(host="ts3"), 1.0)
    procedure.on_closed(ErrorCode.PEER_SILENT, "", 0, 50.0)
    procedure.on_deadline(66.0)
    procedure.on_unreachable(ErrorCode.UNREACHABLE, "", 66.0)
    through_licensing(procedure, 66.0)
    procedure.on_message(challenge(), 66.0)
    procedure.on_signed("ed25519", b"S" * 64, 66.0)
    procedure.on_message(REDIRECT, 66.0)
    start = start_in(through_licensing(procedure, 66.0, AT_TARGET)[1:])
    assert (start.session_id, start.attachment) == (7, 4)


def test_a_session_after_a_redirect_is_reached_again_on_its_own_host() -> None:
    procedure = asked()
    procedure.on_message(REDIRECT, 1.0)
    through_licensing(procedure, 1.0)
    procedure.on_message(accepted(host="ts3"), 1.0)
    procedure.on_closed(ErrorCode.PEER_SILENT, "", 0, 50.0)
    assert wake(procedure) == [DialHost(TARGET)]


def test_waits_double_with_jitter_up_to_their_ceiling() -> None:
    procedure = attached()
    steps = procedure.on_closed(ErrorCode.CONNECTION_LOST, "", 0, 0.0)
    ceilings = [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    for ceiling in ceilings:
        waiting = steps[-1]
        assert isinstance(waiting, Waiting)
        assert ceiling / 2 <= waiting.seconds <= ceiling
        wake(procedure)
        steps = procedure.on_unreachable(ErrorCode.UNREACHABLE, "", 1.0)


def test_two_clients_do_not_come_back_in_the_same_instant() -> None:
    waits = []
    for seed in (1, 2):
        procedure = attached(seed=seed)
        procedure.on_closed(ErrorCode.CONNECTION_LOST, "", 0, 0.0)
        waits.append(procedure.next_deadline())
    assert waits[0] != waits[1]


def test_other_hosts_are_tried_only_when_the_sessions_own_has_had_its_time() -> None:
    procedure = attached(TS1, TS2)
    procedure.on_closed(ErrorCode.CONNECTION_LOST, "", 0, 100.0)
    assert procedure.on_deadline(102.0) == [DialHost(TS1)]
    [waiting] = procedure.on_unreachable(ErrorCode.UNREACHABLE, "", 102.0)
    assert isinstance(waiting, Waiting)
    assert procedure.on_deadline(116.0) == [DialHost(TS1)]
    assert procedure.on_unreachable(ErrorCode.UNREACHABLE, "", 116.0) == [DialHost(TS2)]


def test_a_host_that_is_shutting_down_is_given_the_time_it_asks_for() -> None:
    procedure = attached()
    [waiting] = procedure.on_closed(ErrorCode.SHUTTING_DOWN, "", 20, 0.0)
    assert isinstance(waiting, Waiting)
    assert 20.5 <= waiting.seconds <= 21.0


def test_reconnecting_is_given_up_in_the_end() -> None:
    procedure = attached(reconnect_seconds=1.5)
    procedure.on_closed(ErrorCode.CONNECTION_LOST, "cut", 0, 100.0)
    wake(procedure)
    steps = procedure.on_unreachable(ErrorCode.UNREACHABLE, "refused", 101.0)
    assert steps == [Finished(Outcome.UNREACHABLE, ErrorCode.UNREACHABLE, "refused")]


def test_a_command_does_not_come_back_from_a_loss() -> None:
    procedure = attached(command="make")
    steps = procedure.on_closed(ErrorCode.CONNECTION_LOST, "cut", 0, 100.0)
    assert steps == [Finished(Outcome.UNREACHABLE, ErrorCode.CONNECTION_LOST, "cut")]


def test_a_loss_that_is_our_own_fault_is_not_repeated() -> None:
    steps = attached().on_closed(ErrorCode.MALFORMED_FRAME, "", 0, 100.0)
    assert finished(steps).outcome is Outcome.FAILED


# --- giving up, and disorder --------------------------------------------------------------------


def test_whoever_has_enough_hangs_up_once() -> None:
    procedure = at_logon()
    assert procedure.cancel() == [HangUp(), Finished(Outcome.CANCELLED, ErrorCode.NORMAL)]
    assert procedure.phase is Phase.FINISHED
    assert procedure.cancel() == []


def test_a_disconnect_before_the_session_gives_up() -> None:
    procedure = attached()
    procedure.on_closed(ErrorCode.CONNECTION_LOST, "", 0, 1.0)
    assert finished(procedure.disconnect(2.0)).outcome is Outcome.CANCELLED
    assert procedure.next_deadline() is None


@pytest.mark.parametrize("message", [accepted(), refused(ErrorCode.LOGON_FAILED), REDIRECT])
def test_a_message_out_of_place_ends_the_procedure(message: Message) -> None:
    steps = at_logon().on_message(message, 0.0)
    assert isinstance(steps[0], HangUp) and steps[0].code is ErrorCode.OUT_OF_ORDER
    assert finished(steps).outcome is Outcome.FAILED


def test_every_code_has_its_outcome() -> None:
    assert outcome_of(ErrorCode.TOO_MANY_SESSIONS) is Outcome.LOGON_FAILED
    assert outcome_of(ErrorCode.BUSY) is Outcome.UNREACHABLE
    assert outcome_of(ErrorCode.NOT_PERMITTED) is Outcome.FAILED
