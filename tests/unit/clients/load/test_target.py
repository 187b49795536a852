from __future__ import annotations

import json
from pathlib import Path

import pytest

from clients.load import target
from clients.load.processes.assignment import Credentials, Farm, Person
from clients.load.scenario import Drives
from clients.load.target import BadInput, named, of_lab, people_in
from clients.logon.steps import Host
from tsproto import certificates
from tsproto.messages import Role

NOW = 1_700_000_000.0
DAEMONS = [
    {"name": "license-a", "role": "license_server", "host": "127.0.9.31", "port": 5601},
    {"name": "directory", "role": "session_directory", "host": "127.0.9.21", "port": 5602},
    {"name": "ts1", "role": "terminal_server", "host": "127.0.9.101", "port": 5600},
    {"name": "ts2", "role": "terminal_server", "host": "127.0.9.102", "port": 5600},
]


def write_lab(folder: Path, **fields: object) -> Path:
    content = {"farm": "lab-1", "net": 9, "daemons": DAEMONS, "users": ["user1"], **fields}
    (folder / "lab.json").write_text(json.dumps(content))
    pki = folder / "pki"
    pki.mkdir()
    certificate, key = certificates.create_authority("lab-1", NOW)
    (pki / "authority.crt").write_bytes(certificate)
    (pki / "authority.key").write_bytes(key)
    (folder / "users").mkdir()
    (folder / "users" / "load").write_text("5ec2e7\n")
    return folder


def issued(lab: Path, role: Role, name: str) -> Credentials:
    pki = lab / "pki"
    authority, key = (pki / "authority.crt").read_bytes(), (pki / "authority.key").read_bytes()
    certificate, own_key = certificates.issue_certificate(authority, key, role, name, NOW)
    own = Credentials(lab / f"{name}.crt", lab / f"{name}.key")
    own.certificate.write_bytes(certificate)
    own.key.write_bytes(own_key)
    return own


# --- a lab ----------------------------------------------------------------------------------------


def test_a_lab_tells_the_farm_its_synthetic_users_and_who_may_check_it(tmp_path: Path) -> None:
    lab = write_lab(tmp_path, load_users=2)
    farm, people = of_lab(lab, tmp_path, identities=0)
    assert farm.name == "lab-1"
    assert [str(host) for host in farm.terminal_servers] == ["ts1", "ts2"]
    assert farm.license_servers == (Host("127.0.9.31", 5601, "license-a"),)
    assert farm.directory == Host("127.0.9.21", 5602, "directory")
    assert farm.authority == lab / "pki" / "authority.crt"
    assert farm.administrator == Credentials(lab / "pki/admin.crt", lab / "pki/admin.key")
    secret = b"\x5e\xc2\xe7"
    assert people == (Person("load00001", secret, True), Person("load00002", secret, True))


def test_links_to_a_lab_have_certificates_of_their_own(tmp_path: Path) -> None:
    farm, _ = of_lab(write_lab(tmp_path), tmp_path, identities=2)
    other_run, _ = of_lab(tmp_path, tmp_path, identities=2)
    shown = [
        certificates.identity_of(certificates.certificate_der(own.certificate.read_bytes()))
        for own in (*farm.as_terminal_servers, *other_run.as_terminal_servers)
    ]
    assert {each.role for each in shown} == {Role.TERMINAL_SERVER}
    assert len({each.name for each in shown}) == 4
    assert {own.key.stat().st_mode & 0o777 for own in farm.as_terminal_servers} == {0o600}


def test_a_lab_without_synthetic_users_has_none_and_leaves_its_people_alone(tmp_path: Path) -> None:
    farm, people = of_lab(write_lab(tmp_path), tmp_path, identities=0)
    assert people == ()
    with pytest.raises(BadInput, match="tsfarm lab up --load-users N"):
        target.check(farm, "users", people, 0)


def test_a_plain_lab_needs_no_certificates(tmp_path: Path) -> None:
    farm, _ = of_lab(write_lab(tmp_path, tls=False), tmp_path, identities=3)
    assert (farm.authority, farm.as_terminal_servers) == (None, ())
    target.check(farm, "directory", (), identities=3)


