"""The filter for Fail2Ban, on lines that the log really has."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import daemons
from daemons import events, logs
from daemons.settings import Log
from tsproto.errors import ErrorCode

FILTER = Path(daemons.__file__).with_name("fail2ban.conf")
ADDRESSES = ["192.0.2.7", "2001:db8::7"]
# Text of a stranger that looks like a line about somebody else.
FORGED = '","level":"info","event":"proofs.wrong","address":"203.0.113.9","wrong":1}'
PARTS = {
    "%Y-%m-%dT%H:%M:%S": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d",
    "%f": r"\d+",
    "%z": "Z",
    "<ADDR>": "(?P<address>[0-9a-f:.]+)",
}


@pytest.fixture(params=["json", "text"])
def log(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    file = tmp_path / "ts1.log"
    with logs.configured(Log(format=request.param, file=str(file))):
        logs.log(events.DaemonReady(name="ts1", address="192.0.2.1", port=5600))
        for address in ADDRESSES:
            logs.log(events.ProofsWrong(address=address, wrong=3))
        for text in (FORGED, " [info     ] proofs.wrong address=203.0.113.9 wrong=1"):
            code = ErrorCode.LOGON_FAILED
            logs.log(
                events.LogonRefused(trace_id="t", user_name=text[:104], code=code, detail=text)
            )
    return file


def test_the_filter_finds_the_addresses_and_no_forged_one(log: Path) -> None:
    parser = configparser.ConfigParser()
    parser.read(FILTER)
    patterns = [
        re.compile(_in_python(parser["Definition"]["datepattern"] + line.removeprefix("^")))
        for line in parser["Definition"]["failregex"].split("\n")
    ]
    lines = log.read_text().splitlines()
    found = [match["address"] for line in lines for p in patterns if (match := p.search(line))]
    assert found == ADDRESSES


def _in_python(pattern: str) -> str:
    for written, meant in PARTS.items():
        pattern = pattern.replace(written, meant)
    return pattern


@pytest.mark.skipif(shutil.which("fail2ban-regex") is None, reason="needs fail2ban-regex")
def test_fail2bans_own_tool_finds_them_too(log: Path) -> None:
    command = ["fail2ban-regex", "--print-all-matched", str(log), str(FILTER)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert f"Lines: {len(log.read_text().splitlines())} lines, 0 ignored, 2 matched" in said
    matched = said.partition("Matched line(s):")[2].partition("`-")[0]
    assert all(address in matched for address in ADDRESSES)
    assert "203.0.113.9" not in matched
