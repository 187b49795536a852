"""What a license server decides about its own tokens, on each side of each bound."""

from __future__ import annotations

from collections import Counter

import pytest

from daemons.effects import Answer, Caller, Close, Persist
from daemons.license_server.ledger import Ledger
from daemons.license_server.pools import KeyPackConflict, LedgerInconsistent
from daemons.license_server.records import JournalRecord, KeyPackRecord, LicenseRecord
from tests.unit.license_server.scenario import (
    DAY,
    FULL,
    LAPTOP,
    PHONE,
    PRODUCT,
    START,
    TABLET,
    TEMPORARY,
    Server,
    acquire,
    claims,
    found,
    lend,
    notes,
    pack,
    peer,
    renew,
    validated,
)
from tsproto import limits
from tsproto.errors import ErrorCode
from tsproto.messages import (
    AddKeyPack,
    Done,
    LicenseIssued,
    Licenses,
    QueryLicenses,
    QueryPools,
    Refused,
    Role,
    UpdateSession,
)


def device(number: int) -> bytes:
    return f"device-{number}".encode().ljust(32, b".")


# --- the first token ----------------------------------------------------------------------------


def test_a_first_visit_brings_a_temporary_token_for_90_days_and_no_pool_use() -> None:
    server = Server("a", pack(2))
    issued = server.issued(acquire())
    assert (issued.kind, issued.validated, issued.lender) == (TEMPORARY, False, "")
    assert issued.expires_at == START + 90 * DAY == claims(issued).expires_at
    assert (server.pool().available, server.pool().temporary) == (2, 1)


def test_the_token_names_device_user_product_and_issuer() -> None:
    said = claims(Server("a").issued(acquire()))
    assert (said.farm, said.issuer, said.device_id) == ("farm", "a", LAPTOP)
    assert (said.device_name, said.user_name, said.product) == ("laptop", "ann", PRODUCT)


def test_a_device_that_never_logged_on_keeps_its_temporary_token() -> None:
    server = Server("a", pack(2))
    first = server.issued(acquire())
    server.now += DAY
    again = server.hears(acquire())
    assert found(again, Persist) == []
    assert [answer.message for answer in found(again, Answer)] == [first]
    assert server.pool().available == 2


def test_an_unvalidated_device_gets_nothing_more_once_its_token_has_expired() -> None:
    server = Server("a", pack(2))
    expires_at = server.issued(acquire()).expires_at
    server.now = expires_at - 1.0
    assert server.issued(acquire()).kind is TEMPORARY
    server.now = float(expires_at)
    refused = server.refused(acquire(trace_id="t1"))
    assert (refused.code, refused.trace_id) == (ErrorCode.NO_LICENSE, "t1")
    assert "no user has logged on" in refused.detail
    assert server.pool().available == 2


def test_a_late_logon_lets_an_expired_device_have_a_full_token() -> None:
    server = Server("a", pack(1))
    server.now = float(server.issued(acquire()).expires_at)
    assert server.asked(validated()) == Done()
    assert server.issued(acquire()).kind is FULL


def test_new_devices_of_one_terminal_server_are_limited_a_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "TEMPORARY_PER_SERVER_PER_MINUTE", 2)
    server = Server("a")
    server.issued(acquire(device(1)))
    server.now += 10
    server.issued(acquire(device(2)))
    refused = server.refused(acquire(device(3)))
    assert (refused.code, refused.retry_after_seconds) == (ErrorCode.TOO_MANY_DEVICES, 50)
    assert server.issued(acquire(device(1))).kind is TEMPORARY
    assert server.issued(acquire(device(4)), peer("ts2", Role.TERMINAL_SERVER)).kind is TEMPORARY
    server.now = START + 59.0
    assert server.refused(acquire(device(3))).retry_after_seconds == 1
    server.now = START + 60.0
    assert server.issued(acquire(device(3))).kind is TEMPORARY


