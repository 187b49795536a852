"""How a daemon is told what to start with."""

from __future__ import annotations

import secrets
import socket
from pathlib import Path

import pytest

from daemons.clock import Clock
from daemons.license_server.records import KeyPackRecord
from daemons.settings import DaemonSettings, IdentityFiles, Listen
from daemons.startup import Start, config_argument
from daemons.store.memory import MemoryStore
from tests.unit.daemons.credentials import made
from tsproto.messages import Role
from tsproto.transport import LocalIdentity


def test_the_one_argument_of_a_daemon() -> None:
    assert config_argument("license-server", ["--config", "a.toml"]) == Path("a.toml")


def test_without_its_argument_a_daemon_ends_with_the_status_of_a_usage_error() -> None:
    with pytest.raises(SystemExit) as caught:
        config_argument("license-server", [])
    assert caught.value.code == 2


def test_what_the_store_held_is_not_kept_beside_the_core_that_took_it() -> None:
    local = LocalIdentity(role=Role.LICENSE_SERVER, name="ls1", farm="north")
    credentials = made("ls1")
    pack = KeyPackRecord(key_pack="p", product="x", product_version=1, tokens=1, added_at=0)
    with socket.socket() as listening:
        start = Start(
            config=Path("config.toml"),
            settings=DaemonSettings(
                farm="north",
                listen=Listen(port=0),
                identity=IdentityFiles(certificate="c", key="k", authority="a"),
                state="state",
            ),
            credentials=credentials,
            reload=lambda: (local, credentials),
            identity=local,
            listening=listening,
            connections_max=1,
            store=MemoryStore(),
            records={KeyPackRecord: [pack]},
            clock=Clock(),
            rng=secrets.SystemRandom(),
        )
    assert start.take_records() == {KeyPackRecord: [pack]}
    assert start.records == {}
