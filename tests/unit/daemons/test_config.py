"""Configuration files: the settings of a right one, the complaint about a wrong one."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from daemons import settings
from daemons.config import PATHS, ConfigError, read_settings
from daemons.settings import LicenseServerSettings, TerminalServerSettings, changes

REQUIRED = """
farm = "north"
state = "state"
listen = {{ {listen} }}
identity = {{ certificate = "a.crt", key = "a.key", authority = "/etc/ca.crt" }}
{more}
"""


def write(folder: Path, more: str = "", listen: str = "port = 1") -> Path:
    path = folder / "a.toml"
    path.write_text(REQUIRED.format(listen=listen, more=more))
    return path


def complaint(path: Path, kind: type[settings.DaemonSettings] = LicenseServerSettings) -> str:
    with pytest.raises(ConfigError) as caught:
        read_settings(path, kind)
    prefix = f"{path}: "
    assert str(caught.value).startswith(prefix)
    return str(caught.value).removeprefix(prefix)


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    more = """
    accounts = "users"
    clock_file = "../clock"
    log = { file = "a.log" }
    sessions.applications = { top = { command = ["top"], folder = "work" } }
    """
    found = read_settings(write(tmp_path, more), TerminalServerSettings)
    assert found.state == f"{tmp_path}/state"
    assert found.accounts == f"{tmp_path}/users"
    assert found.clock_file == f"{tmp_path}/../clock"
    assert found.log.file == f"{tmp_path}/a.log"
    assert found.identity.certificate == f"{tmp_path}/a.crt"
    assert found.identity.authority == "/etc/ca.crt"
    assert found.sessions.applications["top"].folder == f"{tmp_path}/work"
    assert found.sessions.applications["top"].command == ("top",)


def test_a_path_that_is_not_set_stays_empty(tmp_path: Path) -> None:
    found = read_settings(write(tmp_path), LicenseServerSettings)
    assert (found.clock_file, found.log.file) == ("", "")


def test_every_key_as_long_as_a_path_is_known_as_one() -> None:
    kinds = [kind for kind in vars(settings).values() if isinstance(kind, type)]
    for kind in kinds:
        if not issubclass(kind, settings.Settings):
            continue
        known = {name for one, names in PATHS.items() if issubclass(kind, one) for name in names}
        for field in msgspec.inspect.type_info(kind).fields:  # type: ignore[attr-defined]
            is_path = getattr(field.type, "max_length", None) == 4096
            assert is_path == (field.name in known), (kind, field.name)


def test_a_missing_file(tmp_path: Path) -> None:
    assert complaint(tmp_path / "a.toml") == "cannot be read: No such file or directory"


def test_what_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(b"farm = '\xff'")
    assert complaint(path) == "expected UTF-8 text; byte 8 is none"


def test_what_is_no_toml_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text('farm = "north"\nlisten\n')
    assert complaint(path) == (
        "expected TOML: Expected '=' after a key in a key/value pair (at line 2, column 7)"
    )


def test_a_missing_key(tmp_path: Path) -> None:
    path = write(tmp_path, listen='host = "127.0.0.1"')
    assert complaint(path) == "listen.port: missing; expected a whole number from 0 to 65535"


def test_a_missing_key_at_the_top(tmp_path: Path) -> None:
    assert complaint(write(tmp_path), TerminalServerSettings) == (
        "accounts: missing; expected text of 1 to 4096 characters"
    )


def test_an_unknown_key_that_is_nearly_right(tmp_path: Path) -> None:
    path = write(tmp_path, listen="port = 1, hots = 2")
    assert complaint(path) == "listen.hots: unknown key; did you mean host?"


def test_an_unknown_key_like_no_other(tmp_path: Path) -> None:
    path = write(tmp_path, listen="port = 1, zzz = 2")
    assert complaint(path) == (
        "listen.zzz: unknown key; expected one of host, port, advertise, tls, plain_anywhere"
    )


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (
            "sweep_seconds = 0",
            "sweep_seconds: expected a number above 0, at most 31622400, found 0",
        ),
        ('sweep_seconds = "1"', "sweep_seconds: expected a number above 0, at most 31622400,"),
        ('loop = "trio"', 'loop: expected one of asyncio, uvloop, found "trio"'),
        ("log = 1", "log: expected a table, found 1"),
        ("serves = 1", "serves: expected a list, found 1"),
        (
            'serves = ["ts1", "t s"]',
            "serves[1]: expected text of 1 to 64 characters that match"
            " ^[A-Za-z0-9][A-Za-z0-9._-]*$ (name of a daemon, farm, key pack or product),"
            ' found "t s"',
        ),
        (
            'key_packs = [{ key_pack = "a", tokens = 0 }]',
            "key_packs[0].tokens: expected a whole number from 1 to 1000000, found 0",
        ),
        ('state = "b"', "expected TOML: Cannot overwrite a value (at line 6, column 12)"),
    ],
)
def test_a_wrong_value_is_told_with_key_expectation_and_finding(
    tmp_path: Path, more: str, expected: str
) -> None:
    assert complaint(write(tmp_path, more)).startswith(expected)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("directory = 1", "directory: expected a table, found 1"),
        ("sessions.screen = 1", "sessions.screen: expected true or false, found 1"),
        (
            'sessions.applications = { a = { command = ["a"] }, b = { command = [] } }',
            "sessions.applications.b.command: expected a list of at least 1 elements, found []",
        ),
        (
            'sessions.applications = { "a b" = { command = ["a"] } }',
            "sessions.applications: expected as each key text of 1 to 64 characters that match"
            " ^[A-Za-z0-9][A-Za-z0-9._-]*$ (name of a daemon, farm, key pack or product),"
            ' found ["a b"]',
        ),
    ],
)
def test_a_wrong_value_inside_tables(tmp_path: Path, more: str, expected: str) -> None:
    path = write(tmp_path, 'accounts = "users"\n' + more)
    assert complaint(path, TerminalServerSettings) == expected


def test_an_advertised_address_must_be_one_that_a_message_can_carry(tmp_path: Path) -> None:
    path = write(tmp_path, listen='port = 1, advertise = "nosuch host"')
    assert complaint(path) == (
        "listen.advertise: expected text of 0 to 253 characters that match ^[A-Za-z0-9.:_-]*$"
        ' (a host, or empty), found "nosuch host"'
    )


def test_a_long_value_is_cut(tmp_path: Path) -> None:
    path = write(tmp_path, f'loop = "{"x" * 100}"')
    assert complaint(path) == f'loop: expected one of asyncio, uvloop, found "{"x" * 59}…'


@pytest.mark.parametrize("host", ["127.0.3.4", "::1", "localhost"])
def test_plain_tcp_is_allowed_on_loopback_addresses(tmp_path: Path, host: str) -> None:
    path = write(tmp_path, listen=f'host = "{host}", port = 1, tls = false')
    assert not read_settings(path, LicenseServerSettings).listen.tls


def test_plain_tcp_elsewhere_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, listen='host = "10.0.0.1", port = 1, tls = false')
    assert complaint(path) == (
        "listen.tls: expected true, because 10.0.0.1 is no loopback address; plain TCP there needs"
        " plain_anywhere = true"
    )


def test_plain_tcp_elsewhere_is_allowed_when_it_is_written(tmp_path: Path) -> None:
    path = write(tmp_path, listen='host = "10.0.0.1", port = 1, tls = false, plain_anywhere = true')
    assert not read_settings(path, LicenseServerSettings).listen.tls


# --- another reading of the same file ----------------------------------------------------------


def changes_between(folder: Path, before: str, after: str) -> settings.Changes:
    return changes(
        *(
            read_settings(write(folder, f'accounts = "users"\n{more}'), TerminalServerSettings)
            for more in (before, after)
        )
    )


def test_a_file_that_is_read_again_unchanged_changes_nothing(tmp_path: Path) -> None:
    more = 'sessions.applications = { top = { command = ["top"] } }'
    assert changes_between(tmp_path, more, more) == settings.Changes((), ())


def test_each_changed_key_is_named_and_those_that_need_a_restart_apart(tmp_path: Path) -> None:
    before = """
    log = { level = "info" }
    directory = { host = "127.0.0.1", port = 1 }
    """
    after = """
    log = { level = "debug", file = "a.log" }
    directory = { host = "127.0.0.1", port = 2 }
    sessions = { sessions_max = 7, applications = { top = { command = ["top"] } } }
    """
    assert changes_between(tmp_path, before, after) == settings.Changes(
        reread=("log.level", "log.file", "sessions.applications"),
        restart=("directory.port", "sessions.sessions_max"),
    )


def test_a_section_that_comes_or_goes_is_named_as_a_whole(tmp_path: Path) -> None:
    found = changes_between(tmp_path, "", 'directory = { host = "127.0.0.1", port = 1 }')
    assert found == settings.Changes(reread=(), restart=("directory",))


def test_who_is_served_can_be_changed_while_a_daemon_runs(tmp_path: Path) -> None:
    old, new = (
        read_settings(write(tmp_path, more), LicenseServerSettings)
        for more in ("", 'serves = ["ts1"]')
    )
    assert changes(old, new) == settings.Changes(reread=("serves",), restart=())
