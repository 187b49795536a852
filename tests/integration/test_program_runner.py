"""Sessions on real PTYs: shown, left, shown again, also by the next terminal server."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
import pytest
import structlog
from pyghostty import Terminal

from daemons import settings
from daemons.effects import Challenged, NotProved, ProgramFailed, ProgramStarted, Proved
from daemons.events import KeeperFound, KeeperLost
from daemons.keeper.messages import STATUS_UNKNOWN
from tests.integration.keepers import (
    end_process,
    folder_with_keeper,
    is_readable,
    keeper_pid,
    room_for_descriptors,
)
from tests.integration.sessions import COLUMNS, ROWS, USUAL, Client, Server, terminal_server
from tsproto.errors import ErrorCode
from tsproto.user_proof import Asked

PLAIN = msgspec.structs.replace(USUAL, screen=False)
# What a pager or an editor does: the alternate screen, a picture, a key, and back.
FULL_SCREEN = (
    "printf '$ before\\r\\n';"
    " printf '\\033[?1049h\\033[?25l\\033[H\\033[7mtitle\\033[m\\033[5;3Htext\\033[10;1H:';"
    " read key;"
    " printf '\\033[?25h\\033[?1049l$ after.'; read key"
)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with folder_with_keeper(tmp_path) as folder:
        yield folder


def picture(*received: bytes) -> list[str]:
    """What a client's terminal shows after this."""
    terminal = Terminal(COLUMNS, ROWS, scrollback=0)
    for data in received:
        terminal.feed(data)
    rows: list[str] = terminal.text().rstrip("\n").split("\n")
    return rows


async def new_session(
    server: Server, session_id: int = 1, *, command: str = "", takes: float = float("inf")
) -> Client:
    """The client of a new session: of this command, or of a shell."""
    assert isinstance(await server.start(session_id, command=command), ProgramStarted)
    client = server.client(takes)
    server.attach(client, session_id, fresh=True)
    return client


async def until_ended(pidfd: int) -> None:
    assert await asyncio.to_thread(is_readable, pidfd, 20)
    os.close(pidfd)


async def test_bytes_go_both_ways(folder: Path) -> None:
    async with terminal_server(folder) as server:
        client = await new_session(server)
        server.type(client, b"echo sum''=$((1+1)).\n")
        await client.until(b"sum=")
        assert await client.until(b"\r\n") == b"2."


async def test_a_command_gives_all_its_bytes_in_order_then_its_status(folder: Path) -> None:
    async with terminal_server(folder) as server:
        client = await new_session(server, command="seq 20000; exit 5")
        assert await server.ended.get() == (1, 5)
        assert client.received == b"".join(b"%d\n" % number for number in range(1, 20001))


async def test_a_command_that_ends_before_it_is_shown_loses_nothing(folder: Path) -> None:
    async with terminal_server(folder) as server:
        outcome = await server.start(command="echo quick; exit 1")
        assert isinstance(outcome, ProgramStarted)
        await until_ended(os.pidfd_open(outcome.pid))
        client = server.client()
        server.attach(client, fresh=True)
        assert await server.ended.get() == (1, 1)
        assert client.received == b"quick\n"


async def test_a_program_whose_client_has_left_goes_on(folder: Path) -> None:
    async with terminal_server(folder) as server:
        await server.start(command="seq 50000; exit 4")
        server.detach()
        assert await server.ended.get() == (1, 4)


async def test_a_program_is_ended_that_nobody_came_for(folder: Path) -> None:
    async with terminal_server(folder) as server:
        await server.start(command="trap 'seq 50000; exit 4' HUP; read go")
        server.end()
        assert await server.ended.get() in [(1, 4), (1, 128 + signal.SIGHUP)]


async def test_a_program_that_finds_no_room_here_is_refused_and_ended(folder: Path) -> None:
    async with terminal_server(folder) as server:
        await server.start(1)
        with room_for_descriptors(2):
            assert isinstance(await server.start(2), ProgramFailed)
        assert await server.sessions.adopt() == [1]


async def test_a_background_job_does_not_hold_up_the_end(folder: Path) -> None:
    async with terminal_server(folder) as server:
        client = await new_session(server, command="sleep 1000 & echo done.")
        assert await server.ended.get() == (1, 0)
        assert client.received == b"done.\n"


async def test_an_application_runs_by_its_name(folder: Path) -> None:
    applications = {"greeter": settings.Application(command=("/bin/echo", "hello"), folder="/")}
    given = msgspec.structs.replace(USUAL, applications=applications)
    async with terminal_server(folder, given) as server:
        await server.start(application="greeter")
        client = server.client()
        server.attach(client, fresh=True)
        await client.until(b"hello\r\n")
        assert await server.ended.get() == (1, 0)


