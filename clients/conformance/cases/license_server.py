"""Licenses that a license server gives to devices, and refuses them."""

from __future__ import annotations

from clients.conformance.acting import CaseContext
from clients.conformance.case import LICENSE_SERVER, Case, Chapter
from clients.conformance.device import DAY, read_token
from clients.conformance.peer import Peer
from clients.conformance.reach import acquire_license, mark_validated
from clients.conformance.target import Setup
from tsproto import limits, messages
from tsproto.errors import ErrorCode
from tsproto.messages import LicenseIssued, LicenseKind, PoolRow, RenewLicense, Role

chapter = Chapter()

RENEWAL = limits.RENEWAL_DAYS * DAY
TEMPORARY = limits.TEMPORARY_DAYS * DAY


class Product:
    """A product of this case alone, so that no other case or device uses its pool."""

    def __init__(self, context: CaseContext, tokens: int = 0, version: int = 1) -> None:
        self.context = context
        self.name = context.fresh_name("product")
        self.server = context.open(Role.TERMINAL_SERVER)
        if tokens:
            self.buy(tokens, version)

    def buy(self, tokens: int, version: int = 1) -> None:
        pack = messages.AddKeyPack(
            key_pack=self.context.fresh_name("pack"),
            product=self.name,
            product_version=version,
            tokens=tokens,
        )
        self.context.open(Role.ADMINISTRATOR).ask_for(messages.Done, pack)

    def reopen(self) -> None:
        """Opens a new link: the old one is lost after a move of the clock or a restart."""
        self.server = self.context.open(Role.TERMINAL_SERVER)

    def device(self) -> bytes:
        return self.context.rng.randbytes(32)

    def acquire(self, device_id: bytes, version: int = 1) -> LicenseIssued:
        return self.server.ask_for(LicenseIssued, acquire_license(device_id, self.name, version))

    def validate(self, device_id: bytes) -> None:
        self.server.ask_for(messages.Done, mark_validated(device_id, self.name))

    def full(self, version: int = 1) -> tuple[bytes, LicenseIssued]:
        """A device that has got a full token, and the token."""
        device_id = self.device()
        self.acquire(device_id, version)
        self.validate(device_id)
        issued = self.acquire(device_id, version)
        self.context.check(issued.kind is LicenseKind.FULL, "a full token")
        return device_id, issued

    def renew(self, device_id: bytes, license_id: bytes) -> RenewLicense:
        return RenewLicense(
            license_id=license_id,
            device_id=device_id,
            device_name="device",
            user_name="user",
            product=self.name,
            product_version=1,
        )

    def pool(self, version: int = 1) -> PoolRow:
        pools = self.context.open(Role.ADMINISTRATOR).ask_for(messages.Pools, messages.QueryPools())
        rows = [r for r in pools.pools if (r.product, r.product_version) == (self.name, version)]
        self.context.check(len(rows) == 1, f"one pool of {self.name} {version}")
        return rows[0]

    def counts(self, version: int = 1) -> tuple[int, int, int]:
        row = self.pool(version)
        return row.available, row.issued, row.lent


@chapter.case("LSRV-01", LICENSE_SERVER)
def the_first_token_is_temporary(context: CaseContext) -> None:
    product = Product(context, tokens=2)
    issued = product.acquire(product.device())
    context.check(
        issued.kind is LicenseKind.TEMPORARY and not issued.validated, "a temporary token"
    )
    lasts = issued.expires_at - context.now
    context.check(abs(lasts - TEMPORARY) <= 60, f"an end in {limits.TEMPORARY_DAYS} days")
    context.check(product.counts() == (2, 0, 0), "an untouched pool")
    context.check(product.pool().temporary == 1, "one temporary token")


@chapter.case("LSRV-01", LICENSE_SERVER)
def devices_without_a_logon_use_no_pool(context: CaseContext) -> None:
    product = Product(context, tokens=2)
    devices = [product.device() for _ in range(40)]
    first = [product.acquire(device) for device in devices]
    again = [product.acquire(device) for device in devices]
    context.check([i.token for i in first] == [i.token for i in again], "the same tokens again")
    context.check(product.counts() == (2, 0, 0), "an untouched pool")


@chapter.case("LSRV-02", LICENSE_SERVER)
def who_asks_again_gets_the_same(context: CaseContext) -> None:
    product = Product(context, tokens=2)
    device_id, issued = product.full()
    product.reopen()
    context.check(product.acquire(device_id).token == issued.token, "the same bytes")
    context.check(product.counts() == (1, 1, 0), "one token issued")


@chapter.case("LSRV-02", LICENSE_SERVER, also=("LSRV-18",))
def the_same_after_a_crash(context: CaseContext) -> None:
    product = Product(context, tokens=2)
    device_id, issued = product.full()
    newcomer = product.device()
    temporary = product.acquire(newcomer)
    context.target.restart()
    product.reopen()
    context.check(product.acquire(device_id).token == issued.token, "the full token it had")
    context.check(product.acquire(newcomer).token == temporary.token, "the temporary one it had")
    context.check(product.counts() == (1, 1, 0), "one token issued")


