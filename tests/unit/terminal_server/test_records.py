from __future__ import annotations

from daemons.statements import PasswordRecord
from daemons.terminal_server.records import RECORDS, ServerRecord, SessionRecord


def test_each_record_has_a_table_of_its_own_and_a_key_of_its_fields() -> None:
    assert RECORDS == (ServerRecord, SessionRecord, PasswordRecord)
    assert len({record.table for record in RECORDS}) == len(RECORDS)
    for record in RECORDS:
        assert set(record.key) <= set(record.__struct_fields__)