async def test_an_unknown_application_is_refused(folder: Path) -> None:
    async with terminal_server(folder) as server:
        outcome = await server.start(application="nothing")
        assert isinstance(outcome, ProgramFailed)
        assert outcome.code is ErrorCode.UNKNOWN_APPLICATION


async def test_a_new_client_takes_the_session_over(folder: Path) -> None:
    async with terminal_server(folder) as server:
        first = await new_session(server)
        second = server.client()
        server.attach(second)
        server.type(first, b"echo from-first.\n")
        server.type(second, b"echo from-sec''ond.\n")
        await second.until(b"from-second.")
        assert b"from-first" not in second.received + first.received


async def test_resizing_reaches_the_program(folder: Path) -> None:
    async with terminal_server(folder) as server:
        client = await new_session(server)
        server.type(client, b"trap 'echo size\"\"=$(stty size)' WINCH; echo rea''dy.\n")
        await client.until(b"ready.")
        server.resize(33, 7)
        server.type(client, b"\n")
        await client.until(b"size=")
        assert await client.until(b"\r\n") == b"7 33"


async def test_ending_a_session_hangs_up(folder: Path) -> None:
    async with terminal_server(folder) as server:
        await new_session(server)
        server.end()
        assert await server.ended.get() == (1, 128 + signal.SIGHUP)


async def test_effects_for_what_is_gone_do_nothing(folder: Path) -> None:
    async with terminal_server(folder) as server:
        client = server.client()
        server.attach(client, 9)
        server.resize(1, 1, 9)
        server.detach(9)
        server.end(9)
        server.type(client, b"x")
        server.sessions.on_writable(client)
        await server.start()
        del server.clients[client.id]
        server.attach(client)
        assert client.received == b""


# --- coming back ----------------------------------------------------------------------------------


async def test_the_program_goes_on_while_nobody_looks(folder: Path) -> None:
    async with terminal_server(folder) as server:
        client = await new_session(server)
        server.type(client, b"kept=this; echo rea''dy.\n")
        await client.until(b"ready.")
        server.detach()
        again = server.client()
        server.attach(again)
        server.type(again, b"echo it is''=$kept.\n")
        await again.until(b"it is=")
        assert await again.until(b"\r\n") == b"this."


async def test_the_screen_comes_back(folder: Path) -> None:
    async with terminal_server(folder) as server:
        client = await new_session(
            server, command="printf 'one\\r\\n\\033[31mtwo\\033[m\\033[7;9Hthree'; read key"
        )
        await client.until(b"three")
        server.detach()
        again = server.client()
        server.attach(again)
        assert picture(again.received) == ["one", "two", "", "", "", "", "        three"]


async def test_a_full_screen_program_comes_back_and_what_it_hides_too(folder: Path) -> None:
    async with terminal_server(folder) as server:
        client = await new_session(server, command=FULL_SCREEN)
        await client.until(b"\x1b[10;1H:")
        server.detach()
        again = server.client()
        server.attach(again)
        left = b"$ of the client's own"
        assert picture(left, again.received) == ["title", *[""] * 3, "  text", *[""] * 4, ":"]
        server.type(again, b"q\n")
        await _until_shown(again, left, ["$ before", "$ after."])


async def _until_shown(client: Client, before: bytes, rows: list[str]) -> None:
    while picture(before, client.received) != rows:
        await client.change()


@pytest.mark.parametrize("given", [USUAL, PLAIN], ids=["screen", "replay"])
async def test_the_next_terminal_server_shows_the_same(
    folder: Path, given: settings.Sessions
) -> None:
    async with terminal_server(folder, given) as server:
        client = await new_session(server, command=FULL_SCREEN)
        await client.until(b"\x1b[10;1H:")
    async with terminal_server(folder, given) as server:
        again = server.client()
        server.attach(again)
        assert picture(again.received) == ["title", *[""] * 3, "  text", *[""] * 4, ":"]
        server.type(again, b"q\n")
        await _until_shown(again, b"", ["$ before", "$ after."])


@pytest.mark.parametrize("given", [USUAL, PLAIN], ids=["screen", "replay"])
async def test_where_the_picture_may_be_wrong_the_program_draws_anew(
    folder: Path, given: settings.Sessions
) -> None:
    command = "trap 'stty size; echo drawn.' WINCH; echo ready.; while :; do read key; done"
    async with terminal_server(folder, given) as server:
        client = await new_session(server, command=command)
        await client.until(b"ready.")
    async with terminal_server(folder, given) as server:
        again = server.client()
        server.attach(again)
        server.type(again, b"\n")
        assert b"ready." in await again.until(b"%d %d\ndrawn." % (ROWS, COLUMNS))


