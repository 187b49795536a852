"""Deny lists at one daemon: taken, stored, handed on, and what they end."""

from __future__ import annotations

import hashlib

import pytest

from daemons import events
from daemons.denials import DenyListRecord
from daemons.effects import Persist
from tests.unit.daemons.lines import MemoryLine
from tests.unit.daemons.test_switchboard import Board, opened
from tests.unit.tsproto.test_deny_list import (
    CERTIFICATES,
    NOW,
    NUMBER,
    OTHER,
    by_admin,
    by_authority,
    lists,
)
from tsproto.connection import Received
from tsproto.errors import ErrorCode
from tsproto.messages import (
    AcquireLicense,
    Done,
    HeldDenyLists,
    LendLicense,
    LicenseInfo,
    MarkValidated,
    Message,
    NewDenyList,
    PublishDenyList,
    QueryDenyLists,
    Refused,
    RenewLicense,
    Role,
    examples,
)

STOLEN = b"\1" * 32  # SHA-256 of a certificate
GOOD = b"\2" * 32
KEY = b"\5" * 32
DEVICE = hashlib.sha256(KEY).digest()
DENIED_CERTIFICATE = by_authority(STOLEN)
DENIED_DEVICE = by_admin(DEVICE)
NEXT = by_authority(STOLEN, number=NUMBER + 1)
INFO = LicenseInfo(public_key=KEY, signature=bytes(64), device_name="laptop", user_name="ann")
HANDED = ("send", NewDenyList(signed=DENIED_CERTIFICATE), 0)


class Daemon(Board):
    """A daemon that has these lists, and whose clock says NOW."""

    def __init__(self, *held: bytes) -> None:
        super().__init__(lists(*held))

    def turn(self, now: float = NOW, ticks: float = 0.0) -> None:
        super().turn(now, ticks)

    def told(self, line: MemoryLine, message: Message) -> None:
        self.hears(line, Received(message))

    def publish(self, signed: bytes, line: MemoryLine | None = None) -> MemoryLine:
        """An administrator's request 7, with its commit."""
        line = line or self.line(90)
        self.told(line, PublishDenyList(request_id=7, signed=signed))
        if any(isinstance(each, tuple) and each[0] == "commit" for each in self.done):
            self.committed()
        return line


def closes(line: MemoryLine) -> list[tuple[ErrorCode, str]]:
    """Codes and details with which it was closed."""
    return [each[1:3] for each in line.done if isinstance(each, tuple) and each[0] == "close"]


# --- taking a list --------------------------------------------------------------------------------


def test_a_list_is_durable_before_it_is_acknowledged_and_handed_on() -> None:
    daemon = Daemon()
    peer, admin = daemon.line(1, Role.TERMINAL_SERVER), daemon.line(2)
    daemon.told(admin, PublishDenyList(request_id=7, signed=DENIED_CERTIFICATE))
    record = DenyListRecord(kind=CERTIFICATES, signed=DENIED_CERTIFICATE)
    assert daemon.done == [("commit", [Persist(put=(record,))])]
    assert peer.done == admin.done == []
    daemon.committed()
    assert admin.done == [("send", Done(), 7), "flush"]
    assert peer.done == [HANDED, "flush"]
    taken = events.DenyListTaken(list="certificates", list_number=NUMBER, entries=1, peer="root")
    assert daemon.done[1:] == [taken]
    assert daemon.core.told == []


@pytest.mark.parametrize(
    ("signed", "code"),
    [
        (b"rubbish", ErrorCode.DENY_LIST_MALFORMED),
        (DENIED_CERTIFICATE, ErrorCode.DENY_LIST_OLD),
        (by_authority(STOLEN, number=NUMBER + 90_000_000_000), ErrorCode.DENY_LIST_AHEAD),
        (by_authority(GOOD, number=NUMBER + 1, by=OTHER), ErrorCode.DENY_LIST_FORGED),
    ],
)
def test_a_list_that_does_not_count_is_refused_with_its_code(
    signed: bytes, code: ErrorCode
) -> None:
    daemon = Daemon(DENIED_CERTIFICATE)
    peer = daemon.line(1, Role.LICENSE_SERVER, denied=(NUMBER, 0))
    admin = daemon.publish(signed)
    (sent, flushed) = admin.done
    assert isinstance(sent, tuple) and isinstance(sent[1], Refused)
    assert (sent[1].code, sent[2], flushed) == (code, 7, "flush")
    assert peer.done == []
    (refused,) = daemon.done
    assert isinstance(refused, events.DenyListRefused)
    assert (refused.peer, refused.code, refused.detail) == ("root", code, sent[1].detail)


