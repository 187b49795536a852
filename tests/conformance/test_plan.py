"""A dry run: how long the cases wait, and which stories a target of this role cannot tell yet."""

from __future__ import annotations

import inspect

import pytest

from clients.conformance.case import EVERYBODY
from clients.conformance.catalogue import cases_for, pick
from clients.conformance.plan import listed, seconds_of
from clients.conformance.scenarios import NOT_BUILT
from tsproto import limits
from tsproto.messages import Role

DIRECTORY = cases_for(Role.SESSION_DIRECTORY)
LOST, OLD, QUICK = "DIR-11.the-rows-of-a-lost-host", "DIR-15", "SYNC-04"


def last_line(*ids: str, longest_seconds: float | None) -> str:
    cases = pick(DIRECTORY, ids, ())
    return list(listed(Role.SESSION_DIRECTORY, cases, longest_seconds))[-1]


@pytest.mark.parametrize("role", EVERYBODY)
def test_what_a_case_waits_for_is_known_without_playing_it(role: Role) -> None:
    for case in cases_for(role):
        waits = "needs_seconds(" in inspect.getsource(case.script)
        assert (seconds_of(case) > 0) is waits, case.id


def test_an_estimate_tells_what_waits_longer_than_it_may() -> None:
    lost, old = limits.SERVER_LOST_SECONDS, 2 * limits.RESERVATION_SECONDS
    assert last_line(LOST, OLD, QUICK, longest_seconds=lost) == (
        f"3 cases; waiting for deadlines takes {lost:g} s; longer than --timeout {lost:g},"
        f" and skipped: 1 (up to {old:g} s each, {old:g} s in all)"
    )
    assert last_line(LOST, QUICK, longest_seconds=old) == (
        f"2 cases; waiting for deadlines takes {lost:g} s, and none waits longer than --timeout"
        f" {old:g}"
    )
    assert last_line(LOST, longest_seconds=None).startswith("1 case, without waiting")


@pytest.mark.parametrize("role", EVERYBODY)
def test_the_stories_of_other_roles_are_not_missing_here(role: Role) -> None:
    told = [line for line in listed(role, [], 1.0) if line.startswith("not built yet: ")]
    assert {line.split(": ")[1] for line in told} == {
        id for id, missing in NOT_BUILT.items() if role in missing.roles
    }


def test_stories_that_are_missing_have_a_role_that_would_tell_them() -> None:
    assert all(missing.roles for missing in NOT_BUILT.values())
    drain = "not built yet: drain: hosts that take reconnects and no new sessions"
    assert drain in listed(Role.TERMINAL_SERVER, [], 1.0)
    assert drain not in listed(Role.LICENSE_SERVER, [], 1.0)
