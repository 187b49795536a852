"""The client under test in process: the real procedure and the real device store, on the simulated
network. It logs on at once, and stays until it is told to leave."""

from __future__ import annotations

import tempfile
from pathlib import Path

from clients import device
from clients.files import DeviceStoreError
from clients.logon import steps
from clients.logon.steps import Host
from tests.conformance.in_process_kinds import FARM
from tests.simulation.device import Device
from tests.simulation.network import Network
from tests.simulation.world import World
from tsproto.connection import Closed, Event
from tsproto.errors import ErrorCode
from tsproto.messages import LicenseInfo, LicenseRequest


class ClientUnderTest(Device):
    def __init__(self, world: World, network: Network, host: Host) -> None:
        super().__init__(world, network, "client", "10.0.1.1", [host])
        self._folder = tempfile.TemporaryDirectory(prefix="conformance-device-")
        self._store = device.Device.open(Path(self._folder.name), "client")
        self._retry_after_seconds = 0

    def begin(self, user: str, in_a_hurry: bool = False) -> Visit:
        """With the user's first SSH key in its agent."""
        self._abandon()
        visit = Visit(self.world.now, user, in_a_hurry)
        self.visits.append(visit)
        plan = Plan(
            hosts=tuple(self._hosts),
            user_name=user,
            key_fingerprints=tuple(key.fingerprint for key in self.users[user].ssh_keys[:1]),
            connect_seconds=PATIENCE_SECONDS,
            reconnect_seconds=PATIENCE_SECONDS,
        )
        self._logon = Logon(plan, self.rng)
        self._take(self._logon.start(self.world.now))
        return visit

    def leave(self) -> None:
        """Not by itself, as simulated people do."""

    def disconnect(self) -> None:
        if self._logon is not None:
            self._take(self._logon.disconnect(self.world.now))

    def stop(self) -> None:
        """For good, its device's files included."""
        self._abandon()
        self._folder.cleanup()

    def _license_info(self, request: LicenseRequest) -> LicenseInfo:
        return self._store.license_info(FARM, request, bytes(32), self.visit.user_name)

    def _stored(self, token: bytes, certificate: bytes, now: float) -> list[steps.Step]:
        """What the store refuses ends the procedure."""
        assert self._logon is not None
        try:
            license_id = self._store.store_license(FARM, token, certificate)
        except DeviceStoreError:
            return self._logon.cancel()
        return self._logon.on_stored(license_id, now)

    def _on_events(self, number: int, events: list[Event]) -> None:
        ends = [event for event in events if isinstance(event, Closed)]
        self._retry_after_seconds = ends[0].retry_after_seconds if ends else 0
        super()._on_events(number, events)

    def _on_lost(self, number: int, code: ErrorCode, detail: str = "") -> None:
        if self._number == number and self._logon is not None:
            self._flush()
            logon, wait = self._logon, self._retry_after_seconds
            self._drop_link()
            self._take(logon.on_closed(code, detail, wait, self.world.now))
