"""The suite is tested: every planted fault is found by the case that is meant for it."""

from __future__ import annotations

import pytest

from clients.conformance.catalogue import cases_for
from clients.conformance.runner import Result, Verdict, play
from tests.conformance.in_process_source import InProcessSource
from tests.conformance.wrong import FAULTS, Fault

ROLES = dict.fromkeys(fault.role for fault in FAULTS)
CASES = {(role, case.id): case for role in ROLES for case in cases_for(role)}


def found(fault: Fault) -> Result:
    with fault.plant():
        return play(CASES[fault.role, fault.found_by], InProcessSource(fault.role, wrap=fault.wrap))


def test_there_are_many_kinds_of_faults() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 30


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_planted_fault_is_found(fault: Fault) -> None:
    result = found(fault)
    assert result.verdict is Verdict.FAILED
    assert "Traceback" not in result.why, result.why


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_without_the_fault_the_case_passes(fault: Fault) -> None:
    case = CASES[fault.role, fault.found_by]
    assert play(case, InProcessSource(fault.role)).verdict is Verdict.PASSED
