"""Challenges and proofs: how a user is proved on a client's link."""

from __future__ import annotations

from daemons.effects import (
    Ask,
    Challenge,
    NotProved,
    PamAnswer,
    ProgramStarted,
    Prompted,
    Prove,
    StartProgram,
)
from daemons.events import Event, ProofsWrong
from daemons.terminal_server.logon import LOGONS_MAX
from daemons.terminal_server.penalties import FREE_OF_USER
from tests.unit.terminal_server.scenario import (
    CERTIFICATE,
    CHALLENGED,
    LAPTOP,
    PHONE,
    SIGNATURE,
    Client,
    Scene,
    of,
    questions,
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
    PamQuestion,
    PlaceSession,
)
from tsproto.user_proof import Asked, Method

WRONG = NotProved(ErrorCode.LOGON_FAILED, "user name or proof is wrong")
BUSY = NotProved(ErrorCode.LOGON_BUSY, "the keeper is away", 2)


def refusal(client: Client) -> tuple[ErrorCode, int]:
    refused = client.last(LogonRefused)
    return refused.code, refused.attempts_left


def test_the_keeper_challenges_the_user_for_this_device_and_certificate() -> None:
    scene = Scene().up()
    client = scene.let_in()
    client.say(LogonStart(user_name="ann", key_fingerprints=[b"f" * 32]))
    asked = scene.open_effect(Challenge)
    assert (asked.user_name, asked.device_id) == ("ann", LAPTOP.device_id)
    assert (asked.certificate, asked.key_fingerprints) == (CERTIFICATE, (b"f" * 32,))
    scene.answer(Challenge, CHALLENGED)
    told = client.last(LogonChallenge)
    assert (told.nonce, told.salt, told.methods) == (CHALLENGED.nonce, CHALLENGED.salt, 3)
    assert (told.memory_kib, told.passes, told.lanes) == (65_536, 3, 1)


def test_the_keeper_judges_the_proof_with_what_is_asked_for() -> None:
    scene = Scene().up()
    scene.let_in().ask_for(application="mail", session_id=4, command="")
    proof = scene.open_effect(Prove)
    assert (proof.nonce, proof.method, proof.algorithm) == (
        CHALLENGED.nonce,
        Method.PASSWORD,
        "ed25519",
    )
    assert (proof.signature, proof.asked) == (SIGNATURE, Asked("mail", "", 4, 0))


def test_no_event_shows_a_signature() -> None:
    scene = Scene().up()
    client = scene.let_in()
    client.ask_for()
    scene.answer(Prove, WRONG)
    client.start()
    assert SIGNATURE.hex() not in str(of(Event, scene.log))
    assert str(SIGNATURE) not in str(of(Event, scene.log))


def test_the_directory_is_shown_the_proof() -> None:
    scene = Scene(directory=True).up()
    scene.let_in().log_on(application="mail")
    (question,) = [ask.message for ask in scene.opened(Ask)]
    assert isinstance(question, PlaceSession)
    [proof] = question.proof
    assert (proof.nonce, proof.signature) == (CHALLENGED.nonce, SIGNATURE)
    assert (proof.device_id, proof.method, proof.methods) == (LAPTOP.device_id, 1, 3)
    assert (proof.time, proof.salt, proof.passes) == (CHALLENGED.time, CHALLENGED.salt, 3)


def test_a_wrong_proof_leaves_fewer_attempts_and_the_last_one_ends_the_connection() -> None:
    scene = Scene().up()
    client = scene.let_in()
    left = []
    for _ in range(limits.LOGON_ATTEMPTS):
        assert client.code is None
        client.ask_for()
        scene.answer(Prove, WRONG)
        left.append(refusal(client))
    assert left == [(ErrorCode.LOGON_FAILED, n) for n in (2, 1, 0)]
    assert client.code is ErrorCode.TOO_MANY_ATTEMPTS


def test_a_good_proof_after_a_wrong_one_logs_on() -> None:
    scene = Scene().up()
    client = scene.let_in()
    client.ask_for()
    scene.answer(Prove, WRONG)
    client.start()
    assert client.last(LogonAccepted).user_name == "ann"


def test_a_keeper_that_is_away_takes_no_attempt_away() -> None:
    scene = Scene().up()
    client = scene.let_in()
    client.say(LogonStart(user_name="ann"))
    scene.answer(Challenge, BUSY)
    assert refusal(client) == (ErrorCode.LOGON_BUSY, limits.LOGON_ATTEMPTS)
    assert client.last(LogonRefused).retry_after_seconds == 2
    client.ask_for()
    scene.answer(Prove, BUSY)
    assert refusal(client) == (ErrorCode.LOGON_BUSY, limits.LOGON_ATTEMPTS)


def test_guesses_are_slowed_down_and_take_no_attempt_away() -> None:
    scene = Scene().up()
    for _ in range(FREE_OF_USER + 1):
        scene.let_in(PHONE).ask_for()
        scene.answer(Prove, WRONG)
    client = scene.let_in(PHONE)
    assert of(Prove, client.ask_for()) == []
    assert refusal(client) == (ErrorCode.LOGON_BUSY, limits.LOGON_ATTEMPTS)
    assert client.last(LogonRefused).retry_after_seconds == 1
    assert "wait 1 s" in client.last(LogonRefused).detail
    scene.now += 1
    assert len(of(Prove, client.ask_for())) == 1


