"""The keeper's monitor: what it demands of a proof, and of a request to start a session for it."""

from __future__ import annotations

import hashlib
import random
import time
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from msgspec.structs import replace

from daemons.keeper import messages as km
from daemons.keeper import proving
from daemons.keeper.proving import DENIED, OVER, Host, Monitor, NotStarted
from tsproto import limits, ssh_keys
from tsproto.account import Account, PasswordKey
from tsproto.errors import ErrorCode
from tsproto.user_proof import (
    ED25519,
    Asked,
    Cost,
    Method,
    Methods,
    Statement,
    key_of_tag,
    salt_of_nobody,
)

START = 1_800_000_000.0
CERTIFICATE, EARLIER, OTHERS = (bytes([number]) * 32 for number in (1, 2, 3))
SECRET = b"s" * 32
DEVICE = b"d" * 32
SALT = b"a" * 16
COST = Cost(memory_kib=32 * 1024, passes=4, lanes=2)  # as no other: told from the default
SHELL = Asked()
SSH_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SSH_LINE = SSH_KEY.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
FINGERPRINT = ssh_keys.read(SSH_LINE).fingerprint


def key_of(user: str) -> Ed25519PrivateKey:
    return key_of_tag("farm", user, hashlib.sha256(user.encode()).digest())


def account(name: str = "ada", **given: Any) -> Account:
    password = PasswordKey(
        public_key=key_of(name).public_key().public_bytes_raw(),
        salt=SALT,
        memory_kib=COST.memory_kib,
        passes=COST.passes,
        lanes=COST.lanes,
    )
    usual = {"name": name, "generation": 1, "system_user": name, "password": password}
    return Account(**{**usual, **given})


class Keeper:
    """A monitor of a host with these accounts, and the client of it."""

    def __init__(self, *accounts: Account) -> None:
        self.accounts = {each.name: each for each in accounts or (account(),)}
        host = Host(farm="farm", server="ts1", certificates=(CERTIFICATE, EARLIER), secret=SECRET)
        self.monitor = Monitor(host, self.accounts.get, random.Random(1))

    def challenge(
        self,
        user: str = "ada",
        *,
        certificate: bytes = CERTIFICATE,
        fingerprints: tuple[bytes, ...] = (),
        now: float = START,
    ) -> km.Challenged:
        request = km.Challenge(1, user, DEVICE, certificate, fingerprints)
        said = self.monitor.challenge(request, now)
        assert isinstance(said, km.Challenged), said
        return said

    def prove(self, request: km.Prove, now: float = START) -> km.Proved | km.NotProved:
        return self.monitor.prove(request, now)

    def proved(self, asked: Asked = SHELL, now: float = START) -> km.Proved:
        outcome = self.prove(proof(self.challenge(now=now), asked), now)
        assert isinstance(outcome, km.Proved), outcome
        return outcome

    def spend(self, proof_id: int, asked: Asked = SHELL, now: float = START) -> Account:
        start = km.StartProved(1, 7, proof_id, asked, 80, 24, "xterm", "", "", "")
        return self.monitor.spend(start, now).account


def statement(said: km.Challenged, asked: Asked = SHELL, **signed: Any) -> Statement:
    """What an honest client signs, with fields that the test replaces."""
    usual = Statement(
        farm="farm",
        server="ts1",
        certificate=CERTIFICATE,
        nonce=said.nonce,
        time=said.time,
        device_id=DEVICE,
        user_name="ada",
        method=Method.PASSWORD,
        methods=Methods(said.methods),
        salt=said.salt,
        cost=Cost(said.memory_kib, said.passes, said.lanes),
        asked=asked,
    )
    return replace(usual, **signed)


def proof(
    said: km.Challenged,
    asked: Asked = SHELL,
    *,
    signer: str = "ada",
    method: int = Method.PASSWORD,
    **signed: Any,
) -> km.Prove:
    signature = key_of(signer).sign(statement(said, asked, **signed).signed_bytes())
    return km.Prove(2, said.nonce, method, ED25519, signature, asked)


def ssh_proof(said: km.Challenged) -> km.Prove:
    message = statement(said, method=Method.SSH_KEY).signed_bytes()
    signature = SSH_KEY.sign(ssh_keys.signed_by_ssh(message))
    return km.Prove(2, said.nonce, Method.SSH_KEY, "ssh-ed25519", signature, SHELL)


DENIAL = km.NotProved(2, ErrorCode.LOGON_FAILED, DENIED, 0)
IS_OVER = km.NotProved(2, ErrorCode.LOGON_BUSY, OVER, proving.RETRY_SECONDS)


# --- challenges -----------------------------------------------------------------------------------


