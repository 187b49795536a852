"""Which peers a license server answers."""

from __future__ import annotations

from daemons.effects import Caller, Close
from tests.unit.license_server.scenario import (
    START,
    TEMPORARY,
    Server,
    acquire,
    lend,
    pack,
    peer,
    renew,
    validated,
)
from tsproto.errors import ErrorCode
from tsproto.messages import Role, UpdateSession


def test_only_the_listed_terminal_servers_are_served() -> None:
    server = Server("a", serves=("ts1",))
    stranger = peer("ts2", Role.TERMINAL_SERVER)
    for request in (acquire(), renew(b"?" * 16), validated()):
        assert server.refused(request, stranger).code is ErrorCode.SERVER_NOT_SERVED
    assert server.licenses() == []
    assert server.issued(acquire()).kind is TEMPORARY


def test_license_servers_need_no_place_in_the_list_of_terminal_servers() -> None:
    server = Server("b", pack(1), serves=("ts1",))
    asker = peer("a", Role.LICENSE_SERVER)
    lent = server.issued(lend(), asker)
    assert server.issued(renew(lent.license_id), asker) == lent


def test_a_message_for_somebody_else_ends_the_connection() -> None:
    server = Server("a")
    stray = UpdateSession(session=None)  # type: ignore[arg-type]
    (close,) = server.core.on_message(Caller(server.terminal_server), stray, START)
    assert close == Close(server.terminal_server, ErrorCode.OUT_OF_ORDER)