def test_a_bad_list_of_a_peer_changes_nothing_and_its_link_stays() -> None:
    daemon = Daemon(DENIED_CERTIFICATE)
    peer = daemon.line(1, Role.LICENSE_SERVER, denied=(NUMBER, 0))
    daemon.told(peer, NewDenyList(signed=by_authority(GOOD, number=NUMBER + 1, by=OTHER)))
    assert peer.done == [] and daemon.core.told == []
    assert [type(each) for each in daemon.done] == [events.DenyListRefused]


def test_a_peers_list_is_handed_to_the_others_and_not_back() -> None:
    daemon = Daemon()
    teller, other = daemon.line(1, Role.LICENSE_SERVER), daemon.line(2, Role.TERMINAL_SERVER)
    daemon.told(teller, NewDenyList(signed=DENIED_CERTIFICATE))
    daemon.committed()
    assert teller.done == []
    assert other.done == [HANDED, "flush"]


def test_what_it_has_is_answered_as_it_was_signed() -> None:
    daemon = Daemon(DENIED_CERTIFICATE)
    admin = daemon.line(1)
    daemon.told(admin, QueryDenyLists(request_id=5))
    held = HeldDenyLists(certificates=DENIED_CERTIFICATE, devices=b"")
    assert admin.done == [("send", held, 5), "flush"]


# --- peers that lag -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("denied", "handed"),
    [
        ((0, 0), [DENIED_CERTIFICATE, DENIED_DEVICE]),
        ((NUMBER - 1, NUMBER), [DENIED_CERTIFICATE]),
        ((NUMBER + 1, NUMBER - 1), [DENIED_DEVICE]),
        ((NUMBER, NUMBER), []),
    ],
)
def test_a_peer_gets_the_newer_lists_when_its_link_opens(
    denied: tuple[int, int], handed: list[bytes]
) -> None:
    daemon, line = Daemon(DENIED_CERTIFICATE, DENIED_DEVICE), MemoryLine(1)
    daemon.hears(line, opened(Role.TERMINAL_SERVER, denied))
    expected = [("send", NewDenyList(signed=signed), 0) for signed in handed]
    assert line.done == [*expected, "flush"]


def test_a_client_gets_certificates_and_an_administrator_nothing() -> None:
    daemon = Daemon(DENIED_CERTIFICATE, DENIED_DEVICE)
    client, admin = MemoryLine(1), MemoryLine(2)
    daemon.hears(client, opened(Role.CLIENT))
    daemon.hears(admin, opened(Role.ADMINISTRATOR))
    assert client.done == [HANDED, "flush"]
    assert admin.done == ["flush"]


def test_a_list_is_sent_once_to_each_peer() -> None:
    daemon = Daemon()
    client = daemon.line(1, Role.CLIENT)
    daemon.publish(DENIED_CERTIFICATE)
    daemon.done.clear()
    daemon.publish(NEXT, daemon.line(91))
    newer = ("send", NewDenyList(signed=NEXT), 0)
    assert client.done == [HANDED, "flush", newer, "flush"]


# --- what is denied -------------------------------------------------------------------------------


def test_links_of_a_revoked_certificate_close_at_once_and_others_stay() -> None:
    daemon = Daemon()
    bad = daemon.line(1, Role.TERMINAL_SERVER, certificate=STOLEN)
    good = daemon.line(2, Role.TERMINAL_SERVER, certificate=GOOD)
    daemon.told(daemon.line(3), PublishDenyList(request_id=7, signed=DENIED_CERTIFICATE))
    ((code, detail),) = closes(bad)  # before the commit
    assert code is ErrorCode.CERTIFICATE_REVOKED
    assert detail == (
        f"a terminal server 'root' shows a revoked certificate (SHA-256 {STOLEN.hex()}): if it is"
        " still to serve, issue a new one with `tsfarm pki issue`"
    )
    assert daemon.core.told == [("lost", 1)]
    assert daemon.done[0] == events.CertificateRevoked(
        role="terminal server", peer="root", fingerprint=STOLEN
    )
    daemon.committed()
    assert good.done == [HANDED, "flush"]
    assert len(bad.done) == 1


