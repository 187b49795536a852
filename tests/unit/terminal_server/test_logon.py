"""Passwords and tickets."""

from __future__ import annotations

import pytest

from daemons.effects import (
    Ask,
    Failed,
    LookUp,
    Outcome,
    ProgramStarted,
    StartProgram,
    Verified,
    Verify,
)
from daemons.events import Event, ProofsWrong
from daemons.terminal_server.logon import LOGON_REQUESTS_MAX
from daemons.terminal_server.penalties import FREE_OF_USER
from tests.unit.terminal_server.scenario import (
    GENERATION,
    LAPTOP,
    NAME,
    PHONE,
    Client,
    Scene,
    of,
    questions,
    shape,
    told,
)
from tsproto import limits
from tsproto.errors import ErrorCode
from tsproto.identity import DeviceKey
from tsproto.messages import (
    Credential,
    Done,
    Joined,
    LogonAccepted,
    LogonRefused,
    RedeemTicket,
    Refused,
    RemoveSession,
    TicketRedeemed,
)

WRONG = Verified(False)
TICKET = b"t" * 16


def refusal(client: Client) -> tuple[ErrorCode, int]:
    refused = client.last(LogonRefused)
    return refused.code, refused.attempts_left


def test_a_password_is_checked_and_not_noted() -> None:
    scene = Scene().up()
    client = scene.let_in()
    client.ask_for(credential=b"secret")
    verify = scene.open_effect(Verify)
    assert (verify.user_name, verify.password) == ("ann", b"secret")
    scene.answer(Verify, WRONG)
    assert "secret" not in str(of(Event, scene.log))


def test_a_wrong_password_leaves_fewer_attempts_and_the_last_one_ends_the_connection() -> None:
    scene = Scene().up()
    client = scene.let_in()
    left = []
    for _ in range(limits.LOGON_ATTEMPTS):
        assert client.code is None
        client.ask_for()
        scene.answer(Verify, WRONG)
        left.append(refusal(client))
    assert left == [(ErrorCode.LOGON_FAILED, n) for n in (2, 1, 0)]
    assert client.code is ErrorCode.TOO_MANY_ATTEMPTS


def test_the_right_password_after_a_wrong_one_logs_on() -> None:
    scene = Scene().up()
    client = scene.let_in()
    client.ask_for()
    scene.answer(Verify, WRONG)
    client.start()
    assert client.last(LogonAccepted).user_name == "ann"


def test_a_busy_host_takes_no_attempt_away() -> None:
    scene = Scene().up()
    client = scene.let_in()
    client.ask_for()
    scene.answer(Verify, Verified(False, busy=True))
    assert refusal(client) == (ErrorCode.LOGON_BUSY, limits.LOGON_ATTEMPTS)
    assert client.last(LogonRefused).retry_after_seconds > 0


def test_guesses_are_slowed_down_and_take_no_attempt_away() -> None:
    scene = Scene().up()
    for _ in range(FREE_OF_USER + 1):
        scene.let_in(PHONE).ask_for()
        scene.answer(Verify, WRONG)
    client = scene.let_in(PHONE)
    assert of(Verify, client.ask_for()) == []
    assert refusal(client) == (ErrorCode.LOGON_BUSY, limits.LOGON_ATTEMPTS)
    assert client.last(LogonRefused).retry_after_seconds == 1
    assert "wait 1 s" in client.last(LogonRefused).detail
    scene.now += 1
    assert len(of(Verify, client.ask_for())) == 1


def test_the_first_guess_of_a_minute_is_reported_with_its_address() -> None:
    scene = Scene().up()
    for _ in range(3):
        scene.let_in().ask_for()
        scene.answer(Verify, WRONG)
    assert of(ProofsWrong, scene.log) == [ProofsWrong(address="10.0.0.9", wrong=1)]


def test_guesses_at_a_user_do_not_slow_down_the_device_that_the_user_has_used() -> None:
    scene = Scene().up()
    scene.let_in(LAPTOP).start()
    for _ in range(FREE_OF_USER + 1):
        scene.let_in(PHONE).ask_for()
        scene.answer(Verify, WRONG)
    assert of(Verify, scene.let_in(PHONE).ask_for()) == []
    assert len(of(Verify, scene.let_in(LAPTOP).ask_for())) == 1


