"""What must hold of the state of the whole farm, and how often it is looked at.

Laws of one row, one answer or one logon are checked as it comes about, by the modules beside this
one. `broken_by.OFF` names the laws that today's product breaks, and in whose presence.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING, TypeVar

import msgspec

from daemons.denials import DenyListRecord
from daemons.effects import Answer, Caller, Durable, Effect, Peer, Record
from daemons.license_server.records import JournalRecord
from daemons.terminal_server.records import SessionRecord
from tests.simulation import ghost
from tests.simulation.histories import may_fail
from tests.simulation.node import Node
from tsproto.license_token import Claims
from tsproto.limits import DAY_SECONDS, RENEWAL_DAYS
from tsproto.messages import (
    LicenseKind,
    LicenseServerRow,
    LicenseServers,
    Message,
    Pools,
    QueryLicenseServers,
    QueryPools,
    QueryServers,
    QuerySessions,
    Role,
    Servers,
    SessionRow,
    Sessions,
    SessionState,
)

if TYPE_CHECKING:
    from tests.simulation.device import Device
    from tests.simulation.farm import Farm

M = TypeVar("M", bound=Message)

FULL = "a validated device holds a full token while there are any"
PRODUCT = "terminal-server"
RENEWAL_SECONDS = RENEWAL_DAYS * DAY_SECONDS
SLACK_SECONDS = 600.0  # clocks of license and terminal servers differ
ADMINISTRATOR = Caller(Peer(0, Role.ADMINISTRATOR, "checker", "", 0), 1)


# --- what is durable --------------------------------------------------------------------------


def rows_equal_the_disk(farm: Farm) -> None:
    """Of every core that has nothing more to write."""
    for node in farm.nodes:
        durable = _durable(node.core) if farm.is_settled(node) else None
        if durable is None:
            continue
        known = frozenset(map(_as_on_disk, durable.rows))
        disk = frozenset(map(_as_on_disk, node.disk.rows(JournalRecord, DenyListRecord)))
        if known != disk:
            farm.broken(
                "rows equal the disk",
                f"{node.name}: known alone {list(known - disk)[:2]},"
                f" on its disk alone {list(disk - known)[:2]}",
            )


def a_core_made_anew_is_equal(farm: Farm) -> None:
    """What is derived is equal, and counters are not behind: no number is given out twice."""
    for node in farm.nodes:
        known = _durable(node.core) if farm.is_settled(node) else None
        if known is None:
            continue
        rng, node.rng = node.rng, random.Random(1)
        anew = _durable(node.kind.make_core(node))
        node.rng = rng
        assert anew is not None
        if any(one < other for one, other in zip(anew.counters, known.counters, strict=True)):
            text = f"{node.name}: {anew.counters} made anew, {known.counters} running"
            farm.broken("counters made anew are never behind", text)
        if known.derived != anew.derived:
            text = f"{node.name}: {anew.derived} made anew, {known.derived} running"
            farm.broken("what is derived, made anew, is equal", text)


def _durable(core: object) -> Durable | None:
    """What a core would still know after a crash; None of one that keeps nothing."""
    ask = getattr(core, "durable", None)
    return ask() if ask else None


def _as_on_disk(record: Record) -> Record:
    """Without what reaches the disk with a session's next transition only."""
    if isinstance(record, SessionRecord):
        return msgspec.structs.replace(
            record, columns=0, rows=0, placement=0, state=SessionState.ACTIVE
        )
    return record


# --- licenses ---------------------------------------------------------------------------------


def pools_count_the_disks(farm: Farm) -> None:
    """`issued`, `lent` and `temporary`, counted from the licenses on the disk, and `available` from
    what was bought, are what a license server says."""
    for node in farm.license_servers:
        if not farm.is_settled(node):
            continue
        ledger = farm.license_rows.ledgers[node.name]
        said = {
            (row.product, row.product_version): (row.available, row.issued, row.lent, row.temporary)
            for row in _answer(farm, node, QueryPools(), Pools).pools
            if row.total or row.temporary
        }
        if not farm.is_settled(node):
            continue  # the question itself has ended what had expired
        for pool in {*said, *ledger.pools()}:
            available, issued = ledger.available(pool), ledger.issued[pool]
            counted = available, issued, ledger.lent[pool], ledger.temporary[pool]
            if said.get(pool) != counted or available < 0:
                text = f"{node.name}: {pool} says {said.get(pool)}, its disk {counted}"
                farm.broken("pools count what is on the disks", text)


def nothing_is_overdrawn(farm: Farm) -> None:
    farm.license_rows.nothing_is_overdrawn()


def loans_are_known_to_both(farm: Farm) -> None:
    farm.license_rows.loans_are_known()


