"""The keeper of a terminal server in process: the real monitor, with accounts of the suite's users,
and PAM that asks for the password."""

from __future__ import annotations

from collections.abc import Mapping

from clients.conformance.own_configuration import BROKEN
from clients.conformance.target import Setup
from clients.conformance.user import User
from daemons.copied import copied
from daemons.effects import (
    Challenge,
    Challenged,
    NoteShown,
    NotProved,
    NotTaken,
    PamAnswer,
    ProgramFailed,
    ProgramStarted,
    Prompted,
    Prove,
    Proved,
    Randomness,
    StartProgram,
    Take,
    Taken,
)
from daemons.keeper import messages as km
from daemons.keeper.proving import Host, Monitor, NotStarted
from tsproto.account import Account, PasswordKey
from tsproto.errors import ErrorCode
from tsproto.messages import PasswordStatement
from tsproto.statements import Standing, StatementRefused, merged, stated_account, with_password
from tsproto.user_proof import ED25519, Cost, Method, Methods, Statement

GENERATION = 1
BUSY_SECONDS = 2


def accounts_of(users: Mapping[str, User], farm: str) -> dict[str, Account]:
    return {name: account_of(user, farm) for name, user in users.items()}


def account_of(user: User, farm: str) -> Account:
    public_key = user.key(farm).public_key().public_bytes_raw()
    return Account(
        name=user.name,
        generation=GENERATION,
        password=PasswordKey(public_key=public_key, **user.salted),
        ssh_keys=tuple(key.line for key in user.ssh_keys),
        applications=user.applications or None,
    )


def taken(
    accounts: dict[str, Account], farm: str, authority: bytes, effect: Take, now: float
) -> Taken | NotTaken:
    """What a statement changes in these accounts."""
    statement = effect.statement
    try:
        if isinstance(statement, PasswordStatement):
            found = with_password(farm, accounts.get(statement.user_name), statement, now)
        else:
            stated = stated_account(farm, statement, (authority,), now)
            found = merged(accounts.get(stated.name), stated)
    except StatementRefused as refused:
        return NotTaken(refused.code, str(refused))
    if found is None:
        return Taken(Standing.OVERTAKEN)
    was_known = accounts.get(found.name) == found
    accounts[found.name] = found
    return Taken(Standing.KNOWN if was_known else Standing.NEW)


class KeeperUnderTest:
    """Answers the terminal server's effects at once."""

    def __init__(
        self,
        farm: str,
        server: str,
        certificate: bytes,
        users: Mapping[str, User],
        rng: Randomness,
        setup: Setup,
    ) -> None:
        methods = Methods.PASSWORD | Methods.SSH_KEY
        host = Host(
            farm=farm,
            server=server,
            certificates=(certificate,),
            secret=bytes(32),
            methods=methods | Methods.PAM if setup is Setup.PAM else methods,
        )
        self._users = users
        self._is_busy = setup is Setup.BUSY
        self._host = host
        self._accounts = accounts_of(users, farm)
        self._monitor = Monitor(host, self._find, rng)
        self._asked: dict[bytes, tuple[Challenge, Challenged, Prove]] = {}  # by PAM, by nonce
        self._challenges: dict[bytes, tuple[Challenge, Challenged]] = {}

    def _find(self, user_name: str) -> Account | None:
        account = self._accounts.get(user_name)
        return None if account is None or account.removed else account

    def take(self, effect: Take, authority: bytes, now: float) -> Taken | NotTaken:
        return taken(self._accounts, self._host.farm, authority, effect, now)

    def challenge(self, effect: Challenge, now: float) -> Challenged | NotProved:
        if self._is_busy:
            return NotProved(ErrorCode.LOGON_BUSY, "the keeper is busy", BUSY_SECONDS)
        reply = self._monitor.challenge(copied(km.Challenge, effect, request_id=0), now)
        if isinstance(reply, km.NotProved):
            return copied(NotProved, reply)
        challenged = copied(Challenged, reply)
        self._challenges[challenged.nonce] = effect, challenged
        return challenged

    def prove(self, effect: Prove, now: float) -> Proved | Prompted | NotProved:
        if effect.method is Method.PAM and Methods.PAM in self._host.methods:
            self._asked[effect.nonce] = *self._challenges[effect.nonce], effect
            return Prompted(1, (("Password: ", False),))
        reply = self._monitor.prove(copied(km.Prove, effect, request_id=0), now)
        if isinstance(reply, km.Proved):
            return copied(Proved, reply)
        return copied(NotProved, reply)

    def answer(self, effect: PamAnswer, now: float) -> Proved | Prompted | NotProved:
        """PAM compares the password; the monitor is shown a signature with its key."""
        challenge, said, prove = self._asked.pop(effect.nonce)
        user = self._users.get(challenge.user_name)
        is_right = user is not None and effect.answers == (user.password,)
        signature = self._signed(user, challenge, said, prove) if user and is_right else b""
        signed = Prove(
            effect.nonce, Method.PASSWORD, ED25519, signature, prove.asked, effect.question_id
        )
        return self.prove(signed, now)

    def _signed(self, user: User, challenge: Challenge, said: Challenged, prove: Prove) -> bytes:
        statement = Statement(
            farm=self._host.farm,
            server=self._host.server,
            certificate=challenge.certificate,
            nonce=said.nonce,
            time=said.time,
            device_id=challenge.device_id,
            user_name=user.name,
            method=Method.PASSWORD,
            methods=Methods(said.methods),
            salt=said.salt,
            cost=Cost(said.memory_kib, said.passes, said.lanes),
            asked=prove.asked,
        )
        return user.key(self._host.farm).sign(statement.signed_bytes())

    def start(self, effect: StartProgram, now: float) -> ProgramStarted | ProgramFailed:
        try:
            self._monitor.spend(copied(km.StartProved, effect, request_id=0), now)
        except NotStarted as error:
            return ProgramFailed(str(error), error.code)
        if effect.asked.application == BROKEN:
            return ProgramFailed("there is no such program")
        return ProgramStarted(1)

    def note_shown(self, effect: NoteShown, now: float) -> None:
        self._monitor.shown(copied(km.Shown, effect), now)
