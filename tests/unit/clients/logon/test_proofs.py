from __future__ import annotations

import random
from typing import Any

import pytest

from clients.logon.procedure import Logon
from clients.logon.steps import (
    AskPassword,
    Attached,
    DialHost,
    Finished,
    HangUp,
    Hashing,
    Outcome,
    Plan,
    RememberHashing,
    Seen,
    SignWithSshKey,
    Told,
)
from tests.unit.clients.logons import (
    KEY,
    SALT,
    TS1,
    accepted,
    asked,
    at_logon,
    attached,
    challenge,
    finished,
    logon,
    proof_in,
    refused,
    signing,
    start_in,
    through_licensing,
)
from tsproto.errors import ErrorCode
from tsproto.messages import (
    LogonProof,
)
from tsproto.user_proof import Asked, Cost, Method, Methods, Statement


def test_what_is_signed_names_host_certificate_challenge_and_what_is_asked_for() -> None:
    procedure = at_logon(application="editor")
    step = signing(procedure.on_password(b"secret", 3.0))
    assert step.password == b"secret"
    assert step.statement == Statement(
        farm="lab",
        server="ts1",
        certificate=b"c" * 32,
        nonce=b"n" * 32,
        time=9,
        device_id=b"d" * 32,
        user_name="user1",
        method=Method.PASSWORD,
        methods=Methods(3),
        salt=SALT,
        cost=Cost(),
        asked=Asked("editor"),
    )


def test_the_proof_carries_what_the_plan_says() -> None:
    procedure = at_logon(columns=120, rows=50, terminal="vt100", lang="C", tz="UTC", command="ls")
    procedure.on_password(b"secret", 3.0)
    assert proof_in(procedure.on_signed("ed25519", b"S" * 64, 3.0)) == LogonProof(
        method=1,
        algorithm="ed25519",
        signature=b"S" * 64,
        command="ls",
        columns=120,
        rows=50,
        terminal="vt100",
        lang="C",
        tz="UTC",
    )


def test_a_name_is_sent_in_its_normal_form() -> None:
    plan = Plan(hosts=(TS1,), user_name="zoe\u0308")
    procedure = Logon(plan, random.Random(1))
    procedure.start(0.0)
    assert start_in(through_licensing(procedure)[1:]).user_name == "zo\u00eb"


def test_a_wrong_password_is_asked_for_again_until_the_attempts_are_used_up() -> None:
    procedure = asked(password_attempts=3)
    wrong = refused(ErrorCode.LOGON_FAILED)
    for _ in range(2):
        start_in(procedure.on_message(wrong, 1.0))
        assert procedure.on_message(challenge(), 1.0) == [AskPassword(again=True)]
        procedure.on_password(b"other", 1.0)
        procedure.on_signed("ed25519", b"S" * 64, 1.0)
    last = procedure.on_message(wrong, 1.0)
    assert last == [HangUp(), Finished(Outcome.LOGON_FAILED, ErrorCode.LOGON_FAILED, "no")]


def test_a_wrong_password_from_a_file_is_not_asked_for_again() -> None:
    procedure = asked(password_attempts=1)
    steps = procedure.on_message(refused(ErrorCode.LOGON_FAILED), 1.0)
    assert finished(steps).outcome is Outcome.LOGON_FAILED


def test_the_hosts_last_attempt_is_the_last() -> None:
    procedure = asked()
    steps = procedure.on_message(refused(ErrorCode.LOGON_FAILED, attempts_left=0), 1.0)
    assert finished(steps).code is ErrorCode.LOGON_FAILED


def test_a_host_that_is_tired_of_waiting_is_dialled_again_when_the_password_is_typed() -> None:
    procedure = at_logon()
    assert procedure.on_closed(ErrorCode.TIMED_OUT, "", 0, 120.0) == []
    assert procedure.on_password(b"secret", 200.0) == [DialHost(TS1)]
    start_in(through_licensing(procedure, 200.0)[1:])
    assert signing(procedure.on_message(challenge(), 200.0)).password == b"secret"


def test_a_final_goodbye_while_typing_ends_it() -> None:
    steps = at_logon().on_closed(ErrorCode.NO_LICENSE, "", 0, 1.0)
    assert finished(steps).outcome is Outcome.NO_LICENSE


def test_a_password_that_nobody_waits_for_is_ignored() -> None:
    procedure = logon()
    procedure.start(0.0)
    assert procedure.on_password(b"secret", 1.0) == []


def test_a_signature_that_nobody_waits_for_is_ignored() -> None:
    procedure = attached()
    assert procedure.on_signed("ed25519", b"S" * 64, 1.0) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"memory_kib": 19 * 1024 - 1},
        {"memory_kib": 1024 * 1024 + 1},
        {"passes": 1},
        {"passes": 17},
        {"lanes": 0},
        {"lanes": 5},
    ],
)
def test_no_password_is_asked_for_by_a_host_with_a_cheap_or_a_monstrous_cost(
    fields: dict[str, int],
) -> None:
    procedure = logon()
    procedure.start(0.0)
    through_licensing(procedure)
    steps = procedure.on_message(challenge(**fields), 0.0)
    assert steps[0] == HangUp()
    assert finished(steps).code is ErrorCode.NOT_PERMITTED


