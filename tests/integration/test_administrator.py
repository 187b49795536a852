"""An administrator's questions to a scripted daemon, over real TLS."""

from __future__ import annotations

from pathlib import Path

import pytest

from clients.administrator import Administrator, Daemon
from clients.logon.steps import Host
from tests.integration.listener import listen
from tests.integration.scripted_server import Farm
from tsproto import transport
from tsproto.connection import Event, Received
from tsproto.errors import TsfarmError
from tsproto.messages import (
    LicenseKind,
    LicenseRow,
    Licenses,
    QueryLicenses,
    QuerySessions,
    Role,
    SessionRow,
    Sessions,
    SessionState,
)

PAGE = 2
LICENSES = [
    LicenseRow(
        license_id=bytes([number]) * 16,
        kind=LicenseKind.FULL,
        product="terminal-server",
        product_version=1,
        device_id=bytes(32),
        device_name="laptop1",
        user_name="user1",
        issued_at=1,
        expires_at=2,
        validated=True,
    )
    for number in range(5)
]
SESSIONS = [
    SessionRow(
        host=host,
        session_id=number,
        user_name="user1",
        application="",
        state=SessionState.ACTIVE,
        created_at=1,
    )
    for host in ("ts1", "ts2")
    for number in (1, 2, 3)
]


class ScriptedDaemon:
    """Answers queries a page of two at a time."""

    def __init__(self, farm: Farm, role: Role, name: str) -> None:
        self._farm = farm
        self._role = role
        self._name = name

    async def __aenter__(self) -> Daemon:
        self._listener = await listen(
            "127.0.0.1",
            0,
            self,
            role=self._role,
            name=self._name,
            farm=self._farm.name,
            tls=transport.server_tls(*self._farm.files(self._role, self._name)),
        )
        return Daemon(self._role, Host("127.0.0.1", self._listener.port, self._name))

    async def __aexit__(self, *exception: object) -> None:
        await self._listener.close()

    def on_events(self, link: transport.Link, events: list[Event]) -> None:
        for event in events:
            match event:
                case Received(QueryLicenses() as query):
                    later = [row for row in LICENSES if row.license_id > query.after]
                    page = Licenses(licenses=later[:PAGE], more=len(later) > PAGE)
                    link.send(page, query.request_id)
                case Received(QuerySessions() as query):
                    after = (query.after_host, query.after_id)
                    rows = [row for row in SESSIONS if (row.host, row.session_id) > after]
                    link.send(
                        Sessions(sessions=rows[:PAGE], more=len(rows) > PAGE), query.request_id
                    )
                case _:
                    pass

    def on_writable(self, link: transport.Link) -> None:
        """Pages are short."""


@pytest.fixture
def farm(tmp_path: Path) -> Farm:
    return Farm(tmp_path / "pki")


@pytest.fixture
def administrator(farm: Farm) -> Administrator:
    return Administrator.certified(*farm.files(Role.ADMINISTRATOR, "admin"))


async def test_every_page_of_the_issue_log_comes_once(
    farm: Farm, administrator: Administrator
) -> None:
    async with ScriptedDaemon(farm, Role.LICENSE_SERVER, "license-a") as daemon:
        assert await administrator.licenses(daemon) == LICENSES


async def test_every_page_of_the_sessions_comes_once(
    farm: Farm, administrator: Administrator
) -> None:
    async with ScriptedDaemon(farm, Role.SESSION_DIRECTORY, "directory") as daemon:
        assert await administrator.sessions(daemon) == SESSIONS


def test_a_key_that_others_could_read_is_refused(farm: Farm) -> None:
    certificate, key, authority = farm.files(Role.ADMINISTRATOR, "admin")
    key.chmod(0o644)
    with pytest.raises(TsfarmError, match=f"pass for this administrator: run `chmod 600 {key}`"):
        Administrator.certified(certificate, key, authority)


def test_only_an_administrators_certificate_will_do(farm: Farm, tmp_path: Path) -> None:
    with pytest.raises(TsfarmError, match="no administrator's certificate"):
        Administrator.certified(*farm.files(Role.TERMINAL_SERVER, "ts1"))
    with pytest.raises(TsfarmError, match="No such file"):
        Administrator.certified(tmp_path / "a", tmp_path / "b", tmp_path / "c")
