"""The dependency rule, and what else a machine can check about the shape of the project.

The rules stand in `tests.rules`. The second half proves of each that it can fail.
"""

from __future__ import annotations

from fnmatch import fnmatch

import pytest

from tests.rules import (
    EXEMPT_FROM_LENGTH,
    EXEMPT_FROM_TESTS,
    FILE_LINES_MAX,
    IMPURE,
    PRINT_BY_THEMSELVES,
    PRODUCT,
    PURE,
    ROOT,
    File,
    Rule,
    daemons_and_clients_meet_only_in_messages,
    daemons_meet_only_in_messages,
    files_are_short,
    files_in,
    files_without_tests,
    names_say_something,
    no_terminal_is_inherited,
    no_test_sleeps,
    nothing_decided_is_dropped,
    text_is_printed_in_one_place,
    the_neutral_imports_neither,
    the_pure_imports_the_pure,
    the_pure_touches_nothing,
    the_store_knows_no_core,
    tsproto_knows_nobody,
    used_again,
)
from tsproto.errors import RETIRED_CODES, ErrorCode
from tsproto.messages import RETIRED, Message, number_of


def assert_kept(rule: Rule, *folders: str) -> None:
    broken = [line for file in files_in(*folders) for line in rule(file)]
    assert not broken, "\n" + "\n".join(broken)


def test_tsproto_imports_only_its_libraries_and_itself() -> None:
    assert_kept(tsproto_knows_nobody, "tsproto")


def test_pure_files_touch_nothing_outside() -> None:
    assert_kept(the_pure_touches_nothing, *PRODUCT)


def test_pure_files_import_no_shell_store_or_transport() -> None:
    assert_kept(the_pure_imports_the_pure, *PRODUCT)


def test_one_daemon_never_imports_another() -> None:
    assert_kept(daemons_meet_only_in_messages, "daemons")


def test_daemons_and_clients_never_import_each_other() -> None:
    assert_kept(daemons_and_clients_meet_only_in_messages, "daemons", "clients")


def test_what_daemons_and_clients_share_imports_neither() -> None:
    assert_kept(the_neutral_imports_neither, "daemons")


def test_the_store_never_imports_a_core() -> None:
    assert_kept(the_store_knows_no_core, "daemons")


def test_no_module_has_an_empty_name() -> None:
    assert_kept(names_say_something, *PRODUCT, "tests", "bench")


def test_no_file_is_too_long() -> None:
    assert_kept(files_are_short, *PRODUCT, "tests", "bench")


def test_no_test_sleeps() -> None:
    assert_kept(no_test_sleeps, "tests")


def test_text_is_printed_in_one_place() -> None:
    assert_kept(text_is_printed_in_one_place, "clients", "daemons")


def test_no_pty_is_forked() -> None:
    assert_kept(no_terminal_is_inherited, *PRODUCT, "tests", "bench")


def test_no_effect_and_no_procedure_is_dropped() -> None:
    assert_kept(nothing_decided_is_dropped, "daemons")


def test_every_source_file_has_its_test_file() -> None:
    tests = files_in(
        "tests/unit", "tests/conformance", "tests/integration", "tests/simulation", "tests/fuzz"
    )
    imported = [found.target for file in tests for found in file.imports()]
    missing = files_without_tests(files_in(*PRODUCT), [test.path for test in tests], imported)
    assert not missing, "\n" + "\n".join(missing)


def test_every_exception_is_still_needed() -> None:
    paths = [file.path for file in files_in(*PRODUCT)]
    for exceptions in (PURE, IMPURE, EXEMPT_FROM_TESTS, EXEMPT_FROM_LENGTH, PRINT_BY_THEMSELVES):
        stale = [p for p in exceptions if not any(fnmatch(path, p) for path in paths)]
        assert not stale, f"no file is called {stale} any more"


def test_message_numbers_are_never_used_again() -> None:
    numbers = [number_of(message) for message in Message.__subclasses__()]
    assert not (again := used_again(numbers, RETIRED)), f"numbers {again} mean two messages"


def test_error_codes_are_never_used_again() -> None:
    assert not used_again([*ErrorCode], tuple(RETIRED_CODES))


def test_requirements_name_no_host() -> None:
    for path in sorted(ROOT.glob("requirements*.txt")):
        assert "://" not in path.read_text(encoding="utf-8"), f"{path.name} names a host"


# --- each rule can fail ---------------------------------------------------------------------------