def test_a_second_request_while_one_is_checked_ends_the_connection() -> None:
    scene = Scene().up()
    client = scene.let_in()
    client.ask_for()
    client.ask_for()
    assert client.code is ErrorCode.OUT_OF_ORDER
    assert scene.answer(Verify, Verified(True, "sys-ann")) == []


def test_requests_of_any_kind_are_limited_on_one_connection() -> None:
    scene = Scene().up()
    client = scene.let_in()
    for _ in range(LOGON_REQUESTS_MAX):
        assert client.code is None
        client.ask_for(credential_kind=Credential.RECONNECT, credential=b"", session_id=1)
    client.ask_for()
    assert client.code is ErrorCode.TOO_MANY_ATTEMPTS


def test_nothing_follows_for_a_client_that_was_lost_while_its_password_was_checked() -> None:
    scene = Scene().up()
    client = scene.let_in()
    client.ask_for()
    assert client.lose() == []
    assert scene.answer(Verify, Verified(True, "sys-ann")) == []


def test_the_program_runs_as_the_system_user_of_the_account() -> None:
    scene = Scene().up()
    scene.let_in().log_on(columns=120, rows=40, terminal="xterm", application="mail")
    start = scene.open_effect(StartProgram)
    assert (start.user_name, start.system_user, start.application) == ("ann", "sys-ann", "mail")
    assert (start.columns, start.rows, start.terminal) == (120, 40, "xterm")


def test_an_unknown_application_is_refused_before_the_directory_is_asked() -> None:
    scene = Scene(directory=True).up()
    client = scene.let_in()
    effects = client.log_on(application="games")
    assert questions(effects) == []
    refused = client.last(LogonRefused)
    assert refused.code is ErrorCode.UNKNOWN_APPLICATION
    assert "mail" in refused.detail
    client.log_on(application="mail")  # and the client may try another one


def test_whether_an_application_exists_is_not_told_to_a_stranger() -> None:
    scene = Scene().up()
    client = scene.let_in()
    client.ask_for(application="games")
    scene.answer(Verify, WRONG)
    assert client.last(LogonRefused).code is ErrorCode.LOGON_FAILED


# --- the ticket of a redirect ---------------------------------------------------------------------


def started(scene: Scene) -> int:
    """A session of ann's, left by its client."""
    client = scene.let_in()
    client.log_on()
    if scene.settings.directory:
        scene.answer(Ask, Refused(code=ErrorCode.BUSY))
    scene.answer(StartProgram, ProgramStarted(pid=1))
    client.lose()
    return client.last(LogonAccepted).session_id


def with_ticket(
    scene: Scene,
    credential: bytes = TICKET,
    device: DeviceKey = LAPTOP,
    session_id: int = 0,
) -> Client:
    client = scene.let_in(device)
    client.ask_for(credential_kind=Credential.TICKET, credential=credential, session_id=session_id)
    return client


def redeemed(placement: int = 9, session_id: int = 0, application: str = "") -> TicketRedeemed:
    return TicketRedeemed(
        user_name="ann", application=application, placement=placement, session_id=session_id
    )


def test_a_ticket_is_redeemed_at_the_directory_for_this_device() -> None:
    scene = Scene(directory=True).up()
    with_ticket(scene)
    redeem = scene.open_effect(Ask).message
    assert isinstance(redeem, RedeemTicket)
    assert (redeem.ticket, redeem.device_id, redeem.user_name) == (
        TICKET,
        LAPTOP.device_id,
        "ann",
    )


def test_a_ticket_is_shown_again_to_a_directory_that_had_forgotten_this_host() -> None:
    scene = Scene(directory=True).up()
    client = with_ticket(scene)
    for outcome in (Refused(code=ErrorCode.NOT_JOINED), Joined(generation=GENERATION), Done()):
        scene.answer(Ask, outcome)
    redeem = scene.open_effect(Ask).message
    assert isinstance(redeem, RedeemTicket)
    assert redeem.ticket == TICKET
    scene.answer(Ask, Refused(code=ErrorCode.NOT_JOINED))
    assert client.last(LogonRefused).code is ErrorCode.TICKET_INVALID


