"""The client library against scripted terminal servers: real TLS, a real device store."""

from __future__ import annotations

import asyncio
import hashlib
import random
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from clients.client import Client
from clients.device import Device, held_licenses
from clients.files import DeviceStoreError
from clients.known_hashings import KnownHashings
from clients.logon.steps import Attached, Finished, Host, Outcome, Plan
from clients.trust import Dialler, FarmDialler, Stranger, UntrustedFarm
from clients.user_keys import UserKeys
from tests.integration.scripted_server import Farm, Logon, ScriptedServer
from tests.unit.clients.licenses import token
from tsproto import certificates, identity, transport
from tsproto.authorities import Authorities
from tsproto.connection import Event
from tsproto.errors import ErrorCode
from tsproto.messages import (
    LogoffSession,
    NewLicense,
    PamAnswers,
    PamPrompt,
    PamQuestion,
    Redirect,
    ResizeSession,
    Role,
    SessionEnded,
)
from tsproto.user_proof import Methods


class Person:
    """A surface that answers at once and remembers what it saw."""

    def __init__(self, password: bytes | None = b"secret", says_yes: bool = True) -> None:
        self.password = password
        self.says_yes = says_yes
        self.asked: list[Stranger] = []
        self.passwords_asked = 0
        self.questions: list[str] = []
        self.answers: list[bytes] | None = []
        self.said: list[str] = []
        self.output = b""
        self.takes_output = True
        self.attached = asyncio.Event()
        self.got_output = asyncio.Event()

    async def confirm(self, stranger: Stranger) -> bool:
        self.asked.append(stranger)
        return self.says_yes

    async def ask_password(self, user_name: str, host: str, again: bool) -> bytes | None:
        self.passwords_asked += 1
        return self.password

    async def answer(self, prompts: Sequence[PamQuestion]) -> list[bytes] | None:
        self.questions += [question.words for question in prompts]
        return self.answers

    async def ask_passphrase(self, key: Path, again: bool) -> bytes | None:
        return None

    def say(self, text: str) -> None:
        self.said.append(text)

    def on_attached(self, attached: Attached) -> None:
        self.attached.set()

    def on_detached(self) -> None:
        self.attached.clear()

    def on_output(self, data: bytes) -> bool:
        self.output += data
        self.got_output.set()
        return self.takes_output

    def on_input_wanted(self) -> None:
        pass


class Silent:
    """Owns a link and does nothing with it."""

    def on_events(self, link: transport.Link, events: list[Event]) -> None:
        pass

    def on_writable(self, link: transport.Link) -> None:
        pass


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


def client(
    device: Device,
    person: Person,
    *servers: ScriptedServer,
    authority: bytes | None = None,
    plain: bool = False,
    keys: UserKeys | None = None,
    **plan: Any,
) -> Client:
    hosts = tuple(Host("127.0.0.1", server.port) for server in servers)
    dialler = Dialler(
        device.known_farms,
        device.name,
        person.confirm,
        person.say,
        authority=authority,
        plain=plain,
    )
    wanted = Plan(hosts=hosts, user_name="user1", **plan)
    keys = keys or UserKeys(memory=KnownHashings(device.folder))
    return Client(wanted, device, dialler, person, random.Random(1), keys)


async def disconnected(client: Client, person: Person) -> Finished:
    """Connect, and disconnect as soon as the session is shown."""
    running = asyncio.create_task(client.run())
    attached = asyncio.create_task(person.attached.wait())
    await asyncio.wait({running, attached}, return_when=asyncio.FIRST_COMPLETED)
    attached.cancel()
    client.disconnect()
    return await running


# --- trust --------------------------------------------------------------------------------------


async def test_a_new_farm_is_asked_about_once_and_then_known(
    farm: Farm, server: ScriptedServer, device: Device
) -> None:
    person = Person()
    finished = await disconnected(client(device, person, server), person)
    assert finished == Finished(Outcome.DISCONNECTED, ErrorCode.DISCONNECTED_BY_USER)
    [stranger] = person.asked
    assert (stranger.farm, stranger.fingerprint) == ("lab", farm.fingerprint)

    again = Person()
    await disconnected(client(device, again, server), again)
    assert again.asked == []


async def test_another_host_of_a_known_farm_is_not_asked_about(
    farm: Farm, server: ScriptedServer, device: Device
) -> None:
    first, second = Person(), Person()
    await disconnected(client(device, first, server), first)
    async with ScriptedServer(farm, "ts2") as other:
        await disconnected(client(device, second, other), second)
        assert second.asked == []
        assert device.known_farms.fingerprint_of("127.0.0.1", other.port) == farm.fingerprint


async def test_a_no_leaves_nothing_behind(server: ScriptedServer, device: Device) -> None:
    person = Person(says_yes=False)
    with pytest.raises(UntrustedFarm, match="was not accepted"):
        await client(device, person, server).run()
    assert device.known_farms.authorities(date.today()) == []
    assert server.infos == [] and server.logons == []


