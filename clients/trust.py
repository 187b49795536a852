"""Dials hosts of farms that the user trusts, and asks the user about a new farm.

As with ssh, a person compares the fingerprint of a farm that is met for the first time; from then
on its authority vouches for every host of the farm, and for the farm's next authority. Nothing is
believed before that: after a yes the host is dialled again, with its certificate verified.
"""

from __future__ import annotations

import functools
import ssl
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import date
from typing import TYPE_CHECKING

import msgspec

from clients.ask import asking_through
from clients.known_farms import KnownFarms
from clients.logon.steps import Host
from tsproto import identity, limits, transport
from tsproto.errors import DenyListError, ErrorCode, TsfarmError
from tsproto.messages import Authority, QueryAuthority, Role

if TYPE_CHECKING:
    from tsproto.deny_list import DenyLists


class UntrustedFarm(TsfarmError):
    """The host is not trusted; the text says which authority it showed, and the next step."""


class Stranger(msgspec.Struct, frozen=True):
    """A farm that is met for the first time, for the question to the user."""

    host: Host
    farm: str
    fingerprint: str
    authority: bytes
    """PEM, of no worth before the person said yes, or an authority that is trusted endorsed it."""
    endorsement: bytes = b""


Confirm = Callable[[Stranger], Awaitable[bool]]


class FarmDialler:
    """Opens links to the terminal servers of one farm for one device. `authority` (PEM) is the only
    one trusted, or holds two while the farm changes it; None is TCP without TLS, for loopback
    addresses. An `observer` sees the bytes of every link. `source` is the local address to dial
    from, as `transport.dial` takes it."""

    def __init__(
        self,
        device_name: str,
        authority: bytes | None,
        *,
        observer: transport.Observer | None = None,
        source: str = "",
    ) -> None:
        self._device_name = device_name
        self._authority = authority
        self._observer = observer
        self._source = source
        self._trusted: list[bytes] = []  # the authorities (PEM), one by one, of the present link
        self._denied: dict[bytes, bytes] = {}  # signed deny lists, by authority

    async def dial(
        self, host: Host, owner: transport.LinkOwner, redirected: bool = False
    ) -> transport.Link:
        """A link to a terminal server of a trusted farm; its events go to `owner`.

        A host that the farm named (`redirected`) must belong to a known farm. Raises PeerError,
        UntrustedFarm, or DeviceStoreError.
        """
        try:
            tls = None if self._authority is None else _tls(self._authority)
            ders = [] if tls is None else tls.get_ca_certs(binary_form=True)
            self._trusted = [ssl.DER_cert_to_PEM_cert(der).encode("ascii") for der in ders]
            return await self._dial(host, owner, tls)
        except transport.DialFailed as failed:
            if failed.code is not ErrorCode.WRONG_ROLE or isinstance(failed, transport.WrongPeer):
                raise
            raise UntrustedFarm(
                f"{failed.detail}; give the authority of this host's farm with --ca"
            ) from None

    def take_deny_list(self, link: transport.Link, signed: bytes, now: float) -> bool:
        """Keeps the list that the host at the other end of `link` has sent, if it counts; says
        whether it denies the certificate of this host. Raises DeviceStoreError."""
        from tsproto.deny_list import DenyKind, DenyLists  # needed for new lists only

        farm = "" if link.peer_identity is None else link.peer_identity.farm
        for authority in self._trusted:
            der = ssl.PEM_cert_to_DER_cert(authority.decode("ascii"))
            lists = DenyLists(farm, [der], self._held_by(authority))
            try:
                if lists.take(signed, now).kind is DenyKind.CERTIFICATES:
                    self._keep(authority, signed)
                    return lists.denies_certificate(link.peer_certificate)
            except DenyListError:
                continue
        return False

    def _deny_lists(self) -> DenyLists | None:
        """The numbers of several signers cannot be compared: with them none is told to the host."""
        held = [signed for authority in self._trusted for signed in self._held_by(authority)]
        if not held:
            return None
        from tsproto.deny_list import DenyLists

        return DenyLists(held=held) if len(self._trusted) == 1 else DenyLists(others=held)

    def _held_by(self, authority: bytes) -> list[bytes]:
        return [self._denied[authority]] if authority in self._denied else []

    def _keep(self, authority: bytes, signed: bytes) -> None:
        self._denied[authority] = signed

    async def _dial(
        self, host: Host, owner: transport.LinkOwner, tls: ssl.SSLContext | None
    ) -> transport.Link:
        try:
            return await transport.dial(
                host.address,
                host.port,
                owner,
                role=Role.CLIENT,
                name=self._device_name,
                tls=tls,
                server_hostname=host.name,
                expect_role=Role.TERMINAL_SERVER,
                expect_name=host.name,
                observer=self._observer,
                source=self._source,
                deny_lists=self._deny_lists(),
            )
        except transport.WrongPeer as wrong:
            if host.name or isinstance(wrong, transport.WrongAddress):
                raise
            hint = f"terminal servers listen on port {limits.TERMINAL_PORT} by default"
            raise transport.WrongPeer(wrong.code, f"{wrong.detail}; {hint}") from None