def test_the_ledger_keeps_no_more_devices_than_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "DEVICES_MAX", 2)
    server = Server("a", pack(2))
    server.logs_on(LAPTOP)
    server.issued(acquire(PHONE))
    assert server.refused(acquire(TABLET)).code is ErrorCode.LEDGER_FULL
    other = peer("b", Role.LICENSE_SERVER)
    assert server.refused(lend(TABLET), other).code is ErrorCode.LEDGER_FULL
    assert server.issued(acquire(LAPTOP)).kind is FULL


# --- validated, upgraded ------------------------------------------------------------------------


def test_a_logon_validates_once_and_leaves_the_token_as_it_is() -> None:
    server = Server("a")
    first = server.issued(acquire())
    effects = server.hears(validated())
    assert [note.fields["user_name"] for note in notes(effects, "license.validated")] == ["ann"]
    assert [answer.message for answer in found(effects, Answer)] == [Done()]
    assert found(server.hears(validated()), Persist) == []
    again = server.issued(acquire())
    assert (again.token, again.validated) == (first.token, True)


def test_a_device_that_is_not_known_cannot_be_validated() -> None:
    assert Server("a").refused(validated()).code is ErrorCode.UNKNOWN_LICENSE


def test_the_next_visit_after_a_logon_brings_a_full_token_out_of_the_pool() -> None:
    server = Server("a", pack(2))
    server.logs_on()
    effects = server.hears(acquire())
    persist, note, answer = effects
    assert isinstance(persist, Persist)
    assert notes([note], "license.issued")
    assert isinstance(answer, Answer) and isinstance(answer.message, LicenseIssued)
    assert answer.message.kind is FULL
    assert (server.pool().available, server.pool().issued) == (1, 1)
    (row,) = (row for row in server.licenses() if row.kind is FULL)
    assert (row.device_name, row.user_name, row.issued_at) == ("laptop", "ann", int(START))