def test_a_challenge_holds_the_accounts_salt_and_cost_and_the_keepers_own_nonce_and_time() -> None:
    keeper = Keeper()
    said = keeper.challenge(now=START + 0.9)
    assert said == km.Challenged(
        1, said.nonce, int(START), Methods.PASSWORD | Methods.SSH_KEY, SALT, 32 * 1024, 4, 2, b"", 0
    )
    assert len(said.nonce) == 32
    assert keeper.challenge().nonce != said.nonce


def test_another_hosts_certificate_gets_no_challenge() -> None:
    request = km.Challenge(1, "ada", DEVICE, OTHERS, ())
    detail = "the certificate that the client saw is not this host's"
    assert Keeper().monitor.challenge(request, START) == km.NotProved(
        1, ErrorCode.NOT_PERMITTED, detail, 0
    )


def test_a_link_that_was_opened_before_a_renewal_proves_with_the_earlier_certificate() -> None:
    keeper = Keeper()
    said = keeper.challenge(certificate=EARLIER)
    assert keeper.prove(proof(said)) == DENIAL
    said = keeper.challenge(certificate=EARLIER)
    assert isinstance(keeper.prove(proof(said, certificate=EARLIER)), km.Proved)


def test_an_unknown_name_gets_a_salt_of_its_own_that_stays_and_the_same_methods() -> None:
    keeper = Keeper()
    first, second, other = (keeper.challenge(user) for user in ("eve", "eve", "eva"))
    assert first.salt == second.salt == salt_of_nobody(SECRET, "eve")
    assert first.salt != other.salt
    assert first.methods == keeper.challenge("ada").methods
    cost = Cost()
    assert (first.memory_kib, first.passes, first.lanes) == (cost.memory_kib, cost.passes, 1)
    assert first.key_fingerprint == b""


def test_a_user_without_a_password_is_challenged_as_if_there_were_none() -> None:
    keeper = Keeper(account(password=None, ssh_keys=(SSH_LINE,)))
    said = keeper.challenge()
    assert said.salt == salt_of_nobody(SECRET, "ada")
    assert keeper.prove(proof(said)) == DENIAL


def test_a_name_is_compared_in_its_normal_form() -> None:
    composed, decomposed = "zo\u00eb", "zoe\u0308"
    keeper = Keeper(account(composed))
    said = keeper.challenge(decomposed)
    assert said.salt == SALT
    request = proof(said, signer=composed, user_name=composed)
    assert isinstance(keeper.prove(request), km.Proved)


def test_only_a_key_that_the_account_has_is_named() -> None:
    keeper = Keeper(account(ssh_keys=(SSH_LINE,)))
    assert keeper.challenge(fingerprints=(OTHERS, FINGERPRINT)).key_fingerprint == FINGERPRINT
    assert keeper.challenge(fingerprints=(OTHERS,)).key_fingerprint == b""
    assert keeper.challenge("eve", fingerprints=(FINGERPRINT,)).key_fingerprint == b""


# --- proofs ---------------------------------------------------------------------------------------


def test_a_password_proves_the_user() -> None:
    keeper = Keeper()
    outcome = keeper.prove(proof(keeper.challenge()))
    assert outcome == km.Proved(2, 1, 1, "ada", ())


def test_an_ssh_key_proves_the_user() -> None:
    keeper = Keeper(account(ssh_keys=(SSH_LINE,)))
    said = keeper.challenge(fingerprints=(FINGERPRINT,))
    assert isinstance(keeper.prove(ssh_proof(said)), km.Proved)


def test_an_ssh_key_that_was_not_named_in_the_challenge_proves_nothing() -> None:
    keeper = Keeper(account(ssh_keys=(SSH_LINE,)))
    assert keeper.prove(ssh_proof(keeper.challenge())) == DENIAL


@pytest.mark.parametrize(
    "signed",
    [
        {"farm": "other"},
        {"server": "ts2"},
        {"certificate": OTHERS},
        {"nonce": OTHERS},
        {"time": int(START) + 1},
        {"device_id": OTHERS},
        {"user_name": "eve"},
        {"method": Method.SSH_KEY},
        {"methods": Methods.PASSWORD},
        {"salt": b"b" * 16},
        {"cost": Cost()},
    ],
    ids=lambda signed: "-".join(signed),
)
def test_a_statement_about_anything_else_proves_nothing(signed: dict[str, Any]) -> None:
    keeper = Keeper()
    assert keeper.prove(proof(keeper.challenge(), **signed)) == DENIAL


@pytest.mark.parametrize(
    "told",
    [
        Asked("", "id"),
        Asked("mail", "ls"),
        Asked("", "ls", session_id=1),
        Asked("", "ls", session_id=1, attachment=1),
    ],
)
def test_a_request_for_anything_but_what_was_signed_proves_nothing(told: Asked) -> None:
    keeper = Keeper()
    request = replace(proof(keeper.challenge(), Asked("", "ls")), asked=told)
    assert keeper.prove(request) == DENIAL


