from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clients.load.preparing import LINKS, Options, prepare
from clients.load.target import BadInput
from clients.logon.steps import Host
from tests.unit.clients.load.test_target import write_lab

NOTHING: dict[str, Any] = {
    "lab": None,
    "terminal_servers": None,
    "license_servers": None,
    "directory": None,
    "authority": None,
    "identities": (),
    "admin": None,
    "plain": False,
    "users_file": None,
    "workers": 1,
    "rate": None,
    "users": None,
    "duration": None,
    "thresholds": (),
    "links": None,
    "devices": None,
    "sources": (),
    "seed": None,
    "json_file": None,
    "html_file": None,
    "hdr_file": None,
}
DIRECTORY = Host("127.0.0.1", 5602)


def options(**given: Any) -> Options:
    return Options(**(NOTHING | given))


def test_a_lab_says_all_that_a_run_needs(tmp_path: Path) -> None:
    run, notice = prepare("storm", options(lab=write_lab(tmp_path, load_users=40)), tmp_path)
    assert run.scenario.name == "storm"
    assert [host.name for host in run.farm.terminal_servers] == ["ts1", "ts2"]
    assert len(run.people) == 40
    assert run.farm.as_terminal_servers == ()
    assert notice == ""


def test_each_link_of_each_worker_to_a_lab_has_a_certificate_of_its_own(tmp_path: Path) -> None:
    given = options(lab=write_lab(tmp_path, load_users=40), links=2, workers=3)
    run, _ = prepare("directory-only", given, tmp_path)
    assert len(set(run.farm.as_terminal_servers)) == 6


def test_a_labs_directory_is_not_asked_for_users_without_keys(tmp_path: Path) -> None:
    given = options(lab=write_lab(tmp_path))
    with pytest.raises(BadInput, match="believes nobody without a proof.*--load-users N"):
        prepare("directory-only", given, tmp_path)


def test_users_of_ones_own_go_before_a_labs(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("user1 secret\n")
    given = options(lab=write_lab(tmp_path, load_users=40), users_file=tmp_path / "mine")
    run, _ = prepare("storm", given, tmp_path)
    assert [person.name for person in run.people] == ["user1"]


def test_what_is_given_takes_the_place_of_the_scenarios_own(tmp_path: Path) -> None:
    given = options(
        directory=(DIRECTORY,), plain=True, rate=50.0, thresholds=("errors < 5%",), seed=3
    )
    run, _ = prepare("directory-only", given, tmp_path)
    assert run.scenario.open is not None
    assert max(stage.rate for stage in run.scenario.open.stages) == 50.0
    assert run.scenario.thresholds == ("errors < 5%",)
    assert (run.seed, run.links, run.farm.directory) == (3, LINKS, DIRECTORY)


def test_a_run_without_a_seed_is_like_no_other(tmp_path: Path) -> None:
    given = options(directory=(DIRECTORY,), plain=True)
    seeds = {prepare("directory-only", given, tmp_path)[0].seed for _ in range(3)}
    assert len(seeds) > 1


def test_to_loopback_users_come_from_addresses_of_their_own(tmp_path: Path) -> None:
    run, _ = prepare("storm", options(lab=write_lab(tmp_path, load_users=40)), tmp_path)
    assert run.sources == ("127.0.250.1",)


@pytest.mark.parametrize("both", [{"plain": True, "authority": Path("ca.crt")}, {}])
def test_it_must_be_said_whether_it_is_tls(tmp_path: Path, both: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="TLS or not"):
        prepare("directory-only", options(directory=(DIRECTORY,), **both), tmp_path)


def test_a_library_of_reports_that_is_missing_is_named_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = options(lab=write_lab(tmp_path, load_users=40), html_file=tmp_path / "run.html")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(BadInput, match=r"needs rich, jinja2, matplotlib: install `tsfarm\[load\]`"):
        prepare("storm", given, tmp_path)