def test_a_ticket_starts_the_session_that_was_placed_here_without_any_password() -> None:
    scene = Scene(directory=True).up()
    client = with_ticket(scene)
    scene.answer(Ask, redeemed(placement=9, application="mail"))
    assert scene.open_effect(LookUp).user_name == "ann"
    scene.answer(LookUp, Verified(True, "sys-ann"))
    start = scene.open_effect(StartProgram)
    assert (start.system_user, start.application) == ("sys-ann", "mail")
    scene.answer(StartProgram, ProgramStarted(pid=1))
    record = scene.session(client.last(LogonAccepted).session_id)
    assert record is not None
    assert record.placement == 9


def test_a_ticket_leads_to_the_session_that_it_names() -> None:
    scene = Scene(directory=True).up()
    session_id = started(scene)
    client = with_ticket(scene, device=PHONE, session_id=session_id)
    scene.answer(Ask, redeemed(session_id=session_id))
    scene.answer(LookUp, Verified(True, "sys-ann"))
    accepted = client.last(LogonAccepted)
    assert (accepted.session_id, accepted.reattached, accepted.host) == (session_id, True, NAME)


def test_a_ticket_for_a_session_that_is_just_starting_waits_for_it() -> None:
    scene = Scene(directory=True).up()
    first = scene.let_in()
    first.log_on()
    scene.answer(Ask, Refused(code=ErrorCode.BUSY))
    second = with_ticket(scene, device=PHONE)
    scene.answer(Ask, redeemed())
    assert scene.answer(LookUp, Verified(True, "sys-ann")) == []
    scene.answer(StartProgram, ProgramStarted(pid=1))
    assert second.last(LogonAccepted).reattached is True
    assert first.code is ErrorCode.DISCONNECTED_BY_OTHER


def test_a_ticket_for_a_session_that_has_ended_places_the_user_anew() -> None:
    scene = Scene(directory=True).up()
    with_ticket(scene, session_id=5)
    scene.answer(Ask, redeemed(placement=9, session_id=5))
    effects = scene.answer(LookUp, Verified(True, "sys-ann"))
    assert shape(effects) == ["RemoveSession", "PlaceSession"]


def test_a_place_for_an_application_that_is_unknown_here_is_given_back() -> None:
    scene = Scene(directory=True).up()
    client = with_ticket(scene)
    scene.answer(Ask, redeemed(placement=9, application="games"))
    (removed,) = told(scene.answer(LookUp, Verified(True, "sys-ann")))
    assert isinstance(removed, RemoveSession)
    assert (removed.session_id, removed.placement) == (0, 9)
    assert refusal(client)[0] is ErrorCode.UNKNOWN_APPLICATION


@pytest.mark.parametrize(
    "outcome", [Refused(code=ErrorCode.TICKET_INVALID), Failed(ErrorCode.UNANSWERED)]
)
def test_a_ticket_that_is_not_redeemed_leaves_the_password(outcome: Outcome) -> None:
    scene = Scene(directory=True).up()
    client = with_ticket(scene)
    scene.answer(Ask, outcome)
    assert refusal(client) == (ErrorCode.TICKET_INVALID, limits.LOGON_ATTEMPTS)
    client.ask_for()
    assert scene.opened(Verify)


@pytest.mark.parametrize("directory", [True, False])
def test_a_ticket_without_a_directory_to_ask_is_invalid(directory: bool) -> None:
    scene = Scene(directory=directory)
    scene.start()
    assert refusal(with_ticket(scene))[0] is ErrorCode.TICKET_INVALID


def test_what_cannot_be_a_ticket_is_not_sent_to_the_directory() -> None:
    scene = Scene(directory=True).up()
    assert refusal(with_ticket(scene, credential=b"short"))[0] is ErrorCode.TICKET_INVALID
    assert scene.opened(Ask) == []


def test_a_ticket_of_a_removed_account_is_invalid() -> None:
    scene = Scene(directory=True).up()
    client = with_ticket(scene)
    scene.answer(Ask, redeemed())
    scene.answer(LookUp, Verified(False))
    assert refusal(client)[0] is ErrorCode.TICKET_INVALID


def test_a_client_lost_while_its_ticket_is_redeemed_starts_nothing() -> None:
    scene = Scene(directory=True).up()
    client = with_ticket(scene)
    client.lose()
    assert scene.answer(Ask, redeemed()) == []