@chapter.case("LSRV-03", LICENSE_SERVER)
def a_full_token_after_a_logon(context: CaseContext) -> None:
    product = Product(context, tokens=1)
    product.full()
    context.check(product.counts() == (0, 1, 0), "the one token issued")


@chapter.case("LSRV-04", LICENSE_SERVER)
def full_tokens_end_on_many_days(context: CaseContext) -> None:
    product = Product(context, tokens=60)
    days = set()
    for _ in range(60):
        _, issued = product.full()
        claims = read_token(issued.token)
        days.add((claims.expires_at - claims.issued_at) / DAY)
    least, most = limits.FULL_DAYS_MIN, limits.FULL_DAYS_MAX
    context.check(
        all(d.is_integer() and least <= d <= most for d in days), f"{least} to {most} days"
    )
    context.check(len(days) > 10, "more than ten different numbers of days")


@chapter.case("LSRV-05", LICENSE_SERVER)
def no_full_token_without_a_logon(context: CaseContext) -> None:
    product = Product(context, tokens=2)
    device_id = product.device()
    product.acquire(device_id)
    context.target.move_clock(TEMPORARY + 60)
    product.reopen()
    product.server.expect_refused(acquire_license(device_id, product.name), ErrorCode.NO_LICENSE)
    context.check(product.counts() == (2, 0, 0), "an untouched pool")


@chapter.case("LSRV-06", LICENSE_SERVER)
def no_second_temporary_token(context: CaseContext) -> None:
    product = Product(context)
    device_id = product.device()
    first = product.acquire(device_id)
    product.validate(device_id)
    context.target.move_clock(first.expires_at - context.now + 1)
    product.reopen()
    for _ in range(2):
        request = acquire_license(device_id, product.name)
        product.server.expect_refused(request, ErrorCode.NO_LICENSE)


@chapter.case("LSRV-07", LICENSE_SERVER)
def the_temporary_token_goes_on(context: CaseContext) -> None:
    product = Product(context)
    device_id = product.device()
    first = product.acquire(device_id)
    product.validate(device_id)
    context.check(product.acquire(device_id).token == first.token, "the temporary token still")
    context.target.move_clock(first.expires_at - context.now - 3_600)
    product.reopen()
    context.check(
        product.acquire(device_id).token == first.token, "the same an hour before its end"
    )


@chapter.case("LSRV-07", LICENSE_SERVER)
def a_token_that_is_bought_late(context: CaseContext) -> None:
    product = Product(context)
    device_id = product.device()
    first = product.acquire(device_id)
    product.validate(device_id)
    context.target.move_clock(first.expires_at - context.now + 1)
    product.reopen()
    product.server.expect_refused(acquire_license(device_id, product.name), ErrorCode.NO_LICENSE)
    product.buy(1)
    context.check(product.acquire(device_id).kind is LicenseKind.FULL, "the full token at once")


@chapter.case("LSRV-08", LICENSE_SERVER)
def pools_add_up(context: CaseContext) -> None:
    product = Product(context, tokens=3)
    for _ in range(3):
        product.full()
        row = product.pool()
        context.check(row.available + row.issued + row.lent == row.total == 3, "a sum of three")


@chapter.case("LSRV-09", LICENSE_SERVER)
def an_expired_token_comes_back(context: CaseContext) -> None:
    product = Product(context, tokens=1)
    _, issued = product.full()
    context.target.move_clock(issued.expires_at - context.now + 1)
    context.check(product.counts() == (1, 0, 0), "the token in its pool again")
    product.reopen()
    product.full()


@chapter.case("LSRV-10", LICENSE_SERVER)
def the_last_days_are_renewed(context: CaseContext) -> None:
    product = Product(context, tokens=2)
    device_id, issued = product.full()
    context.target.move_clock(issued.expires_at - context.now - RENEWAL + 60)
    product.reopen()
    renew = product.renew(device_id, issued.license_id)
    renewed = product.server.ask_for(LicenseIssued, renew)
    lasts = (renewed.expires_at - context.now) / DAY
    context.check(renewed.license_id == issued.license_id, "the same license id")
    least, most = limits.FULL_DAYS_MIN, limits.FULL_DAYS_MAX
    context.check(least - 0.1 <= lasts <= most + 0.1, f"an end in {least} to {most} days")
    context.check(product.counts() == (1, 1, 0), "no other use of the pool")
    again = product.server.ask_for(LicenseIssued, product.renew(device_id, issued.license_id))
    context.check(again.token == renewed.token, "one renewal, however often it is asked for")


@chapter.case("LSRV-11", LICENSE_SERVER)
def renewed_too_early(context: CaseContext) -> None:
    product = Product(context, tokens=2)
    device_id, issued = product.full()
    answer = product.server.ask_for(LicenseIssued, product.renew(device_id, issued.license_id))
    context.check(answer.token == issued.token, "the token as it is")
    newcomer = product.device()
    temporary = product.acquire(newcomer)
    answer = product.server.ask_for(LicenseIssued, product.renew(newcomer, temporary.license_id))
    context.check(answer.token == temporary.token, "the temporary token as it is")


