"""Links of a daemon that others dial, and those that it dials itself."""

from __future__ import annotations

import itertools
import socket

import msgspec

from daemons.effects import Answer, Ask, Caller, Close, Dial, Effect, Endpoint, Failed, Peer, Tell
from tests.integration.far_end import dialled
from tests.integration.scripted import (
    DIRECTORY,
    HOST,
    TERMINAL_SERVER,
    Reply,
    administrator,
    daemon,
    silence,
    told,
)
from tsproto.connection import Closed, Received, SessionBytes
from tsproto.errors import ErrorCode
from tsproto.messages import (
    Joined,
    JoinFarm,
    LicenseAccepted,
    LicenseKind,
    LogonAccepted,
    Message,
    QuerySessions,
    ResizeSession,
    Role,
)
from tsproto.transport import Link

# --- bytes of a session ---------------------------------------------------------------------------


class Echo:
    """Sends a session's bytes back, and hangs up at the word of it."""

    def on_session_bytes(self, link: Link, data: bytes) -> None:
        if data == b"bye":
            link.close(ErrorCode.LOGGED_OFF)
        else:
            link.send_session_bytes(data)

    def on_writable(self, link: Link) -> None: ...


def show_session(peer: Peer) -> list[Effect]:
    logon = LogonAccepted(host="ts1", session_id=1, user_name="ann", reattached=False, created_at=1)
    return [Tell(peer, LicenseAccepted(kind=LicenseKind.GRACE)), Tell(peer, logon)]


async def test_bytes_of_a_session_go_past_the_core() -> None:
    async with daemon(TERMINAL_SERVER, silence, traffic=Echo()) as running:
        running.core.welcome = show_session
        async with dialled(running.port, role=Role.CLIENT) as client:
            for _ in range(2):
                await client.next(Received)
            client.link.send_session_bytes(b"hello")
            assert (await client.next(SessionBytes)).data == b"hello"
            client.link.send_session_bytes(b"bye")
            assert (await client.next(Closed)).code is ErrorCode.LOGGED_OFF
            peer = await told(running, "opened")
            assert await told(running, "lost") == peer


# --- asking other daemons -------------------------------------------------------------------------


def asking(endpoint: Endpoint, timeout_seconds: float = 5.0) -> Reply:
    """Any administrative message makes it join the farm there; the first question id is 5."""
    question_ids = itertools.count(5)

    def reply(caller: Caller, message: Message) -> list[Effect]:
        join = JoinFarm(address=HOST, port=1, incarnation=bytes(16))
        return [Ask(endpoint, join, next(question_ids), timeout_seconds)]

    return reply


def joined(caller: Caller, message: Message) -> list[Effect]:
    return [Answer(caller, Joined(generation=bytes(16)))]


async def test_an_ask_dials_once_and_its_answers_come_back_with_their_question_ids() -> None:
    async with daemon(DIRECTORY, joined) as directory:
        endpoint = directory.endpoint()
        async with (
            daemon(TERMINAL_SERVER, asking(endpoint)) as running,
            administrator(running) as who,
        ):
            who.request(QuerySessions())
            who.request(QuerySessions())
            for question_id, request_id in ((5, 1), (6, 2)):
                answer = await told(running, question_id)
                assert answer == Joined(request_id=request_id, generation=bytes(16))


async def test_the_core_is_told_of_a_link_that_it_dialled() -> None:
    async with daemon(DIRECTORY, joined) as directory:
        endpoint = directory.endpoint()
        reply: Reply = lambda caller, message: [Dial(endpoint, 6)]  # noqa: E731
        async with daemon(TERMINAL_SERVER, reply) as running, administrator(running) as who:
            await told(running, "opened")
            who.request(QuerySessions())
            peer = await told(running, "opened")
            assert (peer.dialled, peer.name) == (endpoint, "sd")


async def test_an_endpoint_where_nobody_listens_is_unreachable() -> None:
    with socket.create_server((HOST, 0)) as taken:
        endpoint = Endpoint(role=Role.SESSION_DIRECTORY, host=HOST, port=taken.getsockname()[1])
    async with daemon(TERMINAL_SERVER, asking(endpoint)) as running, administrator(running) as who:
        who.request(QuerySessions())
        failed = await told(running, 5)
        assert failed.code is ErrorCode.UNREACHABLE