def devices_hold_no_more_than_was_bought(farm: Farm) -> None:
    """The live full tokens on all devices are no more than were bought, each is live on its
    issuer's disk, and there is one of each."""
    law, now = "devices hold no more than was bought", farm.world.now
    held = 0
    for device in farm.devices:
        claims = device.claims
        if claims is None or claims.kind is not LicenseKind.FULL or claims.expires_at <= now:
            continue
        held += 1
        row = farm.license_rows.ledgers[claims.issuer].licenses.get(claims.license_id)
        if row is None or row.device_id != claims.device_id:
            farm.broken(law, f"{device.name} holds a token that {claims.issuer} has not issued")
        elif row.ended and farm.time_of(farm.node(claims.issuer)) < claims.expires_at:
            farm.broken(law, f"{device.name} holds a live token that {claims.issuer} has ended")
    bought = sum(farm.swarm.bought.values()) + sum(farm.swarm.bought_nearby.values())
    if held > bought:
        farm.broken(law, f"{held} live full tokens on devices, {bought} were bought")


def deserves_a_token(farm: Farm, device: Device, version: int) -> bool:
    """Whether a device was validated by every license server that knows it, no lender is in doubt,
    and there are tokens of that version or a later one. One that refuses the host at hand cannot
    help, whatever it has."""
    if "refusing license server" in farm.swarm.work:
        return False
    ledgers = farm.license_rows.ledgers.values()
    known_by = [ledger for ledger in ledgers if (device.device_id, PRODUCT) in ledger.by_device]
    is_known = bool(known_by) and all(
        ledger.may_have_full(device.device_id, PRODUCT)
        and not ledger.is_in_doubt(device.device_id, PRODUCT)
        for ledger in known_by
    )
    return is_known and any(
        pool[1] >= version and ledger.available(pool) > 0
        for ledger in ledgers
        for pool in ledger.pools()
    )


def validated_devices_are_full(farm: Farm) -> None:
    """A device that came twice while all was well holds a full token, if any is left."""
    for device in farm.devices:
        claims = device.claims
        if claims is None or claims.kind is not LicenseKind.TEMPORARY:
            continue
        came_twice = farm.quiet_visits[device.name] >= 2
        if came_twice and deserves_a_token(farm, device, claims.product_version):
            farm.broken(FULL, f"{device.name} stays on {claims}, and tokens are left")


def tokens_are_renewed(farm: Farm) -> None:
    """A device that came twice while all was well holds no full token in its last days: the first
    visit may bring one that was lent long ago."""
    if "refusing license server" in farm.swarm.work:
        return
    for device in farm.devices:
        claims, visit = device.claims, device.visit
        if claims is None or claims.kind is not LicenseKind.FULL or not visit.attached_to:
            continue
        if farm.quiet_visits[device.name] < 2:
            continue
        left = claims.expires_at - visit.began_at
        is_near_end = SLACK_SECONDS < left <= RENEWAL_SECONDS - SLACK_SECONDS
        if is_near_end and _may_be_renewed(farm, claims, visit.attached_to):
            text = f"{device.name} came {left / DAY_SECONDS:.1f} days before the end of {claims}"
            farm.broken("a token is renewed in its last days", text)


def _may_be_renewed(farm: Farm, claims: Claims, host: str) -> bool:
    """Whether this host has found a license server that knows the token: it searches for no other
    while that one answers."""
    found = [row.name for row in _servers(farm, farm.node(host))]
    return any(claims.license_id in farm.license_rows.ledgers[name].licenses for name in found)


def license_servers_are_linked(farm: Farm) -> bool:
    """Whether each has been told what another one has."""
    return all(
        any(row.inventory or row.name == "a" for row in _servers(farm, node))
        for node in farm.license_servers
    )


def license_servers_know_each_other(farm: Farm) -> None:
    """What each says that its peers have is what they have."""
    for node in farm.license_servers:
        for row in _servers(farm, node):
            peer = farm.license_rows.ledgers[row.name]
            said = {(r.product, r.product_version): r.available for r in row.inventory}
            has = {pool: peer.available(pool) for pool in peer.pools()}
            # A peer that could not help is not believed until it says anew what it has.
            if said and said != has:
                text = f"{node.name} thinks that {row.name} has {said}, and it has {has}"
                farm.broken("license servers know each other's pools", text)


def _servers(farm: Farm, node: Node) -> list[LicenseServerRow]:
    return _answer(farm, node, QueryLicenseServers(), LicenseServers).servers


# --- sessions ---------------------------------------------------------------------------------


def no_row_outlives_its_session(farm: Farm) -> None:
    farm.session_rows.no_row_outlives_its_session()


def one_session_a_user(farm: Farm) -> None:
    """However many log on in one instant: no user has two sessions of one application."""
    owners = Counter(
        (program.user_name, program.application)
        for _, kind in farm.terminal_servers
        for program in kind.programs.values()
        if not program.command
    )
    for (user, application), count in owners.items():
        if count > 1:
            text = f"{user} has {count} sessions of {application or 'the shell'}"
            farm.broken("a user has one session", text)


