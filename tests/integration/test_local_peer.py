"""A daemon without TLS serves the user who runs it, and root; no other user of the machine."""

from __future__ import annotations

import asyncio
import os
import pwd
import socket
import subprocess
from collections.abc import Iterator

import pytest

from tests.integration.far_end import FarEnd
from tests.integration.listener import listen
from tsproto.connection import Closed
from tsproto.errors import ErrorCode
from tsproto.messages import Role
from tsproto.transport import local_peer
from tsproto.transport.local_peer import stranger, uid_of_peer

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
NOBODY = pwd.getpwnam("nobody").pw_uid


@pytest.fixture(params=["127.0.0.1", "::1"])
def listening(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in request.param else socket.AF_INET
    with socket.create_server((request.param, 0), family=family) as listening:
        yield listening


def stranger_who_reads(port: int, host: str) -> subprocess.Popen[bytes]:
    """The user nobody connects, and puts out all that comes."""
    script = (
        "import socket, sys\n"
        "with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as link:\n"
        "    while data := link.recv(4096):\n"
        "        sys.stdout.buffer.write(data)\n"
    )
    command = ["/usr/bin/env", "python3", "-c", script, host, str(port)]
    return subprocess.Popen(
        command, user="nobody", extra_groups=[], cwd="/", stdout=subprocess.PIPE
    )


def test_a_process_of_the_own_user_is_known(listening: socket.socket) -> None:
    address = listening.getsockname()[:2]
    with socket.create_connection(address), listening.accept()[0] as accepted:
        assert uid_of_peer(accepted) == os.geteuid()
        assert stranger(accepted) == ""


@needs_root
def test_another_users_process_is_known(listening: socket.socket) -> None:
    host, port = listening.getsockname()[:2]
    with stranger_who_reads(port, host) as other, listening.accept()[0] as accepted:
        assert uid_of_peer(accepted) == NOBODY
        assert stranger(accepted) == (
            f"without TLS only the user who runs this farm may connect, and you are user {NOBODY}"
        )
        accepted.close()
        other.communicate()


def test_an_end_that_was_closed_is_nobodys(listening: socket.socket) -> None:
    """The kernel would call it root's."""
    address = listening.getsockname()[:2]
    with socket.create_connection(address) as dialled, listening.accept()[0] as accepted:
        dialled.close()
        assert uid_of_peer(accepted) is None
        assert stranger(accepted).endswith("the kernel does not say who you are")


def test_without_the_kernels_word_nobody_is_served(
    listening: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = listening.getsockname()[:2]
    with socket.create_connection(address), listening.accept()[0] as accepted:
        monkeypatch.setattr(local_peer, "_NETLINK_SOCK_DIAG", 99)
        assert uid_of_peer(accepted) is None


@needs_root
async def test_a_daemon_without_tls_turns_another_user_away() -> None:
    owner = FarEnd()
    daemon = await listen(
        "127.0.0.1", 0, owner, role=Role.LICENSE_SERVER, name="ls1", farm="lab", tls=None
    )
    other = stranger_who_reads(daemon.port, "127.0.0.1")
    told, _ = await asyncio.to_thread(other.communicate, None, 20)
    assert b"only the user who runs this farm may connect" in told
    assert owner.events.empty() or isinstance(await owner.closed(), Closed)
    await daemon.close(ErrorCode.NORMAL)


@needs_root
async def test_where_the_operator_allows_plain_tcp_everybody_may_connect() -> None:
    daemon = await listen(
        "127.0.0.1",
        0,
        FarEnd(),
        role=Role.LICENSE_SERVER,
        name="ls1",
        farm="lab",
        tls=None,
        plain_anywhere=True,
    )
    other = stranger_who_reads(daemon.port, "127.0.0.1")
    while not daemon.links:
        await asyncio.sleep(0.01)
        assert other.poll() is None
    await daemon.close(ErrorCode.NORMAL)
    other.communicate()