async def test_a_daemon_of_another_name_is_not_asked() -> None:
    async with daemon(DIRECTORY, joined) as directory:
        endpoint = msgspec.structs.replace(directory.endpoint(), name="other")
        async with (
            daemon(TERMINAL_SERVER, asking(endpoint)) as running,
            administrator(running) as who,
        ):
            who.request(QuerySessions())
            failed = await told(running, 5)
            assert failed.code is ErrorCode.WRONG_ROLE


async def test_an_ask_that_is_not_answered_in_time_fails() -> None:
    async with daemon(DIRECTORY, silence) as directory:
        ask = asking(directory.endpoint(), timeout_seconds=0.1)
        async with daemon(TERMINAL_SERVER, ask) as running, administrator(running) as who:
            who.request(QuerySessions())
            assert await told(running, 5) == Failed(ErrorCode.UNANSWERED, "no answer came in time")


async def test_an_ask_that_was_answered_does_not_fail_later() -> None:
    async with daemon(DIRECTORY, joined) as directory:
        ask = asking(directory.endpoint(), timeout_seconds=0.1)
        async with daemon(TERMINAL_SERVER, ask) as running, administrator(running) as who:
            who.request(QuerySessions())
            assert isinstance(await told(running, 5), Joined)
            directory.core.reply = silence
            who.request(QuerySessions())
            assert isinstance(await told(running, 6), Failed)


async def test_when_a_link_is_lost_its_asks_fail_and_then_the_peer_is_lost() -> None:
    def hang_up(caller: Caller, message: Message) -> list[Effect]:
        return [Close(caller.peer, ErrorCode.NOT_PERMITTED, "not you")]

    async with daemon(DIRECTORY, hang_up) as directory:
        endpoint = directory.endpoint()
        async with (
            daemon(TERMINAL_SERVER, asking(endpoint)) as running,
            administrator(running) as who,
        ):
            who.request(QuerySessions())
            assert await told(running, 5) == Failed(ErrorCode.NOT_PERMITTED, "not you")
            assert (await told(running, "lost")).dialled == endpoint


async def test_a_core_that_asks_and_then_closes_that_link_gets_its_outcome_at_once() -> None:
    async with daemon(DIRECTORY, silence) as directory:
        endpoint = directory.endpoint()
        join = JoinFarm(address=HOST, port=1, incarnation=bytes(16))

        def ask_and_close(peer: Peer) -> list[Effect]:
            if peer.dialled is None:
                return []
            return [Ask(endpoint, join, 7, 60.0), Close(peer, ErrorCode.NORMAL)]

        reply: Reply = lambda caller, message: [Dial(endpoint, 6)]  # noqa: E731
        async with daemon(TERMINAL_SERVER, reply) as running, administrator(running) as who:
            running.core.welcome = ask_and_close
            who.request(QuerySessions())
            assert await told(running, 7) == Failed(ErrorCode.CONNECTION_LOST, "we hung up")


async def test_what_a_client_says_after_it_was_hung_up_on_reaches_nobody() -> None:
    """Bytes of a session let the core decide in the middle of what one read has brought."""

    def hang_up(caller: Caller, message: Message) -> list[Effect]:
        return [Close(caller.peer, ErrorCode.OUT_OF_ORDER)]

    async with daemon(TERMINAL_SERVER, hang_up, traffic=Echo()) as running:
        running.core.welcome = show_session
        async with dialled(running.port, role=Role.CLIENT) as client:
            for _ in range(2):
                await client.next(Received)
            client.link.send(ResizeSession(columns=80, rows=24))
            client.link.send_session_bytes(b"hello")
            client.link.send(ResizeSession(columns=80, rows=25))
            client.link.flush()
            while not isinstance(event := await client.events.get(), Closed):
                pass
            assert event.code is ErrorCode.OUT_OF_ORDER
        async with administrator(running):
            pass
