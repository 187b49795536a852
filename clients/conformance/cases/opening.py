"""Hello and Welcome, roles and certificates, and how the protocol may grow."""

from __future__ import annotations

import msgspec

from clients.conformance.acting import CaseContext
from clients.conformance.case import (
    CLIENT,
    DAEMONS,
    LICENSE_SERVER,
    SESSION_DIRECTORY,
    TERMINAL_SERVER,
    Case,
    Chapter,
)
from clients.conformance.cases.frames import first_words
from clients.conformance.linking import hello
from clients.conformance.peer import Peer
from clients.conformance.reach import diallers
from clients.conformance.target import Setup, Unmet
from tsproto import limits, messages
from tsproto.errors import ErrorCode
from tsproto.messages import Hello, LicenseInfo, LinkState, Role, Welcome

chapter = Chapter()

VERSION = limits.PROTOCOL_VERSION_MAX
NEXT = VERSION + 1

DIALS = {
    TERMINAL_SERVER: SESSION_DIRECTORY,
    LICENSE_SERVER: LICENSE_SERVER,
    CLIENT: TERMINAL_SERVER,
}
DIALLING = tuple(DIALS)


def dialled(context: CaseContext) -> Peer:
    """The roles that the target dials by itself, before a peer has sent anything."""
    return context.accept_unwelcomed(DIALS[context.target.role])


def say_hello(context: CaseContext, **changes: object) -> Peer:
    peer = context.dial_any()
    words = first_words(context)
    assert isinstance(words, Hello)
    peer.say(msgspec.structs.replace(words, **changes))
    return peer


@chapter.case("HELLO-01", *DIALLING, setup=Setup.PLAYED)
def hello_comes_first_and_unasked(context: CaseContext) -> None:
    words = dialled(context).hear(Hello)
    context.check(words.role is context.target.role, "the target's own role in Hello")
    context.check(words.version_min <= VERSION <= words.version_max, f"version {VERSION} in Hello")


@chapter.case("HELLO-02", *DAEMONS)
def welcome_names_version_and_role(context: CaseContext) -> None:
    welcome = say_hello(context).hear(Welcome)
    context.check(welcome.version == VERSION, f"version {VERSION}")
    context.check(welcome.role is context.target.role, "the target's own role in Welcome")


@chapter.case("HELLO-02", *DAEMONS, also=("GROW-02",))
def the_highest_common_version_is_chosen(context: CaseContext) -> None:
    welcome = say_hello(context, version_min=0, version_max=9_999).hear(Welcome)
    context.check(welcome.version == VERSION, f"version {VERSION}")


@chapter.case("HELLO-03", *DAEMONS)
def no_common_version(context: CaseContext) -> None:
    for lowest, highest in ((NEXT, NEXT), (NEXT, 65_535), (1, 1), (0, 0), (9, 1)):
        peer = say_hello(context, version_min=lowest, version_max=highest)
        peer.expect_goodbye(ErrorCode.VERSION_UNSUPPORTED)


@chapter.case("HELLO-07", *DIALLING, setup=Setup.PLAYED)
def a_version_that_was_not_offered(context: CaseContext) -> None:
    for version in (0, 1, NEXT, 65_535):
        peer = dialled(context)
        peer.hear(Hello)
        peer.say(msgspec.structs.replace(context.welcome(peer.role), version=version))
        peer.expect_goodbye(ErrorCode.VERSION_UNSUPPORTED)
        context.begin_again()
        if context.target.role is not CLIENT:
            return


@chapter.case("HELLO-09", *DAEMONS)
def nothing_comes_before_hello(context: CaseContext) -> None:
    context.dial_any().expect_silence(1.0)


@chapter.case("HELLO-10", *DAEMONS)
def a_wrong_name_and_a_wrong_version(context: CaseContext) -> None:
    context.needs_certificates()
    peer = context.dial(diallers(context.target.role)[-1])
    peer.say(hello(peer.role, "somebody", lowest=NEXT, highest=NEXT))
    peer.expect_goodbye(ErrorCode.WRONG_ROLE)


@chapter.case("HELLO-10", *DIALLING, setup=Setup.PLAYED)
def a_welcome_with_a_wrong_name_and_version(context: CaseContext) -> None:
    context.needs_certificates()
    peer = dialled(context)
    peer.hear(Hello)
    peer.say(msgspec.structs.replace(context.welcome(peer.role), name="somebody", version=NEXT))
    peer.expect_goodbye(ErrorCode.WRONG_ROLE)


def expect_turned_away(context: CaseContext, peer: Peer) -> None:
    """Expects the client to refuse us. One that sees a wrong certificate in TLS may hang up before
    Hello."""
    message = peer.next()
    if context.target.has_sockets and not isinstance(message, Hello):
        is_end = message is None or message.entry.then is LinkState.CLOSED
        context.check(is_end, "Goodbye, or the end")
        return
    context.check(isinstance(message, Hello), "Hello")
    peer.say(context.welcome(TERMINAL_SERVER))
    peer.expect_goodbye(ErrorCode.WRONG_ROLE)


# --- roles --------------------------------------------------------------------------------------


