"""Which farms and hosts a client trusts: real TLS, a real device store."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path

import pytest

from clients.device import Device
from clients.logon.steps import Finished, Host, Outcome
from clients.trust import FarmDialler, UntrustedFarm
from tests.integration.a_client import Person, Silent, check_proof, client, disconnected
from tests.integration.scripted_server import Farm, ScriptedServer
from tsproto import certificates, transport
from tsproto.authorities import Authorities
from tsproto.errors import ErrorCode
from tsproto.messages import (
    Role,
)


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
