"""A user has logged on: the license server is told that the device's temporary license may become a
full one. Only now, for an interrupted logon validates nothing (KB 287687)."""

from __future__ import annotations

from functools import partial

from daemons.effects import Effect, Note
from daemons.terminal_server.inquiry import Inquiry, Verdict
from daemons.terminal_server.license_servers import LicenseServers
from daemons.terminal_server.licensing import LicensedDevice
from daemons.terminal_server.tickets import Tickets
from tsproto.messages import Done, LicenseKind, MarkValidated, Message

# Beyond it a device is validated at its next logon: license servers that are so slow need rest.
VALIDATIONS_MAX = 1_024


class Validations:
    """Nobody waits for these: one that fails everywhere is made up for at the next logon."""

    def __init__(self, product: str, servers: LicenseServers, tickets: Tickets) -> None:
        self._product = product
        self._servers = servers
        self._tickets = tickets
        self._running: dict[bytes, Inquiry] = {}

    def on_logon(self, device: LicensedDevice, user_name: str, now: float) -> list[Effect]:
        """One at a time for a device, and only for a temporary license."""
        if device.kind is not LicenseKind.TEMPORARY or device.device_id in self._running:
            return []
        if len(self._running) >= VALIDATIONS_MAX:
            return [Note("license.not_validated", {"trace_id": device.trace_id, "why": "BUSY"})]
        question = MarkValidated(
            device_id=device.device_id,
            product=self._product,
            product_version=device.product_version,
            user_name=user_name,
            trace_id=device.trace_id,
        )
        inquiry = Inquiry(
            question,
            servers=self._servers,
            tickets=self._tickets,
            issuer=device.issuer,
            check=_fault_of,
            finish=partial(self._on_verdict, device),
        )
        self._running[device.device_id] = inquiry
        return inquiry.begin(now)

    def _on_verdict(self, device: LicensedDevice, verdict: Verdict, now: float) -> list[Effect]:
        del self._running[device.device_id]
        event = "license.validated" if verdict.answer else "license.not_validated"
        return [Note(event, {"trace_id": device.trace_id, "asked": list(verdict.asked)})]


def _fault_of(answer: Message, now: float) -> str:
    return "" if isinstance(answer, Done) else f"{type(answer).__name__} is no answer to this"
