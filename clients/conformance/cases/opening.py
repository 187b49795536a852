"""Hello and Welcome, roles and certificates, and how the protocol may grow."""

from __future__ import annotations

import msgspec

from clients.conformance.acting import Stage, hello
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
from clients.conformance.peer import Peer
from clients.conformance.reach import diallers
from clients.conformance.stage import Cast, Unmet
from tsproto import messages
from tsproto.errors import ErrorCode
from tsproto.messages import Hello, LicenseInfo, LinkState, Role, Welcome

chapter = Chapter()

DIALS = {
    TERMINAL_SERVER: SESSION_DIRECTORY,
    LICENSE_SERVER: LICENSE_SERVER,
    CLIENT: TERMINAL_SERVER,
}
DIALLING = tuple(DIALS)


def dialled(stage: Stage) -> Peer:
    """The roles that the target dials by itself, before a peer has sent anything."""
    return stage.accept_unwelcomed(DIALS[stage.target.role])


def say_hello(stage: Stage, **changes: object) -> Peer:
    peer = stage.dial_any()
    words = first_words(stage)
    assert isinstance(words, Hello)
    peer.say(msgspec.structs.replace(words, **changes))
    return peer


@chapter.case("HELLO-01", *DIALLING, cast=Cast.PLAYED)
def hello_comes_first_and_unasked(stage: Stage) -> None:
    words = dialled(stage).hear(Hello)
    stage.check(words.role is stage.target.role, "the target's own role in Hello")
    stage.check(words.version_min <= 1 <= words.version_max, "version 1 in Hello")


@chapter.case("HELLO-02", *DAEMONS)
def welcome_names_version_and_role(stage: Stage) -> None:
    welcome = say_hello(stage).hear(Welcome)
    stage.check(welcome.version == 1, "version 1")
    stage.check(welcome.role is stage.target.role, "the target's own role in Welcome")


@chapter.case("HELLO-02", *DAEMONS, also=("GROW-02",))
def the_highest_common_version_is_chosen(stage: Stage) -> None:
    welcome = say_hello(stage, version_min=0, version_max=9_999).hear(Welcome)
    stage.check(welcome.version == 1, "version 1")


@chapter.case("HELLO-03", *DAEMONS)
def no_common_version(stage: Stage) -> None:
    for lowest, highest in ((2, 2), (2, 65_535), (0, 0), (9, 1)):
        peer = say_hello(stage, version_min=lowest, version_max=highest)
        peer.expect_goodbye(ErrorCode.VERSION_UNSUPPORTED)


@chapter.case("HELLO-07", *DIALLING, cast=Cast.PLAYED)
def a_version_that_was_not_offered(stage: Stage) -> None:
    for version in (0, 2, 65_535):
        peer = dialled(stage)
        peer.hear(Hello)
        peer.say(msgspec.structs.replace(stage.welcome(peer.role), version=version))
        peer.expect_goodbye(ErrorCode.VERSION_UNSUPPORTED)
        stage.begin_again()
        if stage.target.role is not CLIENT:
            return


@chapter.case("HELLO-09", *DAEMONS)
def nothing_comes_before_hello(stage: Stage) -> None:
    stage.dial_any().expect_silence(1.0)


@chapter.case("HELLO-10", *DAEMONS)
def a_wrong_name_and_a_wrong_version(stage: Stage) -> None:
    stage.needs_certificates()
    peer = stage.dial(diallers(stage.target.role)[-1])
    peer.say(hello(peer.role, "somebody", lowest=2, highest=2))
    peer.expect_goodbye(ErrorCode.WRONG_ROLE)


@chapter.case("HELLO-10", *DIALLING, cast=Cast.PLAYED)
def a_welcome_with_a_wrong_name_and_version(stage: Stage) -> None:
    stage.needs_certificates()
    peer = dialled(stage)
    peer.hear(Hello)
    peer.say(msgspec.structs.replace(stage.welcome(peer.role), name="somebody", version=2))
    peer.expect_goodbye(ErrorCode.WRONG_ROLE)


def expect_turned_away(stage: Stage, peer: Peer) -> None:
    """Expects the client to refuse us. One that sees a wrong certificate in TLS may hang up before
    Hello."""
    message = peer.next()
    if stage.target.has_sockets and not isinstance(message, Hello):
        is_end = message is None or message.entry.then is LinkState.CLOSED
        stage.check(is_end, "Goodbye, or the end")
        return
    stage.check(isinstance(message, Hello), "Hello")
    peer.say(stage.welcome(TERMINAL_SERVER))
    peer.expect_goodbye(ErrorCode.WRONG_ROLE)


