from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from clients.logon.steps import Host
from clients.prompts import Prompts
from clients.trust import Stranger, UntrustedFarm
from clients.user_keys import KeyRefused
from tsproto.errors import TsfarmError

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


async def typed(*lines: bytes) -> bytes | None:
    person, program = os.openpty()
    asking = asyncio.create_task(Prompts(descriptor=program).new_password())
    for line in lines:
        os.write(person, line)
        await asyncio.sleep(0)
    try:
        return await asking
    finally:
        os.close(person)
        os.close(program)


async def test_a_new_password_is_typed_twice_until_both_are_alike(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert await typed(b"new\n", b"new\n") == b"new"
    assert "they differ" not in capsys.readouterr().err
    assert await typed(b"new\n", b"mew\n", b"new\n", b"new\n") == b"new"
    assert "they differ; try again" in capsys.readouterr().err


@pytest.mark.parametrize("line", [b"\n\n", b"\x04"])
async def test_no_new_password_is_none(line: bytes) -> None:
    assert await typed(line) is None


async def test_a_new_password_from_a_file_is_not_asked_for() -> None:
    assert await Prompts(new_password=b"secret").new_password() == b"secret"


async def test_a_script_is_told_how_to_give_a_new_password() -> None:
    reader, writer = os.pipe()
    with pytest.raises(TsfarmError, match="give --new-password-file FILE"):
        await Prompts(descriptor=reader).new_password()


async def test_a_passphrase_is_typed_in_silence(capsys: pytest.CaptureFixture[str]) -> None:
    person, program = os.openpty()
    asking = asyncio.create_task(Prompts(descriptor=program).passphrase(Path("/key"), again=True))
    await asyncio.sleep(0)
    os.set_blocking(person, False)
    os.write(person, b"open sesame\n")
    try:
        assert await asking == b"open sesame"
        with pytest.raises(BlockingIOError):  # nothing is echoed
            os.read(person, 100)
    finally:
        os.close(person)
        os.close(program)
    assert capsys.readouterr().err == "[tsfarm] wrong; try again\npassphrase of /key: \n"


async def test_a_script_is_told_how_an_encrypted_key_is_used() -> None:
    reader, writer = os.pipe()
    with pytest.raises(KeyRefused, match="/key is encrypted.*ssh-add /key"):
        await Prompts(descriptor=reader).passphrase(Path("/key"), again=False)
    os.close(reader)
    os.close(writer)
