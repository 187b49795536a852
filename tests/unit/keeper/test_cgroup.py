"""Sessions' control groups, in a folder that stands for the kernel's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from daemons.keeper.cgroup import SessionGroup, SessionGroups, SessionLimits, own_group

NONE = SessionLimits(memory_mib=0, processes=0, cpu_weight=0)
ALL = SessionLimits(memory_mib=512, processes=100, cpu_weight=50)


def written(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_a_session_gets_the_limits_of_the_configuration(tmp_path: Path) -> None:
    group = SessionGroup(tmp_path / "session-1", ALL)
    assert written(group.folder) == {
        "memory.max": str(512 * 1024 * 1024),
        "memory.oom.group": "1",
        "memory.swap.max": "0",
        "pids.max": "100",
        "cpu.weight": "50",
    }


def test_no_limit_writes_none(tmp_path: Path) -> None:
    assert written(SessionGroup(tmp_path / "session-1", NONE).folder) == {}


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ({}, ""),
        ({"memory.events": "low 0\noom_kill 0\n", "pids.events": "max 0\n"}, ""),
        (
            {"memory.events": "low 0\noom_kill 3\n"},
            "the session used more than its 512 MiB of memory",
        ),
        ({"pids.events": "max 2\n"}, "the session wanted more than its 100 processes"),
        ({"memory.events": "oom_kill many\n"}, ""),
    ],
)
def test_the_limit_that_was_met_is_named(tmp_path: Path, events: dict[str, str], said: str) -> None:
    group = SessionGroup(tmp_path / "session-1", ALL)
    for name, text in events.items():
        (group.folder / name).write_text(text)
    assert group.met() == said


def test_a_group_goes_when_it_is_empty_and_no_sooner(tmp_path: Path) -> None:
    group = SessionGroup(tmp_path / "session-1", NONE)
    (group.folder / "process").write_text("")
    group.remove()
    assert group.folder.exists()
    (group.folder / "process").unlink()
    group.remove()
    assert not group.folder.exists()


def test_the_keeper_moves_beside_its_sessions_and_removes_those_left(tmp_path: Path) -> None:
    (tmp_path / "session-9").mkdir()
    groups = SessionGroups(tmp_path)
    assert (tmp_path / "keeper" / "cgroup.procs").read_text() == str(os.getpid())
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+memory +pids +cpu"
    assert not (tmp_path / "session-9").exists()
    assert groups.group(7, NONE).folder == tmp_path / "session-7"


def test_in_a_service_the_terminal_server_moves_with_the_keeper(tmp_path: Path) -> None:
    root = tmp_path / "tsfarm.service"
    root.mkdir()
    (root / "cgroup.procs").write_text("101\n")
    SessionGroups(root)
    assert (root / "keeper" / "cgroup.procs").read_text() == "101"  # the last that was written


def kernel(tmp_path: Path, group: str, controllers: str) -> tuple[Path, tuple[Path, ...]]:
    own = tmp_path / "own"
    own.write_text(f"4:memory:/old\n0::{group}\n")
    folder = tmp_path / "unified" / group.removeprefix("/")
    folder.mkdir(parents=True)
    (folder / "cgroup.controllers").write_text(controllers)
    return own, (tmp_path / "nothing", tmp_path / "unified")


@pytest.mark.parametrize(
    ("group", "controllers", "found"),
    [
        ("/tsfarm.service", "cpuset cpu io memory pids\n", "unified/tsfarm.service"),
        ("/tsfarm.service/keeper", "cpu memory pids\n", "unified/tsfarm.service"),
        ("/", "hugetlb\n", None),
        ("/tsfarm.service", "memory pids\n", None),
    ],
)
def test_own_group_is_the_one_with_the_controllers(
    tmp_path: Path, group: str, controllers: str, found: str | None
) -> None:
    expected = None if found is None else tmp_path / found
    assert own_group(*kernel(tmp_path, group, controllers)) == expected
