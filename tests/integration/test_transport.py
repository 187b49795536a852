"""Links over real sockets and real TLS, on both loops."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integration.both_ends import (
    ADMIN,
    CLIENT,
    HOST,
    INVENTORY,
    LS,
    TS,
    code_of,
    dialled,
    hello,
    listening,
)
from tests.integration.farm import Farm, Recorder
from tests.integration.listener import listen
from tsproto import certificates, identity, limits
from tsproto.codec import FrameReader, decode_message, encode
from tsproto.connection import Answered, Closed, Event, Opened, SessionBytes
from tsproto.errors import ErrorCode, TsfarmError
from tsproto.messages import (
    Goodbye,
    LicenseAccepted,
    LicenseKind,
    LinkState,
    LogonAccepted,
    Message,
    Pools,
    QueryPools,
    Welcome,
)
from tsproto.transport import DialFailed, WrongAddress, client_tls_unverified, dial
from tsproto.transport.link import Link


@pytest.fixture
def farm(tmp_path: Path) -> Farm:
    return Farm(tmp_path)


# --- opening --------------------------------------------------------------------------------------


async def test_two_daemons_know_each_other_by_their_certificates(farm: Farm) -> None:
    here, there = Recorder(), Recorder()
    tls = farm.daemon(TS, "ts1")
    async with (
        listening(there, farm.server(LS, "ls1")) as listener,
        dialled(
            listener.port, here, tls, role=TS, name="ts1", expect_role=LS, expect_name="ls1"
        ) as link,
    ):
        assert (await here.next(Opened))[1] == Opened(LS, "ls1", limits.PROTOCOL_VERSION_MAX, "lab")
        accepted, opened = await there.next(Opened)
        assert opened == Opened(TS, "ts1", limits.PROTOCOL_VERSION_MAX, "lab")
        assert link.own_certificate == identity.fingerprint(accepted.peer_certificate_der)
        assert accepted.own_certificate == identity.fingerprint(link.peer_certificate_der)
        assert listener.links == {accepted.id: accepted}


async def test_a_client_needs_no_certificate_and_sees_the_servers(farm: Farm) -> None:
    here, there = Recorder(), Recorder()
    tls = farm.server(TS, "ts1")
    async with (
        listening(there, tls, role=TS, name="ts1") as listener,
        dialled(listener.port, here, farm.client(), role=CLIENT, name="laptop1") as link,
    ):
        accepted = await there.opened()
        assert accepted.peer_certificate_der == b""
        assert accepted.connection.state is LinkState.LICENSING
        assert identity.fingerprint(link.peer_certificate_der) == tls.fingerprint


async def test_a_first_contact_sees_the_certificate_of_an_unknown_authority(farm: Farm) -> None:
    here, there = Recorder(), Recorder()
    tls = client_tls_unverified()
    async with (
        listening(there, farm.server(TS, "ts1"), role=TS, name="ts1") as listener,
        dialled(listener.port, here, tls, role=CLIENT, name="laptop1") as link,
    ):
        await here.opened()
        assert certificates.identity_of(link.peer_certificate_der).name == "ts1"


async def test_a_request_is_answered_over_tls(farm: Farm) -> None:
    here, there = Recorder(), Recorder()
    async with (
        listening(there, farm.server(LS, "ls1")) as listener,
        dialled(listener.port, here, farm.daemon(ADMIN, "admin")) as link,
    ):
        await here.opened()
        request_id = link.request(QueryPools())
        link.flush()
        assert (await here.next(Answered))[1] == Answered(Pools(request_id=request_id, pools=[]))


async def test_no_event_comes_before_the_caller_has_its_link() -> None:
    async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(encode(Goodbye(code=ErrorCode.BUSY)))
        writer.close()

    here = Recorder()
    async with await asyncio.start_server(refuse, HOST, 0) as rude:
        async with dialled(rude.sockets[0].getsockname()[1], here, None):
            assert here.told.empty()
            assert (await here.closed()).code is ErrorCode.BUSY


async def test_a_role_that_is_not_the_certificates_is_refused(farm: Farm) -> None:
    here, there = Recorder(), Recorder()
    async with (
        listening(there, farm.server(LS, "ls1")) as listener,
        dialled(listener.port, here, farm.daemon(TS, "ts1"), role=LS, name="ts1"),
    ):
        assert (await there.closed()).code is ErrorCode.WRONG_ROLE
        refused = await here.closed()
        assert (refused.code, refused.by_peer) == (ErrorCode.WRONG_ROLE, True)


async def test_without_a_certificate_nobody_is_a_daemon(farm: Farm) -> None:
    here, there = Recorder(), Recorder()
    async with (
        listening(there, farm.server(LS, "ls1")) as listener,
        dialled(listener.port, here, farm.client(), role=TS, name="ts1"),
    ):
        assert (await here.closed()).code is ErrorCode.WRONG_ROLE


async def test_a_daemon_of_another_farm_never_sees_a_welcome(farm: Farm, tmp_path: Path) -> None:
    here, there = Recorder(), Recorder()
    (tmp_path / "other").mkdir()
    other = Farm(tmp_path / "other", "other")
    tls = other.daemon(TS, "ts1")
    tls.load_verify_locations(cadata=farm.authority.decode())
    async with listening(there, farm.server(LS, "ls1")) as listener:
        # TLS 1.3: its own handshake is through before the server has judged the certificate.
        async with dialled(listener.port, here, tls, role=TS, name="ts1"):
            (_, event) = await here.told.get()
            assert isinstance(event, Closed)
            assert event == Closed(
                ErrorCode.CONNECTION_LOST,
                "the peer hung up without a word: it may not trust our certificate",
            )
        assert there.told.empty()


async def test_a_peer_that_tells_by_alert_that_our_certificate_is_refused(
    farm: Farm, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    tls = Farm(tmp_path / "other", "other").daemon(ADMIN, "admin")
    tls.load_verify_locations(cadata=farm.authority.decode())
    server_tls = farm.server(LS, "ls1")

    def refuse(listening: socket.socket) -> None:
        accepted, _ = listening.accept()
        with accepted, contextlib.suppress(ssl.SSLError):
            server_tls.wrap_socket(accepted, server_side=True)
            raise AssertionError("a certificate of another authority was taken")

    here = Recorder()
    with socket.create_server((HOST, 0)) as listening:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(asyncio.to_thread(refuse, listening))
            async with dialled(listening.getsockname()[1], here, tls):
                closed = await here.closed()
    assert closed == Closed(ErrorCode.WRONG_ROLE, "the peer refused our certificate")


@pytest.mark.parametrize("expected", [{"expect_role": TS}, {"expect_name": "ls2"}])
async def test_a_listener_that_is_not_the_expected_one_is_left(
    farm: Farm, expected: dict[str, Any]
) -> None:
    tls = farm.daemon(ADMIN, "admin")
    async with listening(Recorder(), farm.server(LS, "ls1")) as listener:
        with pytest.raises(DialFailed) as failed:
            await dial(
                HOST, listener.port, Recorder(), role=ADMIN, name="admin", tls=tls, **expected
            )
    assert failed.value.code is ErrorCode.WRONG_ROLE


async def test_a_person_is_told_which_addresses_a_certificate_has_instead(tmp_path: Path) -> None:
    farm = Farm(tmp_path, addresses=("ts1.example", "192.0.2.1"))
    async with listening(Recorder(), farm.server(TS, "ts1"), role=TS, name="ts1") as listener:
        port = listener.port
        for role, tls in ((CLIENT, farm.client()), (CLIENT, client_tls_unverified())):
            with pytest.raises(WrongAddress) as failed:
                await dial(HOST, port, Recorder(), role=role, name="laptop1", tls=tls)
            assert failed.value.code is ErrorCode.WRONG_ROLE
            assert failed.value.detail == (
                f"{HOST}:{port}: its certificate, of a terminal server 'ts1', is not for"
                " '127.0.0.1' but for ts1, ts1.example, 192.0.2.1; if 127.0.0.1 is this host's, run"
                " `tsfarm pki renew ts1 --address 127.0.0.1`"
            )
        with pytest.raises(WrongAddress):
            admin = farm.daemon(ADMIN, "admin")
            await dial(HOST, port, Recorder(), role=ADMIN, name="admin", tls=admin)


async def test_where_a_name_is_demanded_no_address_is(tmp_path: Path) -> None:
    farm, here = Farm(tmp_path, addresses=()), Recorder()
    expected = {"role": CLIENT, "name": "laptop1", "expect_name": "ts1"}
    async with (
        listening(Recorder(), farm.server(TS, "ts1"), role=TS, name="ts1") as listener,
        dialled(listener.port, here, farm.client(), **expected),
    ):
        await here.opened()


async def test_daemons_dial_roles_and_names_and_no_addresses(tmp_path: Path) -> None:
    farm, here = Farm(tmp_path, addresses=()), Recorder()
    async with (
        listening(Recorder(), farm.server(LS, "ls1")) as listener,
        dialled(listener.port, here, farm.daemon(TS, "ts1"), role=TS, name="ts1", expect_role=LS),
    ):
        await here.opened()


@pytest.mark.parametrize(
    ("host", "carried"),
    [("localhost", "LOCALHOST."), ("::1", "0:0:0:0:0:0:0:1"), ("127.0.0.1", "127.0.0.1")],
)
async def test_a_host_is_reached_at_an_address_of_its_certificate(
    tmp_path: Path, host: str, carried: str
) -> None:
    farm, here = Farm(tmp_path, addresses=(carried,)), Recorder()
    tls = farm.server(TS, "ts1")
    bound = "::1" if ":" in host else HOST
    listener = await listen(bound, 0, Recorder(), tls=tls, role=TS, name="ts1", farm="lab")
    link = await dial(host, listener.port, here, role=CLIENT, name="laptop1", tls=farm.client())
    await here.opened()
    link.close(ErrorCode.NORMAL)
    await link.wait_closed()
    await listener.close()


async def test_a_listener_of_another_authority_is_left(farm: Farm, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    tls = Farm(tmp_path / "other").client()
    async with listening(Recorder(), farm.server(TS, "ts1"), role=TS, name="ts1") as listener:
        with pytest.raises(DialFailed) as failed:
            await dial(HOST, listener.port, Recorder(), role=CLIENT, name="laptop1", tls=tls)
    assert failed.value.code is ErrorCode.WRONG_ROLE


async def test_an_older_tls_is_not_spoken(farm: Farm) -> None:
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    async with listening(Recorder(), farm.server(LS, "ls1")) as listener:
        with pytest.raises(OSError):
            await asyncio.open_connection(HOST, listener.port, ssl=old)


async def test_a_dial_that_nobody_hears_says_so_in_plain_words() -> None:
    async with listening(Recorder(), None) as listener:
        port = listener.port
    with pytest.raises(DialFailed) as failed:
        await dial(HOST, port, Recorder(), role=ADMIN, name="admin", tls=None)
    assert failed.value.detail == f"{HOST}:{port}: Connection refused"


@pytest.mark.parametrize(
    ("host", "more", "code"),
    [
        (HOST, {}, ErrorCode.UNREACHABLE),
        ("localhost", {"server_hostname": "a..b", "tls": True}, ErrorCode.UNREACHABLE),
        ("192.0.2.1", {}, ErrorCode.NOT_PERMITTED),
        ("example.invalid", {}, ErrorCode.NOT_PERMITTED),
    ],
)
async def test_a_dial_that_fails_says_why(host: str, more: dict[str, Any], code: ErrorCode) -> None:
    tls = client_tls_unverified() if more.pop("tls", False) else None
    async with listening(Recorder(), None) as listener:
        port = listener.port
    with pytest.raises(DialFailed) as failed:
        await dial(host, port, Recorder(), role=ADMIN, name="admin", tls=tls, **more)
    assert failed.value.code is code


async def test_a_link_comes_from_the_source_that_was_asked_for() -> None:
    here, there = Recorder(), Recorder()
    async with listening(there, None) as listener:
        async with dialled(listener.port, here, None, source="127.0.0.9"):
            assert (await there.opened()).host == "127.0.0.9"


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("192.0.2.1", "192.0.2.1 is no address of this machine"),
        ("localhost", "'localhost' is no IP address"),
    ],
)
async def test_a_source_that_is_not_ours_is_named(source: str, says: str) -> None:
    async with listening(Recorder(), None) as listener:
        with pytest.raises(DialFailed, match=says) as failed:
            await dial(
                HOST, listener.port, Recorder(), role=ADMIN, name="admin", tls=None, source=source
            )
    assert failed.value.code is ErrorCode.NOT_PERMITTED


async def test_a_dial_to_one_that_never_shakes_hands_has_an_end(farm: Farm) -> None:
    tls = farm.client()
    with socket.create_server((HOST, 0)) as silent, pytest.raises(DialFailed) as failed:
        port = silent.getsockname()[1]
        await dial(HOST, port, Recorder(), role=CLIENT, name="x", tls=tls, timeout_seconds=0.1)
    assert failed.value.code is ErrorCode.UNREACHABLE


async def test_plain_tcp_is_for_loopback_unless_it_is_allowed() -> None:
    with pytest.raises(TsfarmError, match="no loopback address"):
        await listen("0.0.0.0", 0, Recorder(), role=LS, name="ls1", farm="lab", tls=None)
    listener = await listen(
        "0.0.0.0", 0, Recorder(), role=LS, name="ls1", farm="lab", tls=None, plain_anywhere=True
    )
    await listener.close()


# --- the end --------------------------------------------------------------------------------------


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
async def test_everything_queued_and_the_goodbye_arrive_before_the_end(
    farm: Farm, secure: bool
) -> None:
    there = Recorder()
    tls = farm.server(LS, "ls1") if secure else None
    client = farm.daemon(LS, "ls2") if secure else None
    async with listening(there, tls) as listener:
        reader, writer = await asyncio.open_connection(HOST, listener.port, ssl=client)
        writer.write(hello(LS, "ls2"))
        link = await there.opened()
        for _ in range(200):
            link.send(INVENTORY)
        link.close(ErrorCode.SHUTTING_DOWN, "for an update")
        frames, messages = FrameReader(limits.FRAME_BYTES), list[Message]()
        while not messages or not isinstance(messages[-1], Goodbye):
            data = await reader.read(1 << 16)
            assert data
            messages += [decode_message(body) for _, body in frames.feed(data)]
        assert len(messages) == 1 + 200 + 1
        assert isinstance(messages[0], Welcome)
        assert code_of(messages) is ErrorCode.SHUTTING_DOWN
        writer.close()
        await link.wait_closed()
        assert there.told.empty()


async def test_a_listener_that_closes_says_goodbye_on_every_link(farm: Farm) -> None:
    here, there = Recorder(), Recorder()
    async with listening(there, farm.server(LS, "ls1")) as listener:
        async with dialled(listener.port, here, farm.daemon(ADMIN, "admin")):
            await here.opened()
            await listener.close()
            assert (await here.closed()).code is ErrorCode.SHUTTING_DOWN
        assert not listener.links


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
async def test_a_peer_that_vanishes_is_lost(farm: Farm, secure: bool) -> None:
    there = Recorder()
    tls = farm.server(LS, "ls1") if secure else None
    client = farm.daemon(ADMIN, "admin") if secure else None
    async with listening(there, tls) as listener:
        _, writer = await asyncio.open_connection(HOST, listener.port, ssl=client)
        writer.write(hello(ADMIN, "admin"))
        await there.opened()
        writer.transport.abort()
        closed = await there.closed()
        assert (closed.code, closed.by_peer) == (ErrorCode.CONNECTION_LOST, True)
        assert not listener.links


class Failing(Recorder):
    """An owner that cannot bear to be asked; its error looks like one of the network."""

    def on_events(self, link: Link, events: list[Event]) -> None:
        super().on_events(link, events)
        if any(not isinstance(event, Opened | Closed) for event in events):
            raise OSError("the disk is on fire")


async def test_an_owners_failure_reaches_the_loops_exception_handler(farm: Farm) -> None:
    faults: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, fault: faults.append(fault))
    here, there = Recorder(), Failing()
    async with (
        listening(there, farm.server(LS, "ls1")) as listener,
        dialled(listener.port, here, farm.daemon(ADMIN, "admin")) as link,
    ):
        await here.opened()
        link.request(QueryPools())
        link.flush()
        assert (await here.closed()).code is ErrorCode.CONNECTION_LOST
        assert (await there.closed()).code is ErrorCode.CONNECTION_LOST
    assert [str(fault["exception"]) for fault in faults] == ["the disk is on fire"]


# --- session bytes --------------------------------------------------------------------------------


@asynccontextmanager
async def session(tls: ssl.SSLContext | None, client_tls: ssl.SSLContext | None) -> Any:
    """A terminal server's link and a client's, in SESSION, with their owners."""
    here, there = Recorder(), Recorder()
    async with (
        listening(there, tls, role=TS, name="ts1") as listener,
        dialled(listener.port, here, client_tls, role=CLIENT, name="laptop1") as link,
    ):
        accepted = await there.opened()
        accepted.send(LicenseAccepted(kind=LicenseKind.FULL))
        accepted.send(
            LogonAccepted(
                host="ts1", session_id=1, user_name="user1", reattached=False, created_at=0
            )
        )
        accepted.flush()
        await here.opened()
        while link.connection.state is not LinkState.SESSION:
            await here.told.get()
        yield accepted, there, link, here


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
async def test_a_client_that_does_not_read_stops_the_session_and_later_gets_all(
    farm: Farm, secure: bool
) -> None:
    tls = farm.server(TS, "ts1") if secure else None
    client = farm.client() if secure else None
    async with session(tls, client) as (accepted, there, link, here):
        link.pause_reading()
        chunk, sent = bytes(4_096), 0
        there.writable.clear()
        while accepted.send_session_bytes(chunk):
            sent += len(chunk)
            await asyncio.sleep(0)
        sent += len(chunk)
        assert not there.writable.is_set()
        link.resume_reading()
        await there.writable.wait()
        got = 0
        while got < sent:
            _, event = await here.next(SessionBytes)
            got += len(event.data)
        assert got == sent
        assert accepted.send_session_bytes(b"more")


async def test_keys_and_output_pass_in_both_directions(farm: Farm) -> None:
    async with session(farm.server(TS, "ts1"), farm.client()) as (accepted, there, link, here):
        assert link.send_session_bytes(b"ls\r")
        assert (await there.next(SessionBytes))[1] == SessionBytes(b"ls\r")
        assert accepted.send_session_bytes(b"a b\r\n")
        assert (await here.next(SessionBytes))[1] == SessionBytes(b"a b\r\n")
