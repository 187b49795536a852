"""A target at an address, of any implementation, described by options of the command line. It is
configured for one set-up (--cast); cases of other set-ups are skipped."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from clients.conformance.linking import NAMES
from clients.conformance.listeners import Listener
from clients.conformance.over_sockets import Address, OverSockets, Settings
from clients.conformance.playing import Playing
from clients.conformance.target import DIALS_THE_SUITE, Setup, Target, Unavailable
from clients.conformance.trust import LOOPBACK, Files, Trust
from clients.conformance.user import User
from tsproto.messages import Role

PLACES = {"license-server": Role.LICENSE_SERVER, "session-directory": Role.SESSION_DIRECTORY}
SETUPS = {
    setup.name.lower().replace("_", "-"): setup
    for setup in Setup
    if setup is not Setup.OUTSIDE_A_LAB
}
WORDS: dict[Setup, str] = {setup: word for word, setup in SETUPS.items()}
BEGINS_ANEW = (*DIALS_THE_SUITE, Setup.GRACE)  # an ended grace period does not come back


def add_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("a target at an address")
    add = group.add_argument
    add("--ca", type=Path, metavar="FILE", help="the farm's authority (PEM)")
    key = "the authority's key, with which the suite makes its certificates"
    add("--ca-key", type=Path, metavar="FILE", help=key)
    names = "without --ca-key: a certificate and its key, for each name listed below"
    add(
        "--identity",
        nargs=2,
        type=Path,
        action="append",
        default=[],
        metavar=("CERT", "KEY"),
        help=names,
    )
    add("--plain", action="store_true", help="TCP without TLS")
    add("--farm", default="farm", help="the farm's name, with --plain")
    user = (
        "an account of the target: some cases need two; a session directory's account has a key of"
        " this password with {memory_kib} KiB, {passes} passes, {lanes} lane and the salt {salt}"
    )
    least = User("", b"").salted
    user = user.format(**least | {"salt": least["salt"].hex()})
    add("--user", nargs=2, action="append", default=[], metavar=("NAME", "PASSWORD"), help=user)
    keys = "an OpenSSH private key, without passphrase, that the first user may log on with"
    add("--ssh-key", type=Path, action="append", default=[], metavar="FILE", help=keys)
    applications = "applications that users may start"
    add("--application", nargs="+", action="extend", default=[], metavar="NAME", help=applications)
    broken = "an application whose program does not start"
    add("--broken-application", default="", metavar="NAME", help=broken)
    place = "ROLE=HOST:PORT"
    beside = "a right license server or session directory of the target's farm"
    add("--beside", action="append", default=[], metavar=place, help=beside)
    play = "listen as the license server or session directory that the target dials"
    add("--play", action="append", default=[], metavar=place, help=play)
    fresh = "the command that starts the target anew, with an empty store; needed with --play"
    add("--fresh", default="", metavar="COMMAND", help=fresh)
    restart = "the command that kills the target and starts it again, with its store kept"
    add("--restart", default="", metavar="COMMAND", help=restart)
    setup = "how the target is set up: {} (by default right; with --play played)"
    add("--cast", choices=SETUPS, metavar="CAST", help=setup.format(", ".join(SETUPS)))
    discovery = "the discovery address of the farm's license servers"
    add("--discovery", default="", metavar="HOST:PORT", help=discovery)
    for scope in ("workgroup", "domain", "site"):
        add(f"--{scope}", default="", metavar="NAME", help=f"the target's {scope}")


def settings_at_address(common: Settings, options: argparse.Namespace) -> Settings:
    """Raises ValueError, which names the option, for options that contradict each other."""
    if options.ca is None and not options.plain and common.role is not Role.CLIENT:
        raise ValueError("name the farm's authority (--ca), a lab (--lab), or say --plain")
    scopes = {1: options.workgroup, 2: options.domain, 3: options.site}
    address = _address("the target", options.target)
    return replace(
        common,
        address=address,
        tls=not options.plain,
        trust=_trust(options, address.host),
        applications=tuple(options.application),
        broken_application=options.broken_application,
        beside=dict(_place("--beside", text) for text in options.beside),
        discovery=_address("--discovery", options.discovery) if options.discovery else None,
        scopes={number: name for number, name in scopes.items() if name},
        restart=options.restart,
    )


def source_at_address(settings: Settings, options: argparse.Namespace) -> AtAddress:
    """Raises ConnectionError when nobody listens at the address, ValueError for options that do not
    fit together."""
    places = [_place("--play", text) for text in options.play]
    setup = SETUPS[options.cast] if options.cast else _setup_of(places)
    if setup in DIALS_THE_SUITE and not places:
        raise ValueError(f"--cast {options.cast} needs --play: where the target dials the suite")
    listeners = _listeners(settings.trust if settings.tls else None, places)
    target = Playing(settings, listeners) if listeners else OverSockets(settings)
    if setup not in BEGINS_ANEW:
        target.check_is_there()
    return AtAddress(target, setup, options.fresh)


class AtAddress:
    """The source when there is one target only. `fresh` is the command that starts it anew."""

    def __init__(self, target: OverSockets, setup: Setup, fresh: str = "") -> None:
        self._target = target
        self._setup = setup
        self._fresh = fresh

    def target(self, setup: Setup, fresh: bool) -> Target:
        if setup is Setup.OUTSIDE_A_LAB:
            setup = Setup.RIGHT
        if setup is not self._setup:
            how = {Setup.PLAYED: "--play", Setup.RIGHT: "without --play"}.get(setup)
            how = how or f"--cast {WORDS[setup]}"
            raise Unavailable(f"is for a target that is set up so: {setup.value} ({how})")
        if setup in BEGINS_ANEW:
            if not self._fresh:
                raise Unavailable("is for a target that was just started (--fresh)")
            self._target.start_anew(self._fresh)
        return self._target

    def done(self, target: Target, has_failed: bool) -> None:
        """The target goes on to the next case."""

    def stop(self) -> None:
        self._target.stop()


def _trust(options: argparse.Namespace, host: str) -> Trust | None:
    """`host` is where the suite listens for a client, which demands it of the certificate."""
    addresses = (*LOOPBACK, host)
    if options.ca is not None:
        given = [Files(*pair) for pair in options.identity]
        return Trust(options.ca, options.ca_key, given, addresses=addresses)
    return None if options.plain else Trust.invented(options.farm, addresses=addresses)


def _setup_of(places: Sequence[tuple[Role, Address]]) -> Setup:
    license_servers = [role for role, _ in places if role is Role.LICENSE_SERVER]
    if len(license_servers) == 2:
        return Setup.TWO_LICENSE_SERVERS
    return Setup.PLAYED if places else Setup.RIGHT


def _listeners(trust: Trust | None, places: Sequence[tuple[Role, Address]]) -> list[Listener]:
    """Where the suite listens in each played role. A second one of a role gets another name."""
    listeners: list[Listener] = []
    for role, address in places:
        number = 1 + sum(listener.role is role for listener in listeners)
        name = NAMES[role] if number == 1 else f"{NAMES[role]}{number}"
        listeners.append(Listener(role, name, address, trust))
    return listeners


def _place(option: str, text: str) -> tuple[Role, Address]:
    word, _, where = text.partition("=")
    if word not in PLACES or not where:
        expected = " or ".join(f"{word}=HOST:PORT" for word in PLACES)
        raise ValueError(f"{option} {text}: expected {expected}")
    return PLACES[word], _address(f"{option} {text}", where)


def _address(what: str, text: str) -> Address:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise ValueError(f"{what}: expected HOST:PORT, found {text!r}")
    return Address(host, int(port))
