"""Deny lists: which of two counts, how it gets around, and what it ends.

A case extends the list that the target has, and denies only what it has invented itself.
"""

from __future__ import annotations

from hashlib import sha256

import msgspec

from clients.conformance.acting import CaseContext
from clients.conformance.case import (
    CLIENT,
    DAEMONS,
    LICENSE_SERVER,
    TERMINAL_SERVER,
    Case,
    Chapter,
)
from clients.conformance.device import (
    CERTIFICATES,
    DENY_DOMAIN,
    DEVICES,
    DenyList,
    read_deny_list,
    sign_deny_list,
)
from clients.conformance.linking import NAMES, hello
from clients.conformance.peer import Peer
from clients.conformance.reach import acquire_license, diallers, mark_validated
from clients.conformance.target import Setup
from tsproto import limits
from tsproto.errors import ErrorCode
from tsproto.messages import (
    AcquireLicense,
    Done,
    HeldDenyLists,
    Hello,
    LendLicense,
    NewDenyList,
    PublishDenyList,
    QueryDenyLists,
    Refused,
    RenewLicense,
    Role,
)

chapter = Chapter()

AT_ONCE_SECONDS = 1.0
MICROSECONDS = 1_000_000


class Lists:
    """An administrator at the target, and the lists that it signs and hands over."""

    def __init__(self, context: CaseContext) -> None:
        self._context = context
        self.admin = context.open(Role.ADMINISTRATOR)

    def held(self) -> HeldDenyLists:
        return self.admin.ask_for(HeldDenyLists, QueryDenyLists())

    def devices(self, *more: bytes, ahead: int = 0, domain: bytes = DENY_DOMAIN) -> bytes:
        """The target's list of devices with these too; `ahead` is added to its number."""
        signer = self._context.issuer("admin", role=Role.ADMINISTRATOR)
        content = self._next(DEVICES, self.held().devices, more, ahead)
        return sign_deny_list(content, signer.key, signer.certificate, domain)

    def certificates(self, *more: bytes) -> bytes:
        """The target's list of certificates with these too, signed by the farm's authority."""
        content = self._next(CERTIFICATES, self.held().certificates, more, 0)
        return sign_deny_list(content, self._context.target.authority().key)

    def publish(self, signed: bytes) -> None:
        self.admin.ask_for(Done, PublishDenyList(signed=signed))

    def refused(self, signed: bytes, code: ErrorCode) -> None:
        """Expects a refusal that changes nothing."""
        before = self.held()
        self.admin.expect_refused(PublishDenyList(signed=signed), code)
        after = self.held()
        same = (before.certificates, before.devices) == (after.certificates, after.devices)
        self._context.check(same, "the same lists as before")

    def _next(self, kind: int, held: bytes, more: tuple[bytes, ...], ahead: int) -> DenyList:
        found = read_deny_list(held) if held else None
        number = max(int(self._context.now * MICROSECONDS), found.number + 1 if found else 0)
        entries = {*more, *(found.entries if found else [])}
        return DenyList(
            farm=self._context.target.farm, kind=kind, number=number + ahead, entries=[*entries]
        )


def invented(context: CaseContext) -> bytes:
    """A certificate or device that there is not."""
    return context.rng.randbytes(32)


@chapter.case("DENY-12", *DAEMONS, also=("DENY-05",))
def the_list_that_was_taken_is_held(context: CaseContext) -> None:
    lists = Lists(context)
    signed = lists.devices(invented(context))
    lists.publish(signed)
    context.check(lists.held().devices == signed, "the list as it was signed")


@chapter.case("DENY-01", *DAEMONS, also=("DENY-05",))
def no_older_and_no_equal_list(context: CaseContext) -> None:
    lists = Lists(context)
    older, newer = lists.devices(invented(context)), lists.devices(invented(context), ahead=5)
    lists.publish(newer)
    lists.refused(newer, ErrorCode.DENY_LIST_OLD)
    lists.refused(older, ErrorCode.DENY_LIST_OLD)


@chapter.case("DENY-02", *DAEMONS, also=("DENY-05",))
def no_list_of_the_day_after_tomorrow(context: CaseContext) -> None:
    lists = Lists(context)
    a_day = (limits.DENY_LIST_AHEAD_SECONDS + 60) * MICROSECONDS
    lists.refused(lists.devices(invented(context), ahead=a_day), ErrorCode.DENY_LIST_AHEAD)