async def test_a_known_host_with_another_authority_is_refused_by_the_files_name(
    tmp_path: Path, server: ScriptedServer, device: Device
) -> None:
    person = Person()
    await disconnected(client(device, person, server), person)
    await server.close()
    impostor = ScriptedServer(Farm(tmp_path / "other"))
    await impostor.listen(port=server.port)
    try:
        with pytest.raises(UntrustedFarm, match=f"in {device.known_farms.file}"):
            await client(device, person, impostor).run()
        assert len(person.asked) == 1
        assert impostor.logons == []
    finally:
        await impostor.close()


@asynccontextmanager
async def instead_of(server: ScriptedServer, farm: Farm) -> AsyncIterator[ScriptedServer]:
    """A server of another authority at the address of a server that was closed."""
    other = ScriptedServer(farm, server.name)
    await other.listen(port=server.port)
    try:
        yield other
    finally:
        await other.close()


async def test_a_new_authority_is_learned_from_the_one_that_is_known(
    tmp_path: Path, farm: Farm, server: ScriptedServer, device: Device
) -> None:
    person = Person()
    await disconnected(client(device, person, server), person)
    await server.close()
    next_farm = Farm(tmp_path / "next", older=farm)
    told = (
        "the farm lab has a new authority, which the one that you trust endorses:"
        f" {next_farm.fingerprint}"
    )
    for attempt in range(2):
        async with instead_of(server, next_farm) as renewed:
            person = Person()
            await disconnected(client(device, person, renewed), person)
            assert (person.asked, told in person.said) == ([], attempt == 0)
            assert len(renewed.logons) == 1
    assert device.known_farms.fingerprint_of("127.0.0.1", server.port) == next_farm.fingerprint
    async with instead_of(server, farm) as not_yet_renewed:  # behind the same balancer
        person = Person()
        await disconnected(client(device, person, not_yet_renewed), person)
        assert (person.asked, len(not_yet_renewed.logons)) == ([], 1)


async def test_in_a_rotation_the_file_that_is_given_trusts_both_authorities(
    tmp_path: Path, farm: Farm, device: Device
) -> None:
    next_farm = Farm(tmp_path / "next", older=farm)
    ders = [certificates.certificate_der(each.authority) for each in (next_farm, farm)]
    both = Authorities(tuple(ders), next_farm.endorsement).to_pem()
    for each in (farm, next_farm):
        async with ScriptedServer(each) as server:
            person = Person()
            await disconnected(client(device, person, server, authority=both), person)
            assert len(server.logons) == 1


async def test_in_a_rotation_the_file_that_is_given_takes_a_deny_list_of_both_authorities(
    tmp_path: Path, farm: Farm, device: Device
) -> None:
    next_farm = Farm(tmp_path / "next", older=farm)
    ders = [certificates.certificate_der(each.authority) for each in (next_farm, farm)]
    both = Authorities(tuple(ders), next_farm.endorsement).to_pem()
    for signer in (farm, next_farm):
        async with ScriptedServer(farm) as server:
            server.deny_list = signer.denying(server.certificate)
            finished = await client(device, Person(), server, authority=both).run()
            assert finished.code is ErrorCode.CERTIFICATE_REVOKED
            assert server.logons == []


async def test_a_deny_list_of_an_authority_that_was_succeeded_still_counts(
    tmp_path: Path, farm: Farm, server: ScriptedServer, device: Device
) -> None:
    async with ScriptedServer(farm) as revoked:
        server.deny_list = farm.denying(revoked.certificate)
        person = Person()
        await disconnected(client(device, person, server), person)
        await server.close()
        async with instead_of(server, Farm(tmp_path / "next", older=farm)) as renewed:
            person = Person()
            await disconnected(client(device, person, renewed), person)
            assert len(renewed.logons) == 1
        finished = await client(device, Person(), revoked).run()
        assert finished.code is ErrorCode.CERTIFICATE_REVOKED
        assert (revoked.infos, revoked.logons) == ([], [])


async def test_an_endorsement_of_anybody_else_counts_nothing(
    tmp_path: Path, farm: Farm, server: ScriptedServer, device: Device
) -> None:
    person = Person()
    await disconnected(client(device, person, server), person)
    await server.close()
    impostor = Farm(tmp_path / "impostor", older=Farm(tmp_path / "other"))
    async with instead_of(server, impostor) as false:
        with pytest.raises(UntrustedFarm, match="shows another authority than before"):
            await client(device, person, false).run()
        assert (false.infos, false.logons, len(person.asked)) == ([], [], 1)


async def test_an_authority_that_was_succeeded_endorses_no_other(
    tmp_path: Path, farm: Farm, server: ScriptedServer, device: Device
) -> None:
    person = Person()
    await disconnected(client(device, person, server), person)
    await server.close()
    person = Person()
    async with instead_of(server, Farm(tmp_path / "next", older=farm)) as renewed:
        await disconnected(client(device, person, renewed), person)
    async with instead_of(server, Farm(tmp_path / "stolen", older=farm)) as false:
        with pytest.raises(UntrustedFarm, match="shows another authority than before"):
            await client(device, person, false).run()
        assert false.infos == []


