"""Faults of a license server."""

from __future__ import annotations

import itertools
from typing import Any

from msgspec.structs import replace

from daemons.effects import Answer, Ask, Caller, Core, Effect, Persist
from daemons.license_server import ledger
from daemons.license_server.core import LicenseServerCore
from daemons.license_server.issuer import Issuer, UnusableAnswer
from daemons.license_server.ledger import Ledger
from daemons.license_server.pools import Pools
from daemons.license_server.records import LicenseRecord
from tests.conformance.wrong.fault import Fault, deciding, doing, dropping, hearing, limit, replaced
from tsproto import discovery, license_token
from tsproto.errors import ErrorCode
from tsproto.messages import (
    AcquireLicense,
    AddKeyPack,
    AnnounceInventory,
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
from tsproto.messages import Pools as PoolsAnswer

_answer = discovery.answer
_borrowed = Issuer.borrowed
_numbers = itertools.count()


def _validates_at_once(core: Core, caller: Caller, message: Message, now: float) -> list[Effect]:
    decided = core.on_message(caller, message, now)
    if isinstance(message, AcquireLicense):
        validated = MarkValidated(
            device_id=message.device_id,
            product=message.product,
            product_version=message.product_version,
            user_name=message.user_name,
        )
        told = core.on_message(Caller(caller.peer), validated, now)
        decided += [effect for effect in told if not isinstance(effect, Answer)]
    return decided


def _renames_on_renewal(core: Core, caller: Caller, message: Message, now: float) -> list[Effect]:
    decided = core.on_message(caller, message, now)
    if isinstance(message, RenewLicense):
        decided = [_with_another_id(effect) for effect in decided]
    return decided


def _with_another_id(effect: Effect) -> Effect:
    if isinstance(effect, Answer) and isinstance(effect.message, LicenseIssued):
        return Answer(effect.caller, replace(effect.message, license_id=bytes(16)))
    return effect


def _fresh_pack(message: Message) -> Message:
    if isinstance(message, AddKeyPack):
        return replace(message, key_pack=f"{message.key_pack[:50]}-{next(_numbers)}")
    return message


def _agrees(effect: Effect) -> list[Effect]:
    if isinstance(effect, Answer) and isinstance(effect.message, Refused):
        if effect.message.code is ErrorCode.KEY_PACK_CONFLICT:
            return [Answer(effect.caller, Done())]
    return [effect]


def _hides_what_is_lent(effect: Effect) -> list[Effect]:
    if isinstance(effect, Answer) and isinstance(effect.message, PoolsAnswer):
        rows = [replace(r, available=r.available + r.lent, lent=0) for r in effect.message.pools]
        return [Answer(effect.caller, PoolsAnswer(pools=rows))]
    return [effect]


def _without_trace(effect: Effect) -> list[Effect]:
    if isinstance(effect, Answer) and isinstance(effect.message, Refused):
        return [Answer(effect.caller, replace(effect.message, trace_id=""))]
    return [effect]


def _another_loan_each_time(effect: Effect) -> list[Effect]:
    if isinstance(effect, Ask) and isinstance(effect.message, LendLicense):
        loan_id = next(_numbers).to_bytes(16, "big")
        return [replace(effect, message=replace(effect.message, loan_id=loan_id))]
    return [effect]


def _believes_lenders(self: Issuer, answer: Any, request: Any, peer: str, now: float) -> Any:
    try:
        return _borrowed(self, answer, request, peer, now)
    except UnusableAnswer:
        return LicenseRecord(
            license_id=answer.license_id,
            kind=LicenseKind.FULL,
            product=request.product,
            product_version=request.product_version,
            device_id=request.device_id,
            device_name=request.device_name,
            user_name=request.user_name,
            issued_at=int(now),
            expires_at=answer.expires_at,
            validated=True,
            lender=answer.lender or peer,
            token=answer.token,
            issuer_certificate=answer.issuer_certificate,
        )


def _answers_every_farm(datagram: bytes, **settings: Any) -> bytes | None:
    query = discovery.decode_query(datagram)
    farm = query.farm if query is not None else settings["farm"]
    return _answer(datagram, **{**settings, "farm": farm})


def _serving_every_version(self: Pools, product: str, product_version: int) -> list[Any]:
    return [pool for pool in self._pools.values() if pool.product == product]


def _fault(name: str, found_by: str, **how: Any) -> Fault:
    return Fault(name=name, role=Role.LICENSE_SERVER, found_by=found_by, **how)


FAULTS = (
    _fault(
        "takes every device for validated",
        "LSRV-01.devices-without-a-logon-use-no-pool",
        wrap=deciding(_validates_at_once),
    ),
    _fault(
        "gives temporary tokens for half the time",
        "LSRV-01.the-first-token-is-temporary",
        plant=limit(ledger, TEMPORARY_DAYS=45),
    ),
    _fault(
        "lets all full tokens end on one day",
        "LSRV-04.full-tokens-end-on-many-days",
        plant=limit(ledger, FULL_DAYS_MIN=60, FULL_DAYS_MAX=60),
    ),
    _fault(
        "gives a full token a day too many",
        "LSRV-04.full-tokens-end-on-many-days",
        plant=limit(ledger, FULL_DAYS_MIN=90, FULL_DAYS_MAX=140),
    ),
    _fault(
        "forgets everything in a crash",
        "LSRV-02.the-same-after-a-crash",
        wrap=dropping(lambda effect: isinstance(effect, Persist)),
    ),
    _fault(
        "renews into another license",
        "LSRV-10.the-last-days-are-renewed",
        wrap=deciding(_renames_on_renewal),
    ),
    _fault(
        "never takes a token back",
        "LSRV-09.an-expired-token-comes-back",
        plant=replaced(Ledger, "end_expired", lambda self, now: ([], [])),
    ),
    _fault(
        "gives a newer server an older token",
        "LSRV-15.never-a-lower-version",
        plant=replaced(Pools, "serving", _serving_every_version),
    ),
    _fault(
        "serves every terminal server",
        "LSRV-14.who-is-not-served",
        plant=replaced(LicenseServerCore, "_serves", lambda self, peer: True),
    ),
    _fault("drops the trace id", "LSRV-20.a-refusal-can-be-traced", wrap=doing(_without_trace)),
    _fault("counts a pack each time", "ADMIN-04.a-pack-counts-once", wrap=hearing(_fresh_pack)),
    _fault("agrees to any pack", "ADMIN-05.another-pack-of-that-name", wrap=doing(_agrees)),
    _fault(
        "hides what it has lent",
        "LEND-02.a-lent-token-is-the-lenders-own",
        wrap=doing(_hides_what_is_lent),
    ),
    _fault(
        "asks for another loan each time",
        "LEND-07.a-lost-answer-is-asked-for-again",
        wrap=doing(_another_loan_each_time),
    ),
    _fault(
        "passes on whatever a lender says",
        "LEND-08.a-lenders-answer-is-looked-at",
        plant=replaced(Issuer, "borrowed", _believes_lenders),
    ),
    _fault(
        "never tells its inventory",
        "LEND-05.the-inventory-is-told",
        wrap=dropping(
            lambda effect: isinstance(getattr(effect, "message", None), AnnounceInventory)
        ),
    ),
    _fault(
        "answers the queries of every farm",
        "DISC-03.another-farm",
        plant=replaced(discovery, "answer", _answers_every_farm),
    ),
    _fault(
        "dials all that one address answers",
        "DISC-15.many-answers-from-one-address",
        plant=limit(discovery, DISCOVERY_ANSWERS_PER_ADDRESS_MAX=99),
    ),
    _fault(
        "signs without the domain",
        "TOKEN-14.what-it-issues-is-signed",
        plant=replaced(license_token, "TOKEN_DOMAIN", b""),
    ),
)