@pytest.mark.parametrize("content", [None, "{", "{}"])
def test_a_folder_that_is_no_lab_is_told_with_its_remedy(
    tmp_path: Path, content: str | None
) -> None:
    if content is not None:
        (tmp_path / "lab.json").write_text(content)
    with pytest.raises(BadInput, match=f"{tmp_path}.*`tsfarm lab up --dir"):
        of_lab(tmp_path, tmp_path, identities=0)


# --- any farm -------------------------------------------------------------------------------------


def test_the_authority_tells_the_name_of_the_farm(tmp_path: Path) -> None:
    lab = write_lab(tmp_path)
    assert named(Farm(name="", authority=lab / "pki" / "authority.crt")).name == "lab-1"


def test_a_plain_farm_is_called_as_its_first_host(tmp_path: Path) -> None:
    assert named(Farm(name="", directory=Host("127.0.0.1", 5602))).name == "127.0.0.1:5602"


def test_a_certificate_of_another_role_is_refused(tmp_path: Path) -> None:
    lab = write_lab(tmp_path)
    authority = lab / "pki" / "authority.crt"
    admin = issued(lab, Role.ADMINISTRATOR, "admin")
    own = issued(lab, Role.TERMINAL_SERVER, "ts9")
    with pytest.raises(BadInput, match="is no terminal-server's certificate"):
        named(Farm(name="", authority=authority, as_terminal_servers=(admin,)))
    with pytest.raises(BadInput, match="is no administrator's certificate"):
        named(Farm(name="", authority=authority, administrator=own))


def test_a_file_that_is_no_certificate_is_named(tmp_path: Path) -> None:
    file = tmp_path / "authority.crt"
    file.write_text("nothing")
    with pytest.raises(BadInput, match=f"{file}: the file holds no certificate"):
        named(Farm(name="", authority=file))


def test_each_link_to_a_directory_needs_a_name_and_those_to_license_servers_need_one(
    tmp_path: Path,
) -> None:
    lab = write_lab(tmp_path)
    own = issued(lab, Role.TERMINAL_SERVER, "ts9")
    host = Host("192.0.2.1", 5600)
    farm = Farm(
        name="x",
        license_servers=(host,),
        directory=host,
        authority=lab / "pki" / "authority.crt",
        as_terminal_servers=(own,),
    )
    target.check(farm, "licenses", (), identities=8)
    with pytest.raises(BadInput, match="2 links pass for as many terminal servers, and there are"):
        target.check(farm, "directory", (), identities=2)


@pytest.mark.parametrize(
    ("drives", "option"),
    [("users", "--hosts"), ("licenses", "--license-server"), ("directory", "--directory")],
)
def test_nobody_to_ask_is_told_with_the_option(drives: Drives, option: str) -> None:
    with pytest.raises(BadInput, match=option):
        target.check(Farm(name="x"), drives, (), 1)


# --- who logs on ----------------------------------------------------------------------------------


def test_a_users_file_has_a_name_and_a_password_in_each_line(tmp_path: Path) -> None:
    file = tmp_path / "users"
    file.write_text("# load\n\nuser1 secret\n  user2   two words \n")
    assert people_in(file) == (Person("user1", b"secret"), Person("user2", b"two words"))


def test_a_name_alone_is_a_synthetic_users(tmp_path: Path) -> None:
    file = tmp_path / "users"
    file.write_text("load00002\nuser1 secret\n")
    known = [Person(f"load0000{number}", b"x" * 32, is_synthetic=True) for number in (1, 2)]
    assert people_in(file, known) == (known[1], Person("user1", b"secret"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("user1\n", "users:1: a line is `name password`"),
        ("user1 a\nuser1 b\n", "users:2: user1 stands there twice"),
        ("# nobody\n", "users names no users"),
    ],
)
def test_a_users_file_that_is_wrong_is_told_with_the_line(
    tmp_path: Path, content: str, said: str
) -> None:
    file = tmp_path / "users"
    file.write_text(content)
    with pytest.raises(BadInput, match=said):
        people_in(file)