async def test_the_next_terminal_server_learns_what_ended_meanwhile(folder: Path) -> None:
    async with terminal_server(folder) as server:
        started = await server.start(command="read key")
        assert isinstance(started, ProgramStarted)
    await asyncio.to_thread(end_process, started.pid, signal.SIGTERM)
    async with terminal_server(folder) as server:
        assert await server.ended.get() == (1, 128 + signal.SIGTERM)


async def test_adopting_names_what_the_keeper_holds(folder: Path) -> None:
    async with terminal_server(folder) as server:
        for session_id in (3, 1, 2):
            await server.start(session_id)
    async with terminal_server(folder) as server:
        assert await server.sessions.adopt() == [1, 2, 3]


async def test_a_session_that_finds_no_room_has_not_ended(folder: Path) -> None:
    async with terminal_server(folder) as server:
        await server.start()
    server = Server(folder, USUAL)
    with room_for_descriptors(2):
        assert await server.sessions.adopt() == [1]
        early = server.client()
        server.attach(early)
        assert early.closed is ErrorCode.BUSY
    late = server.client()
    while not late.received:
        server.attach(late)
        await asyncio.sleep(0.01)
    assert server.ended.empty()
    await server.sessions.close()


async def test_logons_in_the_moment_of_the_keepers_death_succeed(
    folder: Path,
) -> None:
    with structlog.testing.capture_logs() as logged:
        async with terminal_server(folder) as server:
            keeper = keeper_pid(folder)
            assert keeper is not None
            os.kill(keeper, signal.SIGKILL)
            for session_id in range(1, 5):
                assert isinstance(await server.start(session_id), ProgramStarted)
            assert await server.sessions.adopt() == [1, 2, 3, 4]
            assert await found_in(logged) == KeeperFound(adopted=0, not_adopted=0)
    assert logged[0]["event"] == KeeperLost(sessions=0)


async def test_what_the_dead_keeper_was_shown_is_proved_again(folder: Path) -> None:
    async with terminal_server(folder) as server:
        early = await server.challenge()
        assert isinstance(early, Challenged)
        later = await server.challenge()
        assert isinstance(later, Challenged)
        proved = await server.prove(early, Asked())
        assert isinstance(proved, Proved)
        keeper = keeper_pid(folder)
        assert keeper is not None
        await asyncio.to_thread(end_process, keeper, signal.SIGKILL)
        failed = await server.run(1, proved.proof_id, Asked())
        assert isinstance(failed, ProgramFailed)
        assert failed.code is ErrorCode.LOGON_BUSY
        over = await server.prove(later, Asked())
        assert isinstance(over, NotProved)
        assert (over.code, over.retry_after_seconds) == (ErrorCode.LOGON_BUSY, 1)
        assert isinstance(await server.start(1), ProgramStarted)


async def test_a_killed_keeper_costs_no_session(folder: Path) -> None:
    async with terminal_server(folder) as server:
        client = await new_session(server)
        keeper = keeper_pid(folder)
        assert keeper is not None
        await asyncio.to_thread(end_process, keeper, signal.SIGKILL)
        server.type(client, b"echo still he''re.\n")
        await client.until(b"still here.")
        assert isinstance(await server.start(2), ProgramStarted)
        server.type(client, b"exit 3\n")
        assert await server.ended.get() == (1, STATUS_UNKNOWN)


async def killed_keeper(folder: Path, *, adopted: int, not_adopted: int = 0) -> None:
    """Kill the keeper, and wait until the next one has been asked to adopt the sessions."""
    keeper = keeper_pid(folder)
    assert keeper is not None
    with structlog.testing.capture_logs() as logged:
        await asyncio.to_thread(end_process, keeper, signal.SIGKILL)
        assert await found_in(logged) == KeeperFound(adopted=adopted, not_adopted=not_adopted)


async def found_in(logged: Sequence[Mapping[str, object]]) -> KeeperFound:
    async with asyncio.timeout(20):
        while True:
            for each in logged:
                if isinstance(each["event"], KeeperFound):
                    return each["event"]
            await asyncio.sleep(0.01)