CORE = "daemons/session_directory/core.py"
DECIDES = """
def alone() -> list[Effect]: ...
class Part:
    def decided(self) -> list[Effect]: ...
    def only_one(self) -> list[Effect]: ...
class Quiet:
    def decided(self) -> None: ...
    def waits(self) -> None: ...
class Whole:
    def __init__(self, part: Part, quiet: Quiet) -> None:
        self.part = part
        self.quiet = quiet
        self.made = Quiet()
    def decided(self) -> list[Effect]: ...
    def waits(self) -> Procedure[int]: ...
    def runs(self) -> Procedure[None]:
"""


@pytest.mark.parametrize(
    ("rule", "path", "source", "named"),
    [
        (tsproto_knows_nobody, "tsproto/codec.py", "import structlog", "structlog"),
        (tsproto_knows_nobody, "tsproto/codec.py", "from daemons import effects", "daemons"),
        (the_pure_touches_nothing, "tsproto/codec.py", "import asyncio", "asyncio"),
        (the_pure_touches_nothing, CORE, "from time import monotonic", "time.monotonic"),
        (the_pure_touches_nothing, CORE, "import os.path", "os.path"),
        (the_pure_touches_nothing, CORE, "def f():\n    import random", "random"),
        (
            the_pure_touches_nothing,
            "daemons/license_server/any_name.py",
            "import logging",
            "logging",
        ),
        (the_pure_touches_nothing, "daemons/effects.py", "import socket", "socket"),
        (the_pure_touches_nothing, "clients/logon/procedure.py", "import ssl", "ssl"),
        (the_pure_imports_the_pure, CORE, "from daemons import shell", "daemons.shell"),
        (the_pure_imports_the_pure, CORE, "from daemons.store.sqlite import X", "sqlite"),
        (the_pure_imports_the_pure, CORE, "import daemons.store", "daemons.store"),
        (the_pure_imports_the_pure, CORE, "import daemons.config", "daemons.config"),
        (the_pure_imports_the_pure, CORE, "from daemons.accounts import x", "daemons.accounts"),
        (the_pure_imports_the_pure, CORE, "from tsproto.transport import dial", "transport"),
        (the_pure_imports_the_pure, CORE, "from . import __main__", "__main__"),
        (the_pure_imports_the_pure, "tsproto/codec.py", "from .transport.link import Link", "link"),
        (daemons_meet_only_in_messages, CORE, "import daemons.license_server.core", "license"),
        (daemons_meet_only_in_messages, CORE, "from ..license_server import core", "license"),
        (daemons_meet_only_in_messages, "daemons/lab.py", "import daemons.license_server", "lic"),
        (
            daemons_and_clients_meet_only_in_messages,
            CORE,
            "import clients.logon.procedure",
            "clients",
        ),
        (daemons_and_clients_meet_only_in_messages, "clients/pki.py", "import daemons", "daemo"),
        (daemons_and_clients_meet_only_in_messages, "clients/lab.py", "import daemons.lab", "lab"),
        (
            daemons_and_clients_meet_only_in_messages,
            "clients/lab.py",
            "def f():\n    import daemons.license_server.core",
            "core",
        ),
        (the_neutral_imports_neither, "daemons/files/x.py", "import daemons.config", "config"),
        (the_neutral_imports_neither, "daemons/files/x.py", "import clients.files", "clients"),
        (
            the_store_knows_no_core,
            "daemons/store/sqlite.py",
            "import daemons.license_server.core",
            "core",
        ),
        (
            the_store_knows_no_core,
            "daemons/store/x.py",
            "from daemons.effects import Answer",
            "Answer",
        ),
        (names_say_something, "daemons/utils.py", "", "util"),
        (names_say_something, "clients/session_manager.py", "", "manager"),
        (names_say_something, "tests/common/test_x.py", "", "common"),
        (files_are_short, CORE, "\n" * (FILE_LINES_MAX + 1), "two files"),
        (no_test_sleeps, "tests/unit/test_x.py", "import time\ntime.sleep(1)", ":2"),
        (no_test_sleeps, "tests/unit/test_x.py", "from time import sleep", "time.sleep"),
        (text_is_printed_in_one_place, "clients/a.py", "import click\nclick.echo('')", "a.py:2"),
        (text_is_printed_in_one_place, "daemons/a.py", "def f() -> None:\n    print(1)", "a.py:2"),
        (text_is_printed_in_one_place, "clients/a.py", "import sys\nsys.stderr.write('')", ":2"),
        (no_terminal_is_inherited, CORE, "import pty\npty.fork()", "pty.fork"),
        (no_terminal_is_inherited, CORE, "import os\nos.forkpty()", "os.forkpty"),
        (nothing_decided_is_dropped, CORE, f"{DECIDES}        self.decided()", "do(*…)"),
        (nothing_decided_is_dropped, CORE, f"{DECIDES}        self.part.decided()", "do(*…)"),
        (nothing_decided_is_dropped, CORE, f"{DECIDES}        self.waits()", "never run"),
        (nothing_decided_is_dropped, CORE, f"{DECIDES}        alone()", "dropped"),
        (nothing_decided_is_dropped, CORE, f"{DECIDES}        alone().x.only_one()", "dropped"),
        (
            nothing_decided_is_dropped,
            CORE,
            f"{DECIDES}        x = yield from self.decided()",
            "waits for nothing",
        ),
        (
            nothing_decided_is_dropped,
            "daemons/terminal_server/any_name.py",
            "def f(grace):\n    grace.on_connection_accepted(1)",
            "grace.on_connection_accepted",
        ),
    ],
)
def test_a_broken_rule_is_named_with_its_file(
    rule: Rule, path: str, source: str, named: str
) -> None:
    [broken] = rule(File(path, source))
    assert broken.startswith(path)
    assert named in broken


