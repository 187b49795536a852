"""What each device and each user saw, checked against sequential models when a run has ended.

A question or a logon is invoked, and comes to ok, fail or unknown. Those that overlap may have
happened in any order, and an unknown one at any later time, or never: `linearizable` searches for
an order in which every answer is right.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterable
from typing import TYPE_CHECKING, TypeAlias

import msgspec
from msgspec.structs import replace

from daemons.effects import Ask, Failed, Outcome, Peer
from tests.simulation import models
from tests.simulation.linearizable import Model, Operation, S, check
from tests.simulation.models import LicenseModel, Licenses, SessionModel, Sessions, Shown, Token
from tests.simulation.node import Node
from tests.simulation.swarm import Swarm
from tsproto import license_token
from tsproto.errors import ErrorCode
from tsproto.license_token import Claims
from tsproto.messages import (
    AcquireLicense,
    Credential,
    Done,
    LendLicense,
    LicenseIssued,
    LicenseKind,
    LogoffSession,
    LogonAccepted,
    LogonRefused,
    LogonRequest,
    MarkValidated,
    Message,
    Redirect,
    Refused,
    RenewLicense,
    Role,
)

if TYPE_CHECKING:
    from tests.simulation.device import Device
    from tests.simulation.farm import Farm

Question: TypeAlias = AcquireLicense | RenewLicense | LendLicense | MarkValidated

TOKENS = "a device's tokens follow each other"
LESSER = "a live token is never replaced by a lesser one"
SESSION_ROW = "a session's row is true"
LICENSES = "a license server answers a device as if nobody else asked"
SESSIONS = "a user's logons come to sessions as if nobody else logged on"
# A logon that was not answered for so long has had its effect, or never will.
UNANSWERED_SECONDS = 120.0
SHOWN = 6  # operations in the text of a violation


class DeviceHistory(msgspec.Struct):
    """A register of the token that the device holds; what it was given is never taken back."""

    farm: Farm
    name: str
    held: Claims | None = None
    temporary: dict[str, Claims] = {}  # by issuer: a device gets one of each

    def stored(self, token: Claims) -> None:
        """The device was given a token, and has stored it."""
        now, held = self.farm.world.now, self.held
        self.held = token
        if token.kind is LicenseKind.TEMPORARY:
            first = self.temporary.setdefault(token.issuer, token)
            same = first.license_id, first.expires_at
            if (token.license_id, token.expires_at) != same:
                self._broken(f"{token}, a second temporary one after {first}")
        if held is None or held.expires_at <= now:
            return
        if held.license_id == token.license_id:
            if token.expires_at < held.expires_at:
                self._broken(f"{token}, which ends before the {held} that it replaces")
            if token.product_version < held.product_version:
                self._broken(f"{token}, of an older version than the {held} that it replaces")
        elif held.kind is LicenseKind.FULL and held.product_version >= token.product_version:
            if token.kind is not LicenseKind.FULL:
                self.farm.broken(LESSER, f"{self.name}: {token} in place of {held}")

    def _broken(self, text: str) -> None:
        self.farm.broken(TOKENS, f"{self.name} is given {text}")


class LicenseHistories:
    """The questions about each device to each license server, as their askers saw them: terminal
    servers, and license servers that borrow."""

    def __init__(self, farm: Farm) -> None:
        self._farm = farm
        self._histories: dict[tuple[str, bytes], list[Operation]] = {}
        self._open: dict[tuple[str, int, int], tuple[list[Operation], Operation]] = {}

    def asks(self, node: Node, ask: Ask) -> None:
        question = ask.message
        if not isinstance(question, Question):
            return
        call = _call(question, is_peer=node.kind.role is Role.LICENSE_SERVER)
        answerer = self._farm.node_at(ask.endpoint.host).name
        history = self._histories.setdefault((answerer, question.device_id), [])
        operation = Operation(call=call, called_at=self._farm.world.now)
        history.append(operation)
        self._open[node.name, node.life, ask.question_id] = history, operation

    def stranger_asks(self, node: Node, peer: Peer, message: Message) -> None:
        """A process that is no part of the farm has asked: what it was answered is not known."""
        if isinstance(message, RenewLicense):
            call = _call(message, is_peer=peer.role is Role.LICENSE_SERVER)
            operation = Operation(call=call, called_at=self._farm.world.now)
            self._histories.setdefault((node.name, message.device_id), []).append(operation)

    def heard(self, node: Node, ask: Ask, outcome: Outcome) -> None:
        found = self._open.pop((node.name, node.life, ask.question_id), None)
        if found is None:
            return
        history, operation = found
        answer = _answer(outcome)
        if answer is not None:
            operation.answer, operation.returned_at = answer, self._farm.world.now
        elif isinstance(outcome, Refused) or _was_never_sent(outcome):
            history.remove(operation)

    def check(self) -> None:
        for (server, device_id), history in self._histories.items():
            tokens = _answers(history, Token)
            device = f"{server} about device {device_id.hex()[:8]}"
            _check(self._farm, LICENSES, device, history, LicenseModel(tokens), Licenses())


class UserHistories:
    """Logons as terminal servers took them and clients saw them come to a session, by user and
    application; and the ends of programs."""

    def __init__(self, farm: Farm) -> None:
        self._farm = farm
        self._histories: dict[tuple[str, str], list[Operation]] = {}
        # A client that pipelines has several, which are answered in their order.
        self._open: dict[tuple[str, int, int], list[tuple[LogonRequest, Operation]]] = {}
        self._latest: dict[str, tuple[str, int, int]] = {}  # by device: the key of its logon
        self._lost: list[tuple[str, Operation]] = []  # by user: those that were not answered
        self._began_to_end: dict[models.Session, float] = {}
        self._created: dict[models.Session, int] = {}
        self._well_at = float("inf")
        self._running: dict[tuple[str, str], set[models.Session]] = {}

    def asked(self, node: Node, peer: Peer, message: Message) -> None:
        """A client has said this to a terminal server."""
        key, now = (node.name, node.life, peer.link), self._farm.world.now
        if isinstance(message, LogonRequest) and not _runs_command(message):
            device = self._farm.device_at(peer.host)
            operation = Operation(call=models.LogOn(), called_at=now)
            self._open.setdefault(key, []).append((message, operation))
            self._latest[device.name] = key
        elif isinstance(message, LogoffSession):
            for session_id, link in self._farm.kind_of(node).shown.items():
                if link == peer.link:
                    self._began_to_end.setdefault((node.name, session_id), now)

    def told(self, node: Node, peer: Peer, message: Message) -> None:
        """A terminal server answers a logon with something else than a session."""
        key = node.name, node.life, peer.link
        if isinstance(message, Redirect):
            self._open.pop(key, None)
        elif isinstance(message, LogonRefused) and self._open.get(key):
            request, operation = self._open[key].pop(0)
            is_password = request.credential_kind is Credential.PASSWORD
            if is_password and message.code is ErrorCode.TOO_MANY_SESSIONS:
                operation.answer, operation.returned_at = message.code, self._farm.world.now
                self._of(request.user_name, request.application).append(operation)

    def shown(self, device: Device, accepted: LogonAccepted, owner: tuple[str, str]) -> None:
        """The device was told of a session."""
        session = accepted.host, accepted.session_id
        created_at = self._created.setdefault(session, accepted.created_at)
        if created_at != accepted.created_at:
            text = f"{session} of {created_at} is said to be of {accepted.created_at}"
            self._farm.broken(SESSION_ROW, text)
        _, operation = self._open[self._latest[device.name]].pop(0)
        operation.answer = Shown(session, accepted.reattached)
        operation.returned_at = self._farm.world.now
        self._of(*owner).append(operation)

    def ended(self, session: models.Session, owner: tuple[str, str]) -> None:
        """Its terminal server has heard that its program has ended."""
        now = self._farm.world.now
        end = Operation(
            call=models.End(session),
            called_at=self._began_to_end.get(session, now),
            answer=True,
            returned_at=now,
        )
        self._of(*owner).append(end)

    def all_is_well(self) -> None:
        """From now on no outage excuses a second session."""
        self._well_at = self._farm.world.now
        for node, kind in self._farm.terminal_servers:
            for session_id, program in kind.programs.items():
                if not program.command:
                    owner = program.user_name, program.application
                    self._running.setdefault(owner, set()).add((node.name, session_id))

    def check(self) -> None:
        for request, operation in itertools.chain.from_iterable(self._open.values()):
            self._lost.append((request.user_name, operation))
        for owner, history in self._histories.items():
            what, lost = "/".join(owner), [op for user, op in self._lost if user == owner[0]]
            sessions = {shown.session for shown in _answers(history, Shown)}
            model = SessionModel(sessions, torn=not self._farm.swarm.spares_sessions)
            _check(self._farm, SESSIONS, what, [*history, *lost], model, Sessions())
            model = SessionModel(sessions, torn=False)
            began = Sessions(frozenset(self._running.get(owner, ())))
            late = [*self._since(self._well_at, [*history, *lost])]
            _check(self._farm, SESSIONS, what, late, model, began)

    def _since(self, begin: float, history: Iterable[Operation]) -> Iterable[Operation]:
        for operation in history:
            is_old = operation.called_at < begin - UNANSWERED_SECONDS and operation.answer is None
            if operation.returned_at >= begin and not is_old:
                yield replace(operation, called_at=max(operation.called_at, begin))

    def _of(self, user: str, application: str) -> list[Operation]:
        return self._histories.setdefault((user, application), [])


class Histories:
    """Of all devices and users of a farm."""

    def __init__(self, farm: Farm) -> None:
        self._farm = farm
        self._devices: dict[str, DeviceHistory] = {}
        self.licenses = LicenseHistories(farm)
        self.users = UserHistories(farm)

    def device(self, name: str) -> DeviceHistory:
        if name not in self._devices:
            self._devices[name] = DeviceHistory(self._farm, name)
        return self._devices[name]

    def check(self) -> None:
        """At the end of a run."""
        self.licenses.check()
        self.users.check()


def _call(question: Question, *, is_peer: bool) -> Hashable:
    match question:
        case AcquireLicense():
            return models.Acquire(question.product_version)
        case LendLicense():
            return models.Lend(question.product_version)
        case RenewLicense():
            return models.Renew(_id(question.license_id), question.product_version, is_peer)
        case MarkValidated():
            return models.Validate()


def _answer(outcome: Outcome) -> Hashable | None:
    """None for an unknown one, and for a refusal that says nothing of licenses."""
    match outcome:
        case LicenseIssued():
            claims = license_token.read_claims(outcome.token)
            return Token(
                kind=outcome.kind,
                license_id=_id(outcome.license_id),
                version=claims.product_version,
                expires_at=outcome.expires_at,
                validated=outcome.validated,
                lender=outcome.lender,
            )
        case Done():
            return models.Done()
        case Refused(code=ErrorCode.NO_LICENSE | ErrorCode.UNKNOWN_LICENSE as code):
            return code
    return None


def _was_never_sent(outcome: Outcome) -> bool:
    return isinstance(outcome, Failed) and outcome.code is ErrorCode.UNREACHABLE


def _answers(history: list[Operation], kind: type[S]) -> list[S]:
    """Each once, in a fixed order."""
    return [*dict.fromkeys(op.answer for op in history if isinstance(op.answer, kind))]


def _check(
    farm: Farm, law: str, what: str, history: list[Operation], model: Model[S], initial: S
) -> None:
    stuck = check(history, model, initial)
    if stuck is not None:
        wrong = "; ".join(f"{op.call}: {op.answer}" for op in stuck.blocked[:SHOWN])
        text = f"{what}: after {stuck.explained} answers there is {stuck.state}, and then {wrong}"
        farm.broken(law, text)


def _id(license_id: bytes) -> str:
    return license_id.hex()[:8]


def may_fail(swarm: Swarm, code: ErrorCode) -> bool:
    """Whether a visit may end with this code where everything works."""
    is_license = code // 100 == 2
    return is_license or (code is ErrorCode.TOO_MANY_SESSIONS and "small hosts" in swarm.work)


def _runs_command(request: LogonRequest) -> bool:
    """With a ticket or a cookie the command is ignored."""
    return bool(request.command) and request.credential_kind is Credential.PASSWORD
