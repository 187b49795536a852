"""Licenses, loan requests and the journal, in memory as in the store: a change returns its Persist.

A full token is out until `end_expired` takes it back; time alone frees nothing. Decisions about who
gets a token are made elsewhere.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from daemons.effects import Effect, Persist, Randomness, Record, Records, records_of
from daemons.license_server.pools import LedgerInconsistent, Pools, full
from daemons.license_server.records import (
    JournalRecord,
    KeyPackRecord,
    LicenseRecord,
    LoanRequestRecord,
)
from tsproto import limits
from tsproto.license_token import Holder, holder_of
from tsproto.messages import AcquireLicense, LendLicense, LicenseKind

LICENSE_ID_BYTES = 16


class Ledger:
    """Packs, licenses, loan requests and the journal of one license server.

    Raises LedgerInconsistent for records that contradict each other.
    """

    def __init__(self, records: Records, rng: Randomness) -> None:
        self._rng = rng
        self.pools = Pools()
        self._licenses: dict[bytes, LicenseRecord] = {}
        self._by_holder: dict[Holder, tuple[LicenseRecord, ...]] = {}
        self._ids: list[bytes] = []
        self._ids_sorted = True
        self._expiries: list[tuple[int, bytes]] = []
        self._loan_requests: dict[tuple[Holder, str], tuple[LoanRequestRecord, ...]] = {}
        self.sequence = 0
        self.latest = 0
        for pack in records_of(KeyPackRecord, records):
            self.pools.add(pack)
        for license in records_of(LicenseRecord, records):
            self._load(license)
        for asked in records_of(LoanRequestRecord, records):
            self._remember_loan_request(asked)
        for entry in records_of(JournalRecord, records):
            self._follow(entry)

    # --- queries ------------------------------------------------------------------------------

    def license(self, license_id: bytes) -> LicenseRecord | None:
        return self._licenses.get(license_id)

    def full_token(
        self, holder: Holder, product: str, product_version: int
    ) -> LicenseRecord | None:
        """The holder's full token that this version accepts, the nearest version first."""
        nearest: LicenseRecord | None = None
        for license in self._by_holder.get(holder, ()):
            is_full = license.kind is LicenseKind.FULL and license.product == product
            is_usable = is_full and license.product_version >= product_version
            is_nearer = nearest is None or license.product_version < nearest.product_version
            if is_usable and is_nearer and not license.ended:
                nearest = license
        return nearest

    def temporary_token(self, holder: Holder, product: str) -> LicenseRecord | None:
        """The holder's one temporary token, whether it has expired or not."""
        return next(iter(self._held_by(holder, product, LicenseKind.TEMPORARY)), None)

    def was_licensed(self, holder: Holder, product: str) -> bool:
        """Whether the holder has, or had, a full token of the product."""
        return bool(self._held_by(holder, product, LicenseKind.FULL))

    def licenses_after(self, after: bytes, holder: Holder) -> tuple[list[LicenseRecord], bool]:
        """At most PAGE_ROWS licenses in the order of their ids, and whether there are more.

        Full tokens that were taken back are left out; the journal has them.
        """
        if holder:
            ids = sorted(license.license_id for license in self._by_holder.get(holder, ()))
        else:
            ids = self._sorted_ids()
        page: list[LicenseRecord] = []
        for index in range(bisect_right(ids, after), len(ids)):
            license = self._licenses.get(ids[index])
            if license is None or license.ended:
                continue
            if len(page) == limits.PAGE_ROWS:
                return page, True
            page.append(license)
        return page, False

    def loan_requests(self, holder: Holder, product: str) -> tuple[LoanRequestRecord, ...]:
        return self._loan_requests.get((holder, product), ())

    def next_expiry(self) -> int | None:
        """When the next full token ends; earlier if a renewed token's former end comes first."""
        return self._expiries[0][0] if self._expiries else None

    def rows(self) -> Iterator[Record]:
        """The rows of the store once everything is committed, without the journal."""
        yield from self.pools.records()
        yield from self._licenses.values()
        for asked in self._loan_requests.values():
            yield from asked

    # --- changes ------------------------------------------------------------------------------

    def add_pack(self, pack: KeyPackRecord) -> Persist | None:
        """None when the same pack was added before. Raises Refusal, as Pools.add."""
        if not self.pools.add(pack):
            return None
        detail = f"{pack.key_pack}: {pack.tokens} of {pack.product} {pack.product_version}"
        entry = self._entry("pack.added", pack.added_at, detail=detail)
        return Persist(put=(pack, entry))

    def issue_temporary(self, request: AcquireLicense, now: float) -> tuple[LicenseRecord, Persist]:
        """Raises Refusal(LEDGER_FULL) at DEVICES_MAX or POOLS_MAX."""
        self._check_room(holder_of(request))
        self.pools.pool(request.product, request.product_version)
        license = LicenseRecord(
            license_id=self._rng.randbytes(LICENSE_ID_BYTES),
            kind=LicenseKind.TEMPORARY,
            product=request.product,
            product_version=request.product_version,
            device_id=request.device_id,
            device_name=request.device_name,
            user_name=request.user_name,
            issued_at=int(now),
            expires_at=int(now) + limits.TEMPORARY_DAYS * limits.DAY_SECONDS,
        )
        self._put(license)
        return license, self._change("license.issued", license, now, detail="temporary")

    def issue_full(
        self,
        request: AcquireLicense | LendLicense,
        pack: KeyPackRecord,
        now: float,
        through: str = "",
    ) -> tuple[LicenseRecord, Persist]:
        """Take a token from `pack`; `through` is the peer that asked for it.

        Raises Refusal(LEDGER_FULL) at DEVICES_MAX.
        """
        self._check_room(holder_of(request))
        license = LicenseRecord(
            license_id=self._rng.randbytes(LICENSE_ID_BYTES),
            kind=LicenseKind.FULL,
            product=pack.product,
            product_version=pack.product_version,
            device_id=request.device_id,
            device_name=request.device_name,
            user_name=request.user_name,
            issued_at=int(now),
            expires_at=self._draw_expiry(now),
            validated=True,
            key_pack=pack.key_pack,
            through=through,
            loan_id=request.loan_id if isinstance(request, LendLicense) else b"",
        )
        replaced = self._replace_ended(license)
        event = "license.lent" if through else "license.issued"
        detail = f"through {through}" if through else "full"
        return license, self._change(event, license, now, detail=detail, delete=replaced)

    def validate(self, license: LicenseRecord, user_name: str, now: float) -> Persist:
        validated = replace(license, validated=True)
        self._put(validated)
        return self._change("license.validated", validated, now, user_name=user_name)

    def raise_temporary(self, license: LicenseRecord, product_version: int, now: float) -> Persist:
        """Let a temporary token count for a newer version; its id and end stay the same.

        Raises Refusal(LEDGER_FULL) at POOLS_MAX.
        """
        self.pools.pool(license.product, product_version)
        raised = replace(license, product_version=product_version)
        self._put(raised)
        detail = f"version {license.product_version} to {product_version}"
        return self._change("license.raised", raised, now, detail=detail)

    def renew(
        self, license: LicenseRecord, user_name: str, now: float
    ) -> tuple[LicenseRecord, Persist]:
        """Draw a new end for a token issued here; the pool does not change."""
        renewed = replace(license, renewed_at=int(now), expires_at=self._draw_expiry(now))
        self._put(renewed)
        change = self._change("license.renewed", renewed, now, user_name=user_name)
        return renewed, change

    def borrow(self, license: LicenseRecord, now: float) -> Persist:
        """Record a token that a peer issued for us, and delete all loan requests of its holder and
        product. That loses no token: lenders know a device by holder and product, not by loan id.
        One that issued a second token gives it again on another request, or takes it back when it
        expires.
        """
        asked = self._loan_requests.pop((holder_of(license), license.product), ())
        replaced = self._replace_ended(license)
        return self._change(
            "license.borrowed",
            license,
            now,
            detail=f"lent by {license.lender}",
            delete=(*replaced, *asked),
        )

    def renew_borrowed(self, renewed: LicenseRecord, user_name: str, now: float) -> Persist:
        """Replace a borrowed token by the one that its lender renewed."""
        self._put(renewed)
        detail = f"lent by {renewed.lender}"
        return self._change("license.renewed", renewed, now, detail=detail, user_name=user_name)

    def add_loan_request(self, asked: LoanRequestRecord) -> Persist:
        self._remember_loan_request(asked)
        return Persist(put=(asked,))

    def delete_loan_request(self, asked: LoanRequestRecord) -> Persist:
        """The lender has issued no token for this request, and will not."""
        key = holder_of(asked), asked.product
        others = tuple(o for o in self._loan_requests.get(key, ()) if o.loan_id != asked.loan_id)
        if others:
            self._loan_requests[key] = others
        else:
            self._loan_requests.pop(key, None)
        return Persist(delete=(asked,))

    def end_expired(self, now: float) -> tuple[list[LicenseRecord], list[Effect]]:
        """End every full token with `expires_at <= now`; tokens of our pools are available again.

        Source: "How Terminal Services Licensing Works": expiry recovers tokens of lost devices.
        """
        ended: list[LicenseRecord] = []
        put: list[Record] = []
        while self._expiries and self._expiries[0][0] <= now:
            expires_at, license_id = heapq.heappop(self._expiries)
            license = self._licenses.get(license_id)
            if license is None or license.ended or license.expires_at != expires_at:
                continue
            license = replace(license, ended=True, token=b"", issuer_certificate=b"")
            self._put(license)
            event = "license.expired" if license.lender else "license.reclaimed"
            put += (license, self._entry(event, now, license))
            ended.append(license)
        return ended, [Persist(put=tuple(put))] if put else []

    # --- indexes and pools --------------------------------------------------------------------

    def _draw_expiry(self, now: float) -> int:
        """FULL_DAYS_MIN to FULL_DAYS_MAX whole days from now, evenly distributed: tokens issued on
        one day must not all be renewed on one day."""
        days = self._rng.randrange(limits.FULL_DAYS_MIN, limits.FULL_DAYS_MAX + 1)
        return int(now) + days * limits.DAY_SECONDS

    def _put(self, license: LicenseRecord) -> None:
        """Replace a license's older state, and move it to the pool that it now counts in."""
        older = self._licenses.get(license.license_id)
        if older is None:
            self._ids.append(license.license_id)
            self._ids_sorted = False
            self._count(license, +1)
        elif _counts_as(older) != _counts_as(license):
            self._count(older, -1)
            self._count(license, +1)
        self._licenses[license.license_id] = license
        others = self._others(license)
        self._by_holder[holder_of(license)] = (*others, license)
        if license.kind is LicenseKind.FULL and not license.ended:
            heapq.heappush(self._expiries, (license.expires_at, license.license_id))

    def _remove(self, license: LicenseRecord) -> None:
        self._count(license, -1)
        del self._licenses[license.license_id]
        self._by_holder[holder_of(license)] = self._others(license)

    def _others(self, license: LicenseRecord) -> tuple[LicenseRecord, ...]:
        held = self._by_holder.get(holder_of(license), ())
        return tuple(other for other in held if other.license_id != license.license_id)

    def _replace_ended(self, license: LicenseRecord) -> tuple[LicenseRecord, ...]:
        """Put a full token, and remove the ended ones of its holder and product."""
        held = self._held_by(holder_of(license), license.product, LicenseKind.FULL)
        replaced = tuple(o for o in held if o.ended and o.license_id != license.license_id)
        self._put(license)
        for ended in replaced:
            self._remove(ended)
        return replaced

    def _count(self, license: LicenseRecord, change: int) -> None:
        if license.kind is LicenseKind.TEMPORARY:
            self.pools.count_temporary(license, change)
        elif not license.ended and not license.lender:
            if change > 0:
                self.pools.take(license)
            else:
                self.pools.give_back(license)

    def _held_by(self, holder: Holder, product: str, kind: LicenseKind) -> list[LicenseRecord]:
        held = self._by_holder.get(holder, ())
        return [o for o in held if o.product == product and o.kind is kind]

    def _check_room(self, holder: Holder) -> None:
        if holder not in self._by_holder and len(self._by_holder) >= limits.DEVICES_MAX:
            raise full(f"{limits.DEVICES_MAX} devices")

    def _sorted_ids(self) -> list[bytes]:
        # Mostly one sorted run with a short tail: list.sort takes that in linear time.
        if not self._ids_sorted:
            self._ids = [i for i in self._ids if i in self._licenses]
            self._ids.sort()
            self._ids_sorted = True
        return self._ids

    def _remember_loan_request(self, asked: LoanRequestRecord) -> None:
        key = holder_of(asked), asked.product
        self._loan_requests[key] = (*self._loan_requests.get(key, ()), asked)

    # --- the journal --------------------------------------------------------------------------

    def _change(
        self,
        event: str,
        license: LicenseRecord,
        now: float,
        *,
        detail: str = "",
        user_name: str = "",
        delete: Iterable[Record] = (),
    ) -> Persist:
        entry = self._entry(event, now, license, detail=detail, user_name=user_name)
        return Persist(put=(license, entry), delete=tuple(delete))

    def _entry(
        self,
        event: str,
        now: float,
        license: LicenseRecord | None = None,
        *,
        detail: str = "",
        user_name: str = "",
    ) -> JournalRecord:
        self.sequence += 1
        self.latest = max(self.latest, int(now))
        return JournalRecord(
            sequence=self.sequence,
            at=int(now),
            event=event,
            license_id=license.license_id if license else b"",
            device_id=license.device_id if license else b"",
            device_name=license.device_name if license else "",
            user_name=user_name or (license.user_name if license else ""),
            detail=detail,
        )

    # --- start --------------------------------------------------------------------------------

    def _load(self, license: LicenseRecord) -> None:
        if license.license_id in self._licenses:
            raise LedgerInconsistent(f"license {license.license_id.hex()} is there twice")
        for other in self._held_by(holder_of(license), license.product, license.kind):
            if _excludes(other, license):
                raise LedgerInconsistent(
                    f"device {license.device_id.hex()} has two {license.kind.name.lower()} tokens"
                    f" of {license.product}: {other.license_id.hex()} and"
                    f" {license.license_id.hex()}"
                )
        self._put(license)

    def _follow(self, entry: JournalRecord) -> None:
        if entry.sequence != self.sequence + 1:
            raise LedgerInconsistent(
                f"the journal goes from entry {self.sequence} to {entry.sequence}: entries were"
                " lost or written twice; restore the whole store from one backup"
            )
        self.sequence = entry.sequence
        self.latest = max(self.latest, entry.at)


def _counts_as(license: LicenseRecord) -> tuple[int, bool]:
    return license.product_version, license.ended


def _excludes(one: LicenseRecord, other: LicenseRecord) -> bool:
    """True when one holder cannot have both: a second temporary token, or a second full one of that
    version."""
    is_temporary = one.kind is LicenseKind.TEMPORARY
    return is_temporary or one.product_version == other.product_version