@pytest.mark.parametrize(
    ("rule", "path", "source"),
    [
        (tsproto_knows_nobody, "tsproto/codec.py", "import msgspec, struct\nfrom . import limits"),
        (tsproto_knows_nobody, CORE, "import structlog"),
        (the_pure_touches_nothing, "tsproto/transport/link.py", "import asyncio"),
        (the_pure_touches_nothing, "daemons/shell.py", "import time"),
        (the_pure_touches_nothing, CORE, "import timeit_of_nobody, osmosis"),
        (the_pure_imports_the_pure, CORE, "from daemons.effects import Answer"),
        (the_pure_imports_the_pure, CORE, "from daemons.session_directory import records"),
        (the_pure_imports_the_pure, CORE, "from tsproto import limits, messages"),
        (the_pure_imports_the_pure, "daemons/shell.py", "from daemons.store import Store"),
        (daemons_meet_only_in_messages, CORE, "import daemons.session_directory.tickets"),
        (
            daemons_and_clients_meet_only_in_messages,
            "clients/lab.py",
            "def f():\n    from daemons.license_server.__main__ import main",
        ),
        (
            daemons_and_clients_meet_only_in_messages,
            "clients/lab.py",
            "def f():\n    from daemons import lab",
        ),
        (
            daemons_and_clients_meet_only_in_messages,
            "clients/device.py",
            "from daemons.files import durable",
        ),
        (
            the_neutral_imports_neither,
            "daemons/files/x.py",
            "from tsproto.errors import TsfarmError",
        ),
        (the_store_knows_no_core, "daemons/store/x.py", "from daemons.effects import Record"),
        (names_say_something, "daemons/session_directory/placements.py", ""),
        (files_are_short, CORE, "\n" * FILE_LINES_MAX),
        (no_test_sleeps, "tests/unit/test_x.py", "import asyncio\nasyncio.sleep(0)"),
        (text_is_printed_in_one_place, "clients/a.py", "from clients.say import show\nshow('')"),
        (text_is_printed_in_one_place, "tests/demo/a.py", "print(1)"),
        (no_terminal_is_inherited, CORE, "import os\nos.openpty()"),
        (nothing_decided_is_dropped, CORE, f"{DECIDES}        return self.decided()"),
        (nothing_decided_is_dropped, CORE, f"{DECIDES}        self.do(*self.decided())"),
        (nothing_decided_is_dropped, CORE, f"{DECIDES}        yield from self.waits()"),
        (nothing_decided_is_dropped, CORE, f"{DECIDES}        self.quiet.decided()"),
        (nothing_decided_is_dropped, CORE, f"{DECIDES}        self.made.waits()"),
        (nothing_decided_is_dropped, "clients/pki.py", f"{DECIDES}        self.decided()"),
    ],
)
def test_what_is_allowed_is_not_named(rule: Rule, path: str, source: str) -> None:
    assert rule(File(path, source)) == []


def test_a_missing_test_file_is_named_and_a_namesakes_does_not_count() -> None:
    sources = [File(path, "") for path in ("daemons/a/core.py", "daemons/b/core.py")]
    assert files_without_tests(sources[:1], ["tests/unit/test_core.py"]) == []
    [missing] = files_without_tests(sources, ["tests/unit/a/test_core.py"])
    assert missing == "daemons/b/core.py: no tests/…/b/test_core.py"
    assert files_without_tests([File("tsproto/limits.py", "")], []) == []
    assert files_without_tests(sources[:1], [], ["daemons.a.core.Core"]) == []


def test_a_number_that_is_used_again_is_named() -> None:
    assert used_again([1, 2, 2], ()) == [2]
    assert used_again([1, 2], (2,)) == [2]
    assert used_again([1, 2], (3, 3)) == [3]
    assert used_again([1, 2], (3,)) == []
