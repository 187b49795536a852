"""The client under test in process: the real procedure and the real device store, on the simulated
network. It logs on at once, and stays until it is told to leave."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from clients import device
from clients.conformance.user import User
from clients.files import DeviceStoreError
from clients.logon import steps
from clients.logon.procedure import Logon
from clients.logon.steps import Host, Plan
from tests.conformance.in_process_kinds import FARM
from tests.simulation.device import PATIENCE_SECONDS, Device, Visit
from tests.simulation.network import Network
from tests.simulation.world import World
from tsproto.connection import Closed, Event
from tsproto.errors import ErrorCode
from tsproto.messages import LicenseInfo, LicenseRequest
from tsproto.user_proof import ED25519, Statement


class ClientUnderTest(Device):
    def __init__(
        self, world: World, network: Network, host: Host, users: Mapping[str, User]
    ) -> None:
        super().__init__(world, network, "client", "10.0.1.1", [host])
        self.passwords = {user.name: user.password for user in users.values()}
        self._users = users
        self._folder = tempfile.TemporaryDirectory(prefix="conformance-device-")
        self._store = device.Device.open(Path(self._folder.name), "client")
        self.device_id = self._store.key.device_id
        self._retry_after_seconds = 0

    def begin(self, user: str, in_a_hurry: bool = False, first: str = "") -> Visit:
        """With the user's first SSH key in its agent."""
        self._abandon()
        visit = Visit(self.world.now, user, in_a_hurry)
        self.visits.append(visit)
        plan = Plan(
            hosts=tuple(self.hosts),
            user_name=user,
            key_fingerprints=tuple(key.fingerprint for key in self._users[user].ssh_keys[:1]),
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

    def _take_one(self, step: steps.Step) -> None:
        """Signs with the keys of its user, at once."""
        assert self._logon is not None
        match step:
            case steps.SignWithPassword(statement):
                signature = self._key(statement).sign(statement.signed_bytes())
                self._take(self._logon.on_signed(ED25519, signature, self.world.now))
            case steps.SignWithSshKey(statement, fingerprint):
                keys = self._users[self.visit.user_name].ssh_keys
                key = next(key for key in keys if key.fingerprint == fingerprint)
                signature = key.sign(statement.signed_bytes())
                self._take(self._logon.on_signed(key.kind, signature, self.world.now))
            case steps.AnswerPam(prompt):
                answers = [self.passwords[self.visit.user_name]] * len(prompt.prompts)
                self._take(self._logon.on_pam_answers(prompt.round, answers, self.world.now))
            case _:
                super()._take_one(step)

    def _key(self, statement: Statement) -> Ed25519PrivateKey:
        cost = statement.cost
        user = msgspec.structs.replace(
            self._users[statement.user_name],
            salt=statement.salt,
            memory_kib=cost.memory_kib,
            passes=cost.passes,
            lanes=cost.lanes,
        )
        return user.key(statement.farm)

    def _license_info(self, request: LicenseRequest) -> LicenseInfo:
        return self._store.license_info(
            FARM, request, self._seen().certificate, self.visit.user_name
        )

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