async def test_after_a_keepers_death_an_orderly_restart_loses_no_session(folder: Path) -> None:
    async with terminal_server(folder) as server:
        for session_id in range(1, 5):
            client = await new_session(server, session_id)
            server.type(client, b"kept=%d; echo rea''dy.\n" % session_id)
            await client.until(b"ready.")
        await killed_keeper(folder, adopted=4)
    async with terminal_server(folder) as server:
        assert await server.sessions.adopt() == [1, 2, 3, 4]
        for session_id in range(1, 5):
            client = server.client()
            server.attach(client, session_id)
            await client.until(b"ready.")  # the ring is the same
            server.type(client, b"echo $kept here.; exit 3\n")
            await client.until(b"%d here." % session_id)
            assert await server.ended.get() == (session_id, STATUS_UNKNOWN)


async def test_an_adopted_session_is_adopted_again(folder: Path) -> None:
    async with terminal_server(folder) as server:
        await server.start()
        for _ in range(2):
            await killed_keeper(folder, adopted=1)
    async with terminal_server(folder) as server:
        assert await server.sessions.adopt() == [1]


async def test_an_adopted_session_with_a_background_job_can_be_ended(folder: Path) -> None:
    async with terminal_server(folder) as server:
        client = await new_session(server)
        server.type(client, b"trap '' HUP; sleep 1000 & echo job $!.\n")
        await client.until(b"echo job")
        await client.until(b"job ")
        job = os.pidfd_open(int(await client.until(b".")))
        await killed_keeper(folder, adopted=1)
        server.end()
        assert await server.ended.get() == (1, STATUS_UNKNOWN)
        assert await asyncio.to_thread(is_readable, job, 20)
        os.close(job)


async def test_a_session_that_no_record_confirms_is_shown_until_it_ends(folder: Path) -> None:
    async with terminal_server(folder) as server:
        client = await new_session(server)
        (folder / "keeper.sessions" / "1").unlink()
        await killed_keeper(folder, adopted=0, not_adopted=1)
        server.type(client, b"echo still he''re.; exit 3\n")
        await client.until(b"still here.")
        assert await server.ended.get() == (1, STATUS_UNKNOWN)


async def test_a_session_whose_keeper_is_gone_can_be_ended(folder: Path) -> None:
    async with terminal_server(folder) as server:
        started = await server.start()
        assert isinstance(started, ProgramStarted)
        (folder / "keeper.sessions" / "1").unlink()
        await killed_keeper(folder, adopted=0, not_adopted=1)
        program = os.pidfd_open(started.pid)
        server.end()
        assert await server.ended.get() == (1, STATUS_UNKNOWN)
        await until_ended(program)


# --- who does not read --------------------------------------------------------------------------


async def test_a_client_that_does_not_read_stops_its_program(folder: Path) -> None:
    async with terminal_server(folder) as server:
        client = await new_session(server, command="seq 200000; echo end.", takes=1000)
        await client.change()
        other = await new_session(server, 2)
        server.type(other, b"echo others go o''n.\n")
        await other.until(b"others go on.")
        assert len(client.received) < 1000 + 64 * 1024
        assert server.ended.empty()
        server.take(client, float("inf"))
        assert await server.ended.get() == (1, 0)
        numbers = client.received.split()
        assert numbers == [b"%d" % number for number in range(1, 200001)] + [b"end."]


async def test_a_client_that_reads_slowly_gets_the_last_words_too(folder: Path) -> None:
    async with terminal_server(folder) as server:
        client = await new_session(server, command="seq 30000", takes=1)
        while server.ended.empty():
            if client.takes <= 0:
                server.take(client, 1)
            await asyncio.wait([asyncio.ensure_future(client.change())], timeout=0.01)
        assert client.received.split()[-1] == b"30000"


async def test_leaving_lets_a_stopped_program_go_on(folder: Path) -> None:
    async with terminal_server(folder) as server:
        client = await new_session(server, command="seq 200000", takes=1)
        await client.change()
        server.detach()
        assert await server.ended.get() == (1, 0)


async def test_a_program_that_does_not_read_stops_its_client(folder: Path) -> None:
    async with terminal_server(folder) as server:
        client = await new_session(
            server, command="stty raw; echo ready.; read go; head -c 300000 | cksum"
        )
        await client.until(b"ready.")
        for _ in range(30):
            server.type(client, b"x" * 10_000)
        assert client.is_paused
        server.type(client, b"\n" + b"y" * 300_000)
        while client.is_paused:
            await client.change()
        await client.until(b" 300000")


async def test_input_without_end_is_refused(folder: Path) -> None:
    async with terminal_server(folder) as server:
        client = await new_session(server, command="stty raw; echo ready.; read go")
        await client.until(b"ready.")
        for _ in range(6):
            server.type(client, b"x" * 1024 * 1024)
        assert client.closed is ErrorCode.BUSY