def reservations_end(farm: Farm) -> None:
    """No room is kept on a host for longer than a reservation lasts."""
    if not farm.is_settled(farm.directory):
        return
    for row in _answer(farm, farm.directory, QueryServers(), Servers).servers:
        live = farm.lookout.placements.live(row.name, farm.time_of(farm.directory))
        if row.pending > live:
            text = f"{farm.directory.name} keeps {row.pending} places on {row.name}, for {live}"
            farm.broken("a reservation ends", text)


def no_ghost_is_believed(farm: Farm) -> None:
    """A process that has not joined says nothing that counts, whatever its certificate."""
    if "ghost host" in farm.swarm.work and farm.is_settled(farm.directory):
        rows = _answer(farm, farm.directory, QuerySessions(), Sessions).sessions
        if any(row.session_id == ghost.SESSION_ID for row in rows):
            text = f"{farm.directory.name} has a row from a process that has not joined"
            farm.broken("only who has joined is believed", text)
        for row in rows:
            if row.host == ghost.STRANGER and row.state is not SessionState.ACTIVE:
                farm.broken("older news count no more", f"{farm.directory.name} has {row}")


def directory_is_true(farm: Farm) -> None:
    """The directory's rows are the union of the hosts' tables, field by field, and those are the
    programs that run."""
    rows = {
        _said(row)
        for row in _answer(farm, farm.directory, QuerySessions(), Sessions).sessions
        if row.host != ghost.STRANGER
    }
    tables, running = set(), set()
    for node, kind in farm.terminal_servers:
        for row in _answer(farm, node, QuerySessions(), Sessions).sessions:
            program = kind.programs.get(row.session_id)
            if program is None or not program.command:
                tables.add(_said(row))
            kept = node.disk.row(SessionRecord, row.session_id)
            if kept is not None and row.placement < kept.placement:
                farm.broken("a session's row is true", f"{node.name} says {row}, and kept {kept}")
        running |= {(node.name, key) for key, p in kind.programs.items() if not p.command}
    law = "the directory's rows are the hosts' tables"
    if rows != tables:
        farm.broken(law, f"rows alone {sorted(rows - tables)}, tables {sorted(tables - rows)}")
    known = {(host, session_id) for host, session_id, *_ in tables}
    if known != running:
        farm.broken(law, f"tables {sorted(known - running)}, running {sorted(running - known)}")


def _said(row: SessionRow) -> tuple[str, int, str, str, int, int, int, int, str]:
    """A row without its size, which reaches the directory with the next transition."""
    return (
        row.host,
        row.session_id,
        row.user_name,
        row.application,
        row.state.value,
        row.created_at,
        row.disconnected_at,
        row.placement,
        row.device_name,
    )


def everybody_was_answered(farm: Farm, devices: list[Device]) -> None:
    """Where everything works every visit comes to a session, or to a refusal with a reason."""
    law = "while all is well every visit comes to something"
    for device in devices:
        visit = device.visit
        if visit.attached_to or visit.misuses:
            continue
        if visit.outcome is None:
            farm.broken(law, f"{device.name} still waits, since {visit.began_at:.0f}")
        elif visit.code is not None and not may_fail(farm.swarm, visit.code):
            farm.broken(law, f"{device.name} did not get in: {visit.code.name}")


def _answer(farm: Farm, node: Node, question: Message, kind: type[M]) -> M:
    """What a node answers an administrator; what else it decides meanwhile is performed."""
    decided: list[Effect] = []

    def decide(now: float) -> list[Effect]:
        decided.extend(node.core.on_message(ADMINISTRATOR, question, now))
        return decided

    node.feed(decide)
    for effect in decided:
        if isinstance(effect, Answer) and isinstance(effect.message, kind):
            return effect.message
    text = f"{node.name} does not answer {type(question).__name__}"
    farm.broken("while all is well every question is answered", text)
    return kind()


def linked_daemons_have_the_same_deny_lists(farm: Farm) -> None:
    """The newest that either was told. A license server that no terminal server needs has no link
    to one, and hands a list on when it is asked for a license next."""
    for node in farm.nodes:
        peers = [node.switchboard.peer_of(line) for line in node.lines.values()]
        for other in [farm.node_at(peer.host) for peer in peers if peer and farm.is_node(peer)]:
            if node.deny_lists.numbers != other.deny_lists.numbers:
                farm.broken(
                    "linked daemons have the same deny lists",
                    f"{node.name} has {node.deny_lists.numbers}, {other.name}"
                    f" {other.deny_lists.numbers}",
                )
    if farm.denied_by:
        farm.world.saw("deny lists handed on")


OFTEN = (
    rows_equal_the_disk,
    pools_count_the_disks,
    nothing_is_overdrawn,
    loans_are_known_to_both,
    devices_hold_no_more_than_was_bought,
    no_row_outlives_its_session,
    one_session_a_user,
    no_ghost_is_believed,
    reservations_end,
)
QUIET = (
    directory_is_true,
    linked_daemons_have_the_same_deny_lists,
    validated_devices_are_full,
    tokens_are_renewed,
    license_servers_know_each_other,
    a_core_made_anew_is_equal,
)
