"""Hello and Welcome: versions, roles, certificates."""

from __future__ import annotations

import pytest

from tests.unit.tsproto.ends import code_of, dialler, listener, message_frame, opened, talk
from tests.unit.tsproto.test_deny_list import ALICE, NOW, by_admin, by_authority, lists
from tsproto.connection import Answered, Closed, Event, Opened, Received
from tsproto.errors import ErrorCode
from tsproto.identity import Identity, fingerprint
from tsproto.messages import (
    AddKeyPack,
    AdministratorRole,
    LinkState,
    Message,
    QueryPools,
    Refused,
    Role,
    WarpClock,
)

CLIENT, TERMINAL_SERVER = Role.CLIENT, Role.TERMINAL_SERVER
TS1 = Identity("lab", TERMINAL_SERVER, "ts1")
LS1 = Identity("lab", Role.LICENSE_SERVER, "ls1")
NOTHING_SENT = b""


def hello(role: int = 2, name: str = "ts1", low: int = 2, high: int = 2) -> bytes:
    return message_frame(1, 0, low, high, role, name)


def welcome(role: int = 3, name: str = "ls1", version: int = 2) -> bytes:
    return message_frame(2, 0, version, role, name)


def heard(data: bytes, **how: object) -> list[Event]:
    """What a license server makes of a dialler's first words."""
    return listener(Role.LICENSE_SERVER, **how).receive_data(data, 0.0)


def answered(data: bytes, **how: object) -> list[Event]:
    """What a terminal server makes of a license server's first words."""
    return dialler(TERMINAL_SERVER, **how).receive_data(data, 0.0)


def test_both_ends_learn_who_the_other_is() -> None:
    client = dialler(CLIENT)
    server = listener(TERMINAL_SERVER, farm="lab")
    assert talk(client, server) == [Opened(CLIENT, "laptop1", 2, "")]
    assert server.peer_role is CLIENT
    assert client.peer_role is TERMINAL_SERVER


def test_the_dialler_learns_the_farm() -> None:
    client, server = dialler(CLIENT), listener(TERMINAL_SERVER, farm="lab")
    server.receive_data(client.data_to_send(), 0.0)
    events = client.receive_data(server.data_to_send(), 0.0)
    assert events == [Opened(TERMINAL_SERVER, "ts1", 2, "lab")]


def test_the_one_that_listens_waits_for_hello() -> None:
    assert listener(TERMINAL_SERVER).data_to_send() == NOTHING_SENT


@pytest.mark.parametrize(
    ("dialling", "state"),
    [
        (CLIENT, LinkState.LICENSING),
        (Role.ADMINISTRATOR, LinkState.SERVICE),
    ],
)
def test_a_client_goes_on_to_licensing_and_all_others_to_service(
    dialling: Role, state: LinkState
) -> None:
    first, second = opened(dialling, TERMINAL_SERVER)
    assert first.state is second.state is state


def test_the_highest_version_that_both_speak_is_taken() -> None:
    assert heard(hello(low=0, high=9)) == [Opened(TERMINAL_SERVER, "ts1", 2, "")]


@pytest.mark.parametrize(("low", "high"), [(0, 0), (1, 1), (3, 9), (9, 0)])
def test_a_peer_without_a_common_version_is_told_which_are_spoken(low: int, high: int) -> None:
    (closed,) = heard(hello(low=low, high=high))
    assert isinstance(closed, Closed)
    assert closed.code is ErrorCode.VERSION_UNSUPPORTED
    assert "speaks versions 2 to 2" in closed.detail


@pytest.mark.parametrize("version", [0, 1, 3])
def test_a_welcome_in_a_version_that_was_not_offered_is_refused(version: int) -> None:
    assert code_of(answered(welcome(version=version))) is ErrorCode.VERSION_UNSUPPORTED


def test_a_peer_is_what_its_certificate_says() -> None:
    opened_as = Opened(TERMINAL_SERVER, "ts1", 2, "lab")
    assert heard(hello(), certified=TS1, trusted=False) == [opened_as]


@pytest.mark.parametrize(
    "data",
    [hello(name="ts2"), hello(role=3), hello(role=1), hello(role=5)],
    ids=["name", "license server", "client", "administrator"],
)
def test_a_peer_that_contradicts_its_certificate_is_refused(data: bytes) -> None:
    assert code_of(heard(data, certified=TS1, trusted=False)) is ErrorCode.WRONG_ROLE