def test_an_ssh_key_that_the_host_knows_signs_before_any_password_is_asked_for() -> None:
    procedure = logon(key_fingerprints=(b"o" * 32, KEY))
    procedure.start(0.0)
    start = start_in(through_licensing(procedure)[1:])
    assert start.key_fingerprints == [b"o" * 32, KEY]
    [step] = procedure.on_message(challenge(key_fingerprint=KEY), 0.0)
    assert isinstance(step, SignWithSshKey)
    assert (step.fingerprint, step.statement.method) == (KEY, Method.SSH_KEY)
    proof = proof_in(procedure.on_signed("ssh-ed25519", b"R" * 64, 0.0))
    assert (proof.method, proof.algorithm, proof.signature) == (2, "ssh-ed25519", b"R" * 64)


@pytest.mark.parametrize("fingerprint", [b"", b"x" * 32])
def test_no_key_is_asked_to_sign_that_is_not_the_users(fingerprint: bytes) -> None:
    procedure = logon(key_fingerprints=(KEY,))
    procedure.start(0.0)
    through_licensing(procedure)
    steps = procedure.on_message(challenge(key_fingerprint=fingerprint), 0.0)
    assert steps == [AskPassword(again=False)]


def test_after_an_agent_that_refuses_the_password_is_asked_for() -> None:
    procedure = logon(key_fingerprints=(KEY,))
    procedure.start(0.0)
    through_licensing(procedure)
    procedure.on_message(challenge(key_fingerprint=KEY), 0.0)
    told, *steps = procedure.on_not_signed(KEY, "the agent refused", 1.0)
    assert told == Told("the agent refused")
    assert start_in(steps).key_fingerprints == []
    assert procedure.on_message(challenge(), 1.0) == [AskPassword(again=False)]


def test_after_an_ssh_key_that_is_refused_the_password_is_asked_for() -> None:
    procedure = logon(key_fingerprints=(KEY,))
    procedure.start(0.0)
    through_licensing(procedure)
    procedure.on_message(challenge(key_fingerprint=KEY), 0.0)
    procedure.on_signed("ssh-ed25519", b"R" * 64, 0.0)
    steps = procedure.on_message(refused(ErrorCode.LOGON_FAILED), 1.0)
    assert start_in(steps).key_fingerprints == []
    assert procedure.on_message(challenge(), 1.0) == [AskPassword(again=False)]


def test_a_host_that_offers_no_known_way_ends_it() -> None:
    procedure = logon()
    procedure.start(0.0)
    through_licensing(procedure)
    steps = procedure.on_message(challenge(methods=8), 0.0)
    assert finished(steps).code is ErrorCode.NOT_PERMITTED


HASHING = Hashing(SALT, Cost())
REMEMBERING = Seen("lab", "ts1", b"c" * 32, b"d" * 32, HASHING)


def test_a_first_logon_by_password_is_remembered_with_its_salt_and_cost() -> None:
    steps = asked().on_message(accepted(), 1.0)
    assert steps == [RememberHashing(HASHING), Attached("ts1", 7, "user1", False)]


def test_what_is_remembered_already_is_not_remembered_again() -> None:
    procedure = logon()
    procedure.start(0.0)
    through_licensing(procedure, seen=REMEMBERING)
    assert procedure.on_message(challenge(), 0.0) == [AskPassword(again=False)]
    procedure.on_password(b"secret", 0.0)
    procedure.on_signed("ed25519", b"S" * 64, 0.0)
    assert procedure.on_message(accepted(), 1.0) == [Attached("ts1", 7, "user1", False)]


def test_nothing_is_remembered_of_a_logon_by_ssh_key() -> None:
    procedure = logon(key_fingerprints=(KEY,))
    procedure.start(0.0)
    through_licensing(procedure)
    procedure.on_message(challenge(key_fingerprint=KEY), 0.0)
    procedure.on_signed("ssh-ed25519", b"R" * 64, 0.0)
    assert procedure.on_message(accepted(), 1.0) == [Attached("ts1", 7, "user1", False)]


@pytest.mark.parametrize("fields", [{"salt": b"t" * 16}, {"passes": 4}, {"memory_kib": 19_456}])
def test_another_salt_or_cost_than_remembered_is_told_once_before_the_password_is_typed(
    fields: dict[str, Any],
) -> None:
    procedure = logon()
    procedure.start(0.0)
    through_licensing(procedure, seen=REMEMBERING)
    told, *asking = procedure.on_message(challenge(**fields), 0.0)
    assert told == Told(
        "the farm lab hashes user1's password otherwise than before: if it was not changed, tell"
        " the farm's administrator"
    )
    assert asking == [AskPassword(again=False)]
    procedure.on_password(b"wrong", 0.0)
    procedure.on_signed("ed25519", b"S" * 64, 0.0)
    procedure.on_message(refused(ErrorCode.LOGON_FAILED), 1.0)
    assert procedure.on_message(challenge(**fields), 1.0) == [AskPassword(again=True)]
    procedure.on_password(b"secret", 1.0)
    procedure.on_signed("ed25519", b"S" * 64, 1.0)
    [remembered, _] = procedure.on_message(accepted(), 2.0)
    assert isinstance(remembered, RememberHashing)