@chapter.case("LSRV-12", LICENSE_SERVER)
def a_license_that_nobody_knows(context: CaseContext) -> None:
    product = Product(context, tokens=2)
    device_id, issued = product.full()
    for renew in (
        product.renew(product.device(), context.rng.randbytes(16)),
        product.renew(product.device(), issued.license_id),
    ):
        product.server.expect_refused(renew, ErrorCode.UNKNOWN_LICENSE)
    context.target.move_clock(TEMPORARY + 1)
    product.reopen()
    renew = product.renew(device_id, issued.license_id)
    product.server.expect_refused(renew, ErrorCode.UNKNOWN_LICENSE)


@chapter.case("LSRV-13", LICENSE_SERVER)
def validated_again_and_again(context: CaseContext) -> None:
    product = Product(context, tokens=1)
    device_id, _ = product.full()
    for _ in range(3):
        product.validate(device_id)
    stranger = mark_validated(product.device(), product.name)
    product.server.expect_refused(stranger, ErrorCode.UNKNOWN_LICENSE)


@chapter.case("LSRV-14", LICENSE_SERVER, setup=Setup.CHOOSY)
def who_is_not_served(context: CaseContext) -> None:
    product = Product(context, tokens=1)
    device_id = product.device()
    for request in (
        acquire_license(device_id, product.name),
        product.renew(device_id, context.rng.randbytes(16)),
        mark_validated(device_id, product.name),
    ):
        product.server.expect_refused(request, ErrorCode.SERVER_NOT_SERVED)
    served = context.open(Role.TERMINAL_SERVER, name="served")
    served.ask_for(LicenseIssued, acquire_license(device_id, product.name))


@chapter.case("LSRV-15", LICENSE_SERVER)
def the_nearest_version_that_serves(context: CaseContext) -> None:
    product = Product(context, tokens=1, version=2)
    product.buy(1, version=3)
    product.full(version=1)
    context.check(product.counts(2) == (0, 1, 0), "the token of version 2 first")
    product.full(version=2)
    context.check(product.counts(3) == (0, 1, 0), "the token of version 3 next")


@chapter.case("LSRV-15", LICENSE_SERVER)
def never_a_lower_version(context: CaseContext) -> None:
    product = Product(context, tokens=2, version=1)
    device_id = product.device()
    product.acquire(device_id, version=2)
    product.validate(device_id)
    issued = product.acquire(device_id, version=2)
    context.check(issued.kind is LicenseKind.TEMPORARY, "the temporary token still")
    context.check(product.counts() == (2, 0, 0), "an untouched pool of version 1")


@chapter.case("LSRV-16", LICENSE_SERVER)
def too_many_new_devices(context: CaseContext) -> None:
    context.needs_seconds(60)
    product = Product(context)
    at_once = limits.REQUESTS_IN_FLIGHT // 2
    refused = None
    for _ in range(limits.TEMPORARY_PER_SERVER_PER_MINUTE // at_once + 1):
        refused = refused or _bring(product.server, product, at_once)
    context.check(refused is not None, "Refused with TOO_MANY_DEVICES")
    assert refused is not None
    context.check(refused.code is ErrorCode.TOO_MANY_DEVICES, "TOO_MANY_DEVICES")
    context.check(refused.retry_after_seconds > 0, "retry_after_seconds")


def _bring(server: Peer, product: Product, devices: int) -> messages.Refused | None:
    for _ in range(devices):
        server.request(acquire_license(product.device(), product.name))
    answers = [server.next_answer() for _ in range(devices)]
    return next((a for a in answers if isinstance(a, messages.Refused)), None)


@chapter.case("LSRV-17", LICENSE_SERVER)
def the_answer_says_what_the_token_says(context: CaseContext) -> None:
    product = Product(context, tokens=1)
    device_id, full = product.full()
    for issued, owner in (
        (full, device_id),
        (product.acquire(newcomer := product.device()), newcomer),
    ):
        claims = read_token(issued.token)
        said = (issued.license_id, issued.kind, issued.expires_at)
        context.check(
            said == (claims.license_id, claims.kind, claims.expires_at), "the same thrice"
        )
        context.check(
            (claims.device_id, claims.product) == (owner, product.name), "device, product"
        )


@chapter.case("LSRV-20", LICENSE_SERVER)
def a_refusal_can_be_traced(context: CaseContext) -> None:
    product = Product(context)
    request = mark_validated(product.device(), product.name)
    request.trace_id = "a1-b2"
    refused = product.server.expect_refused(request, ErrorCode.UNKNOWN_LICENSE)
    product.server.expect_same("a1-b2", refused.trace_id)


@chapter.case("LSRV-21", LICENSE_SERVER)
def the_temporary_token_for_a_higher_version(context: CaseContext) -> None:
    product = Product(context)
    device_id = product.device()
    first = product.acquire(device_id, version=1)
    higher = product.acquire(device_id, version=2)
    same = (higher.license_id, higher.expires_at) == (first.license_id, first.expires_at)
    context.check(same, "the same license with the same end")
    context.check(read_token(higher.token).product_version == 2, "version 2")


def cases() -> list[Case]:
    return chapter.cases