# --- roles --------------------------------------------------------------------------------------


@chapter.case("ROLE-01", *DAEMONS)
def another_role_than_the_certificates(stage: Stage) -> None:
    stage.needs_certificates()
    certified = diallers(stage.target.role)[-1]
    for role in Role:
        if role is certified:
            continue
        peer = stage.dial(certified)
        peer.say(hello(role, peer.name))
        peer.expect_goodbye(ErrorCode.WRONG_ROLE)


@chapter.case("ROLE-01", *DAEMONS)
def another_name_than_the_certificates(stage: Stage) -> None:
    stage.needs_certificates()
    peer = stage.dial(diallers(stage.target.role)[-1])
    peer.say(hello(peer.role, "somebody"))
    peer.expect_goodbye(ErrorCode.WRONG_ROLE)


@chapter.case("ROLE-01", *DIALLING, cast=Cast.PLAYED)
def welcome_from_another_name(stage: Stage) -> None:
    stage.needs_certificates()
    peer = dialled(stage)
    peer.hear(Hello)
    peer.say(msgspec.structs.replace(stage.welcome(peer.role), name="somebody"))
    peer.expect_goodbye(ErrorCode.WRONG_ROLE)


@chapter.case("ROLE-01", *DIALLING, cast=Cast.PLAYED)
def welcome_from_another_role(stage: Stage) -> None:
    stage.needs_certificates()
    peer = dialled(stage)
    peer.hear(Hello)
    other = SESSION_DIRECTORY if peer.role is not SESSION_DIRECTORY else LICENSE_SERVER
    peer.say(msgspec.structs.replace(stage.welcome(peer.role), role=other))
    peer.expect_goodbye(ErrorCode.WRONG_ROLE)


@chapter.case("ROLE-02", *DAEMONS)
def a_role_without_a_certificate(stage: Stage) -> None:
    stage.needs_certificates()
    for role in Role:
        if role is not Role.CLIENT:
            peer = stage.dial(Role.CLIENT)
            peer.say(hello(role, peer.name))
            peer.expect_goodbye(ErrorCode.WRONG_ROLE)


@chapter.case("ROLE-02", TERMINAL_SERVER)
def a_client_needs_no_certificate(stage: Stage) -> None:
    stage.open(Role.CLIENT)


@chapter.case("ROLE-03", *DAEMONS)
def a_role_with_nothing_to_ask(stage: Stage) -> None:
    for role in Role:
        if role not in diallers(stage.target.role):
            peer = stage.dial(role)
            peer.say(hello(role, peer.name))
            peer.expect_goodbye(ErrorCode.WRONG_ROLE)


@chapter.case("ROLE-06", *DAEMONS)
def a_certificate_without_an_identity(stage: Stage) -> None:
    peer = stage.dial_with_no_identity()
    peer.say(hello(Role.ADMINISTRATOR, "admin"))
    peer.expect_goodbye(ErrorCode.WRONG_ROLE)


@chapter.case("ROLE-07", *DAEMONS)
def a_certificate_of_another_authority(stage: Stage) -> None:
    if stage.target.accepts_a_foreign_certificate():
        raise Unmet("expected the handshake to fail, a foreign certificate was accepted")


@chapter.case("ROLE-08", CLIENT)
def another_name_than_the_one_wanted(stage: Stage) -> None:
    peer = stage.accept(TERMINAL_SERVER)
    stage.client_logon(peer)
    peer.say(stage.redirect(host="another-name"))
    expect_turned_away(stage, stage.accept_unwelcomed(TERMINAL_SERVER))


@chapter.case("ROLE-09", CLIENT)
def nothing_is_shown_to_a_stranger(stage: Stage) -> None:
    peer = stage.accept_as_a_stranger()
    peer.say(stage.welcome(TERMINAL_SERVER))
    peer.say(messages.LicenseRequest(nonce=bytes(32), product=stage.product, product_version=1))
    message = peer.next()
    while message is not None:
        stage.check(not isinstance(message, LicenseInfo), "no LicenseInfo")
        message = peer.next()


def cases() -> list[Case]:
    return chapter.cases
