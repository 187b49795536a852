"""One question to a scripted license server: its answer, and each way in which none comes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from clients.ask import AskFailed, asking
from clients.logon.steps import Host
from tests.integration.listener import listen
from tests.integration.scripted_server import Farm
from tsproto import limits, transport
from tsproto.connection import Event, Received
from tsproto.errors import ErrorCode
from tsproto.messages import Message, Pools, QueryPools, Refused, Role

REFUSED = Refused(code=ErrorCode.NOT_PERMITTED, detail="not to you")


class Answering:
    """A license server that treats each request as `reply` does; it answers with no pools at
    first."""

    def __init__(self) -> None:
        self.reply: Callable[[transport.Link, Message], None] = answer_with(Pools(pools=[]))

    def on_events(self, link: transport.Link, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Received):
                self.reply(link, event.message)

    def on_writable(self, link: transport.Link) -> None:
        """Answers are short."""


def answer_with(answer: Message) -> Callable[[transport.Link, Message], None]:
    return lambda link, request: link.send(answer, request.request_id)


def hang_up(link: transport.Link, request: Message) -> None:
    link.close(ErrorCode.SHUTTING_DOWN)


def stay_silent(link: transport.Link, request: Message) -> None:
    """Never answers."""


class Scene:
    def __init__(self, farm: Farm, server: Answering, port: int) -> None:
        self.server = server
        self.host = Host("127.0.0.1", port, "license-a")
        self.tls = transport.daemon_tls(*farm.files(Role.ADMINISTRATOR, "admin"))

    async def pools(
        self, host: Host | None = None, role: Role = Role.LICENSE_SERVER, seconds: float = 5.0
    ) -> Pools:
        async with asking(
            host or self.host,
            role=Role.ADMINISTRATOR,
            name="admin",
            tls=self.tls,
            expect_role=role,
        ) as ask:
            return await ask(QueryPools(), Pools, seconds)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    farm, server = Farm(tmp_path / "pki"), Answering()
    listener = await listen(
        "127.0.0.1",
        0,
        server,
        role=Role.LICENSE_SERVER,
        name="license-a",
        farm=farm.name,
        tls=transport.server_tls(*farm.files(Role.LICENSE_SERVER, "license-a")),
    )
    yield Scene(farm, server, listener.port)
    await listener.close()


async def failure(scene: Scene, **how: object) -> tuple[ErrorCode, str]:
    with pytest.raises(AskFailed) as failed:
        await scene.pools(**how)  # type: ignore[arg-type]
    return failed.value.code, str(failed.value)


async def test_the_answer_to_a_question_comes(scene: Scene) -> None:
    assert await scene.pools() == Pools(request_id=1, pools=[])


async def test_a_refusal_is_told_with_its_code_and_the_daemons_name(scene: Scene) -> None:
    scene.server.reply = answer_with(REFUSED)
    assert await failure(scene) == (ErrorCode.NOT_PERMITTED, "license-a: not to you")


async def test_a_daemon_of_another_role_is_not_asked(scene: Scene) -> None:
    code, said = await failure(scene, role=Role.SESSION_DIRECTORY)
    assert code is ErrorCode.WRONG_ROLE
    assert "license-a" in said


async def test_a_daemon_of_another_name_is_not_asked(scene: Scene) -> None:
    other = Host("127.0.0.1", scene.host.port, "license-b")
    code, said = await failure(scene, host=other)
    assert code is ErrorCode.WRONG_ROLE
    assert "license-b" in said


async def test_where_nobody_listens_is_unreachable(scene: Scene) -> None:
    assert await failure(scene, host=Host("127.0.0.1", 1)) == (
        ErrorCode.UNREACHABLE,
        "127.0.0.1:1: Connection refused",
    )


async def test_no_answer_in_time_is_told_with_the_time(scene: Scene) -> None:
    scene.server.reply = stay_silent
    assert await failure(scene, seconds=0.05) == (
        ErrorCode.UNANSWERED,
        "license-a did not answer within 0.05 s",
    )


async def test_no_welcome_in_time_is_told(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "OPENING_SECONDS", 0.0)
    assert await failure(scene) == (
        ErrorCode.UNANSWERED,
        "license-a did not answer within 0 s",
    )


async def test_a_daemon_that_goes_away_in_mid_answer_is_told(scene: Scene) -> None:
    scene.server.reply = hang_up
    assert await failure(scene) == (
        ErrorCode.SHUTTING_DOWN,
        f"license-a: {ErrorCode.SHUTTING_DOWN.meaning}",
    )


async def test_no_further_question_waits_on_a_link_that_is_gone(scene: Scene) -> None:
    scene.server.reply = hang_up
    async with asking(scene.host, role=Role.ADMINISTRATOR, name="admin", tls=scene.tls) as ask:
        for _ in range(2):
            with pytest.raises(AskFailed) as failed:
                await ask(QueryPools(), Pools)
            assert failed.value.code is ErrorCode.SHUTTING_DOWN


async def test_plain_tcp_is_for_loopback_alone() -> None:
    with pytest.raises(AskFailed, match="is no loopback address") as failed:
        async with asking(Host("192.0.2.1", 5601), role=Role.ADMINISTRATOR, name="admin", tls=None):
            raise AssertionError("it was dialled")
    assert failed.value.code is ErrorCode.NOT_PERMITTED
