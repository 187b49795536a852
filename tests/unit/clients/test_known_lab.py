from __future__ import annotations

import json
from pathlib import Path

import pytest

from clients.administrator import Administrator, Daemon
from clients.known_lab import lab_in
from clients.logon.steps import Host
from tsproto.errors import TsfarmError
from tsproto.messages import Role

DAEMONS = [
    {"name": "license-a", "role": "license_server", "host": "127.0.1.31", "port": 5601},
    {"name": "ts1", "role": "terminal_server", "host": "127.0.1.101", "port": 5600},
]


def lab_json(folder: Path, **more: object) -> None:
    lab = {"farm": "lab-1", "net": 1, "daemons": DAEMONS, "users": ["user1"], **more}
    (folder / "lab.json").write_text(json.dumps(lab))


def test_a_lab_tells_its_daemons(tmp_path: Path) -> None:
    lab_json(tmp_path, load_users=3)
    lab = lab_in(tmp_path)
    assert (lab.farm, lab.tls, lab.load_users) == ("lab-1", True, 3)
    assert lab.daemons == (
        Daemon(Role.LICENSE_SERVER, Host("127.0.1.31", 5601, "license-a")),
        Daemon(Role.TERMINAL_SERVER, Host("127.0.1.101", 5600, "ts1")),
    )
    assert lab.hosts(Role.TERMINAL_SERVER) == (Host("127.0.1.101", 5600, "ts1"),)


def test_a_plain_lab_is_asked_without_certificates(tmp_path: Path) -> None:
    lab_json(tmp_path, tls=False)
    assert isinstance(lab_in(tmp_path).administrator(), Administrator)


def test_a_lab_with_tls_needs_its_administrators_certificate(tmp_path: Path) -> None:
    lab_json(tmp_path)
    with pytest.raises(TsfarmError, match="admin.crt.*No such file"):
        lab_in(tmp_path).administrator()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no lab in {}: make one with `tsfarm lab up --dir {}`"),
        ("{", "{}/lab.json cannot be read"),
        ('{"daemons": 1}', "{}/lab.json cannot be read"),
    ],
)
def test_a_folder_that_is_no_lab_is_named(tmp_path: Path, content: str | None, said: str) -> None:
    if content is not None:
        (tmp_path / "lab.json").write_text(content)
    with pytest.raises(TsfarmError) as failed:
        lab_in(tmp_path)
    assert str(failed.value).startswith(said.format(tmp_path, tmp_path))