def test_another_users_key_proves_nothing() -> None:
    keeper = Keeper(account("ada"), account("eve"))
    assert keeper.prove(proof(keeper.challenge("ada"), signer="eve")) == DENIAL


@pytest.mark.parametrize("signer", ["eve", "ada"])
def test_an_unknown_user_is_answered_like_a_wrong_proof(signer: str) -> None:
    keeper = Keeper()
    assert keeper.prove(proof(keeper.challenge("eve"), signer=signer, user_name="eve")) == DENIAL


@pytest.mark.parametrize("user", ["eve", "ada"])
def test_the_key_that_unknown_users_are_judged_by_opens_nothing(user: str) -> None:
    keeper = Keeper(account(password=None))
    said = keeper.challenge(user)
    nobodys = Ed25519PrivateKey.from_private_bytes(bytes(32))
    signature = nobodys.sign(statement(said, user_name=user).signed_bytes())
    assert keeper.prove(km.Prove(2, said.nonce, 1, ED25519, signature, SHELL)) == DENIAL


@pytest.mark.parametrize("user", ["eve", "without-password", "disabled"])
def test_an_unknown_user_is_answered_as_slowly_as_a_wrong_proof(user: str) -> None:
    """Without the check of a signature the answer would come in a tenth of the time."""

    def fastest(user: str) -> float:
        special = account("without-password", password=None), account("disabled", disabled=True)
        keeper, taken = Keeper(account(), *special), []
        for _ in range(40):
            request = proof(keeper.challenge(user), signer="mallory", user_name=user)
            began = time.perf_counter()
            assert keeper.prove(request) == DENIAL
            taken.append(time.perf_counter() - began)
        return min(taken)

    assert 0.5 < fastest(user) / fastest("ada") < 2.0


def test_a_disabled_user_is_answered_like_a_wrong_proof() -> None:
    keeper = Keeper(account(disabled=True))
    assert keeper.prove(proof(keeper.challenge())) == DENIAL


@pytest.mark.parametrize("method", [0, Method.PAM, Method.DEVICE, 5, 255])
def test_a_method_that_is_not_offered_proves_nothing(method: int) -> None:
    keeper = Keeper()
    assert keeper.prove(proof(keeper.challenge(), method=method)) == DENIAL


def test_a_host_without_passwords_takes_none() -> None:
    keeper = Keeper()
    keeper.monitor.host = replace(keeper.monitor.host, methods=Methods.SSH_KEY)
    assert keeper.prove(proof(keeper.challenge())) == DENIAL


@pytest.mark.parametrize(
    ("given", "asked", "may"),
    [
        ({"applications": ("mail",)}, Asked("mail"), True),
        ({"applications": ("mail",)}, Asked(), False),
        ({"applications": ("", "mail")}, Asked(), True),
        ({"applications": ()}, Asked("mail"), False),
        ({"servers": ("ts1", "ts2")}, Asked(), True),
        ({"servers": ("ts2",)}, Asked(), False),
    ],
)
def test_an_account_uses_only_what_it_may(given: dict[str, Any], asked: Asked, may: bool) -> None:
    keeper = Keeper(account(**given))
    outcome = keeper.prove(proof(keeper.challenge(), asked))
    assert isinstance(outcome, km.Proved) == may
    if isinstance(outcome, km.NotProved):
        assert outcome.code is ErrorCode.NOT_PERMITTED
        assert "the account may not use" in outcome.detail


# --- once, and in time ----------------------------------------------------------------------------


def test_a_nonce_is_spent_by_a_good_proof() -> None:
    keeper = Keeper()
    request = proof(keeper.challenge())
    assert isinstance(keeper.prove(request), km.Proved)
    assert keeper.prove(request) == IS_OVER


def test_a_nonce_is_spent_by_a_wrong_proof() -> None:
    keeper = Keeper()
    said = keeper.challenge()
    assert keeper.prove(proof(said, signer="eve")) == DENIAL
    assert keeper.prove(proof(said)) == IS_OVER


def test_a_made_up_nonce_proves_nothing() -> None:
    keeper = Keeper()
    said = replace(keeper.challenge(), nonce=b"n" * 32)
    assert keeper.prove(proof(said)) == IS_OVER


@pytest.mark.parametrize(("seconds", "is_proved"), [(119.9, True), (120.0, False), (-1.0, True)])
def test_a_challenge_is_open_for_120_seconds(seconds: float, is_proved: bool) -> None:
    keeper = Keeper()
    outcome = keeper.prove(proof(keeper.challenge()), START + seconds)
    assert isinstance(outcome, km.Proved) if is_proved else outcome == IS_OVER