@chapter.case("ROLE-01", *DAEMONS)
def another_role_than_the_certificates(context: CaseContext) -> None:
    context.needs_certificates()
    certified = diallers(context.target.role)[-1]
    for role in Role:
        if role is certified:
            continue
        peer = context.dial(certified)
        peer.say(hello(role, peer.name))
        peer.expect_goodbye(ErrorCode.WRONG_ROLE)


@chapter.case("ROLE-01", *DAEMONS)
def another_name_than_the_certificates(context: CaseContext) -> None:
    context.needs_certificates()
    peer = context.dial(diallers(context.target.role)[-1])
    peer.say(hello(peer.role, "somebody"))
    peer.expect_goodbye(ErrorCode.WRONG_ROLE)


@chapter.case("ROLE-01", *DIALLING, setup=Setup.PLAYED)
def welcome_from_another_name(context: CaseContext) -> None:
    context.needs_certificates()
    peer = dialled(context)
    peer.hear(Hello)
    peer.say(msgspec.structs.replace(context.welcome(peer.role), name="somebody"))
    peer.expect_goodbye(ErrorCode.WRONG_ROLE)


@chapter.case("ROLE-01", *DIALLING, setup=Setup.PLAYED)
def welcome_from_another_role(context: CaseContext) -> None:
    context.needs_certificates()
    peer = dialled(context)
    peer.hear(Hello)
    other = SESSION_DIRECTORY if peer.role is not SESSION_DIRECTORY else LICENSE_SERVER
    peer.say(msgspec.structs.replace(context.welcome(peer.role), role=other))
    peer.expect_goodbye(ErrorCode.WRONG_ROLE)


@chapter.case("ROLE-02", *DAEMONS)
def a_role_without_a_certificate(context: CaseContext) -> None:
    context.needs_certificates()
    for role in Role:
        if role is not Role.CLIENT:
            peer = context.dial(Role.CLIENT)
            peer.say(hello(role, peer.name))
            peer.expect_goodbye(ErrorCode.WRONG_ROLE)


@chapter.case("ROLE-02", TERMINAL_SERVER)
def a_client_needs_no_certificate(context: CaseContext) -> None:
    context.open(Role.CLIENT)


@chapter.case("ROLE-03", *DAEMONS)
def a_role_with_nothing_to_ask(context: CaseContext) -> None:
    for role in Role:
        if role not in diallers(context.target.role):
            peer = context.dial(role)
            peer.say(hello(role, peer.name))
            peer.expect_goodbye(ErrorCode.WRONG_ROLE)


@chapter.case("ROLE-06", *DAEMONS)
def a_certificate_without_an_identity(context: CaseContext) -> None:
    peer = context.dial_with_no_identity()
    peer.say(hello(Role.ADMINISTRATOR, "admin"))
    peer.expect_goodbye(ErrorCode.WRONG_ROLE)


@chapter.case("ROLE-07", *DAEMONS)
def a_certificate_of_another_authority(context: CaseContext) -> None:
    if context.target.accepts_a_foreign_certificate():
        raise Unmet("expected the handshake to fail, a foreign certificate was accepted")


@chapter.case("ROLE-08", CLIENT)
def another_name_than_the_one_wanted(context: CaseContext) -> None:
    peer = context.accept(TERMINAL_SERVER)
    context.client_proof(peer)
    peer.say(context.redirect(host="another-name"))
    expect_turned_away(context, context.accept_unwelcomed(TERMINAL_SERVER))


@chapter.case("ROLE-09", CLIENT)
def nothing_is_shown_to_a_stranger(context: CaseContext) -> None:
    _expect_nothing_shown(context, context.accept_as_a_stranger())


@chapter.case("ROLE-10", CLIENT)
def nothing_is_shown_at_an_address_that_is_not_the_servers(context: CaseContext) -> None:
    _expect_nothing_shown(context, context.accept_without_address())


@chapter.case("ROLE-11", CLIENT)
def a_forged_endorsement_changes_nothing(context: CaseContext) -> None:
    forged = messages.Authority(
        certificate=context.target.strangers_authority(), endorsement=context.rng.randbytes(64)
    )
    peer = context.accept_as_a_stranger()
    for _ in range(2):  # it may ask on a second link, and trust the answer on a third
        _expect_nothing_shown(context, peer, forged)
        try:
            peer = context.accept_as_a_stranger()
        except Unmet:
            return
    _expect_nothing_shown(context, peer, forged)


def _expect_nothing_shown(
    context: CaseContext, peer: Peer, authority: messages.Authority | None = None
) -> None:
    """The client hangs up without LicenseInfo. `authority` answers QueryAuthority."""
    peer.say(context.welcome(TERMINAL_SERVER))
    peer.say(messages.LicenseRequest(nonce=bytes(32), product=context.product, product_version=1))
    while (message := peer.next()) is not None:
        context.check(not isinstance(message, LicenseInfo), "no LicenseInfo")
        if isinstance(message, messages.QueryAuthority) and authority is not None:
            peer.answer(message, authority)


def cases() -> list[Case]:
    return chapter.cases
