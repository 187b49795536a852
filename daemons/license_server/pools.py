"""Pools of tokens: the key packs of one product and version, and how many tokens are out.

`available` is computed as `total - issued - lent`; a pack is never overdrawn.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec.structs import replace

from daemons.copied import copied
from daemons.license_server.records import KeyPackRecord, LicenseRecord
from daemons.refusal import Refusal
from tsproto.errors import ErrorCode, TsfarmError
from tsproto.messages import InventoryRow, PoolRow

POOLS_MAX = 256  # bound of AnnounceInventory.inventory
KEY_PACKS_MAX = 4_096  # issuing a token searches its pool's packs one by one


class LedgerInconsistent(TsfarmError):
    """The records contradict each other, so that no token may be issued from them."""


class Pack(msgspec.Struct, gc=False):
    """A key pack and how many of its tokens are out, issued or lent."""

    record: KeyPackRecord
    used: int = 0


class Pool(msgspec.Struct):
    """The packs of one product and version, and how many tokens are out."""

    product: str
    product_version: int
    packs: list[Pack] = []
    total: int = 0
    issued: int = 0
    lent: int = 0
    temporary: int = 0

    @property
    def available(self) -> int:
        return self.total - self.issued - self.lent

    def row(self) -> PoolRow:
        return copied(PoolRow, self, available=self.available)


class Pools:
    """All pools of one license server. `revision` changes with each number that peers are told."""

    def __init__(self) -> None:
        self.revision = 0
        self._pools: dict[tuple[str, int], Pool] = {}
        self._packs: dict[str, Pack] = {}

    def add(
        self, record: KeyPackRecord, known_in: str = "the ledger", found_in: str = "the request"
    ) -> bool:
        """Count the tokens of a pack; False when this very pack was counted before.

        Raises Refusal(KEY_PACK_CONFLICT) when a different pack has its id, and
        Refusal(LEDGER_FULL) at KEY_PACKS_MAX.
        """
        if known := self._packs.get(record.key_pack):
            if _same_pack(known.record, record):
                return False
            raise Refusal(
                ErrorCode.KEY_PACK_CONFLICT,
                f"key pack {record.key_pack} has {_tokens(known.record)} in {known_in} and"
                f" {_tokens(record)} in {found_in}: a pack never changes; leave it as it was, and"
                " add more tokens as another `key_pack`",
            )
        if len(self._packs) >= KEY_PACKS_MAX:
            raise full(f"{KEY_PACKS_MAX} key packs")
        pool = self.pool(record.product, record.product_version)
        pack = self._packs[record.key_pack] = Pack(record)
        pool.packs.append(pack)
        pool.total += record.tokens
        self.revision += 1
        return True

    def check(self, records: Iterable[KeyPackRecord]) -> None:
        """Raise the Refusal that adding all of these would raise."""
        trial = Pools()
        for record in (*(pack.record for pack in self._packs.values()), *records):
            known_in = "the ledger" if record.key_pack in self._packs else "an earlier entry"
            trial.add(record, known_in, "the configuration")

    def pool(self, product: str, product_version: int) -> Pool:
        """The pool, created if there is none; raises Refusal(LEDGER_FULL) at POOLS_MAX."""
        key = product, product_version
        if found := self._pools.get(key):
            return found
        if len(self._pools) >= POOLS_MAX:
            raise full(f"{POOLS_MAX} pools")
        pool = self._pools[key] = Pool(product, product_version)
        return pool

    def serving(self, product: str, product_version: int) -> list[Pool]:
        """The pools whose tokens this version accepts, the nearest version first.

        A newer token serves an older terminal server, never the other way round
        ("Choosing the most appropriate CAL", Terminal Services Licensing).
        """
        fit = [
            pool
            for pool in self._pools.values()
            if pool.product == product and pool.product_version >= product_version
        ]
        return sorted(fit, key=lambda pool: pool.product_version)

    def choose(self, product: str, product_version: int) -> KeyPackRecord | None:
        """The pack that the next token comes from: same version first, else the next newer."""
        for pool in self.serving(product, product_version):
            if pool.available:
                return next(pack.record for pack in pool.packs if pack.used < pack.record.tokens)
        return None

    def count_temporary(self, license: LicenseRecord, change: int) -> None:
        """Count a temporary token in or out; a pool without packs goes with its last one."""
        pool = self.pool(license.product, license.product_version)
        pool.temporary += change
        if not pool.packs and not pool.temporary:
            del self._pools[pool.product, pool.product_version]

    def take(self, license: LicenseRecord) -> None:
        """Count a full token of ours as out. Raises LedgerInconsistent when its pack is unknown,
        of another pool, or has none left."""
        pool, pack = self._place_of(license)
        if pack.used >= pack.record.tokens:
            raise LedgerInconsistent(
                f"key pack {pack.record.key_pack} is overdrawn: it has {pack.record.tokens} tokens,"
                f" and license {license.license_id.hex()} would be one more"
            )
        pack.used += 1
        if license.through:
            pool.lent += 1
        else:
            pool.issued += 1
        self.revision += 1

    def give_back(self, license: LicenseRecord) -> None:
        """Count a full token of ours as available again."""
        pool, pack = self._place_of(license)
        pack.used -= 1
        if license.through:
            pool.lent -= 1
        else:
            pool.issued -= 1
        self.revision += 1

    def rows(self) -> list[PoolRow]:
        return [self._pools[key].row() for key in sorted(self._pools)]

    def records(self) -> list[KeyPackRecord]:
        return [pack.record for pack in self._packs.values()]

    def inventory(self) -> list[InventoryRow]:
        """The pools with key packs, as peers are told of them."""
        return [
            copied(InventoryRow, pool, available=pool.available)
            for _, pool in sorted(self._pools.items())
            if pool.total
        ]

    def _place_of(self, license: LicenseRecord) -> tuple[Pool, Pack]:
        pack = self._packs.get(license.key_pack)
        key = license.product, license.product_version
        if pack is None or (pack.record.product, pack.record.product_version) != key:
            raise LedgerInconsistent(
                f"license {license.license_id.hex()} is of key pack {license.key_pack!r}, which"
                f" has no tokens of {license.product} {license.product_version}"
            )
        return self._pools[key], pack


def full(of: str) -> Refusal:
    return Refusal(ErrorCode.LEDGER_FULL, f"a license server keeps at most {of}")


def _tokens(pack: KeyPackRecord) -> str:
    return f"{pack.tokens} tokens of {pack.product} {pack.product_version}"


def _same_pack(one: KeyPackRecord, other: KeyPackRecord) -> bool:
    return one == replace(other, added_at=one.added_at)
