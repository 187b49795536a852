"""The client library against scripted terminal servers: real TLS, a real device store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from clients.device import Device, held_licenses
from clients.files import DeviceStoreError
from clients.logon.steps import Host, Outcome
from clients.trust import UntrustedFarm
from clients.user_keys import UserKeys
from tests.integration.a_client import Person, check_proof, client, disconnected
from tests.integration.scripted_server import Farm, Logon, ScriptedServer
from tests.unit.clients.licenses import token
from tsproto import transport
from tsproto.errors import ErrorCode
from tsproto.messages import (
    LogoffSession,
    NewLicense,
    PamAnswers,
    PamPrompt,
    PamQuestion,
    Redirect,
    ResizeSession,
    SessionEnded,
)
from tsproto.user_proof import Methods


@pytest.fixture
def farm(tmp_path: Path) -> Farm:
    return Farm(tmp_path / "pki")


@pytest.fixture
async def server(farm: Farm) -> AsyncIterator[ScriptedServer]:
    async with ScriptedServer(farm) as server:
        yield server


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return Device.open(tmp_path / "device", "laptop1")


# --- licensing ------------------------------------------------------------------------------------


async def test_the_device_signs_the_certificate_it_saw_and_keeps_what_is_pushed(
    farm: Farm, server: ScriptedServer, device: Device
) -> None:
    pushed = token(device.key.device_id)
    server.push = lambda info: NewLicense(token=pushed, issuer_certificate=b"der")
    person = Person()
    await disconnected(client(device, person, server, authority=farm.authority), person)
    [held] = held_licenses(device.folder)
    assert held.token == pushed
    [stored] = server.received
    assert getattr(stored, "license_id", None) == held.claims.license_id
    check_proof(server)
    assert "90 days to go" in person.said

    again = Person()
    await disconnected(client(device, again, server, authority=farm.authority), again)
    assert server.infos[-1].token == pushed


async def test_a_license_of_another_device_is_an_error_and_is_not_acknowledged(
    farm: Farm, server: ScriptedServer, device: Device
) -> None:
    server.push = lambda info: NewLicense(token=token(b"x" * 32), issuer_certificate=b"der")
    with pytest.raises(DeviceStoreError, match="not this device's"):
        await client(device, Person(), server, authority=farm.authority).run()
    assert server.received == []


# --- session --------------------------------------------------------------------------------------


async def test_bytes_go_both_ways_and_the_exit_status_comes_back(
    farm: Farm, server: ScriptedServer, device: Device
) -> None:
    person = Person()
    connecting = client(device, person, server, authority=farm.authority)
    running = asyncio.create_task(connecting.run())
    await person.attached.wait()
    connecting.resize(100, 40)
    connecting.send(b"hello\r")
    await person.got_output.wait()
    server.end_session(3)
    finished = await running
    assert (finished.outcome, finished.exit_status) == (Outcome.ENDED, 3)
    assert (server.typed, person.output) == (b"hello\r", b"hello\r")
    assert server.received == [ResizeSession(columns=100, rows=40)]


async def test_output_that_nobody_takes_waits_at_the_host(
    farm: Farm, server: ScriptedServer, device: Device
) -> None:
    person = Person()
    person.takes_output = False
    connecting = client(device, person, server, authority=farm.authority)
    running = asyncio.create_task(connecting.run())
    await person.attached.wait()
    total = 16 * 1024 * 1024
    link, sent = server.links[-1], 0
    while sent < total and link.send_session_bytes(b"x" * 65536):
        sent += 65536
        await asyncio.sleep(0)
    assert sent < total
    assert len(person.output) < total
    person.takes_output = True
    connecting.resume_output()
    connecting.cancel()
    assert (await running).outcome is Outcome.CANCELLED


async def test_a_session_is_logged_off_by_its_user(
    farm: Farm, server: ScriptedServer, device: Device
) -> None:
    person = Person()
    connecting = client(device, person, server, authority=farm.authority)
    running = asyncio.create_task(connecting.run())
    await person.attached.wait()
    assert connecting.host == Host("127.0.0.1", server.port)
    connecting.log_off()
    finished = await running
    assert (finished.outcome, finished.exit_status) == (Outcome.ENDED, 129)
    assert server.received == [LogoffSession()]


async def test_a_redirect_leads_to_the_named_host_with_one_password(
    farm: Farm, server: ScriptedServer, device: Device
) -> None:
    async with ScriptedServer(farm, "ts2") as target:
        _redirect(server, target)
        person = Person()
        await disconnected(client(device, person, server), person)
        [logon] = target.logons
        assert logon.is_proved_with(b"secret") and logon.proof.redirected
        assert (logon.start.session_id, logon.start.attachment) == (7, 0)
        assert person.passwords_asked == 1
        assert "redirected to ts2" in person.said


async def test_a_redirect_demands_the_servers_name_and_no_address(
    tmp_path: Path, farm: Farm, device: Device
) -> None:
    async with (
        ScriptedServer(farm) as server,
        ScriptedServer(Farm(tmp_path / "next", addresses=(), older=farm), "ts2") as target,
    ):
        _redirect(server, target)
        person = Person()
        await disconnected(client(device, person, server), person)
        assert len(person.asked) == 1  # of the first host; its authority endorses the target's
        assert len(target.logons) == 1


async def test_a_redirect_out_of_the_farm_is_refused(
    tmp_path: Path, server: ScriptedServer, device: Device
) -> None:
    async with ScriptedServer(Farm(tmp_path / "other"), "ts2") as target:
        _redirect(server, target)
        person = Person()
        with pytest.raises(UntrustedFarm, match="not of a farm that you trust"):
            await client(device, person, server).run()
        assert len(person.asked) == 1
        assert target.infos == []


async def test_a_lost_session_is_resumed_without_another_question(
    farm: Farm, server: ScriptedServer, device: Device
) -> None:
    person = Person()
    connecting = client(device, person, server, authority=farm.authority)
    running = asyncio.create_task(connecting.run())
    await person.attached.wait()
    person.attached.clear()
    server.links[-1].abort()
    await person.attached.wait()
    logon = server.logons[-1]
    assert (logon.start.session_id, logon.start.attachment) == (7, 1)
    assert logon.is_proved_with(b"secret") and person.passwords_asked == 1
    assert any("reconnecting in" in said for said in person.said)
    connecting.disconnect()
    assert (await running).outcome is Outcome.DISCONNECTED


async def test_a_dead_host_is_passed_over(
    farm: Farm, server: ScriptedServer, device: Device
) -> None:
    dead = ScriptedServer(farm, "dead")
    await dead.listen()
    await dead.close()
    person = Person()
    hosts = (dead, server)
    finished = await disconnected(client(device, person, *hosts, authority=farm.authority), person)
    assert finished.outcome is Outcome.DISCONNECTED


async def test_without_a_password_the_client_gives_up(
    farm: Farm, server: ScriptedServer, device: Device
) -> None:
    finished = await client(device, Person(None), server, authority=farm.authority).run()
    assert finished.outcome is Outcome.CANCELLED


async def test_a_program_that_ends_at_once_has_its_status_too(
    farm: Farm, server: ScriptedServer, device: Device
) -> None:
    def end_at_once(link: Any, request: Any) -> None:
        server.accept(link, request)
        link.send_session_bytes(b"gone")
        link.send(SessionEnded(exit_status=9))

    server.on_logon = end_at_once
    person = Person()
    finished = await client(device, person, server, authority=farm.authority).run()
    assert (finished.exit_status, person.output) == (9, b"gone")


async def test_a_farm_that_hashes_a_password_otherwise_than_before_is_told_of(
    farm: Farm, server: ScriptedServer, device: Device
) -> None:
    first, second, third = Person(), Person(), Person()
    await disconnected(client(device, first, server, authority=farm.authority), first)
    server.salt = b"t" * 16
    await disconnected(client(device, second, server, authority=farm.authority), second)
    await disconnected(client(device, third, server, authority=farm.authority), third)
    told = [[text for text in each.said if "otherwise" in text] for each in (first, second, third)]
    changed = (
        "the farm lab hashes user1's password otherwise than before: if it was not changed, tell"
        " the farm's administrator"
    )
    assert told == [[], [changed], []]


class SlowSigner:
    """Signs when it is told to, in any order."""

    def __init__(self) -> None:
        self.asked: asyncio.Queue[asyncio.Future[bytes]] = asyncio.Queue()

    async def sign(self, fingerprint: bytes, message: bytes) -> tuple[str, bytes]:
        touched: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.asked.put_nowait(touched)
        return "ssh-ed25519", await touched


async def test_a_key_that_signs_too_late_does_not_sign_for_the_next_challenge(
    farm: Farm, server: ScriptedServer, device: Device
) -> None:
    person, signer, key = Person(), SlowSigner(), b"k" * 32
    async with ScriptedServer(farm, "ts2") as other:
        server.ssh_keys = other.ssh_keys = [key]
        keys, authority = UserKeys(signer), farm.authority
        connecting = client(
            device, person, server, other, authority=authority, keys=keys, key_fingerprints=(key,)
        )
        running = asyncio.create_task(connecting.run())
        late = await signer.asked.get()
        server.links[-1].close(ErrorCode.TIMED_OUT)
        in_time = await signer.asked.get()
        late.set_result(b"1" * 64)
        await asyncio.sleep(0)
        in_time.set_result(b"2" * 64)
        await person.attached.wait()
        signatures = [logon.proof.signature for logon in server.logons + other.logons]
        assert signatures == [b"2" * 64]
        connecting.disconnect()
        assert (await running).outcome is Outcome.DISCONNECTED


async def test_a_hosts_pam_asks_the_user_and_its_notices_are_said(
    farm: Farm, server: ScriptedServer, device: Device
) -> None:
    def ask(link: transport.Link, logon: Logon) -> None:
        questions = [
            PamQuestion(words="Password: ", is_shown=False),
            PamQuestion(words="Code: ", is_shown=True),
        ]
        link.send(PamPrompt(round=1, prompts=questions, notices=["your password ends tomorrow"]))
        server.on_answers = lambda link, answers: server.accept(link, logon)

    server.methods, server.on_logon = Methods.PAM, ask
    person = Person()
    person.answers = [b"secret", b"123456"]
    finished = await disconnected(client(device, person, server, authority=farm.authority), person)
    assert finished.outcome is Outcome.DISCONNECTED
    assert person.questions == ["Password: ", "Code: "]
    assert "your password ends tomorrow" in person.said
    assert server.answers == [PamAnswers(round=1, answers=[b"secret", b"123456"])]
    assert (person.passwords_asked, server.logons[0].proof.signature) == (0, b"")


async def test_a_user_who_does_not_answer_pam_gives_up(
    farm: Farm, server: ScriptedServer, device: Device
) -> None:
    question = PamPrompt(round=1, prompts=[PamQuestion(words="Code: ", is_shown=True)])
    server.methods, server.on_logon = Methods.PAM, lambda link, logon: link.send(question)
    person = Person()
    person.answers = None
    finished = await client(device, person, server, authority=farm.authority).run()
    assert (finished.outcome, server.answers) == (Outcome.CANCELLED, [])


def _redirect(server: ScriptedServer, target: ScriptedServer) -> None:
    redirect = Redirect(
        host=target.name,
        address="127.0.0.1",
        port=target.port,
        session_id=7,
    )
    server.on_logon = lambda link, request: link.send(redirect)
