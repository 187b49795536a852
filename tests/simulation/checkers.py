"""What must hold, whatever happens. Each law is stated once, and looks only at what an outsider can
see: disks, programs, tokens on devices, answers to an administrator's questions.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from daemons.effects import Answer, Caller, Effect, Peer, Record
from daemons.license_server.records import JournalRecord, KeyPackRecord, LicenseRecord
from daemons.terminal_server.records import SessionRecord
from tests.simulation.device import Device
from tests.simulation.node import Node
from tests.simulation.world import Violation
from tsproto.license_token import Claims
from tsproto.messages import (
    LicenseKind,
    Message,
    Pools,
    QueryPools,
    QuerySessions,
    Role,
    Sessions,
    SessionState,
)

if TYPE_CHECKING:
    from tests.simulation.farm import Farm

ADMINISTRATOR = Caller(Peer(0, Role.ADMINISTRATOR, "checker", "", 0), 1)
ON_ITS_WAY_SECONDS = 1.0


def tokens_are_conserved(farm: Farm) -> None:
    """available + issued + lent = total in every pool, at every instant."""
    for node in farm.license_servers:
        if not node.alive:
            continue
        answer = _answer(node, QueryPools())
        for pool in answer.pools if isinstance(answer, Pools) else []:
            parts = (pool.available, pool.issued, pool.lent)
            if sum(parts) != pool.total or min(parts) < 0:
                raise Violation(f"{node.name}: {pool}")


def disks_hold_no_more_than_was_bought(farm: Farm) -> None:
    """On no disk more full tokens than its packs have, and over all disks one a device."""
    live: Counter[bytes] = Counter()
    for node in farm.license_servers:
        rows = node.disk.load((KeyPackRecord, LicenseRecord))
        bought = sum(p.tokens for p in rows[KeyPackRecord] if isinstance(p, KeyPackRecord))
        own = [
            row
            for row in rows[LicenseRecord]
            if isinstance(row, LicenseRecord)
            and row.kind is LicenseKind.FULL
            and not row.ended
            and not row.lender
        ]
        if len(own) > bought:
            raise Violation(f"{node.name} bought {bought} tokens and has issued {len(own)}")
        live.update(row.device_id for row in own if row.expires_at > farm.world.now)
    twice = [device for device, count in live.items() if count > 1]
    if twice:
        raise Violation(f"device {twice[0].hex()[:8]} has {live[twice[0]]} live full tokens")


def devices_hold_no_more_than_was_bought(farm: Farm) -> None:
    """The live full tokens on all devices are no more than the farm has bought."""
    now = farm.world.now
    tokens = [device.claims for device in farm.devices if device.claims]
    held = sum(token.kind is LicenseKind.FULL and token.expires_at > now for token in tokens)
    if held > farm.tokens:
        raise Violation(f"{held} live full tokens on devices, {farm.tokens} were bought")


def disks_hold_what_is_known(farm: Farm) -> None:
    """Whenever nothing waits to be durable, a disk holds all that its core would go on with."""
    for node in farm.nodes:
        durable = getattr(node.core, "durable", None) if node.alive else None
        if durable is None or not node.switchboard.queue.is_idle:
            continue
        known, disk = durable().rows, node.disk.rows(JournalRecord)
        known = frozenset(map(_settled, known))
        disk = frozenset(map(_settled, disk))
        if known != disk:
            raise Violation(
                f"{node.name}: known and not on its disk {list(known - disk)[:2]}, on its disk and"
                f" not known {list(disk - known)[:2]}"
            )


def successors_are_not_behind(farm: Farm) -> None:
    """A core made anew from the disk gives out no number again."""
    for node in farm.nodes:
        durable = getattr(node.core, "durable", None) if node.alive else None
        if durable is None or not node.switchboard.queue.is_idle:
            continue
        rng, node.rng = node.rng, random.Random(1)
        anew = node.kind.make_core(node).durable()  # type: ignore[attr-defined]
        node.rng = rng
        known = durable()
        if any(one < other for one, other in zip(anew.counters, known.counters, strict=True)):
            raise Violation(f"{node.name}: {anew.counters} made anew, {known.counters} running")
        if known.derived != anew.derived:
            raise Violation(f"{node.name}: {anew.derived} made anew, {known.derived} running")


def _settled(record: Record) -> Record:
    """What reaches the disk with the next transition only."""
    if isinstance(record, SessionRecord):
        return msgspec.structs.replace(
            record, columns=0, rows=0, placement=0, state=SessionState.ACTIVE
        )
    return record


def token_is_durable(farm: Farm, device: Device, claims: Claims) -> None:
    """A token that reached a device is on its issuer's disk, with that end or a later one."""
    issuer = farm.node(claims.issuer)
    row = issuer.disk.row(LicenseRecord, claims.license_id)
    if row is None:
        raise Violation(f"{device.name} holds a token that {issuer.name} has not on its disk")
    if row.expires_at < claims.expires_at:
        raise Violation(
            f"{device.name} holds a token until {claims.expires_at}, {issuer.name} knows of"
            f" {row.expires_at}"
        )


