"""What the monitor lets PAM decide, and what it decides itself."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from daemons.keeper import messages as km
from daemons.keeper.proving import NO_USER, NotStarted, PamLogon
from tests.unit.keeper.test_proving import (
    CERTIFICATE,
    DENIAL,
    DEVICE,
    IS_OVER,
    SHELL,
    START,
    Keeper,
    account,
)
from tsproto import limits
from tsproto.errors import ErrorCode
from tsproto.user_proof import Asked, Method, Methods

ADDRESS = "192.0.2.7"
PAM = {"pam": True, "system_user": "ada1"}


class Asking(Keeper):
    """The monitor of a host whose PAM may ask."""

    def __init__(self, **given: Any) -> None:
        super().__init__(account(**{**PAM, **given}))
        methods = Methods.PASSWORD | Methods.SSH_KEY | Methods.PAM
        self.monitor.host = replace(self.monitor.host, methods=methods)

    def ask(self, user: str = "ada", asked: Asked = SHELL) -> PamLogon:
        logon = self.monitor.ask(self.request(user, asked), START)
        assert isinstance(logon, PamLogon), logon
        return logon

    def request(self, user: str = "ada", asked: Asked = SHELL) -> km.Prove:
        challenge = km.Challenge(1, user, DEVICE, CERTIFICATE, (), ADDRESS)
        said = self.monitor.challenge(challenge, START)
        assert isinstance(said, km.Challenged)
        return km.Prove(2, said.nonce, Method.PAM, "", b"", asked)


def test_pam_is_asked_for_the_accounts_system_user_and_told_the_clients_address() -> None:
    assert Asking().ask(asked=Asked("mail")) == PamLogon(
        user_name="ada",
        generation=1,
        system_user="ada1",
        address=ADDRESS,
        device_id=DEVICE,
        asked=Asked("mail"),
    )


@pytest.mark.parametrize(
    ("user", "given"), [("bob", {}), ("ada", {"pam": False}), ("ada", {"disabled": True})]
)
def test_who_may_not_use_pam_is_asked_as_nobody_and_denied(
    user: str, given: dict[str, bool]
) -> None:
    keeper = Asking(**given)
    logon = keeper.ask(user)
    assert (logon.system_user, logon.is_known) == (NO_USER, False)
    assert keeper.monitor.prove_by_pam(logon, 2, START) == DENIAL


def test_a_challenge_lets_pam_ask_once_and_in_time() -> None:
    keeper = Asking()
    request = keeper.request()
    keeper.monitor.ask(request, START)
    assert keeper.monitor.ask(request, START) == IS_OVER
    late = START + limits.CHALLENGE_SECONDS
    assert keeper.monitor.ask(keeper.request(), late) == IS_OVER


def test_where_pam_is_not_offered_it_is_not_asked() -> None:
    keeper = Asking()
    keeper.monitor.host = replace(keeper.monitor.host, methods=Methods.PASSWORD)
    assert keeper.monitor.ask(keeper.request(), START) == DENIAL


def test_a_user_whom_pam_proved_gets_what_was_asked_for_once() -> None:
    keeper = Asking()
    proved = keeper.monitor.prove_by_pam(keeper.ask(asked=Asked("mail")), 2, START)
    assert proved == km.Proved(2, 1, 1, "ada1", ())
    start = km.StartProved(1, 7, 1, Asked("mail"), 80, 24, "xterm", "", "", "")
    spent = keeper.monitor.spend(start, START)
    assert (spent.account.system_user, spent.address) == ("ada1", ADDRESS)
    with pytest.raises(NotStarted):
        keeper.monitor.spend(start, START)


@pytest.mark.parametrize("now", [{"generation": 2}, {"generation": 2, "disabled": True}])
def test_a_change_of_the_account_while_pam_asks_denies_the_user(now: dict[str, Any]) -> None:
    keeper = Asking()
    logon = keeper.ask()
    keeper.accounts["ada"] = account(**{**PAM, **now})
    assert keeper.monitor.prove_by_pam(logon, 2, START) == DENIAL


def test_an_account_may_use_by_pam_no_more_than_by_a_key() -> None:
    keeper = Asking(applications=("mail",))
    outcome = keeper.monitor.prove_by_pam(keeper.ask(), 2, START)
    assert isinstance(outcome, km.NotProved)
    assert outcome.code is ErrorCode.NOT_PERMITTED