def test_the_first_guess_of_a_minute_is_reported_with_its_address() -> None:
    scene = Scene().up()
    for _ in range(3):
        scene.let_in().ask_for()
        scene.answer(Prove, WRONG)
    assert of(ProofsWrong, scene.log) == [ProofsWrong(address="10.0.0.9", wrong=1)]


def test_guesses_at_a_user_do_not_slow_down_the_device_that_the_user_has_used() -> None:
    scene = Scene().up()
    scene.let_in(LAPTOP).start()
    for _ in range(FREE_OF_USER + 1):
        scene.let_in(PHONE).ask_for()
        scene.answer(Prove, WRONG)
    assert of(Prove, scene.let_in(PHONE).ask_for()) == []
    assert len(of(Prove, scene.let_in(LAPTOP).ask_for())) == 1


def test_a_second_start_while_one_is_challenged_ends_the_connection() -> None:
    scene = Scene().up()
    client = scene.let_in()
    client.begin()
    client.say(LogonStart(user_name="bob"))
    assert client.code is ErrorCode.OUT_OF_ORDER


def test_a_second_proof_while_one_is_judged_ends_the_connection() -> None:
    scene = Scene().up()
    client = scene.let_in()
    client.ask_for()
    client.say(LogonProof(method=1))
    assert client.code is ErrorCode.OUT_OF_ORDER
    assert scene.answer(Prove, client.proved()) == []


def test_a_proof_without_a_challenge_ends_the_connection() -> None:
    scene = Scene().up()
    client = scene.let_in()
    client.say(LogonProof(method=1, signature=SIGNATURE))
    assert client.code is ErrorCode.OUT_OF_ORDER


def test_logons_are_limited_on_one_connection() -> None:
    scene = Scene().up()
    client = scene.let_in()
    assert LOGONS_MAX == 16
    for _ in range(LOGONS_MAX):
        assert client.code is None
        client.say(LogonStart(user_name="ann"))
        scene.answer(Challenge, BUSY)
    client.say(LogonStart(user_name="ann"))
    assert client.code is ErrorCode.TOO_MANY_ATTEMPTS


def test_nothing_follows_for_a_client_that_was_lost_while_its_proof_was_judged() -> None:
    scene = Scene().up()
    client = scene.let_in()
    client.ask_for()
    assert client.lose() == []
    assert scene.answer(Prove, client.proved()) == []


def test_the_keeper_starts_what_was_proved_with_the_terminal_that_was_asked_for() -> None:
    scene = Scene().up()
    scene.let_in().log_on(
        columns=120, rows=40, terminal="xterm", lang="de_DE.UTF-8", tz="UTC", application="mail"
    )
    start = scene.open_effect(StartProgram)
    assert (start.proof_id, start.asked) == (1, Asked("mail"))
    assert (start.columns, start.rows, start.terminal) == (120, 40, "xterm")
    assert (start.lang, start.tz, start.colorterm) == ("de_DE.UTF-8", "UTC", "")


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
    scene.answer(Prove, WRONG)
    assert client.last(LogonRefused).code is ErrorCode.LOGON_FAILED


def test_a_name_is_compared_in_its_normal_form() -> None:
    scene = Scene().up()
    scene.let_in().start("zo\u00eb")
    again = scene.let_in()
    again.log_on("zoe\u0308", system_user="sys-zo\u00eb")
    assert again.last(LogonAccepted).reattached is True


# --- PAM ------------------------------------------------------------------------------------------


def test_prompts_and_answers_pass_between_the_user_and_the_keeper() -> None:
    scene = Scene().up()
    client = scene.let_in()
    client.ask_for(method=3, algorithm="", signature=b"")
    scene.answer(Prove, Prompted(1, (("Password: ", False),), ("welcome",)))
    prompt = client.last(PamPrompt)
    assert (prompt.round, prompt.prompts) == (
        1,
        [PamQuestion(words="Password: ", is_shown=False)],
    )
    assert prompt.notices == ["welcome"]
    client.say(PamAnswers(round=1, answers=[b"secret"]))
    answer = scene.open_effect(PamAnswer)
    assert (answer.nonce, answer.round, answer.answers) == (CHALLENGED.nonce, 1, (b"secret",))
    scene.answer(PamAnswer, Prompted(2, (("Code: ", True),)))
    client.say(PamAnswers(round=2, answers=[b"123456"]))
    scene.answer(PamAnswer, client.proved())
    scene.answer(StartProgram, ProgramStarted(pid=1))
    assert client.last(LogonAccepted).user_name == "ann"
    assert "secret" not in str(of(Event, scene.log))


def test_a_wrong_answer_uses_up_an_attempt() -> None:
    scene = Scene().up()
    client = scene.let_in()
    client.ask_for(method=3)
    scene.answer(Prove, Prompted(1, (("Password: ", False),)))
    client.say(PamAnswers(round=1, answers=[b"wrong"]))
    scene.answer(PamAnswer, WRONG)
    assert refusal(client) == (ErrorCode.LOGON_FAILED, 2)


def test_a_user_whom_pam_proved_has_no_proof_to_show_to_the_directory() -> None:
    scene = Scene(directory=True).up()
    client = scene.let_in()
    client.ask_for(method=3)
    scene.answer(Prove, client.proved())
    (question,) = [ask.message for ask in scene.opened(Ask)]
    assert isinstance(question, PlaceSession)
    assert question.proof == []
