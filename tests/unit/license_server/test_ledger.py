"""What the ledger keeps, takes back, and refuses to start from."""

from __future__ import annotations

import pytest

from daemons import events
from daemons.effects import Persist
from daemons.license_server.ledger import Ledger
from daemons.license_server.pools import LedgerInconsistent
from daemons.license_server.records import JournalRecord, KeyPackRecord, LicenseRecord
from tests.unit.license_server.scenario import (
    DAY,
    FULL,
    LAPTOP,
    PHONE,
    START,
    TABLET,
    Server,
    acquire,
    device,
    found,
    lend,
    pack,
    peer,
    validated,
)
from tsproto import limits
from tsproto.errors import ErrorCode
from tsproto.messages import Licenses, QueryLicenses, QueryPools, Role


def test_a_full_token_returns_to_the_pool_when_it_expires() -> None:
    server = Server("a", pack(1))
    full = server.full()
    server.now = full.expires_at - 1.0
    assert server.pool().available == 0
    server.now = float(full.expires_at)
    effects = server.hears(QueryPools(), server.administrator)
    assert len(found(effects, events.LicenseReclaimed)) == 1
    assert server.pool().available == 1
    assert server.journal()[-1] == "license.reclaimed"


def test_the_sweep_comes_at_the_earliest_expiry() -> None:
    server = Server("a", pack(1))
    assert server.core.next_deadline() is None
    full = server.full()
    assert server.core.next_deadline() == full.expires_at
    assert len(found(server.deadline(full.expires_at), events.LicenseReclaimed)) == 1
    assert server.core.next_deadline() is None


def test_sweeps_are_at_least_sweep_seconds_apart() -> None:
    server = Server("a", pack(20))
    ends = sorted({server.full(device(number)).expires_at for number in range(20)})
    server.deadline(ends[0])
    server.now = START
    assert server.core.next_deadline() == max(ends[1], ends[0] + 3600.0)


def test_a_device_whose_full_token_expired_gets_another_one_but_no_second_temporary() -> None:
    server = Server("a", pack(1))
    full = server.full(LAPTOP)
    server.logs_on(PHONE)
    server.now = START + 100 * DAY
    assert server.issued(acquire(PHONE)).kind is FULL
    assert server.refused(acquire(LAPTOP)).code is ErrorCode.NO_LICENSE
    server.now += 90 * DAY
    again = server.issued(acquire(LAPTOP))
    assert again.kind is FULL
    assert again.license_id != full.license_id


def test_every_change_is_journaled_in_its_own_commit() -> None:
    server = Server("a", pack(1))
    for request in (acquire(), validated(), acquire()):
        (persist,) = found(server.hears(request), Persist)
        assert len([r for r in persist.put if isinstance(r, JournalRecord)]) == 1
    assert server.journal() == [
        "pack.added",
        "license.issued",
        "license.validated",
        "license.issued",
    ]
    assert [entry.sequence for entry in server.table(JournalRecord)] == [1, 2, 3, 4]


def test_a_gap_in_the_journal_stops_the_start() -> None:
    server = Server("a", pack(1))
    server.full()
    del server.rows[JournalRecord][(2,)]
    with pytest.raises(LedgerInconsistent, match="from entry 1 to 3"):
        server.restart()


def test_an_overdrawn_pack_stops_the_start() -> None:
    server = Server("a", pack(1))
    server.full(LAPTOP)
    other = Server("a", pack(1), seed=2)
    other.full(PHONE)
    server.rows[LicenseRecord] |= other.rows[LicenseRecord]
    with pytest.raises(LedgerInconsistent, match="pack-1 is overdrawn"):
        server.restart()


def test_two_full_tokens_of_one_device_stop_the_start() -> None:
    server = Server("a", pack(2))
    server.full()
    other = Server("a", pack(2), seed=2)
    other.full()
    fulls = {k: r for k, r in other.rows[LicenseRecord].items() if getattr(r, "key_pack", "")}
    server.rows[LicenseRecord] |= fulls
    with pytest.raises(LedgerInconsistent, match="two full tokens"):
        server.restart()


def test_a_token_of_an_unknown_pack_stops_the_start() -> None:
    server = Server("a", pack(1))
    server.full()
    server.key_packs = ()
    server.rows[KeyPackRecord] = {}
    with pytest.raises(LedgerInconsistent, match="pack-1"):
        server.restart()


def test_a_journal_entry_written_twice_stops_the_start() -> None:
    entry = JournalRecord(sequence=1, at=0, event="license.issued")
    with pytest.raises(LedgerInconsistent, match="from entry 1 to 1"):
        Ledger({JournalRecord: [entry, entry]}, Server("a").rng)


def test_a_clock_that_was_set_back_is_reported() -> None:
    server = Server("a", pack(1))
    server.now = START - 60.0
    assert found(server.restart(), events.ClockSetBack) == [events.ClockSetBack(seconds=60)]


def test_licenses_are_shown_in_pages_and_for_one_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PAGE_ROWS", 2)
    server = Server("a")
    ids = sorted(server.issued(acquire(device(n))).license_id for n in range(5))
    seen: list[bytes] = []
    more = True
    while more:
        after = seen[-1] if seen else b""
        page = server.asked(QueryLicenses(after=after), server.administrator)
        assert isinstance(page, Licenses) and len(page.licenses) <= 2
        seen += [row.license_id for row in page.licenses]
        more = page.more
    assert seen == ids
    mine = server.asked(QueryLicenses(device_id=device(3)), server.administrator)
    assert isinstance(mine, Licenses)
    assert [row.device_id for row in mine.licenses] == [device(3)]


def test_the_ledger_keeps_no_more_devices_than_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "DEVICES_MAX", 2)
    server = Server("a", pack(2))
    server.logs_on(LAPTOP)
    server.issued(acquire(PHONE))
    assert server.refused(acquire(TABLET)).code is ErrorCode.LEDGER_FULL
    other = peer("b", Role.LICENSE_SERVER)
    assert server.refused(lend(TABLET), other).code is ErrorCode.LEDGER_FULL
    assert server.issued(acquire(LAPTOP)).kind is FULL
