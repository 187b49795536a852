"""What license servers answer, judged: no server runs here."""

from __future__ import annotations

import random

import pytest

from clients.load.drivers.licenses import FULL_AFTER_LOGON, NEVER_BACK, SAME_TOKEN, Device, Licenses
from clients.load.drivers.request_link import RequestLink
from clients.load.measuring.measures import Measures
from clients.load.processes.assignment import Assignment, Farm
from clients.load.scenario import Act, Closed, Journey, Scenario
from clients.logon.steps import Host
from tsproto.errors import TsfarmError
from tsproto.messages import (
    AcquireLicense,
    Done,
    LicenseIssued,
    LicenseKind,
    MarkValidated,
    RenewLicense,
)

HOSTS = (Host("127.0.0.1", 5601, "license-a"), Host("127.0.0.1", 5602, "license-b"))
SCENARIO = Scenario(
    name="x",
    drives="licenses",
    closed=Closed(users=1, seconds=1.0),
    journeys=(Journey(acts=(Act("issue"),)),),
)


class Seen:
    """A driver, its moves, and the rules that it saw broken."""

    def __init__(self) -> None:
        self.rules: list[str] = []
        assignment = Assignment(
            share=0, shares=1, farm=Farm(name="lab", license_servers=HOSTS), scenario=SCENARIO
        )
        self.driver = Licenses(
            assignment,
            Measures(0, lambda: 0.0),
            lambda rule, _: self.rules.append(rule),
            random.Random(1),
        )
        self.moves = self.driver.moves()

    def device(self, first: str = "issue", host: Host = HOSTS[0]) -> Device:
        line: RequestLink[Device] = RequestLink(self.driver, host, "load-0", None)
        return self.driver.subject(line, self.moves[first])

    def hear(self, device: Device, move: str, kind: LicenseKind, license_id: bytes) -> None:
        answer = LicenseIssued(
            license_id=license_id.ljust(16),
            kind=kind,
            expires_at=1,
            token=b"",
            issuer_certificate=b"",
        )
        judge = self.moves[move].hear
        assert judge is not None
        judge(device, answer)

    def validated(self, device: Device) -> None:
        judge = self.moves["validate"].hear
        assert judge is not None
        judge(device, Done())


TEMPORARY, FULL = LicenseKind.TEMPORARY, LicenseKind.FULL


def test_every_device_is_a_new_one() -> None:
    seen, other = Seen(), Seen()
    ids = {each.device().acquire.device_id for each in (seen, seen, seen, other)}
    assert len(ids) == 4
    assert all(len(each) == 32 for each in ids)


def test_a_device_says_what_a_terminal_server_says_for_it() -> None:
    seen = Seen()
    device = seen.device()
    seen.hear(device, "issue", TEMPORARY, b"t")
    issue, renew = seen.moves["issue"].say(device), seen.moves["renew"].say(device)
    validate = seen.moves["validate"].say(device)
    assert isinstance(issue, AcquireLicense) and issue.product == "terminal-server"
    assert isinstance(validate, MarkValidated) and validate.device_id == issue.device_id
    assert isinstance(renew, RenewLicense) and renew.license_id == b"t".ljust(16)


def test_the_way_to_a_full_token_breaks_no_rule() -> None:
    seen = Seen()
    device = seen.device()
    seen.hear(device, "issue", TEMPORARY, b"t")
    seen.validated(device)
    seen.hear(device, "upgrade", TEMPORARY, b"t")  # the pool is empty
    seen.hear(device, "upgrade", FULL, b"f")
    seen.hear(device, "renew", FULL, b"f")
    assert seen.rules == []


@pytest.mark.parametrize(
    ("answers", "rule"),
    [
        ([(TEMPORARY, b"t"), (TEMPORARY, b"u")], SAME_TOKEN),
        ([(FULL, b"f"), (FULL, b"g")], SAME_TOKEN),
        ([(TEMPORARY, b"t"), (FULL, b"f"), (TEMPORARY, b"t")], NEVER_BACK),
    ],
)
def test_another_token_than_before_is_seen(
    answers: list[tuple[LicenseKind, bytes]], rule: str
) -> None:
    seen = Seen()
    device = seen.device()
    seen.validated(device)
    for kind, license_id in answers:
        seen.hear(device, "upgrade", kind, license_id)
    assert seen.rules == [rule]


def test_a_full_token_before_a_logon_is_seen() -> None:
    seen = Seen()
    seen.hear(seen.device(), "issue", FULL, b"f")
    assert seen.rules == [FULL_AFTER_LOGON]


def test_a_known_device_comes_again_at_the_license_server_that_knows_it() -> None:
    seen = Seen()
    device = seen.device()
    seen.driver.release(device)
    assert seen.device("upgrade", HOSTS[1]) is not device
    assert seen.device("issue", HOSTS[0]) is not device
    assert seen.device("upgrade", HOSTS[0]) is device


async def test_a_farm_without_license_servers_is_told() -> None:
    assignment = Assignment(share=0, shares=1, farm=Farm(name="lab"), scenario=SCENARIO)
    driver = Licenses(
        assignment, Measures(0, lambda: 0.0), lambda rule, detail: None, random.Random(1)
    )
    with pytest.raises(TsfarmError, match="has no license-server"):
        await driver.open()
