"""When a device's key alone proves the user: to return to the session that it showed last."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from daemons.keeper import messages as km
from daemons.keeper.proving import NotStarted
from tests.unit.keeper.test_proving import (
    CERTIFICATE,
    DENIAL,
    SHELL,
    START,
    Keeper,
    account,
    proof,
    statement,
)
from tsproto.identity import DeviceKey
from tsproto.user_proof import ED25519, Asked, Method, Methods

MINE, OTHER = DeviceKey(b"m" * 32), DeviceKey(b"o" * 32)
HOURS_10 = 36_000
RESUME = Asked(session_id=7, attachment=1)


class Resuming(Keeper):
    """A monitor under which ada has started session 7 from the device MINE."""

    def __init__(self, resume_seconds: int = HOURS_10) -> None:
        super().__init__(account(), account("bob"))
        self.monitor.host = replace(self.monitor.host, resume_seconds=resume_seconds)
        proved = self.proved_from(MINE)
        self.monitor.spend(
            km.StartProved(1, 7, proved.proof_id, SHELL, 80, 24, "xterm", "", "", ""), START
        )

    def asked(
        self,
        device: DeviceKey = MINE,
        asked: Asked = RESUME,
        user: str = "ada",
        now: float = START + 1,
    ) -> km.Challenged:
        challenge = km.Challenge(
            1, user, device.device_id, CERTIFICATE, (), "", asked.session_id, asked.attachment
        )
        said = self.monitor.challenge(challenge, now)
        assert isinstance(said, km.Challenged)
        return said

    def proved_from(self, device: DeviceKey, user: str = "ada", now: float = START) -> km.Proved:
        """The user proves who they are with the password's key."""
        said = self.asked(device, SHELL, user, now)
        signed = proof(said, signer=user, device_id=device.device_id, user_name=user)
        outcome = self.prove(signed, now)
        assert isinstance(outcome, km.Proved), outcome
        return outcome


def resumed(
    said: km.Challenged,
    device: DeviceKey = MINE,
    asked: Asked = RESUME,
    key: bytes = b"",
    **signed: Any,
) -> km.Prove:
    usual = {"device_id": device.device_id, "method": Method.DEVICE}
    message = statement(said, asked, **{**usual, **signed}).signed_bytes()
    signature = (key or device.public_key) + device.sign(message)
    return km.Prove(2, said.nonce, Method.DEVICE, ED25519, signature, asked)


def test_the_device_that_showed_a_session_last_returns_to_it_by_its_key_alone() -> None:
    keeper = Resuming()
    said = keeper.asked()
    assert said.resume_seconds == HOURS_10 - 1
    assert Methods.DEVICE in Methods(said.methods)
    assert keeper.prove(resumed(said), START + 1) == km.Proved(2, 2, 1, "ada", ())


def test_a_device_alone_starts_no_session() -> None:
    keeper = Resuming()
    proved = keeper.prove(resumed(keeper.asked()), START + 1)
    assert isinstance(proved, km.Proved)
    start = km.StartProved(1, 8, proved.proof_id, RESUME, 80, 24, "xterm", "", "", "")
    with pytest.raises(NotStarted, match="a device alone starts no session"):
        keeper.monitor.spend(start, START + 2)


@pytest.mark.parametrize(
    "wrong",
    [
        {"device": OTHER},
        {"asked": Asked(session_id=8, attachment=1)},
        {"asked": Asked(session_id=7, attachment=2)},
        {"asked": SHELL},
        {"user": "bob"},
        {"user": "nobody"},
        {"now": START + HOURS_10},
    ],
)
def test_nobody_else_nothing_else_and_not_later(wrong: dict[str, Any]) -> None:
    said = Resuming().asked(**wrong)
    assert said.resume_seconds == 0
    assert Methods.DEVICE not in Methods(said.methods)


def test_a_host_that_lets_nobody_resume_offers_nothing() -> None:
    assert Resuming(resume_seconds=0).asked().resume_seconds == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"device": OTHER},
        {"key": OTHER.public_key},
        {"key": bytes(32)},
        {"asked": replace(RESUME, command="id")},
        {"asked": replace(RESUME, attachment=2)},
        {"nonce": b"x" * 32},
        {"method": Method.PASSWORD},
        {"user_name": "bob"},
    ],
)
def test_a_proof_that_the_device_did_not_give_for_this_is_denied(wrong: dict[str, Any]) -> None:
    keeper = Resuming()
    assert keeper.prove(resumed(keeper.asked(), **wrong), START + 1) == DENIAL


@pytest.mark.parametrize("now", [{"generation": 2}, {"disabled": True}])
def test_a_change_of_the_account_ends_it(now: dict[str, Any]) -> None:
    keeper = Resuming()
    said = keeper.asked()
    keeper.accounts["ada"] = account(**now)
    assert keeper.asked().resume_seconds == 0
    assert keeper.prove(resumed(said), START + 1) == DENIAL


def test_the_end_of_the_time_counts_also_between_challenge_and_proof() -> None:
    keeper = Resuming()
    said = keeper.asked(now=START + HOURS_10 - 1)
    assert said.resume_seconds == 1
    assert keeper.prove(resumed(said), START + HOURS_10) == DENIAL


def test_another_device_that_shows_the_session_takes_the_right_with_it() -> None:
    keeper = Resuming()
    other = keeper.proved_from(OTHER, now=START + 5)
    keeper.monitor.shown(km.Shown(7, other.proof_id, 2), START + 5)
    second = Asked(session_id=7, attachment=2)
    assert keeper.asked().resume_seconds == 0
    assert keeper.asked(OTHER, second, now=START + 5).resume_seconds == HOURS_10


def test_resuming_does_not_prolong_the_time() -> None:
    keeper = Resuming()
    proved = keeper.prove(resumed(keeper.asked()), START + 1)
    assert isinstance(proved, km.Proved)
    keeper.monitor.shown(km.Shown(7, proved.proof_id, 2), START + 50)
    again = Asked(session_id=7, attachment=2)
    assert keeper.asked(asked=again, now=START + 50).resume_seconds == HOURS_10 - 50


def test_a_session_of_another_user_is_not_taken_over_by_showing_it() -> None:
    keeper = Resuming()
    bobs = keeper.proved_from(OTHER, "bob")
    keeper.monitor.shown(km.Shown(7, bobs.proof_id, 2), START)
    assert keeper.asked(OTHER, Asked(session_id=7, attachment=2), "bob").resume_seconds == 0
    assert keeper.asked().resume_seconds == HOURS_10 - 1


def test_an_ended_session_is_not_resumed() -> None:
    keeper = Resuming()
    keeper.monitor.forget(7)
    assert keeper.asked().resume_seconds == 0
