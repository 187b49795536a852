"""Root's lab: a user without privilege runs it, unless root says otherwise."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemons.lab.plan import LabError
from daemons.lab.user import make_folder
from tests.integration.keepers import command_that_all_can_run

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root has privilege to drop")
NOBODY = pwd.getpwnam("nobody")


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that everybody can reach, on a machine with the user nobody."""
    monkeypatch.setattr("daemons.lab.user.USERS", ("no-such-user", "nobody"))
    monkeypatch.delenv("SUDO_UID", raising=False)
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


def tsfarm(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    room = Path(tempfile.mkdtemp(dir=place))
    program = str(Path(sys.executable).with_name("tsfarm"))
    command = [sys.executable, program, "lab", *arguments, "--dir", f"{place}/lab"]
    return subprocess.run(
        command_that_all_can_run(command, room), capture_output=True, text=True, timeout=60
    )


def owner_of(path: Path) -> int:
    return path.stat().st_uid


def test_a_new_lab_is_made_for_a_user_without_privilege(place: Path) -> None:
    make_folder(place / "lab", as_root=False)
    assert owner_of(place / "lab") == NOBODY.pw_uid
    assert (place / "lab").stat().st_mode & 0o777 == 0o700


def test_who_called_sudo_gets_the_lab(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    caller = next(entry for entry in pwd.getpwall() if entry.pw_uid not in (0, NOBODY.pw_uid))
    monkeypatch.setenv("SUDO_UID", str(caller.pw_uid))
    make_folder(place / "lab", as_root=False)
    assert owner_of(place / "lab") == caller.pw_uid


def test_as_root_nothing_is_given_away(place: Path) -> None:
    make_folder(place / "lab", as_root=True)
    assert not (place / "lab").exists()


def test_a_folder_with_other_things_is_not_given_away(place: Path) -> None:
    (place / "precious").touch()
    with pytest.raises(LabError, match="is not empty and no lab"):
        make_folder(place, as_root=False)
    assert owner_of(place) == 0


def test_roots_own_lab_runs_as_root_only_when_root_says_so(place: Path) -> None:
    (place / "lab.json").touch()
    with pytest.raises(LabError, match="runs as root: say so with --as-root"):
        make_folder(place, as_root=False)
    make_folder(place, as_root=True)


def test_daemons_and_keepers_of_roots_lab_are_not_root(place: Path) -> None:
    folder = place / "lab"
    made = tsfarm(place, "up")
    try:
        assert made.returncode == 0, made.stderr
        status = json.loads(tsfarm(place, "status", "--json").stdout)
        pids = [daemon["pid"] for daemon in status["daemons"]]
        pids += [int(path.read_text()) for path in folder.glob("*/state/keeper.pid")]
        assert len(pids) > 6, "no keeper runs yet"
        for pid in pids:
            assert f"Uid:\t{NOBODY.pw_uid}\t" in Path(f"/proc/{pid}/status").read_text()
        assert {owner_of(path) for path in folder.rglob("*")} == {NOBODY.pw_uid}
    finally:
        assert tsfarm(place, "down").returncode == 0
