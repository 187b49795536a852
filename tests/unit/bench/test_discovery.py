"""What the bench of discovery reads in a daemon's log."""

from __future__ import annotations

import pytest

from bench.discovery import seconds_to_use

SEARCHING = b'{"timestamp":"2026-01-01T00:00:09.999000Z","event":"license_server.searching"}\n'
READY = b'{"timestamp":"2026-01-01T00:00:10.000000Z","event":"daemon.ready"}\n'
IN_USE = b'{"timestamp":"2026-01-01T00:00:10.001500Z","event":"license_server.in_use"}\n'
IN_USE_LATER = IN_USE.replace(b":10.0", b":30.0")


def test_the_time_is_from_the_query_to_the_first_server_in_use() -> None:
    assert seconds_to_use(SEARCHING + READY + IN_USE + IN_USE_LATER) == pytest.approx(0.0025)


def test_while_there_is_none_in_use_there_is_no_time() -> None:
    assert seconds_to_use(SEARCHING + READY) is None


def test_a_line_that_is_being_written_is_left_out() -> None:
    assert seconds_to_use(SEARCHING + IN_USE[:-9]) is None
