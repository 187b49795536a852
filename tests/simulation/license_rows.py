"""What may become of a row of a license server, checked at each commit; and, row by row, whether
the disks of borrower and lender agree.

A row has a life: a temporary license is issued once, validated after a session was shown on its
device, and stays; a full one is issued to such a device, renewed near its end, ended at its end,
and leaves when its successor comes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from daemons.effects import Persist
from daemons.license_server.records import JournalRecord, LicenseRecord, LoanRequestRecord
from tests.simulation.ledger import Ledger, pool_of
from tests.simulation.node import Node
from tsproto.limits import DAY_SECONDS, FULL_DAYS_MAX, FULL_DAYS_MIN, RENEWAL_DAYS, TEMPORARY_DAYS
from tsproto.messages import LicenseKind

if TYPE_CHECKING:
    from tests.simulation.farm import Farm

# Between the decision and its commit; a slow disk takes no longer.
DECIDED_SECONDS = 60.0
KEPT_FOR_EVER = ("device_id", "product", "issued_at", "kind", "through", "loan_id", "lender")


class LicenseRows:
    """The laws of rows. `changed` is told of each change before it is on the disk."""

    def __init__(self, farm: Farm) -> None:
        self._farm = farm
        self.ledgers = {node.name: Ledger(node) for node in farm.license_servers}
        # Loans, by id, with the borrower's life, and when it heard the refusal.
        self._refused: dict[bytes, tuple[Ledger, int, float]] = {}
        self.shown: set[bytes] = set()  # devices on which a session was shown

    def changed(self, node: Node, change: Persist) -> None:
        ledger = self.ledgers[node.name]
        for record in change.put:
            match record:
                case LicenseRecord():
                    self._license(ledger, ledger.licenses.get(record.license_id), record, change)
                case JournalRecord(sequence=sequence) if sequence != ledger.sequence + 1:
                    self._broken(f"{node.name}: entry {sequence} after {ledger.sequence}")
                case LoanRequestRecord():
                    self._loan_opened(ledger, record)
            ledger.put(record)
        for record in change.delete:
            if isinstance(record, LicenseRecord):
                self._forgotten(ledger, record)
            elif isinstance(record, LoanRequestRecord):
                self._loan_closed(ledger, record)
            ledger.delete(record)

    # --- one row ------------------------------------------------------------------------------

    def _license(
        self, ledger: Ledger, old: LicenseRecord | None, new: LicenseRecord, change: Persist
    ) -> None:
        entries = [entry for entry in change.put if isinstance(entry, JournalRecord)]
        if not any(entry.license_id == new.license_id for entry in entries):
            self._broken_row(ledger, new, "changes without an entry in the journal")
        if new.kind is LicenseKind.TEMPORARY:
            if old is None:
                self._first(ledger, new)
            else:
                self._temporary(ledger, old, new)
        elif old is None:
            self._issued(ledger, new)
        else:
            self._full(ledger, old, new)
        if old is not None:
            for name in KEPT_FOR_EVER:
                if name == "issued_at" and new.lender:
                    continue  # as the lender's latest token says
                if getattr(old, name) != getattr(new, name):
                    self._broken_row(ledger, new, f"has another {name}")
        if new.kind is LicenseKind.FULL and not new.ended and not new.lender:
            pack = ledger.packs.get(new.key_pack)
            if pack is None or pool_of(pack) != pool_of(new):
                self._broken_row(ledger, new, f"is of no such pack: {new.key_pack}")

    def _first(self, ledger: Ledger, new: LicenseRecord) -> None:
        if [*ledger.of_device(new)]:
            self._broken_row(ledger, new, "is a first one, and the device has others")
        if new.expires_at - new.issued_at != TEMPORARY_DAYS * DAY_SECONDS:
            self._broken_row(ledger, new, f"lasts {new.expires_at - new.issued_at} s")
        if new.validated or new.ended:
            self._broken_row(ledger, new, "is new and validated or ended")

    def _temporary(self, ledger: Ledger, old: LicenseRecord, new: LicenseRecord) -> None:
        if old.expires_at != new.expires_at:
            self._broken_row(ledger, new, "has another end")
        if new.product_version < old.product_version:
            self._broken_row(ledger, new, "counts for less")
        if old.validated and not new.validated:
            self._broken_row(ledger, new, "is no longer validated")
        if new.validated and not old.validated and new.device_id not in self.shown:
            self._broken_row(ledger, new, "is validated, and nobody logged on from its device")

    def _issued(self, ledger: Ledger, new: LicenseRecord) -> None:
        if new.ended:
            self._broken_row(ledger, new, "is new and ended")
        for other in ledger.of_device(new):
            is_live = other.kind is LicenseKind.FULL and not other.ended
            if is_live and other.product_version == new.product_version:
                self._broken_row(ledger, new, "is a second one of its device")
        if new.lender:
            self._borrowed(ledger, new)
            return
        self._lasts(ledger, new)
        asker = self.ledgers.get(new.through, ledger)
        if not asker.may_have_full(new.device_id, new.product):
            text = f"was never earned: no validated license on {asker.node.name}"
            self._broken_row(ledger, new, text)
        if lender := self._in_doubt(asker, new):
            self._broken_row(ledger, new, f"may be a second one: {lender} was silent")
        pack = ledger.packs.get(new.key_pack)
        if pack is None or ledger.used[new.key_pack] >= pack.tokens:
            self._broken_row(ledger, new, f"is one more than were bought as {new.key_pack}")

    def _in_doubt(self, asker: Ledger, new: LicenseRecord | LoanRequestRecord) -> str:
        """The other license server that was silent and may have lent a token: the device is to wait
        for it while its temporary one is good."""
        now = self._farm.time_of(asker.node)
        held = asker.by_device.get((new.device_id, new.product), {}).values()
        can_wait = any(
            row.kind is LicenseKind.TEMPORARY and row.expires_at > now + DECIDED_SECONDS
            for row in held
        )
        for loan in asker.loans.values() if can_wait else ():
            is_other = loan.device_id == new.device_id and loan.loan_id != new.loan_id
            if is_other and loan.asked_at + DAY_SECONDS > now + DECIDED_SECONDS:
                return loan.lender
        return ""

    def _full(self, ledger: Ledger, old: LicenseRecord, new: LicenseRecord) -> None:
        now = self._farm.time_of(ledger.node)
        if new.product_version != old.product_version:
            self._broken_row(ledger, new, "has another version")
        if new.ended:
            if new.expires_at > now:
                self._broken_row(ledger, new, f"ends {new.expires_at - now:.0f} s early")
            if old.expires_at != new.expires_at:
                self._broken_row(ledger, new, "ends at another time")
        elif new.lender:
            self._borrowed(ledger, new)
        elif new != old:
            left = old.expires_at - now
            if old.ended or left + DECIDED_SECONDS <= 0:
                self._broken_row(ledger, new, f"is renewed {-left:.0f} s after its end")
            if left > RENEWAL_DAYS * DAY_SECONDS:
                self._broken_row(ledger, new, f"is renewed {left / DAY_SECONDS:.1f} days early")
            self._lasts(ledger, new)

    def _lasts(self, ledger: Ledger, new: LicenseRecord) -> None:
        days = (new.expires_at - (new.renewed_at or new.issued_at)) / DAY_SECONDS
        if not FULL_DAYS_MIN <= days <= FULL_DAYS_MAX:
            self._broken_row(ledger, new, f"lasts {days:.2f} days")

    def _borrowed(self, ledger: Ledger, new: LicenseRecord) -> None:
        """A borrower's row is its lender's, and ends no later."""
        lender = self.ledgers.get(new.lender)
        row = lender.licenses.get(new.license_id) if lender else None
        if row is None:
            self._broken_row(ledger, new, f"was lent, and {new.lender} has not lent it")
            return
        same = row.device_id, row.product, row.product_version, row.kind
        if same != (new.device_id, new.product, new.product_version, new.kind):
            self._broken_row(ledger, new, f"is another one on the disk of {new.lender}")
        if new.expires_at > row.expires_at:
            self._broken_row(ledger, new, f"ends later than on the disk of {new.lender}")
        if not new.token:
            self._broken_row(ledger, new, "was lent, and its token is not kept")

    def _forgotten(self, ledger: Ledger, license: LicenseRecord) -> None:
        known = ledger.licenses.get(license.license_id)
        if known is None or not known.ended:
            self._broken_row(ledger, license, "is forgotten, and has not ended")
        if not self._has_live(ledger, license.device_id, license.product):
            self._broken_row(ledger, license, "is forgotten, and no other came in its place")

    def _loan_opened(self, ledger: Ledger, loan: LoanRequestRecord) -> None:
        """A lender is asked again with the loan that is open."""
        key = loan.device_id, loan.product, loan.product_version, loan.lender
        for other in ledger.loans.values():
            same = other.device_id, other.product, other.product_version, other.lender
            if same == key and other.loan_id != loan.loan_id:
                self._broken(f"{ledger.node.name} opens {loan} beside {other}")
        if loan.loan_id not in ledger.loans and (lender := self._in_doubt(ledger, loan)):
            self._broken(f"{ledger.node.name} opens {loan}, and {lender} was silent")

    def _loan_closed(self, ledger: Ledger, loan: LoanRequestRecord) -> None:
        lender = self.ledgers.get(loan.lender)
        if lender is None or self._has_live(ledger, loan.device_id, loan.product):
            return
        if any(row.loan_id == loan.loan_id for row in self._lent(lender)):
            self._broken(f"{ledger.node.name} forgets {loan}, and its token was lent")

    def _has_live(self, ledger: Ledger, device_id: bytes, product: str) -> bool:
        held = ledger.by_device.get((device_id, product), {}).values()
        return any(row.kind is LicenseKind.FULL and not row.ended for row in held)

    def refused(self, borrower: Node, loan_id: bytes) -> None:
        """The lender has said no: nothing is in doubt any more."""
        ledger = self.ledgers[borrower.name]
        self._refused[loan_id] = ledger, borrower.life, self._farm.world.now

    # --- all rows ------------------------------------------------------------------------------

    def loans_are_known(self) -> None:
        """Each token that is lent is known to its borrower: as a license, or as an open loan. A
        loan that was refused is open no more, unless its borrower died before that was durable."""
        for loan_id, (asker, life, at) in [*self._refused.items()]:
            is_over = at + 1.0 < self._farm.world.now and self._farm.is_settled(asker.node)
            if asker.node.life != life or (is_over and loan_id not in asker.loans):
                del self._refused[loan_id]
            elif is_over:
                self._broken(f"{asker.node.name} keeps a loan open that was refused")
        for lender in self.ledgers.values():
            for row in self._lent(lender):
                borrower = self.ledgers.get(row.through)
                if borrower is None or row.license_id in borrower.licenses:
                    continue
                held = borrower.by_device.get((row.device_id, row.product), {}).values()
                has_other = any(other.kind is LicenseKind.FULL for other in held)
                if row.loan_id not in borrower.loans and not has_other:
                    text = f"{lender.node.name} lent {row.license_id.hex()[:8]} to {row.through}"
                    self._broken(f"{text}, which knows nothing of it")

    def nothing_is_overdrawn(self) -> None:
        for ledger in self.ledgers.values():
            for name, used in ledger.used.items():
                pack = ledger.packs.get(name)
                if pack is None or used > pack.tokens:
                    self._broken(f"{ledger.node.name}: {used} of {name} are out")

    def _lent(self, lender: Ledger) -> list[LicenseRecord]:
        now = self._farm.world.now
        return [
            row
            for row in lender.licenses.values()
            if row.through and not row.ended and row.expires_at > now
        ]

    def _broken_row(self, ledger: Ledger, row: LicenseRecord, text: str) -> None:
        license_id = row.license_id.hex()[:8]
        self._broken(f"{ledger.node.name}: {row.kind.name} license {license_id} {text}")

    def _broken(self, text: str) -> None:
        self._farm.broken("a row has one life", text)
