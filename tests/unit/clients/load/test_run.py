from __future__ import annotations

import pytest

from clients.load.measuring.totals import Totals
from clients.load.run import evidence
from clients.load.scenario import Drives
from tests.unit.clients.load.intervals import interval, step


@pytest.mark.parametrize("drives", ["users", "licenses", "directory"])
def test_a_driver_says_of_each_rule_how_often_it_was_looked_at(drives: Drives) -> None:
    totals = Totals()
    steps = dict.fromkeys(("roam", "logon", "issue", "upgrade", "place", "query"), step((1.0, 2.0)))
    totals.add(interval(steps=steps, finished=5))
    seen = evidence(drives, totals)
    assert len(seen) > 2
    assert seen.get("session kept", 2) == 2
    assert seen.get("license kept", 4) == 4
    assert seen.get("keys come back once and in order", 0) == 0
    assert seen.get("sessions logged off", 5) == 5
    assert seen.get("the same device gets the same token", 4) == 4
    assert seen.get("a later placement has a higher number", 4) == 4
