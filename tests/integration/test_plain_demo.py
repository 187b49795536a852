"""The first steps of the demo without TLS, captured: what tshark shows of them is what was said,
and what the clients' own traces hold."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from clients.cli import main
from daemons import lab
from daemons.lab.making import make
from tests.demo.story import PLAN, Story
from tests.integration.captures import capturing, tshark
from tsproto.messages import Role

UNTESTED = (
    "that the dissector shows what the clients and daemons of the demo say to each other in"
    " licensing, logon, lending, redirects, discovery and sessions, and to the directory"
)
STEPS = 5  # to the redirect of user1, whose full token was lent
WITH_CLIENTS = {
    *("LicenseInfo", "LicenseStored", "LogonStart", "LogonProof", "ResizeSession"),
    *("DisconnectSession", "LicenseRequest", "NewLicense", "LicenseAccepted", "LogonChallenge"),
    *("LogonAccepted", "Redirect", "Goodbye"),
}
WITH_LICENSE_SERVERS = {
    *("AcquireLicense", "LicenseIssued", "MarkValidated", "Done"),
    *("AnnounceInventory", "LendLicense"),
}
WITH_THE_DIRECTORY = {
    *("JoinFarm", "Joined", "SyncSessions", "PlaceSession", "SessionPlaced", "UpdateSession"),
}
WITH_ADMINISTRATORS = {
    *("QueryPools", "Pools", "QueryLicenses", "Licenses", "QuerySessions", "Sessions"),
    *("QueryLicenseServers", "LicenseServers"),
}
SAID = {
    *("Hello", "Welcome", "session bytes"),
    *WITH_CLIENTS,
    *WITH_LICENSE_SERVERS,
    *WITH_THE_DIRECTORY,
    *WITH_ADMINISTRATORS,
}
SAID_WHEN_SILENT = {"Heartbeat"}

Line: TypeAlias = dict[str, Any]
"""Of a trace, as `decode --json` prints it."""
FRAME = "tsfarm frame: "  # what the dissector writes before the name of each


class Talk(msgspec.Struct):
    """One connection of a client: what it sent and received, frame by frame, by their names."""

    host: str
    sent: list[str] = []
    received: list[str] = []
    output: bytes = b""

    def begins_like(self, other: Talk) -> bool:
        return (
            self.host == other.host
            and self.sent[: len(other.sent)] == other.sent
            and self.received[: len(other.received)] == other.received
            and self.output.startswith(other.output)
        )


pytestmark = [
    pytest.mark.skipif(
        shutil.which("tshark") is None, reason=f"tshark is missing; not tested: {UNTESTED}"
    ),
    # The daemons have their own loops; what is varied here is ours, and of no interest.
    pytest.mark.asyncio(loop_factories=["asyncio"]),
]


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Story]:
    """Its lab is made and not started, and none of its daemons uses TLS."""
    folder, plan = tmp_path / "farm", replace(PLAN, tls=False)
    make(folder, plan)
    told = Story(folder, plan)
    yield told
    told.end()


async def test_the_demo_without_tls_is_shown(story: Story, tmp_path: Path) -> None:
    farm, file = lab.load(story.folder), tmp_path / "demo.pcapng"
    async with capturing(f"net 127.0.{farm.net}.0/24") as capture:
        if capture is None:
            pytest.skip(f"no capture is possible here; not tested: {UNTESTED}")
        traced = await asyncio.to_thread(live_through, story)
        for trace in story.traces:
            await capture.until_it_holds(last_received(trace))
    file.write_bytes(capture.content)

    assert tshark(file, "-Y", "tsfarm.malformed") == []
    assert tshark(file, "-Y", "tcp.len > 0 && !tsfarm && !tcp.reassembled_in") == []
    frames = fields_of(file, "tsfarm", where="tsfarm")
    said = {name.partition(",")[0] for [shown] in frames for name in names_in(shown)}
    assert said - SAID_WHEN_SILENT == SAID

    recorded = [talk for lines in traced for talk in recorded_in(lines, farm)]
    shown = shown_in(file, farm)
    assert [talk.host for talk in shown] == ["ts1", "ts2", "ts1"]  # the last two are a redirect
    assert shown[:2] == recorded[:2]
    assert shown[2].begins_like(recorded[2])  # it goes on while the capture ends
    assert f"set:{story.shell_value}\r\n".encode() in shown[0].output
    assert f"value:{story.shell_value}\r\n".encode() in shown[2].output

    heard = fields_of(file, "tsfarm.query.farm", "tsfarm.answer.name")
    assert [farm.farm, ""] in heard
    assert ["", "license-a"] in heard


def live_through(story: Story) -> list[list[Line]]:
    """The first steps; gives what each client has recorded."""
    for _, step in story.steps()[:STEPS]:
        step()
    return [decoded(trace) for trace in story.traces]


# --- what the clients recorded --------------------------------------------------------------------


def decoded(trace: Path) -> list[Line]:
    done = CliRunner().invoke(main, ["decode", "--json", str(trace)])
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.output.splitlines()]


def recorded_in(lines: list[Line], farm: lab.Lab) -> list[Talk]:
    talks: dict[int, Talk] = {}
    for line in lines:
        talk = talks.setdefault(line["link"], Talk(name_at(farm, line["host"])))
        data = bytes.fromhex(line.get("session", ""))
        name = line.get("message") or f"session bytes, {len(data)}"
        if line["direction"] == "sent":
            talk.sent.append(name)
        else:
            talk.received.append(name)
            talk.output += data
    return list(talks.values())


def last_received(trace: Path) -> bytes:
    """The last frame that came. What a client sends may be redacted, this is not."""
    lines = [json.loads(line) for line in trace.read_text().splitlines()]
    frames = [line["bytes"] for line in lines if line.get("direction") == "received"]
    return bytes.fromhex(frames[-1])


# --- what tshark shows ----------------------------------------------------------------------------


def fields_of(file: Path, *fields: str, where: str = "frame") -> list[list[str]]:
    """These fields of each packet, where one has several with semicolons between."""
    names = [part for field in fields for part in ("-e", field)]
    lines = tshark(file, "-Y", where, "-T", "fields", "-E", "aggregator=;", *names)
    return [line.split("\t") for line in lines]


def shown_in(file: Path, farm: lab.Lab) -> list[Talk]:
    """The connections of clients, in the order in which they began."""
    is_client = f"tsfarm.hello.role == {int(Role.CLIENT)}"
    dialled = fields_of(file, "tcp.stream", "ip.dst", where=is_client)
    return [talk_in(file, stream, address, farm) for stream, address in dialled]


def talk_in(file: Path, stream: str, address: str, farm: lab.Lab) -> Talk:
    talk = Talk(name_at(farm, address))
    shown = fields_of(
        file,
        *("ip.dst", "tsfarm", "tsfarm.session_bytes"),
        where=f"tsfarm && tcp.stream == {stream}",
    )
    for destination, frames, session in shown:
        if destination == address:
            talk.sent += names_in(frames)
        else:
            talk.received += names_in(frames)
            talk.output += bytes.fromhex(session.replace(";", ""))
    return talk


def names_in(frames: str) -> list[str]:
    return [frame.removeprefix(FRAME) for frame in frames.split(";")]


def name_at(farm: lab.Lab, address: str) -> str:
    return next(daemon.name for daemon in farm.daemons if daemon.host == address)
