"""How a client lets a host's PAM ask its user, and which host it does not let ask."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from clients.logon.steps import AnswerPam, AskPassword, Send, Told
from tests.unit.clients.logons import (
    SEEN,
    challenge,
    finished,
    logon,
    proof_in,
    refused,
    start_in,
    through_licensing,
)
from tsproto.errors import ErrorCode
from tsproto.messages import PamAnswers, PamPrompt, PamQuestion

ASKING = replace(SEEN, asks_secrets=True)
PROMPT = PamPrompt(round=1, prompts=[PamQuestion(words="Password: ", is_shown=False)])


def test_where_only_pam_is_offered_its_prompts_are_answered() -> None:
    procedure = logon()
    procedure.start(0.0)
    through_licensing(procedure, seen=ASKING)
    proof = proof_in(procedure.on_message(challenge(methods=4), 0.0))
    assert (proof.method, proof.signature) == (3, b"")
    assert procedure.on_message(PROMPT, 0.0) == [AnswerPam(PROMPT)]
    answers = PamAnswers(round=1, answers=[b"secret"])
    assert procedure.on_pam_answers(1, [b"secret"], 5.0) == [Send(answers)]


def test_an_empty_password_lets_the_host_ask_and_a_wrong_answer_lets_it_ask_again() -> None:
    procedure = logon()
    procedure.start(0.0)
    through_licensing(procedure, seen=ASKING)
    told, asked = procedure.on_message(challenge(methods=7), 0.0)
    assert isinstance(told, Told) and "an empty password" in told.text
    assert asked == AskPassword(again=False)
    assert proof_in(procedure.on_password(b"", 1.0)).method == 3
    procedure.on_message(PROMPT, 1.0)
    procedure.on_pam_answers(1, [b"wrong"], 2.0)
    assert start_in(procedure.on_message(refused(ErrorCode.LOGON_FAILED), 3.0))
    assert proof_in(procedure.on_message(challenge(methods=7), 3.0)).method == 3


def test_a_password_that_was_mistyped_is_not_asked_for_by_the_host() -> None:
    """The host reads what is typed at its prompts: this password is none of its business."""
    procedure = logon()
    procedure.start(0.0)
    through_licensing(procedure, seen=ASKING)
    procedure.on_message(challenge(methods=7), 0.0)
    procedure.on_password(b"mistyped", 1.0)
    procedure.on_signed("ed25519", b"S" * 64, 1.0)
    procedure.on_message(refused(ErrorCode.LOGON_FAILED), 2.0)
    assert AskPassword(again=True) in procedure.on_message(challenge(methods=7), 2.0)


@pytest.mark.parametrize("methods", [4, 12])
def test_a_host_whose_certificate_does_not_let_it_ask_is_not_let_ask(methods: int) -> None:
    procedure = logon()
    procedure.start(0.0)
    through_licensing(procedure)
    end = finished(procedure.on_message(challenge(methods=methods), 0.0))
    assert end.code is ErrorCode.NOT_PERMITTED


def test_prompts_that_come_without_pam_are_answered_by_nobody() -> None:
    procedure = logon()
    procedure.start(0.0)
    through_licensing(procedure, seen=ASKING)
    procedure.on_message(challenge(methods=7), 0.0)
    procedure.on_password(b"secret", 1.0)
    procedure.on_signed("ed25519", b"S" * 64, 1.0)
    assert finished(procedure.on_message(PROMPT, 2.0)).code is ErrorCode.OUT_OF_ORDER
