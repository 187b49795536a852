"""A farm of three terminal servers, a directory and two license servers is told of a deny list at
one daemon, in virtual time."""

from __future__ import annotations

import pytest

from tests.simulation.device import Device
from tests.simulation.farm import Farm
from tests.simulation.ghost import Ghost
from tests.simulation.kinds import FARM
from tests.simulation.swarm import Swarm
from tests.simulation.world import START
from tsproto.deny_list import DenyKind
from tsproto.errors import ErrorCode
from tsproto.identity import Identity
from tsproto.limits import HEARTBEAT_SECONDS
from tsproto.messages import AdministratorRole, PublishDenyList, Role

AT_ONCE_SECONDS = 0.1
SETTLING_SECONDS = 5.0
NUMBER = int(START) * 1_000_000
OTHER = b"\1" * 32
CERTIFICATES, DEVICES = DenyKind


class Told:
    """A calm farm whose administrator publishes lists."""

    def __init__(self) -> None:
        self.farm = Farm(1, Swarm())
        self.farm.begin()
        self.farm.network.add_identity(
            Identity(FARM, Role.ADMINISTRATOR, "admin", AdministratorRole.ADMIN)
        )
        self.wait(SETTLING_SECONDS)

    def wait(self, seconds: float) -> None:
        self.farm.world.run_until(self.farm.world.now + seconds)

    def publish(
        self, kind: DenyKind, *entries: bytes, at: str = "ts1", number: int = NUMBER
    ) -> None:
        signed = self.farm.authority.denying(kind, number, *entries)
        admin = self.farm.network.identity_of("admin")
        assert admin is not None
        Ghost(
            self.farm.world,
            self.farm.network,
            admin,
            "10.9.9.9",
            self.farm.node(at).host,
            lambda rng: [PublishDenyList(signed=signed)],
        ).visit()

    def numbers(self) -> dict[str, tuple[int, int]]:
        return {node.name: node.deny_lists.numbers for node in self.farm.nodes}

    def peers_of(self, name: str) -> list[str]:
        """The peers whose links with this node are open."""
        node = self.farm.node(name)
        peers = [node.switchboard.peer_of(line) for line in node.lines.values()]
        return [peer.name for peer in peers if peer is not None]

    def session_of(self, device: Device, host: str) -> int:
        """The device logs on to this host, and stays."""
        device.hosts = [each for each in device.hosts if each.address == self.farm.node(host).host]
        device.leave = lambda: None  # type: ignore[method-assign]
        visit = device.begin("user0", in_a_hurry=True)
        self.wait(SETTLING_SECONDS)
        assert visit.attached_to == host
        return visit.session_id


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.mark.parametrize("at", ["ts1", "directory", "a"])
def test_who_tells_one_daemon_has_told_the_farm_at_once(told: Told, at: str) -> None:
    told.publish(CERTIFICATES, OTHER, at=at)
    told.wait(AT_ONCE_SECONDS)
    assert set(told.numbers().values()) == {(NUMBER, 0)}
    assert AT_ONCE_SECONDS < HEARTBEAT_SECONDS


def test_a_daemon_that_was_down_has_the_list_when_it_is_back(told: Told) -> None:
    told.farm.node("ts3").crash()
    told.publish(CERTIFICATES, OTHER)
    told.wait(SETTLING_SECONDS)
    told.farm.node("ts3").start()
    assert told.farm.node("ts3").deny_lists.numbers == (0, 0)
    told.wait(SETTLING_SECONDS)
    assert told.farm.node("ts3").deny_lists.numbers == (NUMBER, 0)


def test_a_restart_keeps_the_list(told: Told) -> None:
    told.publish(DEVICES, OTHER, at="ts2")
    told.wait(SETTLING_SECONDS)
    for node in told.farm.nodes:
        node.crash()
    for node in told.farm.nodes:
        node.start()
        assert node.deny_lists.numbers == (0, NUMBER)
        assert node.deny_lists.denies_device(OTHER)


def test_a_revoked_terminal_server_is_cut_off_and_its_successor_is_not(told: Told) -> None:
    assert sorted(set(told.peers_of("ts3"))) == ["a", "directory"]
    ts3 = told.farm.node("ts3")
    stolen = told.farm.network.certificate_of("ts3")
    told.publish(CERTIFICATES, stolen)
    told.wait(AT_ONCE_SECONDS)
    assert told.peers_of("ts3") == []
    for node in told.farm.nodes:
        assert "ts3" not in told.peers_of(node.name)
    told.wait(SETTLING_SECONDS)  # it dials again and again
    assert told.peers_of("ts3") == []
    (device, *_) = told.farm.devices
    device.hosts = [host for host in device.hosts if host.address == ts3.host]
    visit = device.begin("user0", in_a_hurry=True)
    told.wait(SETTLING_SECONDS)
    assert not visit.attached_to


def test_a_revoked_device_loses_its_session_at_once_and_comes_in_nowhere(told: Told) -> None:
    lost, kept, *_ = told.farm.devices
    session_id = told.session_of(lost, "ts2")
    told.publish(DEVICES, lost.device_id, at="a")
    told.wait(AT_ONCE_SECONDS)
    assert (lost.visit.code, lost.is_attached) == (ErrorCode.DEVICE_REVOKED, False)
    ts2 = told.farm.kind_of(told.farm.node("ts2"))
    assert session_id in ts2.programs and session_id not in ts2.shown
    for node, _ in told.farm.terminal_servers:
        lost.hosts = [host for host in kept.hosts if host.address == node.host]
        visit = lost.begin("user0", in_a_hurry=True)
        told.wait(SETTLING_SECONDS)
        assert (visit.code, visit.attached_to) == (ErrorCode.DEVICE_REVOKED, "")
    assert told.session_of(kept, "ts2") == session_id


def test_a_client_learns_of_a_revoked_server_from_the_others(told: Told) -> None:
    device, *_ = told.farm.devices
    told.session_of(device, "ts1")
    told.publish(CERTIFICATES, told.farm.network.certificate_of("ts3"), at="ts2")
    told.wait(AT_ONCE_SECONDS)
    assert device.deny_lists.numbers == (NUMBER, 0)