def test_a_revoked_daemon_that_was_dialled_is_lost_to_its_core_with_its_questions() -> None:
    daemon = Daemon()
    line = daemon.dialled()
    line.peer_certificate = STOLEN
    daemon.publish(DENIED_CERTIFICATE)
    assert daemon.core.told == [("lost", line.id)]
    assert list(daemon.switchboard.dialled_lines()) == []
    assert [code for code, _ in closes(line)] == [ErrorCode.CERTIFICATE_REVOKED]


def test_an_administrator_that_revokes_its_own_certificate_is_hung_up_on() -> None:
    daemon = Daemon()
    admin = daemon.line(1, certificate=STOLEN)
    daemon.publish(DENIED_CERTIFICATE, admin)
    assert [code for code, _ in closes(admin)] == [ErrorCode.CERTIFICATE_REVOKED]


def test_a_revoked_device_is_refused_when_it_shows_itself() -> None:
    daemon = Daemon(DENIED_DEVICE)
    client = daemon.line(1, Role.CLIENT)
    daemon.told(client, INFO)
    detail = f"device {DEVICE.hex()} was revoked; ask the farm's administrator"
    assert client.done == [("close", ErrorCode.DEVICE_REVOKED, detail, "", 0)]
    assert daemon.core.told == [("lost", 1)]
    assert daemon.done == [events.DeviceRevoked(device_id=DEVICE, peer="10.0.0.1")]


def test_the_session_of_a_device_that_is_revoked_is_disconnected_at_once() -> None:
    daemon = Daemon()
    client = daemon.line(1, Role.CLIENT)
    other = daemon.line(2, Role.CLIENT)
    daemon.told(client, INFO)
    daemon.core.told.clear()
    daemon.publish(DENIED_DEVICE)
    assert [code for code, _ in closes(client)] == [ErrorCode.DEVICE_REVOKED]
    assert daemon.core.told == [("lost", 1)]
    assert other.done == []


def test_another_device_is_left_to_the_core() -> None:
    daemon = Daemon(by_admin(STOLEN))
    client = daemon.line(1, Role.CLIENT)
    daemon.told(client, INFO)
    assert client.done == []
    assert [told[0] for told in daemon.core.told if isinstance(told, tuple)] == ["message"]


VALIDATED = MarkValidated.__struct_fields__
ABOUT = examples.DEVICE | {"device_id": DEVICE, "request_id": 4}
NAMED = {
    "acquire": AcquireLicense(**ABOUT),
    "renew": RenewLicense(**ABOUT, license_id=bytes(16)),
    "validate": MarkValidated(**{name: ABOUT[name] for name in VALIDATED}),
    "lend": LendLicense(**ABOUT, loan_id=bytes(16)),
}


@pytest.mark.parametrize("message", NAMED.values(), ids=NAMED.keys())
def test_a_license_for_a_revoked_device_is_refused(message: Message) -> None:
    daemon = Daemon(DENIED_DEVICE)
    peer = daemon.line(1, Role.LICENSE_SERVER, denied=(NUMBER, NUMBER))
    daemon.told(peer, message)
    refused = Refused(
        code=ErrorCode.DEVICE_REVOKED,
        detail=f"device {DEVICE.hex()} was revoked",
        trace_id=ABOUT["trace_id"],
    )
    assert peer.done == [("send", refused, 4), "flush"]
    assert daemon.done == [
        events.DeviceRevoked(device_id=DEVICE, peer="root", trace_id=ABOUT["trace_id"])
    ]
    assert daemon.core.told == []


def test_a_link_that_opens_as_its_certificate_is_revoked_is_opened_and_lost_for_its_core() -> None:
    daemon = Daemon()
    admin, line = daemon.line(1), MemoryLine(2)
    line.peer_certificate = STOLEN
    daemon.switchboard.happened(
        admin, Received(PublishDenyList(request_id=7, signed=DENIED_CERTIFICATE))
    )
    daemon.hears(line, opened(Role.TERMINAL_SERVER))
    assert daemon.core.told == [("opened", 2), ("lost", 2)]
    assert [code for code, _ in closes(line)] == [ErrorCode.CERTIFICATE_REVOKED]
