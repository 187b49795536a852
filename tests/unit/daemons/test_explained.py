"""What a person is told about a TOML file; `test_config.py` has a daemon's settings explained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import pytest
from msgspec import Meta

from daemons.files.explained import checked, read_toml
from tsproto.errors import TsfarmError


class Wrong(TsfarmError):
    """The caller's own error."""


class Stage(msgspec.Struct, forbid_unknown_fields=True):
    rate: Annotated[float, Meta(ge=0, le=10)]


class Plan(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    stages: tuple[Stage, ...] = ()
    last: Stage | None = None


def complaint(raw: object) -> str:
    with pytest.raises(Wrong) as caught:
        checked(raw, Plan, "mine.toml", Wrong)
    return str(caught.value)


def test_what_fits_is_taken() -> None:
    assert checked({"name": "a", "stages": [{"rate": 1}]}, Plan, "x", Wrong).stages[0].rate == 1


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ({}, "name: missing; expected text"),
        ({"name": 5}, "name: expected text, found 5"),
        ({"name": "a", "stage": []}, "stage: unknown key; did you mean stages?"),
        (
            {"name": "a", "stages": [{"rate": 1}, {"rate": 11}]},
            "stages[1].rate: expected a number from 0 to 10, found 11",
        ),
        (
            {"name": "a", "last": {"rate": "x"}},
            'last.rate: expected a number from 0 to 10, found "x"',
        ),
        ({"name": "a", "last": 5}, "last: expected a table, found 5"),
    ],
)
def test_a_mistake_is_told_with_place_expectation_and_finding(raw: object, said: str) -> None:
    assert complaint(raw) == f"mine.toml: {said}"


def test_a_file_that_is_no_toml_is_told_as_the_callers_error(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    with pytest.raises(Wrong, match="a.toml: cannot be read: No such file"):
        read_toml(file, Wrong)
    file.write_text("name =")
    with pytest.raises(Wrong, match="a.toml: expected TOML: "):
        read_toml(file, Wrong)
