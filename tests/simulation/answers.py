"""An answer given is an answer kept: what a license server said is on its disk."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from daemons.effects import Ask, Caller, Failed, Outcome
from daemons.license_server.records import LicenseRecord
from tests.simulation.kinds import REFUSING_SERVES
from tests.simulation.node import Node
from tsproto import license_token
from tsproto.errors import ErrorCode
from tsproto.license_token import Claims
from tsproto.messages import (
    AcquireLicense,
    Done,
    LendLicense,
    LicenseIssued,
    LicenseKind,
    MarkValidated,
    Message,
    Refused,
    RenewLicense,
    Role,
)

if TYPE_CHECKING:
    from tests.simulation.farm import Farm

KEPT = "an answer given is an answer kept"
ANSWERED = "while all is well every question is answered"
GIVEN = "a license server gives a validated device a token while it has one"
ONCE = "a license server asks a peer once for each request"


class Answers:
    """The laws of what license servers answer."""

    def __init__(self, farm: Farm) -> None:
        self._farm = farm
        self._requests: Counter[tuple[str, str]] = Counter()  # by license server and trace id
        self._loans: Counter[tuple[str, str, str]] = Counter()  # and by lender

    def asked(self, node: Node, message: Message) -> None:
        if isinstance(message, AcquireLicense):
            self._requests[node.name, message.trace_id] += 1
            ledger, version = self._farm.license_rows.ledgers[node.name], message.product_version
            if ledger.is_in_doubt(message.device_id, message.product, other_than=version):
                self._farm.world.saw("a doubt of another version")

    def heard(self, node: Node, ask: Ask, outcome: Outcome) -> None:
        if isinstance(outcome, Failed) and self._farm.is_well:
            text = f"{node.name} asked {ask.endpoint.host}: {type(ask.message).__name__}, {outcome}"
            self._farm.broken(ANSWERED, text)
        if ask.endpoint.role is not Role.LICENSE_SERVER:
            return
        answerer = self._farm.node_at(ask.endpoint.host)
        if isinstance(ask.message, LendLicense):
            self._lends(node, answerer, ask.message.trace_id)
        match ask.message, outcome:
            case ((AcquireLicense() | RenewLicense() | LendLicense()), LicenseIssued()):
                self._issued(answerer, ask.message, outcome)
            case MarkValidated(), Done():
                self._validated(answerer, ask.message)
            case LendLicense(loan_id=loan_id), Refused():
                self._farm.license_rows.refused(node, loan_id)
            case RenewLicense(), Refused(code=ErrorCode.UNKNOWN_LICENSE):
                self._unknown(node, answerer, ask.message)

    def _lends(self, borrower: Node, lender: Node, trace_id: str) -> None:
        self._loans[borrower.name, trace_id, lender.name] += 1
        loans = self._loans[borrower.name, trace_id, lender.name]
        requests = self._requests[borrower.name, trace_id]
        if loans > requests:
            text = f"{borrower.name} asks {lender.name} {loans} times for {requests} requests"
            self._farm.broken(ONCE, text)

    def not_given(self, node: Node, request: AcquireLicense, answer: Message) -> None:
        """Said to a terminal server: a refusal, or that the temporary token goes on."""
        is_refused = isinstance(answer, Refused) and answer.code is ErrorCode.NO_LICENSE
        is_temporary = isinstance(answer, LicenseIssued) and answer.kind is LicenseKind.TEMPORARY
        if not (is_refused or is_temporary) or not self._farm.is_settled(node):
            return
        ledger = self._farm.license_rows.ledgers[node.name]
        device = request.device_id, request.product
        if not ledger.may_have_full(*device) or (is_temporary and ledger.is_in_doubt(*device)):
            return
        for pool in ledger.pools():
            if pool[1] >= request.product_version and ledger.available(pool) > 0:
                text = f"{node.name} answers {answer}, and has {ledger.available(pool)} of {pool}"
                self._farm.broken(GIVEN, text)

    def issued(
        self,
        node: Node,
        caller: Caller,
        request: AcquireLicense | RenewLicense | LendLicense,
        issued: LicenseIssued,
    ) -> None:
        """Said to anybody, as it is decided."""
        claims = license_token.read_claims(issued.token)
        what = f"{node.name} answers {caller.peer.name}: {type(request).__name__} with {claims}"
        if (claims.device_id, claims.product) != (request.device_id, request.product):
            self._broken(f"{what}, which is of another device")
        if claims.expires_at <= self._farm.time_of(node):
            self._broken(f"{what}, which has ended")
        self._is_nearest(node, request.product_version, claims, what)
        is_peer = caller.peer.role is Role.LICENSE_SERVER
        if is_peer and claims.issuer != node.name:
            self._broken(f"{what}, which it was lent itself")
        if not is_peer and "refusing license server" in self._farm.swarm.work:
            kind = self._farm.license_servers[0]
            if node is kind and caller.peer.name not in REFUSING_SERVES:
                self._broken(f"{what}, which it does not serve")

    def _is_nearest(self, node: Node, wanted: int, claims: Claims, what: str) -> None:
        """A new full token is of the nearest version that is left."""
        ledger = self._farm.license_rows.ledgers[node.name]
        is_known = claims.license_id in ledger.licenses or claims.issuer != node.name
        if claims.kind is not LicenseKind.FULL or is_known or not self._farm.is_settled(node):
            return
        for pool in ledger.pools():
            if wanted <= pool[1] < claims.product_version and ledger.available(pool) > 0:
                self._broken(f"{what}, and version {pool[1]} was left")

    def _issued(
        self,
        answerer: Node,
        request: AcquireLicense | RenewLicense | LendLicense,
        issued: LicenseIssued,
    ) -> None:
        license_id = issued.license_id.hex()[:8]
        what = f"{answerer.name} answers {type(request).__name__} with {license_id}"
        claims = license_token.read_claims(issued.token)
        said = issued.license_id, issued.kind, issued.expires_at
        if (claims.license_id, claims.kind, claims.expires_at) != said:
            self._broken(f"{what}, and the token says {claims}")
        if (claims.device_id, claims.product) != (request.device_id, request.product):
            self._broken(f"{what}, which is of another device")
        for name in (answerer.name, claims.issuer):
            self._is_kept(name, issued, claims.product_version, what)
        if isinstance(request, LendLicense) and issued.kind is not LicenseKind.FULL:
            self._broken(f"{what}, which is no full token")
        if claims.product_version < request.product_version:
            self._broken(f"{what}, of version {claims.product_version} only")

    def _is_kept(self, name: str, issued: LicenseIssued, version: int, what: str) -> None:
        row = self._farm.node(name).disk.row(LicenseRecord, issued.license_id)
        if row is None:
            self._broken(f"{what}, which is not on the disk of {name}")
        elif row.expires_at < issued.expires_at:
            self._broken(f"{what}, which ends earlier on the disk of {name}")
        elif issued.validated and not row.validated:
            self._broken(f"{what}, which {name} has not validated on its disk")
        elif row.product_version < version:
            self._broken(f"{what}, of an older version on the disk of {name}")

    def _validated(self, answerer: Node, request: MarkValidated) -> None:
        ledger = self._farm.license_rows.ledgers[answerer.name]
        if not ledger.may_have_full(request.device_id, request.product):
            device = request.device_id.hex()[:8]
            self._broken(f"{answerer.name} says that {device} is validated, and its disk does not")

    def _unknown(self, asker: Node, answerer: Node, request: RenewLicense) -> None:
        row = answerer.disk.row(LicenseRecord, request.license_id)
        if row is None or row.ended or row.expires_at <= self._farm.time_of(answerer) + 1:
            return
        if asker.kind.role is Role.LICENSE_SERVER and row.lender:
            return  # passed on once, to the lender, and never further
        license_id = request.license_id.hex()[:8]
        self._broken(f"{answerer.name} does not know {license_id}, which it has")

    def _broken(self, text: str) -> None:
        self._farm.broken(KEPT, text)