@pytest.mark.parametrize("data", [welcome(name="ls2"), welcome(role=2, name="ls1")])
def test_a_listener_that_contradicts_its_certificate_is_refused(data: bytes) -> None:
    assert code_of(answered(data, certified=LS1, trusted=False)) is ErrorCode.WRONG_ROLE


@pytest.mark.parametrize("role", [2, 3, 4, 5])
def test_without_a_certificate_only_a_client_is_believed(role: int) -> None:
    server = listener(TERMINAL_SERVER, trusted=False)
    assert code_of(server.receive_data(hello(role=role), 0.0)) is ErrorCode.WRONG_ROLE


def test_a_client_needs_no_certificate() -> None:
    server = listener(TERMINAL_SERVER, trusted=False)
    (event,) = server.receive_data(hello(role=1, name="any device"), 0.0)
    assert event == Opened(CLIENT, "any device", 2, "")


def test_a_plain_connection_believes_what_the_peer_says() -> None:
    assert heard(hello()) == [Opened(TERMINAL_SERVER, "ts1", 2, "")]


def test_a_client_has_no_business_with_a_license_server() -> None:
    assert code_of(heard(hello(role=1, name="laptop1"))) is ErrorCode.WRONG_ROLE


@pytest.mark.parametrize("role", [1, 5])
def test_neither_a_client_nor_an_administrator_welcomes(role: int) -> None:
    assert code_of(answered(welcome(role=role))) is ErrorCode.WRONG_ROLE


@pytest.mark.parametrize(
    "expected",
    [{"expect_role": Role.SESSION_DIRECTORY}, {"expect_name": "ls2"}],
)
def test_a_dialler_may_demand_role_and_name(expected: dict[str, object]) -> None:
    assert code_of(answered(welcome(), **expected)) is ErrorCode.WRONG_ROLE


def test_a_dialler_that_finds_whom_it_expected_is_content() -> None:
    events = answered(welcome(), expect_role=Role.LICENSE_SERVER, expect_name="ls1")
    assert code_of(events) is None


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (welcome(), ErrorCode.OUT_OF_ORDER),
        (message_frame(3, 0), ErrorCode.OUT_OF_ORDER),
        (message_frame(40, 1), ErrorCode.OUT_OF_ORDER),
        (message_frame(6, 1), ErrorCode.OUT_OF_ORDER),
        (message_frame(1, 5, 2, 2, 2, "ts1"), ErrorCode.MALFORMED_MESSAGE),
        (hello() + hello(), ErrorCode.OUT_OF_ORDER),
    ],
    ids=["welcome", "heartbeat", "request", "answer", "numbered hello", "second hello"],
)
def test_a_listener_hears_hello_first_and_once(data: bytes, code: ErrorCode) -> None:
    assert code_of(heard(data)) is code


def test_a_dialler_hears_welcome_first() -> None:
    assert code_of(answered(hello())) is ErrorCode.OUT_OF_ORDER


def test_a_refused_dialler_reads_why_in_a_goodbye() -> None:
    client, server = dialler(CLIENT), listener(Role.LICENSE_SERVER)
    talk(client, server)
    assert client.state is server.state is LinkState.CLOSED


# --- administrators -------------------------------------------------------------------------------

VIEWER, OPERATOR, ADMIN = AdministratorRole
PACK = AddKeyPack(key_pack="pack", product="editor", product_version=1, tokens=1)


def administered(
    role: AdministratorRole | None, message: Message
) -> tuple[list[Event], list[Event]]:
    """What a license server and then the administrator of this certificate hear of a request."""
    certified = Identity("lab", Role.ADMINISTRATOR, "admin", role)
    server = listener(Role.LICENSE_SERVER, certified=certified, trusted=False)
    administrator = dialler(Role.ADMINISTRATOR)
    talk(administrator, server)
    administrator.request(message)
    heard = server.receive_data(administrator.data_to_send(), 0.0)
    return heard, administrator.receive_data(server.data_to_send(), 0.0)


