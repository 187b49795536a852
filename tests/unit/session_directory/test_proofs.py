"""A directory with accounts places nobody on a host's word."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import pytest

from daemons import events
from daemons.session_directory.proofs import AGE_SECONDS_MAX
from tests.unit.session_directory.scenario import (
    CERTIFICATE,
    START,
    Directory,
    answer,
    link,
    logged,
    row,
)
from tsproto import limits
from tsproto.account import Account, PasswordKey
from tsproto.errors import ErrorCode
from tsproto.messages import Refused, SessionPlaced, UserProof
from tsproto.user_proof import Asked, Cost, Method, Methods, Statement, key_of_tag

SALT = b"s" * 16
COST = Cost()
NONCE = b"n" * 32


def account(name: str = "user1", **fields: Any) -> Account:
    public_key = key_of_tag("farm", name, tag(name)).public_key().public_bytes_raw()
    password = PasswordKey(
        public_key=public_key,
        salt=SALT,
        memory_kib=COST.memory_kib,
        passes=COST.passes,
        lanes=COST.lanes,
    )
    return Account(**{"name": name, "generation": 1, "password": password, **fields})


def tag(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def proof(
    server: str = "ts1",
    user: str = "user1",
    *,
    signer: str = "user1",
    time: float = START,
    asked: Asked | None = None,
    certificate: bytes = CERTIFICATE,
    farm: str = "farm",
) -> UserProof:
    asked = asked or Asked()
    statement = Statement(
        farm=farm,
        server=server,
        certificate=certificate,
        nonce=NONCE,
        time=int(time),
        device_id=b"d" * 32,
        user_name=user,
        method=Method.PASSWORD,
        methods=Methods(3),
        salt=SALT,
        cost=COST,
        asked=asked,
    )
    return UserProof(
        nonce=NONCE,
        time=int(time),
        device_id=b"d" * 32,
        method=1,
        methods=3,
        salt=SALT,
        memory_kib=COST.memory_kib,
        passes=COST.passes,
        lanes=COST.lanes,
        session_id=asked.session_id,
        attachment=asked.attachment,
        key_fingerprint=b"",
        algorithm="ed25519",
        signature=key_of_tag("farm", signer, tag(signer)).sign(statement.signed_bytes()),
    )


def farm(*accounts: Account) -> Directory:
    known = {each.name: each for each in accounts or (account(),)}
    return Directory(account_of=known.get)


def test_a_good_proof_reserves_the_place_and_gives_a_receipt() -> None:
    directory = farm()
    placed = answer(directory.asked_to_place(directory.joined("ts1"), proof=proof()), SessionPlaced)
    assert placed.host == "ts1"
    assert len(placed.receipt) == 32


def test_a_proof_may_be_shown_again_by_the_host_that_it_names() -> None:
    directory = farm()
    ts1 = directory.joined("ts1")
    first, second = (directory.asked_to_place(ts1, proof=proof()) for _ in range(2))
    assert answer(first, SessionPlaced).placement == answer(second, SessionPlaced).placement


@pytest.mark.parametrize(
    "shown",
    [
        None,
        proof(signer="user2"),
        proof("ts2"),
        proof(user="user2"),
        proof(asked=Asked("mail")),
        proof(asked=Asked(command="true")),
        proof(certificate=b"x" * 32),
        proof(farm="elsewhere"),
        msgspec.structs.replace(proof(), device_id=b"e" * 32),
        msgspec.structs.replace(proof(), salt=b"t" * 16),
        msgspec.structs.replace(proof(), passes=2),
        msgspec.structs.replace(proof(), nonce=b"m" * 32),
        msgspec.structs.replace(proof(), algorithm="ssh-ed25519"),
        msgspec.structs.replace(proof(), method=2),
        msgspec.structs.replace(proof(), method=3),
        msgspec.structs.replace(proof(), attachment=1),
    ],
)
def test_without_the_users_proof_for_this_host_nothing_is_reserved(
    shown: UserProof | None,
) -> None:
    directory = farm()
    ts1 = directory.joined("ts1")
    effects = directory.asked_to_place(ts1, proof=shown)
    assert answer(effects, Refused).code is ErrorCode.NOT_PERMITTED
    assert logged(effects, events.PlacementRefused)
    assert directory.pending("ts1") == 0


@pytest.mark.parametrize("accounts", [[account("user2")], [account(disabled=True)]])
def test_an_account_that_is_not_there_or_disabled_places_nobody(accounts: list[Account]) -> None:
    directory = farm(*accounts)
    effects = directory.asked_to_place(directory.joined("ts1"), proof=proof())
    assert answer(effects, Refused).code is ErrorCode.NOT_PERMITTED


@pytest.mark.parametrize(
    ("age", "is_good"),
    [
        (-limits.PROOF_CLOCK_SECONDS, True),
        (-limits.PROOF_CLOCK_SECONDS - 1, False),
        (AGE_SECONDS_MAX, True),
        (AGE_SECONDS_MAX + 1, False),
    ],
)
def test_a_proof_has_an_age(age: int, is_good: bool) -> None:
    assert AGE_SECONDS_MAX == 240
    directory = farm()
    effects = directory.asked_to_place(directory.joined("ts1"), proof=proof(time=START - age))
    answer(effects, SessionPlaced if is_good else Refused)


def test_a_receipt_is_given_for_a_proof_of_up_to_a_day() -> None:
    directory = farm()
    ts1 = directory.joined("ts1", row("ts1", 7, receipt=b""))
    directory.now = START + 86_400
    answer(directory.asked_to_place(ts1, proof=proof(), session_id=7), SessionPlaced)
    directory.now += 1
    answer(directory.asked_to_place(ts1, proof=proof(), session_id=7), Refused)


def test_a_user_of_pam_needs_no_proof_where_the_account_says_so() -> None:
    directory = farm(account(pam=True))
    answer(directory.asked_to_place(directory.joined("ts1")), SessionPlaced)


def test_an_impostor_that_never_saw_the_user_draws_nobody_to_itself() -> None:
    directory = farm()
    good, evil = directory.joined("ts1"), directory.joined("evil")
    answer(directory.asked_to_place(evil, proof=proof()), Refused)
    directory.updated(evil, row("evil", 66, receipt=b""))
    placed = answer(directory.asked_to_place(good, proof=proof()), SessionPlaced)
    assert placed.host == "ts1"
    assert [(other.host, other.session_id) for other in placed.others] == [("evil", 66)]


def test_the_proof_is_judged_after_the_host_has_joined() -> None:
    directory = farm()
    refused = answer(directory.asked_to_place(link("ts1"), proof=proof()), Refused)
    assert refused.code is ErrorCode.NOT_JOINED
