"""A client that gives up in good order breaks no requirement on how clients try again."""

from __future__ import annotations

from typing import Any

import pytest

from clients.conformance.acting import GAVE_UP
from clients.conformance.catalogue import cases_for
from clients.conformance.runner import Verdict, play
from clients.logon.procedure import Logon
from tests.conformance.in_process_source import InProcessSource
from tests.conformance.wrong.fault import replaced
from tsproto.messages import Role

CASES = {case.id: case for case in cases_for(Role.CLIENT)}


def _leaves(self: Logon, *_: Any) -> Any:
    return self.cancel()


@pytest.mark.parametrize(
    ("case", "where"),
    [
        ("CLOSE-07.a-client-waits-as-long-as-it-was-told", "_wait_for_round"),
        ("SESS-13.a-lost-session-is-resumed", "_session_lost"),
        ("LOGON-35.a-wrong-proof-begins-anew", "_on_refused"),
        ("LOGON-18.busy-is-waited-for", "_log_on_later"),
    ],
)
def test_a_client_that_gives_up_is_passed_over(case: str, where: str) -> None:
    with replaced(Logon, where, _leaves)():
        result = play(CASES[case], InProcessSource(Role.CLIENT))
    assert (result.verdict, result.why) == (Verdict.SKIPPED, GAVE_UP)
