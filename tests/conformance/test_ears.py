"""What the suite takes for a link that a target has dialled."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from clients.conformance.ears import Ear, first_caller
from clients.conformance.over_sockets import Address
from clients.conformance.trust import Trust
from tsproto import certificates
from tsproto.messages import Role

ANYWHERE = Address("127.0.0.1", 0)
FARM = Trust.invented("ears")


@pytest.fixture
def ear() -> Iterator[Ear]:
    made = Ear(Role.LICENSE_SERVER, "ls1", ANYWHERE, FARM)
    yield made
    made.close()


def dial(ear: Ear) -> socket.socket:
    return socket.create_connection((ear.address.host, ear.address.port), 5.0)


def dial_with_tls(ear: Ear) -> ssl.SSLSocket:
    return FARM.client_context(None).wrap_socket(dial(ear))


def test_a_link_that_was_given_up_is_passed_over(ear: Ear) -> None:
    dial(ear).close()
    with ThreadPoolExecutor(1) as dialler:
        dialled = dialler.submit(dial_with_tls, ear)
        line = first_caller([ear], 5.0)
        assert line is not None
        with dialled.result() as link:
            link.sendall(b"hello")
            shown = certificates.identity_of(link.getpeercert(binary_form=True) or b"")
            assert line.read(5.0) == b"hello"
        line.close()
    assert (shown.role, shown.name) == (Role.LICENSE_SERVER, "ls1")


def test_the_first_of_several_that_is_dialled_answers(ear: Ear) -> None:
    plain = Ear(Role.LICENSE_SERVER, "ls2", ANYWHERE, None)
    with dial(plain):
        line = first_caller([ear, plain], 5.0)
        assert line is not None and line.name == "ls2"
        line.close()
    plain.close()


def test_whoever_has_dialled_before_is_forgotten(ear: Ear) -> None:
    with dial(ear):
        ear.forget_callers()
        assert ear.pick_up(0.0) is None


def test_nobody_dials(ear: Ear) -> None:
    assert first_caller([ear], 0.01) is None