class Dialler(FarmDialler):
    """Opens links to any farm that its user trusts: the one whose `authority` is given, else those
    that are known, and new ones that the user confirms. `plain` is TCP without TLS. `say` tells the
    user of a farm's new authority."""

    def __init__(
        self,
        known_farms: KnownFarms,
        device_name: str,
        confirm: Confirm,
        say: Callable[[str], None],
        *,
        authority: bytes | None = None,
        plain: bool = False,
        observer: transport.Observer | None = None,
    ) -> None:
        super().__init__(device_name, None if plain else authority, observer=observer)
        self._known_farms = known_farms
        self._confirm = confirm
        self._say = say
        self._is_given = plain or authority is not None

    async def dial(
        self, host: Host, owner: transport.LinkOwner, redirected: bool = False
    ) -> transport.Link:
        if self._is_given:
            return await super().dial(host, owner, redirected)
        shown = self._known_farms.fingerprint_of(host.address, host.port)
        self._trusted = trusted = self._authorities(host, shown)
        if not trusted and redirected:
            raise _untrusted(host)
        refusal: transport.DialFailed | None = None
        if trusted:
            try:
                link = await self._dial(host, owner, _tls(*trusted))
            except transport.WrongPeer:
                raise
            except transport.DialFailed as failed:
                if failed.code is not ErrorCode.WRONG_ROLE:
                    raise
                refusal = failed
            else:
                if shown is None and not redirected:
                    self._remember(host, link, trusted)
                return link
        stranger = await self._look_at(host)
        if refusal is not None and stranger.authority in trusted:
            raise refusal
        await self._accept(stranger, trusted, shown, redirected)
        self._trusted = [stranger.authority]
        return await self._dial(host, owner, _tls(stranger.authority))

    async def _accept(
        self, stranger: Stranger, trusted: Sequence[bytes], shown: str | None, redirected: bool
    ) -> None:
        """Keep an authority that the user, or one that is trusted, vouches for. A host that is
        known must have it from the newest that it has `shown`. Raises UntrustedFarm."""
        host, authority = stranger.host, stranger.authority
        if self._is_endorsed(stranger, trusted if shown is None else trusted[:1]):
            self._say(
                f"the farm {stranger.farm} has a new authority, which the one that you trust"
                f" endorses: {stranger.fingerprint}"
            )
            self._known_farms.succeed(host.address, host.port, authority, date.today())
        elif redirected:
            raise _untrusted(host)
        else:
            await self._confirm_first(stranger, shown)
        if not redirected:
            self._known_farms.remember(host.address, host.port, authority)

    def _held_by(self, authority: bytes) -> list[bytes]:
        held = self._known_farms.deny_list(authority)
        return [held] if held else []

    def _keep(self, authority: bytes, signed: bytes) -> None:
        self._known_farms.keep_deny_list(authority, signed)

    def _authorities(self, host: Host, shown: str | None) -> list[bytes]:
        """The authorities to verify a host with: all, or those of a host that is known."""
        if shown is None:
            return self._known_farms.authorities(date.today())
        return self._known_farms.authorities_of(host.address, host.port, date.today())

    def _is_endorsed(self, stranger: Stranger, trusted: Sequence[bytes]) -> bool:
        """Whether one of these authorities (PEM) endorses the stranger's."""
        if not stranger.endorsement:
            return False
        from tsproto.authorities import is_endorsed  # slow to import, and seldom needed

        new = ssl.PEM_cert_to_DER_cert(stranger.authority.decode("ascii"))
        older = (ssl.PEM_cert_to_DER_cert(pem.decode("ascii")) for pem in trusted)
        return any(is_endorsed(new, stranger.endorsement, by, time.time()) for by in older)

    async def _confirm_first(self, stranger: Stranger, known: str | None) -> None:
        """Raises UntrustedFarm unless the user accepts this authority."""
        if known is not None and known != stranger.fingerprint:
            raise UntrustedFarm(
                f"{stranger.host} shows another authority than before ({stranger.fingerprint}, was"
                f" {known}): somebody may be in between, or the farm was set up anew. If you know"
                f" that it was, delete the line of {stranger.host} in {self._known_farms.file}"
            )
        if not await self._confirm(stranger):
            raise UntrustedFarm(
                f"the authority of {stranger.host} was not accepted: {stranger.fingerprint}"
            )

    def _remember(self, host: Host, link: transport.Link, trusted: Sequence[bytes]) -> None:
        from tsproto import certificates  # slow to import, and needed for new hosts only

        certificate = link.peer_certificate_der
        for pem in trusted:
            if certificates.is_issued_by(certificate, certificates.certificate_der(pem)):
                self._known_farms.remember(host.address, host.port, pem)
                return

    async def _look_at(self, host: Host) -> Stranger:
        """The authority that the host shows. Raises UntrustedFarm unless it has issued the host's
        certificate."""

        self._trusted = []

        async def dial(owner: transport.LinkOwner) -> transport.Link:
            return await self._dial(host, owner, transport.client_tls_unverified())

        async with asking_through(dial, host) as ask:
            answer = await ask(QueryAuthority(), Authority, limits.LICENSING_SECONDS)
            certificate = ask.link.peer_certificate_der
        from tsproto import certificates

        authority = answer.certificate
        own = certificates.identity_of(certificate)
        try:
            farm = certificates.farm_of(authority)
        except identity.IdentityError:
            farm = ""
        if farm != own.farm or not certificates.is_issued_by(certificate, authority):
            raise UntrustedFarm(f"{host} shows an authority that has not issued its certificate")
        fingerprint = identity.show_fingerprint(identity.fingerprint(authority))
        pem = ssl.DER_cert_to_PEM_cert(authority).encode("ascii")
        return Stranger(host, farm, fingerprint, pem, answer.endorsement)


def _untrusted(host: Host) -> UntrustedFarm:
    return UntrustedFarm(
        f"{host} is not of a farm that you trust, though a trusted host sent you there: tell the"
        " farm's administrator"
    )


@functools.lru_cache(maxsize=16)  # making one takes as long as half a handshake
def _tls(*authorities: bytes) -> ssl.SSLContext:
    try:
        return transport.client_tls(authorities)
    except ssl.SSLError as error:
        raise UntrustedFarm(f"the farm's authority is no usable certificate: {error}") from None