@chapter.case("DENY-03", *DAEMONS, also=("DENY-05",))
def no_list_of_somebody_else(context: CaseContext) -> None:
    lists, device = Lists(context), invented(context)
    content = read_deny_list(lists.devices(device))
    farm = context.target.farm
    for name, role, of in (
        ("admin", Role.ADMINISTRATOR, context.fresh_name("farm")),
        ("operator", Role.ADMINISTRATOR, farm),
        (context.fresh_name("ts"), Role.TERMINAL_SERVER, farm),
    ):
        signer = context.issuer(name, of, role)
        signed = sign_deny_list(content, signer.key, signer.certificate)
        lists.refused(signed, ErrorCode.DENY_LIST_FORGED)
    admin = context.issuer("admin", role=Role.ADMINISTRATOR)
    elsewhere = context.fresh_name("farm")
    for changed in (
        sign_deny_list(content, context.issuer().key, admin.certificate),
        sign_deny_list(content, admin.key, b""),
        sign_deny_list(
            msgspec.structs.replace(content, farm=elsewhere), admin.key, admin.certificate
        ),
        sign_deny_list(
            msgspec.structs.replace(content, kind=CERTIFICATES), admin.key, admin.certificate
        ),
        lists.devices(device, domain=b""),
    ):
        lists.refused(changed, ErrorCode.DENY_LIST_FORGED)


@chapter.case("DENY-04", *DAEMONS, also=("DENY-05",))
def what_is_no_list(context: CaseContext) -> None:
    lists = Lists(context)
    many = [invented(context) for _ in range(limits.DENY_LIST_ENTRIES_MAX + 1)]
    lists.refused(lists.devices(*many), ErrorCode.DENY_LIST_MALFORMED)
    good = lists.devices(invented(context))
    for signed in (b"", b"list", good[:-1], good + b"\xc0", b"\xdc\x00\x03" + good[1:]):
        lists.refused(signed, ErrorCode.DENY_LIST_MALFORMED)


@chapter.case("DENY-05", *DAEMONS, setup=Setup.PLAYED)
def a_bad_list_of_a_peer_ends_nothing(context: CaseContext) -> None:
    lists, peer = Lists(context), daemon(context)
    before = lists.held().devices
    peer.say(NewDenyList(signed=b"list"))
    peer.expect_no_fault(0.1)
    context.check(lists.held().devices == before, "the same list as before")


def daemon(context: CaseContext, role: Role = LICENSE_SERVER) -> Peer:
    """A link with the target as a daemon that has no list; of the `role`, if the target dials."""
    roles = [role for role in diallers(context.target.role) if role in DAEMONS]
    if roles:
        return context.open(roles[0])
    return context.accept(role)


def hear_list(peer: Peer) -> bytes:
    return peer.hear(NewDenyList, AT_ONCE_SECONDS).signed


@chapter.case("DENY-10", *DAEMONS, setup=Setup.PLAYED)
def a_peer_that_lags_is_handed_the_list(context: CaseContext) -> None:
    lists = Lists(context)
    signed = lists.devices(invented(context))
    lists.publish(signed)
    peer = daemon(context)
    while hear_list(peer) != signed:  # the one of certificates may come first
        continue


@chapter.case("DENY-10", *DAEMONS, setup=Setup.PLAYED)
def a_peer_is_handed_the_list_that_comes_later(context: CaseContext) -> None:
    lists, peer = Lists(context), daemon(context)
    signed = lists.devices(invented(context))
    lists.publish(signed)
    while hear_list(peer) != signed:
        continue


@chapter.case("DENY-10", *DAEMONS, setup=Setup.PLAYED)
def what_a_peer_brings_is_handed_on(context: CaseContext) -> None:
    lists, peer = Lists(context), daemon(context)
    signed = lists.devices(invented(context))
    peer.say(NewDenyList(signed=signed))
    context.target.let_pass(0.1)
    context.check(lists.held().devices == signed, "the list that the peer brought")
    later = daemon(context, Role.SESSION_DIRECTORY)
    while hear_list(later) != signed:
        continue


@chapter.case("DENY-10", TERMINAL_SERVER)
def a_client_is_handed_certificates_and_no_devices(context: CaseContext) -> None:
    lists = Lists(context)
    lists.publish(lists.devices(invented(context)))
    signed = lists.certificates(invented(context))
    lists.publish(signed)
    client = context.open()
    context.check(hear_list(client) == signed, "the list of certificates")
    message = client.next(ambient=True)
    context.check(not isinstance(message, NewDenyList), "no list of devices")


@chapter.case("DENY-06", *DAEMONS)
def a_list_outlives_a_restart(context: CaseContext) -> None:
    lists = Lists(context)
    signed = lists.devices(invented(context))
    lists.publish(signed)
    context.target.restart()
    context.check(Lists(context).held().devices == signed, "the list, after the restart")


@chapter.case("DENY-07", *DAEMONS)
def the_link_of_a_denied_certificate_ends(context: CaseContext) -> None:
    context.needs_certificates()
    lists, name = Lists(context), context.fresh_name("denied")
    role = diallers(context.target.role)[-1]
    peer, other = context.open(role, name=name), context.open(Role.ADMINISTRATOR)
    lists.publish(lists.certificates(context.target.fingerprint(role, name)))
    peer.expect_goodbye(ErrorCode.CERTIFICATE_REVOKED)
    other.ask_for(HeldDenyLists, QueryDenyLists())
    again = context.dial(role, name=name)
    again.say(hello(role, name))
    again.expect_goodbye(ErrorCode.CERTIFICATE_REVOKED)


