"""Real daemons read their certificates again on SIGHUP, and drop no link for it."""

from __future__ import annotations

import os
import select
import signal
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integration.far_end import FarEnd, dialled
from tests.integration.test_startup import ACCOUNTS, EVERY_ROLE, Farm, daemon, line_with
from tsproto import certificates, identity
from tsproto.errors import ErrorCode
from tsproto.limits import DAY_SECONDS
from tsproto.messages import (
    Done,
    HeldDenyLists,
    Message,
    PublishDenyList,
    QueryDenyLists,
    QueryLicenseServers,
    QueryServers,
    Refused,
    Role,
    WarpClock,
)
from tsproto.transport import DialFailed, daemon_tls

QUESTIONS: dict[Role, Message] = {
    Role.LICENSE_SERVER: QueryLicenseServers(),
    Role.SESSION_DIRECTORY: QueryServers(),
    Role.TERMINAL_SERVER: QueryLicenseServers(),
}


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Farm]:
    (tmp_path / "accounts").touch(mode=0o600)
    yield Farm(tmp_path)
    pid = tmp_path / "state" / "keeper.pid"
    if pid.exists():  # a terminal server leaves its keeper behind
        keeper = int(pid.read_text())
        ended = os.pidfd_open(keeper)
        os.kill(keeper, signal.SIGTERM)
        assert select.select([ended], [], [], 10.0)[0]
        os.close(ended)


class Running:
    """A daemon's process, its port, and what it said of its certificate at the start."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.port: int = self.said("daemon.ready")["port"]
        self.loaded = self.said("certificate.loaded")

    def said(self, event: str) -> dict[str, Any]:
        return line_with(self._process, event)

    def hang_up(self, event: str) -> dict[str, Any]:
        """Sends SIGHUP, and returns the next line with this event."""
        self._process.send_signal(signal.SIGHUP)
        return self.said(event)


@contextmanager
def running(farm: Farm, role: Role, more: str = "") -> Iterator[Running]:
    accounts = ACCOUNTS if role is Role.TERMINAL_SERVER else ""
    with daemon(role, farm.configuration(role, f"{accounts}\n{more}")) as process:
        yield Running(process)


def administrator(farm: Farm) -> ssl.SSLContext:
    return daemon_tls(*(farm.folder / name for name in ("root.crt", "root.key", "ca.crt")))


def fingerprint(file: Path) -> str:
    der = certificates.certificate_der(file.read_bytes())
    return identity.show_fingerprint(identity.fingerprint(der))


def shown(end: FarEnd) -> str:
    return identity.show_fingerprint(identity.fingerprint(end.link.peer_certificate_der))


async def answers(end: FarEnd, role: Role) -> bool:
    end.request(QUESTIONS[role])
    return bool(await end.answer())


@EVERY_ROLE
async def test_a_renewed_certificate_is_shown_on_new_links_and_old_links_stay(
    farm: Farm, role: Role
) -> None:
    own, tls = farm.folder / "one.crt", administrator(farm)
    with running(farm, role) as one:
        before = fingerprint(own)
        assert (one.loaded["fingerprint"], one.loaded["days_left"]) == (before, 364)
        assert one.loaded["addresses"] == ["one", "127.0.0.1"]
        async with dialled(one.port, tls=tls) as old:
            assert shown(old) == before
            farm.issue(role, "one")
            assert one.hang_up("certificate.loaded")["fingerprint"] == fingerprint(own)
            async with dialled(one.port, tls=tls) as new:
                assert shown(new) == fingerprint(own) != before
                assert await answers(new, role)
            assert await answers(old, role)


@EVERY_ROLE
async def test_a_broken_file_changes_nothing_and_is_named(farm: Farm, role: Role) -> None:
    own, key, tls = farm.folder / "one.crt", farm.folder / "one.key", administrator(farm)
    with running(farm, role) as one:
        before, good = fingerprint(own), key.read_bytes()
        farm.issue(role, "one")
        key.write_bytes(good)  # of the certificate before
        said = one.hang_up("certificate.not_loaded")
        assert said["error"] == f"identity.key: {key}: expected the key that belongs to {own}"
        farm.issue(role, "two")
        own.write_bytes((farm.folder / "two.crt").read_bytes())
        key.write_bytes((farm.folder / "two.key").read_bytes())
        said = one.hang_up("certificate.not_loaded")
        assert said["error"] == (
            f"identity.certificate: {own}: expected a certificate of one, found one of two: restart"
            " the daemon to rename it"
        )
        async with dialled(one.port, tls=tls) as end:
            assert shown(end) == before
            assert await answers(end, role)


@EVERY_ROLE
async def test_a_farm_changes_its_authority_without_an_outage(farm: Farm, role: Role) -> None:
    old_tls = administrator(farm)
    with running(farm, role) as one:
        farm.rotate()
        farm.issue(Role.ADMINISTRATOR, "root")
        new_tls = administrator(farm)
        async with dialled(one.port, tls=old_tls) as end:
            one.hang_up("certificate.loaded")
            async with dialled(one.port, tls=new_tls) as with_new:
                assert await answers(with_new, role)
            farm.issue(role, "one")
            one.hang_up("certificate.loaded")
            async with dialled(one.port, tls=new_tls) as with_new:
                assert shown(with_new) == fingerprint(farm.folder / "one.crt")
            assert await answers(end, role)
            with pytest.raises(DialFailed) as failed:
                async with dialled(one.port, tls=old_tls):
                    pass
            assert failed.value.code is ErrorCode.WRONG_ROLE


@EVERY_ROLE
async def test_a_new_authority_denies_certificates_and_what_the_old_one_denied_stays(
    farm: Farm, role: Role
) -> None:
    farm.issue(Role.ADMINISTRATOR, "gone")
    gone = [farm.folder / name for name in ("gone.crt", "gone.key", "ca.crt")]
    gone_tls, tls = daemon_tls(*gone), administrator(farm)
    denied = identity.fingerprint(certificates.certificate_der(gone[0].read_bytes()))
    with running(farm, role) as one:
        async with dialled(one.port, tls=tls) as end:
            end.request(PublishDenyList(signed=farm.denying(denied)))
            assert isinstance(await end.answer(), Done)
            farm.rotate()
            by_new = farm.denying(bytes(32), denied)
            end.request(PublishDenyList(signed=by_new))
            refused = await end.answer()
            assert isinstance(refused, Refused) and refused.code is ErrorCode.DENY_LIST_FORGED
            one.hang_up("certificate.loaded")
            with pytest.raises(AssertionError, match="CERTIFICATE_REVOKED"):
                async with dialled(one.port, tls=gone_tls):
                    pass
            end.request(PublishDenyList(signed=by_new))
            assert isinstance(await end.answer(), Done)
            end.request(QueryDenyLists())
            held = await end.answer()
            assert isinstance(held, HeldDenyLists) and held.certificates == by_new


async def test_a_warning_comes_when_the_end_is_near(farm: Farm) -> None:
    clock = farm.folder / "clock"
    clock.write_text("0")
    role = Role.SESSION_DIRECTORY
    with running(farm, role, f'clock_file = "{clock}"') as one:
        async with dialled(one.port, tls=administrator(farm)) as end:
            clock.write_text(str(345 * DAY_SECONDS))
            end.request(WarpClock())
            assert isinstance(await end.answer(), Done)
            said = one.said("certificate.expiring")
            assert (said["level"], said["days_left"]) == ("warning", 19)
            assert said["next_step"] == ("run `tsfarm pki renew one`, and send the daemon SIGHUP")
            assert abs(said["expires_at"] - time.time() - 365 * DAY_SECONDS) < 60
