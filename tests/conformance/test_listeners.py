"""What the suite takes for a link that a target has dialled."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from clients.conformance.listeners import Listener, first_caller
from clients.conformance.over_sockets import Address
from clients.conformance.trust import Trust
from tsproto import certificates
from tsproto.messages import Role

ANYWHERE = Address("127.0.0.1", 0)
FARM = Trust.invented("ears")


@pytest.fixture
def listener() -> Iterator[Listener]:
    made = Listener(Role.LICENSE_SERVER, "ls1", ANYWHERE, FARM)
    yield made
    made.close()


def dial(listener: Listener) -> socket.socket:
    return socket.create_connection((listener.address.host, listener.address.port), 5.0)


def dial_with_tls(listener: Listener) -> ssl.SSLSocket:
    return FARM.client_context(None).wrap_socket(dial(listener))


def test_a_link_that_was_given_up_is_passed_over(listener: Listener) -> None:
    dial(listener).close()
    with ThreadPoolExecutor(1) as dialler:
        dialled = dialler.submit(dial_with_tls, listener)
        line = first_caller([listener], 5.0)
        assert line is not None
        with dialled.result() as link:
            link.sendall(b"hello")
            shown = certificates.identity_of(link.getpeercert(binary_form=True) or b"")
            assert line.read(5.0) == b"hello"
        line.close()
    assert (shown.role, shown.name) == (Role.LICENSE_SERVER, "ls1")


def test_the_first_of_several_that_is_dialled_answers(listener: Listener) -> None:
    plain = Listener(Role.LICENSE_SERVER, "ls2", ANYWHERE, None)
    with dial(plain):
        line = first_caller([listener, plain], 5.0)
        assert line is not None and line.name == "ls2"
        line.close()
    plain.close()


def test_whoever_has_dialled_before_is_forgotten(listener: Listener) -> None:
    with dial(listener):
        listener.forget_callers()
        assert listener.pick_up(0.0) is None


def test_nobody_dials(listener: Listener) -> None:
    assert first_caller([listener], 0.01) is None
