"""A user has logged on: the license server is told that the device's temporary license may become a
full one. Only now, for an interrupted logon validates nothing (KB 287687)."""

from __future__ import annotations

from daemons import events
from daemons.effects import Effect
from daemons.procedures import Procedure, Procedures
from daemons.terminal_server.client import AcceptedLicense, Client
from daemons.terminal_server.inquiry import inquire
from daemons.terminal_server.license_servers import KnownLicenseServers
from tsproto.errors import ErrorCode
from tsproto.messages import Done, LicenseKind, MarkValidated

# Beyond it a device is validated at its next logon: license servers that are so slow need rest.
VALIDATIONS_MAX = 1_024


class Validations:
    """No client waits for these: one that fails everywhere is repeated at the next logon."""

    def __init__(self, product: str, servers: KnownLicenseServers, procedures: Procedures) -> None:
        self._product = product
        self._servers = servers
        self._procedures = procedures
        self._running: set[bytes] = set()

    def on_logon(self, client: Client, user_name: str, now: float) -> list[Effect]:
        """One at a time for a device, and only for a temporary license."""
        license, device_id = client.license, client.device_id
        if license is None or license.kind is not LicenseKind.TEMPORARY:
            return []
        if device_id in self._running:
            return []
        if len(self._running) >= VALIDATIONS_MAX:
            return [events.DeviceNotValidated(trace_id=client.trace_id, code=ErrorCode.BUSY)]
        self._running.add(device_id)
        question = MarkValidated(
            device_id=device_id,
            product=self._product,
            product_version=license.product_version,
            user_name=user_name,
            trace_id=client.trace_id,
        )
        return self._procedures.start(
            ("validation", device_id), self._validate(question, license), now
        )

    def _validate(self, question: MarkValidated, license: AcceptedLicense) -> Procedure[None]:
        verdict = yield from inquire(
            question,
            Done,
            issuer=license.issuer,
            fault_of=lambda done: "",
            servers=self._servers,
            procedures=self._procedures,
        )
        self._running.discard(question.device_id)
        trace_id, asked = question.trace_id, verdict.asked
        if verdict.answer is not None:
            self._procedures.do(events.DeviceValidated(trace_id=trace_id, asked=asked))
            return
        code = verdict.refusal.code if verdict.refusal else ErrorCode.NO_LICENSE_SERVER
        not_validated = events.DeviceNotValidated(trace_id=trace_id, code=code, asked=asked)
        self._procedures.do(not_validated)
