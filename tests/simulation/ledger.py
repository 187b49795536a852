"""The disk of one license server, indexed and counted: kept in step with each commit, and never
with anything that a core says of itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from daemons.effects import Persist, Record
from daemons.license_server.records import (
    JournalRecord,
    KeyPackRecord,
    LicenseRecord,
    LoanRequestRecord,
)
from tests.simulation.node import Node
from tsproto.limits import DAY_SECONDS
from tsproto.messages import LicenseKind

Device = tuple[bytes, str]  # its id, and a product
Pool = tuple[str, int]  # a product and its version


class Ledger:
    def __init__(self, node: Node) -> None:
        self.node = node
        self.reload()

    def reload(self) -> None:
        """From the disk: after it was put back to an older state."""
        self.licenses: dict[bytes, LicenseRecord] = {}
        self.by_device: dict[Device, dict[bytes, LicenseRecord]] = {}
        self.loans: dict[bytes, LoanRequestRecord] = {}
        self.packs: dict[str, KeyPackRecord] = {}
        self.used: Counter[str] = Counter()  # by key pack
        self.issued: Counter[Pool] = Counter()
        self.lent: Counter[Pool] = Counter()
        self.temporary: Counter[Pool] = Counter()
        self.sequence = 0
        kinds = (KeyPackRecord, LicenseRecord, LoanRequestRecord, JournalRecord)
        for records in self.node.disk.load(kinds).values():
            for record in records:
                self.put(record)

    def total(self, pool: Pool) -> int:
        return sum(pack.tokens for pack in self.packs.values() if pool_of(pack) == pool)

    def available(self, pool: Pool) -> int:
        return self.total(pool) - self.issued[pool] - self.lent[pool]

    def pools(self) -> list[Pool]:
        return sorted({pool_of(pack) for pack in self.packs.values()})

    def of_device(self, license: LicenseRecord) -> Iterator[LicenseRecord]:
        """The other licenses of its device and product."""
        held = self.by_device.get((license.device_id, license.product), {})
        return (other for key, other in held.items() if key != license.license_id)

    def may_have_full(self, device_id: bytes, product: str) -> bool:
        """Whether the device was validated here, or licensed before."""
        held = self.by_device.get((device_id, product), {}).values()
        return any(row.kind is LicenseKind.FULL or row.validated for row in held)

    def is_in_doubt(self, device_id: bytes, product: str, *, other_than: int = 0) -> bool:
        """Whether a lender was silent about the device within the last day, and may have lent; only
        about versions `other_than` this."""
        now = self.node.clock.now()
        return any(
            (loan.device_id, loan.product) == (device_id, product)
            and now < loan.asked_at + DAY_SECONDS
            and loan.product_version != other_than
            for loan in self.loans.values()
        )

    def apply(self, change: Persist) -> None:
        for record in change.put:
            self.put(record)
        for record in change.delete:
            self.delete(record)

    def put(self, record: Record) -> None:
        match record:
            case LicenseRecord():
                self._count(self.licenses.get(record.license_id), -1)
                self._count(record, +1)
                self.licenses[record.license_id] = record
                device = record.device_id, record.product
                self.by_device.setdefault(device, {})[record.license_id] = record
            case LoanRequestRecord():
                self.loans[record.loan_id] = record
            case KeyPackRecord():
                self.packs[record.key_pack] = record
            case JournalRecord():
                self.sequence = max(self.sequence, record.sequence)

    def delete(self, record: Record) -> None:
        match record:
            case LicenseRecord():
                self._count(self.licenses.pop(record.license_id, None), -1)
                device = record.device_id, record.product
                self.by_device.get(device, {}).pop(record.license_id, None)
            case LoanRequestRecord():
                self.loans.pop(record.loan_id, None)

    def _count(self, license: LicenseRecord | None, change: int) -> None:
        if license is None:
            return
        if license.kind is LicenseKind.TEMPORARY:
            self.temporary[pool_of(license)] += change
        elif not license.ended and not license.lender:
            self.used[license.key_pack] += change
            counted = self.lent if license.through else self.issued
            counted[pool_of(license)] += change


def pool_of(row: LicenseRecord | KeyPackRecord) -> Pool:
    return row.product, row.product_version