@pytest.mark.parametrize(("seconds", "is_started"), [(59.9, True), (60.0, False)])
def test_a_proof_is_good_for_60_seconds(seconds: float, is_started: bool) -> None:
    assert limits.PROOF_SECONDS == 60
    keeper = Keeper()
    proved = keeper.proved()
    if is_started:
        assert keeper.spend(proved.proof_id, now=START + seconds).name == "ada"
        return
    with pytest.raises(NotStarted, match="older than 60 seconds") as caught:
        keeper.spend(proved.proof_id, now=START + seconds)
    assert caught.value.code is ErrorCode.LOGON_BUSY


def test_a_proof_starts_one_session() -> None:
    keeper = Keeper()
    proved = keeper.proved()
    keeper.spend(proved.proof_id)
    with pytest.raises(NotStarted, match="no such proof, or it was used"):
        keeper.spend(proved.proof_id)


def test_a_proof_is_spent_by_a_wrong_start_too() -> None:
    keeper = Keeper()
    proved = keeper.proved()
    with pytest.raises(NotStarted):
        keeper.spend(proved.proof_id, Asked(command="id"))
    with pytest.raises(NotStarted, match="no such proof"):
        keeper.spend(proved.proof_id)


@pytest.mark.parametrize("proof_id", [0, -1, 2, 2**63])
def test_a_made_up_proof_starts_nothing(proof_id: int) -> None:
    keeper = Keeper()
    keeper.proved()
    with pytest.raises(NotStarted, match="no such proof"):
        keeper.spend(proof_id)


@pytest.mark.parametrize(
    "other",
    [
        Asked(),
        Asked("mail", "rm *"),
        Asked("", "ls"),
        Asked("mail", "ls", session_id=1),
        Asked("mail", "ls", attachment=1),
    ],
)
def test_what_is_started_is_what_was_signed(other: Asked) -> None:
    keeper = Keeper()
    proved = keeper.proved(Asked("mail", "ls"))
    with pytest.raises(NotStarted, match="something else") as caught:
        keeper.spend(proved.proof_id, other)
    assert caught.value.code is ErrorCode.NOT_PERMITTED


@pytest.mark.parametrize(
    "now_is",
    [
        account(generation=2),
        account(generation=2, system_user="root"),
        account(disabled=True),
        None,
    ],
    ids=["changed", "another system user", "disabled", "removed"],
)
def test_an_account_that_changed_since_the_proof_starts_nothing(now_is: Account | None) -> None:
    keeper = Keeper()
    proved = keeper.proved()
    if now_is is None:
        del keeper.accounts["ada"]
    else:
        keeper.accounts["ada"] = now_is
    with pytest.raises(NotStarted, match="account was changed in this moment"):
        keeper.spend(proved.proof_id)


def test_an_account_that_changed_since_the_challenge_is_judged_as_it_is_now() -> None:
    keeper = Keeper()
    said = keeper.challenge()
    keeper.accounts["ada"] = replace(account(generation=2), password=account("eve").password)
    assert keeper.prove(proof(said)) == DENIAL


# --- bounds ---------------------------------------------------------------------------------------


def test_of_too_many_challenges_the_oldest_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    assert proving.CHALLENGES_MAX == 16_384
    monkeypatch.setattr(proving, "CHALLENGES_MAX", 3)
    keeper = Keeper()
    oldest, *others = (keeper.challenge() for _ in range(4))
    assert keeper.prove(proof(oldest)) == IS_OVER
    assert all(isinstance(keeper.prove(proof(each)), km.Proved) for each in others)


def test_of_too_many_proofs_the_oldest_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    assert proving.PROOFS_MAX == 16_384
    monkeypatch.setattr(proving, "PROOFS_MAX", 3)
    keeper = Keeper()
    oldest, *others = (keeper.proved() for _ in range(4))
    with pytest.raises(NotStarted, match="no such proof"):
        keeper.spend(oldest.proof_id)
    assert [keeper.spend(each.proof_id).name for each in others] == ["ada"] * 3


def test_what_is_over_is_forgotten() -> None:
    keeper = Keeper()
    said, proved = keeper.challenge(), keeper.proved()
    keeper.monitor.expire(START + limits.CHALLENGE_SECONDS)
    assert keeper.prove(proof(said)) == IS_OVER  # although the clock was set back
    with pytest.raises(NotStarted, match="no such proof"):
        keeper.spend(proved.proof_id)


def test_what_is_not_over_is_kept() -> None:
    keeper = Keeper()
    said, proved = keeper.challenge(), keeper.proved()
    keeper.monitor.expire(START + limits.PROOF_SECONDS - 0.1)
    assert isinstance(keeper.prove(proof(said)), km.Proved)
    assert keeper.spend(proved.proof_id).name == "ada"
