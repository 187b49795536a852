"""Which peers a license server answers."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from daemons.effects import Caller, Close
from tests.unit.license_server.scenario import (
    START,
    TEMPORARY,
    Server,
    acquire,
    claims,
    lend,
    pack,
    peer,
    renew,
    validated,
)
from tsproto import license_token
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


def test_a_renewed_key_signs_the_same_license_anew() -> None:
    server = Server("a")
    before = server.issued(acquire())
    key = Ed25519PrivateKey.from_private_bytes(b"n" * 32)
    server.core.renew(key, b"renewed")
    after = server.issued(acquire())
    assert (after.license_id, after.expires_at) == (before.license_id, before.expires_at)
    assert after.issuer_certificate == b"renewed"
    assert after.token == license_token.issue(claims(after), key) != before.token


def test_a_message_for_somebody_else_ends_the_connection() -> None:
    server = Server("a")
    stray = UpdateSession(session=None)  # type: ignore[arg-type]
    (close,) = server.core.on_message(Caller(server.terminal_server), stray, START)
    assert close == Close(server.terminal_server, ErrorCode.OUT_OF_ORDER)