def full_token_was_earned(device: Device, claims: Claims) -> None:
    """Only a device from which somebody has logged on gets a full token (KB 287687)."""
    if claims.kind is LicenseKind.FULL and not device.has_shown_credentials:
        raise Violation(
            f"{device.name} got a full token, and no user ever showed good credentials there"
        )


def let_in_by_right(farm: Farm, device: Device, kind: LicenseKind, expires_at: int) -> None:
    """Nobody is let in by a token that has ended. What was on its way when everybody fell asleep
    had been decided before."""
    world = farm.world
    was_on_its_way = world.now < world.woke_at + ON_ITS_WAY_SECONDS
    decided_at = world.slept_from if was_on_its_way else world.now
    if kind in (LicenseKind.TEMPORARY, LicenseKind.FULL) and expires_at <= decided_at:
        raise Violation(f"{device.name} was let in by a {kind.name} token that had expired")


def one_session_a_user(farm: Farm) -> None:
    """However many log on in one instant: no user has two sessions in the farm."""
    owners = [
        (program.user_name, program.application)
        for _, kind in farm.terminal_servers
        for program in kind.programs.values()
        if not program.command
    ]
    if len(set(owners)) < len(owners):
        [((user, _), count)] = Counter(owners).most_common(1)
        raise Violation(f"{user} has {count} sessions")


def directory_is_true(farm: Farm) -> None:
    """The directory's rows are the sessions that run, no more and no fewer."""
    answer = _answer(farm.directory, QuerySessions())
    rows = {
        (row.host, row.session_id, row.user_name)
        for row in (answer.sessions if isinstance(answer, Sessions) else [])
    }
    running = {
        (node.name, session_id, program.user_name)
        for node, kind in farm.terminal_servers
        for session_id, program in kind.programs.items()
        if not program.command
    }
    if rows != running:
        raise Violation(f"the directory says {sorted(rows)}, what runs is {sorted(running)}")


def everybody_was_answered(devices: Iterable[Device]) -> None:
    """Where everything works every visit comes to a session, or to a refusal with a reason."""
    for device in devices:
        visit = device.visit
        if not visit.attached_to and visit.outcome is None:
            raise Violation(f"{device.name} still waits, since {visit.began_at:.0f}")
        if not visit.attached_to and visit.code is not None and visit.code // 100 != 2:
            raise Violation(f"{device.name} did not get in: {visit.code.name}")


def _answer(node: Node, question: Message) -> Message:
    """What the node answers an administrator; what else it decides meanwhile is performed."""
    decided: list[Effect] = []

    def decide(now: float) -> list[Effect]:
        decided.extend(node.core.on_message(ADMINISTRATOR, question, now))
        return decided

    node.feed(decide)
    for effect in decided:
        if isinstance(effect, Answer):
            return effect.message
    raise Violation(f"{node.name} does not answer {type(question).__name__}")
