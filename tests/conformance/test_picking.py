"""Ids that stand for no case are no run, and whoever mistyped one is told what is near it."""

from __future__ import annotations

import pytest

from clients.conformance.picking import picked
from tsproto.messages import Role

DIRECTORY = Role.SESSION_DIRECTORY


def ids(only: list[str], exclude: list[str], strict: bool = False) -> set[str]:
    return {case.requirement for case in picked(DIRECTORY, strict, only, exclude)}


@pytest.mark.parametrize(
    ("only", "exclude", "complaint"),
    [
        (["DIR-99", "DIR"], [], "--only DIR-99: no case has such an id; near it: DIR-29, DIR-19,"),
        (["DIR", "sync-01"], [], "--only sync-01: no case has such an id; near it: SYNC-01,"),
        (
            ["SYNC-12.an-older-link-has-a-say"],
            [],
            "no case has such an id; near it: SYNC-12.an-older-link-has-no-say",
        ),
        (["*.nowhere"], [], "--only *.nowhere: no case has such an id"),
        (["LSRV-01"], [], "--only LSRV-01: is for --role license-server"),
        (["LIC-02"], [], "--only LIC-02: is for --role client"),
        (["DIR", "VALUE-12"], [], "--only VALUE-12: stands for SHOULD or MAY alone, which --str"),
        ([], ["DIR", "SYNCH"], "--exclude SYNCH: no case has such an id; near it: SYNC"),
        (["DIR-01"], ["DIR"], "--exclude leaves no case"),
    ],
)
def test_an_id_that_stands_for_no_case_is_named(
    only: list[str], exclude: list[str], complaint: str
) -> None:
    with pytest.raises(ValueError) as raised:
        picked(DIRECTORY, False, only, exclude)
    assert complaint in str(raised.value)


def test_what_is_not_played_without_strict_may_be_excluded_all_the_same() -> None:
    assert ids(["SYNC-04"], ["VALUE-12"]) == {"SYNC-04"}
    assert ids(["VALUE-12", "SYNC-04"], ["SYNC-04"], strict=True) == {"VALUE-12"}