async def test_a_new_host_of_an_endorsed_authority_is_not_asked_about(
    tmp_path: Path, farm: Farm, server: ScriptedServer, device: Device
) -> None:
    first, second = Person(), Person()
    await disconnected(client(device, first, server), first)
    next_farm = Farm(tmp_path / "next", older=farm)
    async with ScriptedServer(next_farm, "ts2") as other:
        await disconnected(client(device, second, other), second)
        assert second.asked == []
        known = device.known_farms.fingerprint_of("127.0.0.1", other.port)
        assert known == next_farm.fingerprint


async def test_a_host_without_the_typed_address_is_left_before_anything_is_shown(
    tmp_path: Path, device: Device
) -> None:
    farm = Farm(tmp_path / "pki", addresses=("ts1.example",))
    async with ScriptedServer(farm) as server:
        for authority in (farm.authority, None):
            person = Person()
            finished = await client(device, person, server, authority=authority).run()
            assert (finished.outcome, finished.code) == (Outcome.FAILED, ErrorCode.WRONG_ROLE)
            assert finished.detail == (
                f"127.0.0.1:{server.port}: its certificate, of a terminal server 'ts1', is not for"
                " '127.0.0.1' but for ts1, ts1.example; if 127.0.0.1 is this host's, run `tsfarm"
                " pki renew ts1 --address 127.0.0.1`"
            )
            assert (person.asked, server.infos) == ([], [])


async def test_an_authority_that_did_not_issue_the_certificate_is_not_even_asked_about(
    tmp_path: Path, server: ScriptedServer, device: Device
) -> None:
    foreign = Farm(tmp_path / "other")
    server.shown_authority = certificates.certificate_der(foreign.authority)
    person = Person()
    with pytest.raises(UntrustedFarm, match="has not issued its certificate"):
        await client(device, person, server).run()
    assert person.asked == []


async def test_a_given_authority_is_the_only_one_that_counts(
    tmp_path: Path, farm: Farm, server: ScriptedServer, device: Device
) -> None:
    person = Person()
    await disconnected(client(device, person, server, authority=farm.authority), person)
    foreign = Farm(tmp_path / "other")
    with pytest.raises(UntrustedFarm, match="--ca"):
        await client(device, person, server, authority=foreign.authority).run()
    assert person.asked == []


async def test_a_daemon_of_another_role_is_no_terminal_server(farm: Farm, device: Device) -> None:
    other = ScriptedServer(farm, "license-a")
    await other.listen(role=Role.LICENSE_SERVER)
    try:
        finished = await client(device, Person(), other).run()
        assert (finished.outcome, finished.code) == (Outcome.FAILED, ErrorCode.WRONG_ROLE)
    finally:
        await other.close()


async def test_a_right_authority_is_not_blamed_for_a_wrong_port(farm: Farm, device: Device) -> None:
    other = ScriptedServer(farm, "directory")
    await other.listen(role=Role.SESSION_DIRECTORY)
    try:
        finished = await client(device, Person(), other, authority=farm.authority).run()
    finally:
        await other.close()
    assert (finished.outcome, finished.code) == (Outcome.FAILED, ErrorCode.WRONG_ROLE)
    assert finished.detail == (
        f"127.0.0.1:{other.port}: its certificate is of a session directory 'directory', wanted"
        " was a terminal server; terminal servers listen on port 5600 by default"
    )


async def test_a_plain_link_to_a_server_that_wants_tls_says_so(
    server: ScriptedServer, device: Device
) -> None:
    finished = await client(device, Person(), server, plain=True).run()
    assert finished.detail == "the peer hung up without a word: it may want TLS"


async def test_a_plain_link_needs_no_authority(farm: Farm, device: Device) -> None:
    server = ScriptedServer(farm)
    await server.listen(tls=False)
    try:
        person = Person()
        await disconnected(client(device, person, server, plain=True), person)
        check_proof(server)
    finally:
        await server.close()


async def test_links_to_one_authority_share_what_tls_needs(
    farm: Farm, server: ScriptedServer, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Sequence[bytes]] = []
    real = transport.client_tls

    def remembered(authorities: Sequence[bytes]) -> ssl.SSLContext:
        made.append(authorities)
        return real(authorities)

    monkeypatch.setattr(transport, "client_tls", remembered)
    for _ in range(2):
        dialler = FarmDialler(device.name, farm.authority, source="127.0.0.9")
        link = await dialler.dial(Host("127.0.0.1", server.port), Silent())
        link.close(ErrorCode.NORMAL)
        await link.wait_closed()
    assert made == [(farm.authority,)]


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


def check_proof(server: ScriptedServer) -> None:
    info = server.infos[-1]
    device_id = identity.verify_device_proof(
        info.public_key, info.signature, b"n" * 32, server.certificate
    )
    assert device_id == hashlib.sha256(info.public_key).digest()


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
