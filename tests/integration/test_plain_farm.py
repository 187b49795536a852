"""A farm of real daemons without TLS, captured while a user works in it: what tshark shows of it is
what was said, and what the client's own trace holds."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from clients.cli import main
from daemons import lab
from daemons.lab.making import make
from tests.integration.captures import capturing, tshark
from tsproto.messages import TABLE

UNTESTED = "that the dissector shows what the daemons of a farm say to each other"
PLAN = lab.Plan(
    terminal_servers=("ts1",), license_servers=(lab.LicenseServerPlan("license-a", tokens=2),)
)
USER = PLAN.users[0]

pytestmark = [
    pytest.mark.skipif(
        shutil.which("tshark") is None, reason=f"tshark is missing; not tested: {UNTESTED}"
    ),
    # The daemons have their own loops; what is varied here is ours, and of no interest.
    pytest.mark.asyncio(loop_factories=["asyncio"]),
]


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Path]:
    """A lab that is made and not started: none of its daemons uses TLS."""
    folder = tmp_path / "lab"
    for daemon in make(folder, PLAN).daemons:
        file = folder / daemon.name / "config.toml"
        file.write_text(file.read_text().replace("[listen]\n", "[listen]\ntls = false\n"))
    yield folder
    lab.down(folder)


async def connected(farm: Path, trace: Path) -> None:
    """A new device's user runs one command."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from clients.cli import main; main()"),
        *("connect", lab.load(farm).daemon("ts1").host, "--plain", "--user", USER),
        *("--store", str(farm.parent / "device"), "--password-file", str(farm / "users" / USER)),
        *("--trace", str(trace), "--", "echo", "hello"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert (output, process.returncode) == (b"hello\n", 0)


def last_frame(trace: Path) -> bytes:
    return bytes.fromhex(json.loads(trace.read_text().splitlines()[-1])["bytes"])


async def test_a_farm_at_work_is_shown(farm: Path, tmp_path: Path) -> None:
    net, trace, file = lab.load(farm).net, tmp_path / "trace", tmp_path / "farm.pcapng"
    async with capturing(f"net 127.0.{net}.0/24") as capture:
        if capture is None:
            pytest.skip(f"no capture is possible here; not tested: {UNTESTED}")
        await asyncio.to_thread(lab.up, farm, None, lambda line: None)
        await connected(farm, trace)
        await capture.until_it_holds(last_frame(trace))
        file.write_bytes(capture.content)
    shown = await asyncio.to_thread(tshark, file, *_columns("ip.dst", "ip.src", "tsfarm.message"))
    assert _between(shown, lab.load(farm).daemon("ts1").host) == _traced(trace)
    said = {number for line in shown for number in line.split("\t")[2].split(",")}
    assert {str(number) for number in (50, 51, 52, 6, 30, 32)} <= said  # join, synchronise, acquire
    assert tshark(file, "-Y", "tsfarm.malformed") == []
    _assert_discovery_is_shown(file)


def _assert_discovery_is_shown(file: Path) -> None:
    heard = tshark(file, *_columns("tsfarm.query.farm", "tsfarm.answer.name"))
    assert f"{PLAN.farm}\t" in heard
    assert "\tlicense-a" in heard


def _columns(*fields: str) -> list[str]:
    return ["-T", "fields", *(part for field in fields for part in ("-e", field))]


def _between(shown: list[str], host: str) -> list[tuple[str, str]]:
    """What went to and came from this host, message by message."""
    found = []
    for destination, source, numbers in (line.split("\t") for line in shown):
        if numbers and host in (destination, source):
            direction = "sent" if destination == host else "received"
            found += [(direction, number) for number in numbers.split(",")]
    return found


def _traced(trace: Path) -> list[tuple[str, str]]:
    decoded = CliRunner().invoke(main, ["decode", "--json", str(trace)])
    assert decoded.exit_code == 0, decoded.output
    lines = [json.loads(line) for line in decoded.output.splitlines()]
    names = {found.__name__: str(number) for number, found in TABLE.items()}
    return [(line["direction"], names[line["message"]]) for line in lines if "message" in line]