@pytest.mark.parametrize(
    ("role", "message"),
    [(VIEWER, QueryPools()), (OPERATOR, QueryPools()), (OPERATOR, WarpClock()), (ADMIN, PACK)],
)
def test_an_administrator_asks_what_its_role_permits(
    role: AdministratorRole, message: Message
) -> None:
    (received,), answered = administered(role, message)
    assert isinstance(received, Received) and not answered


@pytest.mark.parametrize(
    ("role", "message", "detail"),
    [
        (VIEWER, WarpClock(), "WarpClock: wants an administrator with the role operator"),
        (VIEWER, PACK, "AddKeyPack: wants an administrator with the role admin"),
        (OPERATOR, PACK, "AddKeyPack: wants an administrator with the role admin"),
        (None, QueryPools(), "QueryPools: wants an administrator with the role viewer"),
    ],
)
def test_more_than_the_role_permits_is_refused_and_the_role_wanted_named(
    role: AdministratorRole | None, message: Message, detail: str
) -> None:
    received, (answered,) = administered(role, message)
    assert not received and isinstance(answered, Answered)
    has = role.word if role else "none"
    assert answered.message == Refused(
        request_id=1,
        code=ErrorCode.NOT_PERMITTED,
        detail=f"{detail}; the certificate of 'admin' says {has}",
    )


def test_on_a_trusted_plain_connection_every_request_is_permitted() -> None:
    administrator, server = opened(Role.ADMINISTRATOR, Role.LICENSE_SERVER)
    administrator.request(PACK)
    (received,) = talk(administrator, server)
    assert isinstance(received, Received)


# --- deny lists -----------------------------------------------------------------------------------

STOLEN = fingerprint(ALICE[1])
REVOKED_CODE = ErrorCode.CERTIFICATE_REVOKED
REVOKED = by_authority(STOLEN)


@pytest.mark.parametrize(("certificate", "code"), [(STOLEN, REVOKED_CODE), (b"", None)])
def test_hello_of_a_revoked_certificate_is_refused(
    certificate: bytes, code: ErrorCode | None
) -> None:
    how = {"certified": TS1, "certificate": certificate, "deny_lists": lists(REVOKED)}
    assert code_of(heard(hello(), **how)) is code


def test_welcome_of_a_revoked_certificate_is_refused() -> None:
    how = {"certified": LS1, "certificate": STOLEN, "deny_lists": lists(REVOKED)}
    (closed,) = answered(welcome(), **how)
    assert isinstance(closed, Closed) and closed.code is REVOKED_CODE
    assert closed.detail.startswith(
        f"a license server 'ls1' shows a revoked certificate (SHA-256 {STOLEN.hex()})"
    )


def test_a_list_that_comes_later_counts_for_the_hello_that_comes_later() -> None:
    found = lists()
    server = listener(Role.LICENSE_SERVER, certified=TS1, certificate=STOLEN, deny_lists=found)
    found.take(REVOKED, NOW)
    assert code_of(server.receive_data(hello(), 0.0)) is REVOKED_CODE


def test_both_ends_tell_the_numbers_of_their_deny_lists() -> None:
    older = lists(by_authority(STOLEN, number=5), by_admin(STOLEN, number=6))
    newer = lists(by_authority(STOLEN, number=7), by_admin(STOLEN, number=8))
    dialling = dialler(TERMINAL_SERVER, deny_lists=older)
    server = listener(Role.LICENSE_SERVER, deny_lists=newer)
    assert talk(dialling, server) == [Opened(TERMINAL_SERVER, "ts1", 2, "", (5, 6))]
    dialling = dialler(TERMINAL_SERVER, deny_lists=older)
    server = listener(Role.LICENSE_SERVER, deny_lists=newer)
    server.receive_data(dialling.data_to_send(), 0.0)
    events = dialling.receive_data(server.data_to_send(), 0.0)
    assert events == [Opened(Role.LICENSE_SERVER, "ls1", 2, "", (7, 8))]


def test_a_client_tells_the_number_of_certificates_alone() -> None:
    has = lists(by_authority(STOLEN, number=5), by_admin(STOLEN, number=6))
    client, server = dialler(CLIENT, deny_lists=has), listener(TERMINAL_SERVER)
    assert talk(client, server) == [Opened(CLIENT, "laptop1", 2, "", (5, 0))]
