from __future__ import annotations

import asyncio
import os

import pytest

from clients.logon.steps import Host
from clients.prompts import Prompts
from clients.trust import Stranger, UntrustedFarm

STRANGER = Stranger(Host("ts1", 5600), "lab", "AB:CD", b"pem")

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio"])


async def answered(*lines: bytes) -> bool:
    person, program = os.openpty()
    asking = asyncio.create_task(Prompts(descriptor=program).confirm(STRANGER))
    for line in lines:
        os.write(person, line)
        await asyncio.sleep(0)
    try:
        return await asking
    finally:
        os.close(person)
        os.close(program)


async def test_a_farm_is_accepted_by_a_whole_yes_or_its_fingerprint(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert await answered(b"yes\n")
    assert await answered(b"ab:cd\n")
    shown = capsys.readouterr().err
    assert "The farm 'lab' at ts1:5600 is not known yet." in shown
    assert "fingerprint AB:CD" in shown


@pytest.mark.parametrize("line", [b"no\n", b"\x04"])
async def test_a_no_and_an_end_of_input_refuse(line: bytes) -> None:
    assert not await answered(line)


async def test_a_fingerprint_given_beforehand_decides() -> None:
    assert await Prompts(fingerprint="abcd").confirm(STRANGER)
    with pytest.raises(UntrustedFarm, match="AB:CD, not AB:CE"):
        await Prompts(fingerprint="AB:CE").confirm(STRANGER)


async def test_a_script_is_told_what_to_give() -> None:
    reader, writer = os.pipe()
    with pytest.raises(UntrustedFarm, match="AB:CD.*--ca FILE.*--accept-new"):
        await Prompts(descriptor=reader).confirm(STRANGER)
    os.close(reader)
    os.close(writer)


async def test_a_password_from_a_file_is_not_asked_for() -> None:
    assert await Prompts(b"secret").password("user1", "ts1", again=False) == b"secret"
