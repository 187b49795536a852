"""The right daemons and the right client pass every case, in process, under virtual time."""

from __future__ import annotations

import pytest

from clients.conformance import report
from clients.conformance.case import EVERYBODY
from clients.conformance.catalogue import cases_for
from clients.conformance.runner import Verdict, play_all
from tests.conformance.in_process_source import InProcessSource
from tsproto.messages import Role


@pytest.mark.parametrize("role", EVERYBODY)
def test_the_right_target_passes_everything(role: Role) -> None:
    source = InProcessSource(role)
    results = list(play_all(cases_for(role), source))
    source.stop()
    failures = [r for r in results if r.verdict is Verdict.FAILED]
    assert not failures, "\n\n".join(report.explained(failure) for failure in failures[:5])
    assert sum(r.verdict is Verdict.PASSED for r in results) > 400
