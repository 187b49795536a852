"""Who may say what to whom, as the table has it."""

from __future__ import annotations

from tsproto.errors import OutOfOrder, WrongRole
from tsproto.lawful import have_business, lawful, unlawful
from tsproto.messages import (
    AcquireLicense,
    AnnounceInventory,
    Goodbye,
    Heartbeat,
    LicenseAccepted,
    LicenseInfo,
    LicenseStored,
    LinkState,
    LogonStart,
    QueryAuthority,
    Role,
)

CLIENT, TERMINAL_SERVER = Role.CLIENT, Role.TERMINAL_SERVER


def test_a_client_in_licensing_may_show_its_license_and_no_more() -> None:
    steps = {QueryAuthority, LicenseInfo, LicenseStored}
    allowed = lawful(CLIENT, TERMINAL_SERVER, LinkState.LICENSING)
    assert allowed >= steps | {Heartbeat, Goodbye}
    assert not allowed & {LogonStart, LicenseAccepted, AcquireLicense}


def test_nothing_is_lawful_after_the_end() -> None:
    assert not lawful(CLIENT, TERMINAL_SERVER, LinkState.CLOSED)


def test_what_is_unlawful_between_two_roles_is_wrong_role_and_otherwise_out_of_order() -> None:
    state = LinkState.LICENSING
    assert type(unlawful(AcquireLicense, CLIENT, TERMINAL_SERVER, state)) is WrongRole
    assert type(unlawful(LogonStart, CLIENT, TERMINAL_SERVER, state)) is OutOfOrder
    assert type(unlawful(LogonStart, TERMINAL_SERVER, CLIENT, state)) is WrongRole
    announced = unlawful(AnnounceInventory, TERMINAL_SERVER, Role.LICENSE_SERVER, state)
    assert type(announced) is WrongRole


def test_only_roles_that_have_something_to_say_may_dial_each_other() -> None:
    dialled = {(a, b) for a in Role for b in Role if a is not b and have_business(a, b)}
    assert dialled == {
        (CLIENT, TERMINAL_SERVER),
        (TERMINAL_SERVER, CLIENT),  # it speaks to clients, who never listen
        (TERMINAL_SERVER, Role.LICENSE_SERVER),
        (TERMINAL_SERVER, Role.SESSION_DIRECTORY),
        (Role.ADMINISTRATOR, TERMINAL_SERVER),
        (Role.ADMINISTRATOR, Role.LICENSE_SERVER),
        (Role.ADMINISTRATOR, Role.SESSION_DIRECTORY),
    }
    assert have_business(Role.LICENSE_SERVER, Role.LICENSE_SERVER)
    assert not have_business(TERMINAL_SERVER, TERMINAL_SERVER)