def test_a_full_token_ends_after_every_number_of_whole_days_from_52_to_89() -> None:
    server = Server("a", pack(1_000))
    days: Counter[int] = Counter()
    for number in range(600):
        issued = server.full(device(number))
        days[int(issued.expires_at - START) // DAY] += 1
        assert (issued.expires_at - START) % DAY == 0
    assert set(days) == set(range(52, 90))


def test_a_device_that_asks_again_gets_its_full_token_bit_for_bit() -> None:
    server = Server("a", pack(2))
    full = server.full()
    server.restart()
    server.now = full.expires_at - 1.0
    again = server.hears(acquire())
    assert [answer.message for answer in found(again, Answer)] == [full]
    assert found(again, Persist) == []


def test_an_empty_pool_leaves_a_validated_device_on_its_temporary_token_until_it_expires() -> None:
    server = Server("a", pack(1))
    server.full(PHONE)
    server.logs_on(LAPTOP)
    effects = server.hears(acquire(LAPTOP))
    (answer,) = found(effects, Answer)
    assert isinstance(answer.message, LicenseIssued) and answer.message.kind is TEMPORARY
    assert [n.fields["event_id"] for n in notes(effects, "license.not_upgraded")] == [21]


def test_an_expired_temporary_token_is_followed_by_a_full_one_or_by_none() -> None:
    server = Server("a")
    server.logs_on()
    server.now = START + 90 * DAY
    assert server.refused(acquire()).code is ErrorCode.NO_LICENSE
    server.asked(_add_pack(1), server.administrator)
    assert server.issued(acquire()).kind is FULL


def test_a_refusal_says_which_pools_were_looked_at() -> None:
    server = Server("a", pack(1))
    server.full(PHONE)
    server.logs_on(LAPTOP)
    server.now = START + 90 * DAY
    server.logs_on(TABLET)
    server.issued(acquire(TABLET))
    effects = server.hears(acquire(LAPTOP, trace_id="t1"))
    (note,) = notes(effects, "license.refused")
    assert note.fields["pools"] == [f"{PRODUCT} 1: 0 of 1 available"]
    assert note.fields["trace_id"] == "t1"
    (answer,) = found(effects, Answer)
    assert isinstance(answer.message, Refused)
    assert f"{PRODUCT} 1: 0 of 1 available" in answer.message.detail


# --- the end of a full token --------------------------------------------------------------------


def test_a_full_token_returns_to_the_pool_when_it_expires() -> None:
    server = Server("a", pack(1))
    full = server.full()
    server.now = full.expires_at - 1.0
    assert server.pool().available == 0
    server.now = float(full.expires_at)
    effects = server.hears(QueryPools(), server.administrator)
    assert len(notes(effects, "license.reclaimed")) == 1
    assert server.pool().available == 1
    assert server.journal()[-1] == "license.reclaimed"


def test_the_sweep_comes_at_the_earliest_expiry() -> None:
    server = Server("a", pack(1))
    assert server.core.next_deadline() is None
    full = server.full()
    assert server.core.next_deadline() == full.expires_at
    assert len(notes(server.deadline(full.expires_at), "license.reclaimed")) == 1
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


# --- renewal ------------------------------------------------------------------------------------


def test_a_token_is_renewed_in_its_last_seven_days_and_not_before() -> None:
    server = Server("a", pack(1))
    full = server.full()
    server.now = full.expires_at - 7 * DAY - 1.0
    assert server.issued(renew(full.license_id)) == full
    server.now = full.expires_at - 7.0 * DAY
    renewed = server.issued(renew(full.license_id))
    assert renewed.license_id == full.license_id
    assert (renewed.expires_at - server.now) / DAY in range(52, 90)
    assert server.pool().issued == 1


def test_twenty_renewals_at_once_are_one() -> None:
    server = Server("a", pack(1))
    full = server.full()
    server.now = full.expires_at - 3.0 * DAY
    answers = [server.issued(renew(full.license_id)) for _ in range(20)]
    assert len({answer.token for answer in answers}) == 1
    assert server.journal().count("license.renewed") == 1


def test_a_renewed_token_is_not_taken_back_at_its_old_end() -> None:
    server = Server("a", pack(1))
    full = server.full()
    server.now = full.expires_at - 1.0
    server.issued(renew(full.license_id))
    assert notes(server.deadline(full.expires_at), "license.reclaimed") == []
    assert server.pool().available == 0


def test_an_expired_token_is_not_renewed() -> None:
    server = Server("a", pack(1))
    full = server.full()
    server.now = START + 90 * DAY
    assert server.refused(renew(full.license_id)).code is ErrorCode.UNKNOWN_LICENSE


def test_an_unknown_token_is_answered_with_the_devices_live_one() -> None:
    server = Server("a", pack(1))
    assert server.refused(renew(b"?" * 16)).code is ErrorCode.UNKNOWN_LICENSE
    full = server.full(LAPTOP)
    assert server.issued(renew(b"?" * 16, LAPTOP)) == full
    temporary = server.issued(acquire(PHONE))
    assert server.issued(renew(full.license_id, PHONE)) == temporary


# --- versions -----------------------------------------------------------------------------------


def test_the_same_version_is_issued_first_and_then_the_next_newer() -> None:
    server = Server("a", pack(1, version=3), pack(1, version=2), pack(1, version=1))
    versions = [claims(server.full(device(n))).product_version for n in range(3)]
    assert versions == [1, 2, 3]


def test_an_older_token_never_serves_a_newer_terminal_server() -> None:
    server = Server("a", pack(2, version=1))
    server.logs_on()
    assert server.issued(acquire(version=2)).kind is TEMPORARY
    full = server.issued(acquire(version=1))
    assert (full.kind, server.pool(1).issued) == (FULL, 1)
    assert server.issued(acquire(version=2)).kind is TEMPORARY


def test_a_newer_terminal_server_takes_over_the_one_temporary_token() -> None:
    server = Server("a")
    first = server.issued(acquire(version=1))
    server.now += DAY
    raised = server.issued(acquire(version=2))
    assert (raised.license_id, raised.expires_at) == (first.license_id, first.expires_at)
    assert claims(raised).product_version == 2
    assert server.issued(acquire(version=1)) == raised
    assert (server.pool(1).temporary, server.pool(2).temporary) == (0, 1)


# --- lending ------------------------------------------------------------------------------------


def test_a_token_lent_is_counted_as_lent_and_given_again_for_the_same_device() -> None:
    server = Server("b", pack(2))
    asker = peer("a", Role.LICENSE_SERVER)
    lent = server.issued(lend(LAPTOP), asker)
    assert (lent.kind, claims(lent).issuer) == (FULL, "b")
    assert (server.pool().available, server.pool().issued, server.pool().lent) == (1, 0, 1)
    assert server.issued(lend(LAPTOP), asker) == lent
    assert server.issued(lend(LAPTOP, loan_id=b"another".ljust(16)), asker) == lent
    assert server.issued(acquire(LAPTOP)) == lent
    (row,) = server.licenses()
    assert row.through == "a"


def test_a_lender_without_tokens_refuses() -> None:
    refused = Server("b").refused(lend(), peer("a", Role.LICENSE_SERVER))
    assert refused.code is ErrorCode.NO_LICENSE


def test_a_token_lent_is_renewed_for_the_asker_and_returns_when_it_expires() -> None:
    server = Server("b", pack(1))
    asker = peer("a", Role.LICENSE_SERVER)
    lent = server.issued(lend(), asker)
    server.now = lent.expires_at - 1.0
    renewed = server.issued(renew(lent.license_id), asker)
    assert renewed.expires_at > lent.expires_at
    server.now = float(renewed.expires_at)
    assert (server.pool().available, server.pool().lent) == (1, 0)


# --- whom it serves -----------------------------------------------------------------------------


def test_only_the_listed_terminal_servers_are_served() -> None:
    server = Server("a", serves=("ts1",))
    stranger = peer("ts2", Role.TERMINAL_SERVER)
    for request in (acquire(), renew(b"?" * 16), validated()):
        assert server.refused(request, stranger).code is ErrorCode.SERVER_NOT_SERVED
    assert server.licenses() == []
    assert server.issued(acquire()).kind is TEMPORARY


def test_license_servers_need_no_place_in_the_list_of_terminal_servers() -> None:
    server = Server("b", pack(1), serves=("ts1",))
    asker = peer("a", Role.LICENSE_SERVER)
    lent = server.issued(lend(), asker)
    assert server.issued(renew(lent.license_id), asker) == lent


def test_a_message_for_somebody_else_ends_the_connection() -> None:
    server = Server("a")
    stray = UpdateSession(session=None)  # type: ignore[arg-type]
    (close,) = server.core.on_message(Caller(server.terminal_server), stray, START)
    assert close == Close(server.terminal_server, ErrorCode.OUT_OF_ORDER)


# --- key packs and the administrator ------------------------------------------------------------


def _add_pack(tokens: int, key_pack: str = "added") -> AddKeyPack:
    return AddKeyPack(key_pack=key_pack, product=PRODUCT, product_version=1, tokens=tokens)


def test_a_key_pack_counts_once_and_another_with_its_id_is_refused() -> None:
    server = Server("a")
    assert server.asked(_add_pack(5), server.administrator) == Done()
    assert server.asked(_add_pack(5), server.administrator) == Done()
    assert server.refused(_add_pack(6), server.administrator).code is ErrorCode.KEY_PACK_CONFLICT
    assert server.pool().total == 5


def test_the_configurations_packs_are_kept_once_and_for_ever() -> None:
    server = Server("a", pack(5))
    assert [record.tokens for record in server.table(KeyPackRecord)] == [5]
    server.restart()
    assert server.journal() == ["pack.added"]
    server.key_packs = ()
    server.restart()
    assert server.pool().total == 5


def test_a_configuration_that_contradicts_the_ledger_stops_the_start() -> None:
    server = Server("a", pack(5))
    server.key_packs = (pack(6),)
    with pytest.raises(KeyPackConflict, match="pack-1 is already here with 5 tokens"):
        server.restart()


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


# --- the journal and the start ------------------------------------------------------------------


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
    assert [n.fields for n in notes(server.restart(), "clock.set_back")] == [{"seconds": 60}]
