"""What the operator of a server of one's own may say of it, and what is answered to nonsense."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from clients.conformance.at_address import AtAddress
from clients.conformance.command import main, parser, settings_of
from clients.conformance.linking import NAMES
from clients.conformance.over_sockets import Address, OverSockets, Settings
from clients.conformance.target import Setup, Unavailable
from clients.conformance.trust import Trust
from tsproto.messages import Role

TERMINAL_SERVER = ["--role", "terminal-server", "--plain", "--only", "LIC-16"]


@pytest.fixture
def silent_server() -> Iterator[str]:
    """An address where somebody listens, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--play", "client=127.0.0.1:1"], "--play client=127.0.0.1:1: expected license-server="),
        (["--play", "license-server"], "--play license-server: expected license-server=HOST:PORT"),
        (["--play", "license-server=here"], "expected HOST:PORT, found 'here'"),
        (["--play", "license-server=127.0.0.1:99999"], "found '127.0.0.1:99999'"),
        (["--beside", "directory=127.0.0.1:1"], "--beside directory=127.0.0.1:1: expected"),
        (["--discovery", "127.0.0.1"], "--discovery: expected HOST:PORT, found '127.0.0.1'"),
        (["--cast", "played"], "--cast played needs --play"),
    ],
)
def test_an_option_that_cannot_be_so_is_named(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["127.0.0.1:1", *TERMINAL_SERVER, *arguments]) == 2
    assert complaint in capsys.readouterr().err


def test_an_address_without_a_port_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["10.0.0.5", *TERMINAL_SERVER]) == 2
    assert "the target: expected HOST:PORT, found '10.0.0.5'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["127.0.0.1:1", *TERMINAL_SERVER], "127.0.0.1:1: Connection refused"),
        (
            ["192.0.2.1:5600", "--role", "client", "--run", "cat", "--plain"],
            "192.0.2.1:5600: Cannot assign requested address",
        ),
        (
            ["127.0.0.1:1", "--role", "terminal-server", "--ca", "nowhere"],
            "nowhere: No such file or directory",
        ),
        (
            ["127.0.0.1:1", "--role", "terminal-server", "--ca", __file__],
            f"{__file__}: the file holds no certificate in PEM form",
        ),
    ],
)
def test_a_run_that_cannot_begin_names_the_address_or_file(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err == f"the suite cannot be run: {complaint}\n"


def test_a_cast_that_nobody_knows_is_refused() -> None:
    with pytest.raises(SystemExit) as ended:
        main(["127.0.0.1:1", *TERMINAL_SERVER, "--cast", "wrong"])
    assert ended.value.code == 2


def test_a_command_that_fails_is_a_failure_of_the_case(
    capsys: pytest.CaptureFixture[str],
) -> None:
    play = ["--play", "license-server=127.0.0.1:0", "--fresh", "exit 7"]
    assert main(["127.0.0.1:1", *TERMINAL_SERVER, *play]) == 1
    assert "exit 7: ended with status 7" in capsys.readouterr().out


def test_what_is_skipped_says_with_which_option_it_is_not(
    silent_server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([silent_server, *TERMINAL_SERVER]) == 0
    assert "1 skipped: is for a target that is set up so: played (--play)" in (
        capsys.readouterr().out
    )
    assert main([silent_server, *TERMINAL_SERVER, "--play", "license-server=127.0.0.1:0"]) == 0
    assert "1 skipped: is for a target that was just started (--fresh)" in capsys.readouterr().out


def test_what_is_said_of_the_target_is_known_to_the_cases() -> None:
    said = ["10.0.0.5:5600", *TERMINAL_SERVER, "--user", "me", "secret", "--site", "here"]
    beside = ["--beside", "license-server=10.0.0.6:5601", "--discovery", "10.0.0.255:5606"]
    settings = settings_of(parser().parse_args([*said, *beside]), Role.TERMINAL_SERVER)
    assert settings.address == Address("10.0.0.5", 5600)
    assert settings.beside == {Role.LICENSE_SERVER: Address("10.0.0.6", 5601)}
    assert (settings.discovery, settings.scopes) == (Address("10.0.0.255", 5606), {3: "here"})
    assert [user.name for user in settings.users] == ["me"]


def test_two_license_servers_that_are_played_are_a_cast_of_their_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    one = ["--play", "license-server=127.0.0.1:0"]
    assert main(["127.0.0.1:1", *TERMINAL_SERVER, *one, *one]) == 0
    assert "1 skipped: is for a target that is set up so: played (--play)" in (
        capsys.readouterr().out
    )


@pytest.mark.parametrize("setup", [setup for setup in Setup if setup is not Setup.OUTSIDE_A_LAB])
def test_a_target_is_for_the_cases_of_its_cast_alone(setup: Setup) -> None:
    address = Settings(role=Role.TERMINAL_SERVER, address=Address("127.0.0.1", 1), tls=False)
    source = AtAddress(OverSockets(address), Setup.CHOOSY)
    if setup is Setup.CHOOSY:
        assert source.target(setup, fresh=True).role is Role.TERMINAL_SERVER
    else:
        with pytest.raises(Unavailable, match=r"--(cast|play)"):
            source.target(setup, fresh=True)


def test_a_certificate_that_is_missing_is_named() -> None:
    farm = Trust.invented("at-address")
    given = farm.files(Role.TERMINAL_SERVER, NAMES[Role.TERMINAL_SERVER])
    trust = Trust(farm.authority_file, given=[given])
    assert trust.files(Role.TERMINAL_SERVER, NAMES[Role.TERMINAL_SERVER]) is given
    with pytest.raises(Unavailable, match=r"a certificate of administrator admin \(--identity\)"):
        trust.files(Role.ADMINISTRATOR, NAMES[Role.ADMINISTRATOR])
    with pytest.raises(Unavailable, match=r"the key of the farm's authority \(--ca-key"):
        trust.files(Role.TERMINAL_SERVER, "another")