@chapter.case("DENY-08", TERMINAL_SERVER)
def a_denied_device_does_not_come_in(context: CaseContext) -> None:
    lists, device = Lists(context), context.device()
    lists.publish(lists.devices(device.id))
    context.show(device).expect_goodbye(ErrorCode.DEVICE_REVOKED)
    issuer = context.issuer()
    context.holds(device, context.claims(device, issuer), issuer)  # nobody need be asked for it
    context.show(device).expect_goodbye(ErrorCode.DEVICE_REVOKED)
    context.licensed()


@chapter.case("DENY-08", TERMINAL_SERVER, setup=Setup.PLAYED)
def a_device_that_a_license_server_denies(context: CaseContext) -> None:
    license_server = context.accept(LICENSE_SERVER)
    device, issuer = context.device(), context.issuer()
    context.holds(device, context.claims(device, issuer, kind=1, key_pack=""), issuer)
    client = context.show(device)  # with a temporary token that is good for a month
    request = license_server.hear(AcquireLicense)
    license_server.answer(request, Refused(code=ErrorCode.DEVICE_REVOKED))
    client.expect_goodbye(ErrorCode.DEVICE_REVOKED)


@chapter.case("TOKEN-15", TERMINAL_SERVER, setup=Setup.PLAYED)
def a_token_of_a_denied_license_server(context: CaseContext) -> None:
    license_server, lists = context.accept(LICENSE_SERVER), Lists(context)
    device, issuer = context.device(), context.issuer(context.fresh_name("ls"))
    context.holds(device, context.claims(device, issuer), issuer)
    context.licensed(device)
    lists.publish(lists.certificates(sha256(issuer.certificate).digest()))
    client = context.show(device)
    request = license_server.hear(AcquireLicense)
    good = context.issuer()
    fresh = context.claims(device, good)
    license_server.answer(request, context.issued(fresh, good))
    context.take_license(client, device)


@chapter.case("DENY-08", TERMINAL_SERVER)
def a_device_that_is_denied_leaves_its_session(context: CaseContext) -> None:
    lists, device = Lists(context), context.device()
    client = context.logged_on(device)
    lists.publish(lists.devices(device.id))
    client.expect_goodbye(ErrorCode.DEVICE_REVOKED)
    other = context.licensed()
    accepted = context.log_on(other, context.user())
    context.check(accepted.reattached, "the session that went on")


@chapter.case("DENY-09", LICENSE_SERVER)
def no_license_for_a_denied_device(context: CaseContext) -> None:
    lists, denied, other = Lists(context), invented(context), invented(context)
    lists.publish(lists.devices(denied))
    product = context.fresh_name("product")
    server, peer = context.open(TERMINAL_SERVER), context.open(LICENSE_SERVER)
    acquire = acquire_license(denied, product)
    about = {name: getattr(acquire, name) for name in acquire.__struct_fields__[1:]}
    renew = RenewLicense(license_id=bytes(16), **about)
    lend = LendLicense(loan_id=bytes(16), **about)
    for asker, request in (
        (server, acquire),
        (server, renew),
        (server, mark_validated(denied, product)),
        (peer, lend),
    ):
        asker.expect_refused(request, ErrorCode.DEVICE_REVOKED)
    server.ask(acquire_license(other, product))


@chapter.case("DENY-11", CLIENT)
def a_server_that_is_denied_later(context: CaseContext) -> None:
    context.needs_certificates()
    server = context.accept(TERMINAL_SERVER)
    context.client_logon(server)
    server.say(NewDenyList(signed=_denying_us(context)))
    server.expect_goodbye(ErrorCode.CERTIFICATE_REVOKED)


@chapter.case("DENY-11", CLIENT)
def a_denied_server_is_remembered(context: CaseContext) -> None:
    context.needs_certificates()
    server = context.accept(TERMINAL_SERVER)
    server.say(NewDenyList(signed=_denying_us(context)))
    server.expect_goodbye(ErrorCode.CERTIFICATE_REVOKED)
    context.begin_again()
    again = context.accept_unwelcomed(TERMINAL_SERVER)
    words = again.hear(Hello)
    context.check(words.denied_certificates > 0, "the number of its list in Hello")
    again.say(context.welcome(TERMINAL_SERVER))
    again.expect_goodbye(ErrorCode.CERTIFICATE_REVOKED)


@chapter.case("DENY-11", CLIENT)
def a_forged_list_denies_nobody(context: CaseContext) -> None:
    context.needs_certificates()
    server = context.accept(TERMINAL_SERVER)
    server.say(NewDenyList(signed=_denying_us(context, context.issuer().key)))
    context.client_logon(server)


def _denying_us(context: CaseContext, key: bytes = b"") -> bytes:
    """A list that denies the terminal server that the suite plays."""
    us = context.target.fingerprint(TERMINAL_SERVER, NAMES[TERMINAL_SERVER])
    number = int(context.now * MICROSECONDS)
    content = DenyList(farm=context.target.farm, kind=CERTIFICATES, number=number, entries=[us])
    return sign_deny_list(content, key or context.target.authority().key)


def cases() -> list[Case]:
    return chapter.cases
