"""A shell or an application that cannot be run is told at the start."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemons.config import ConfigError
from daemons.keeper.launch import PATH
from daemons.keeper.programs import check_programs
from daemons.settings import Application, Sessions


def fault_of(sessions: Sessions) -> str:
    with pytest.raises(ConfigError) as caught:
        check_programs(sessions)
    return str(caught.value)


@pytest.mark.parametrize("command", [("/bin/sh",), ("sh", "-c", "true")])
def test_what_can_be_run(command: tuple[str, ...]) -> None:
    check_programs(Sessions(shell=command, applications={"one": Application(command=command)}))


def test_a_shell_that_is_not_there() -> None:
    assert fault_of(Sessions(shell=("/bin/none", "-l"))) == (
        "sessions.shell: expected an executable program, found '/bin/none': none there"
    )


def test_an_application_that_is_in_no_folder_of_the_path() -> None:
    assert fault_of(Sessions(applications={"mail": Application(command=("no-mail",))})) == (
        "sessions.applications.mail.command: expected an executable program, found 'no-mail': none"
        f" in {PATH}"
    )


def test_a_program_that_is_not_executable(tmp_path: Path) -> None:
    (tmp_path / "run").touch(mode=0o644)
    application = Application(command=("./run",), folder=str(tmp_path))
    assert fault_of(Sessions(applications={"one": application})).endswith(
        "found './run': none there"
    )
    (tmp_path / "run").chmod(0o755)
    check_programs(Sessions(applications={"one": application}))


def test_what_lies_in_a_users_home_is_looked_for_when_the_user_comes() -> None:
    check_programs(Sessions(applications={"one": Application(command=("bin/mine",))}))
