"""A whole lab of real processes: up, one stopped, one killed, the clock warped, down.

Bad input goes to the real daemons: whatever a stranger sends, the connection ends with a Goodbye
and its code, no log has a traceback, and the next caller is served.
"""

from __future__ import annotations

import json
import os
import resource
import shlex
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgpack
import pytest
from msgspec.structs import replace

from clients.known_lab import warp
from daemons import lab
from tsproto import limits
from tsproto.codec import FrameReader, decode_message, encode
from tsproto.errors import ErrorCode
from tsproto.identity import DeviceKey
from tsproto.messages import (
    Goodbye,
    Hello,
    LicenseInfo,
    LicenseStored,
    LogonStart,
    Message,
    QueryPools,
    Role,
    Welcome,
)

SECONDS = 10.0
PLAN = lab.Plan(
    terminal_servers=("ts1",),
    license_servers=(lab.LicenseServerPlan("license-a", tokens=2),),
    shell=("/bin/sh",),
)


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("lab")
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    lab.up(folder, PLAN, say=lambda line: None)
    keeper = folder / "ts1" / "state" / "keeper.pid"
    try:
        yield folder
        assert keeper.exists()
        for daemon in lab.load(folder).daemons:
            assert lab.pid_of(folder, daemon.name), f"{daemon.name} ended"
            assert "Traceback" not in (folder / daemon.name / "log").read_text()
    finally:
        lab.down(folder)
    assert [d["pid"] for d in lab.status(folder)["daemons"]] == [None] * 3
    assert not keeper.exists(), "the keeper goes on after `tsfarm lab down`"


class Stranger:
    """A raw TLS client that says what it likes."""

    def __init__(self, folder: Path, name: str, certificate: str = "") -> None:
        daemon = lab.load(folder).daemon(name)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(folder / "pki" / "authority.crt")
        if certificate:
            pki = folder / "pki"
            context.load_cert_chain(pki / f"{certificate}.crt", pki / f"{certificate}.key")
        plain = socket.create_connection((daemon.host, daemon.port), SECONDS)
        self._socket = context.wrap_socket(plain)
        self._reader = FrameReader(limits.FRAME_BYTES)
        self._heard: list[Message] = []

    def __enter__(self) -> Stranger:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def say(self, data: bytes) -> None:
        self._socket.sendall(data)

    def hear(self, kind: type[Message]) -> Message:
        """The next message of this kind; everything else on the way is passed over."""
        while True:
            while self._heard:
                message = self._heard.pop(0)
                if isinstance(message, kind):
                    return message
            data = self._socket.recv(65_536)
            assert data, f"the connection ended, {kind.__name__} was expected"
            self._heard += [decode_message(body) for _, body in self._reader.feed(data)]

    def goodbye(self) -> ErrorCode:
        goodbye = self.hear(Goodbye)
        assert isinstance(goodbye, Goodbye)
        return goodbye.code


def hello(role: Role = Role.CLIENT, name: str = "stranger") -> bytes:
    return encode(
        Hello(
            version_min=limits.PROTOCOL_VERSION_MIN,
            version_max=limits.PROTOCOL_VERSION_MAX,
            role=role,
            name=name,
        )
    )


BAD_BYTES = {
    "random bytes": (os.urandom(100).replace(b"\xc9", b"x"), ErrorCode.MALFORMED_FRAME),
    "http": (b"GET / HTTP/1.1\r\n\r\n", ErrorCode.MALFORMED_FRAME),
    "an oversize frame": (b"\xc9\x7f\xff\xff\xff\x00", ErrorCode.FRAME_TOO_LONG),
    "another kind": (b"\xc9\x00\x00\x00\x01\x07\x00", ErrorCode.UNKNOWN_FRAME_KIND),
    "deep nesting": (
        b"\xc9" + (4_000).to_bytes(4, "big") + b"\x00" + b"\x91" * 4_000,
        ErrorCode.MALFORMED_MESSAGE,
    ),
    "an unknown number": (b"\xc9\x00\x00\x00\x04\x00\x92\xcd\x03\xe7", ErrorCode.MALFORMED_MESSAGE),
    "a wrong type": (b"\xc9\x00\x00\x00\x03\x00\x92\x01\xa0", ErrorCode.MALFORMED_MESSAGE),
    "no hello first": (encode(QueryPools(), 1), ErrorCode.OUT_OF_ORDER),
}


@pytest.mark.parametrize("name", ["license-a", "directory", "ts1"])
@pytest.mark.parametrize("what", sorted(BAD_BYTES))
def test_bad_bytes_end_the_connection_with_their_code(farm: Path, name: str, what: str) -> None:
    data, code = BAD_BYTES[what]
    with Stranger(farm, name) as stranger:
        stranger.say(data)
        assert stranger.goodbye() is code


def test_a_message_number_that_nobody_has_is_named(farm: Path) -> None:
    with Stranger(farm, "ts1") as stranger:
        stranger.say(b"\xc9\x00\x00\x00\x05\x00" + msgpack.packb([999, 0]))
        assert stranger.goodbye() is ErrorCode.UNKNOWN_MESSAGE


def test_half_a_frame_and_silence_end_in_time(farm: Path) -> None:
    with Stranger(farm, "ts1") as half, Stranger(farm, "license-a") as silent:
        half.say(hello()[:9])
        assert half.goodbye() is ErrorCode.TIMED_OUT
        assert silent.goodbye() is ErrorCode.TIMED_OUT


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.CLIENT])
def test_a_role_without_its_certificate_is_refused(farm: Path, role: Role) -> None:
    with Stranger(farm, "license-a") as stranger:
        stranger.say(hello(role))
        assert stranger.goodbye() is ErrorCode.WRONG_ROLE


def test_a_terminal_server_is_no_administrator(farm: Path) -> None:
    with Stranger(farm, "license-a", certificate="ts1") as stranger:
        stranger.say(hello(Role.TERMINAL_SERVER, "ts1"))
        assert isinstance(stranger.hear(Welcome), Welcome)
        stranger.say(encode(QueryPools(), 1))
        assert stranger.goodbye() is ErrorCode.WRONG_ROLE


def test_steps_in_the_wrong_order_are_refused(farm: Path) -> None:
    for step in (LicenseStored(license_id=bytes(16)), LogonStart(user_name="user1")):
        with Stranger(farm, "ts1") as stranger:
            stranger.say(hello())
            stranger.say(encode(step))
            assert stranger.goodbye() is ErrorCode.OUT_OF_ORDER


def test_a_device_that_cannot_prove_its_key_is_refused(farm: Path) -> None:
    with Stranger(farm, "ts1") as stranger:
        stranger.say(hello())
        key = DeviceKey(bytes(32))
        info = LicenseInfo(
            public_key=key.public_key,
            signature=key.prove(bytes(32), bytes(32)),  # over a nonce that nobody gave
            device_name="d",
            user_name="user1",
        )
        stranger.say(encode(info))
        assert stranger.goodbye() is ErrorCode.DEVICE_PROOF_INVALID


def test_one_daemon_is_stopped_killed_and_started_alone(farm: Path) -> None:
    others = [lab.pid_of(farm, name) for name in ("license-a", "ts1")]
    lab.stop(farm, "directory")
    assert lab.pid_of(farm, "directory") is None
    with pytest.raises(lab.LabError, match="directory does not run"):
        lab.kill(farm, "directory")
    lab.start(farm, "directory")
    lab.kill(farm, "directory")
    lab.start(farm, "directory")
    assert [lab.pid_of(farm, name) for name in ("license-a", "ts1")] == others


def test_a_daemon_is_started_from_the_folder_beside_the_lab(
    farm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(farm.parent)
    lab.stop(farm, "directory")
    pid = lab.start(Path(farm.name), "directory")
    assert lab.pid_of(farm, "directory") == lab.pid_of(Path(farm.name), "directory") == pid


def test_output_that_cannot_be_written_is_a_failure(farm: Path, tmp_path: Path) -> None:
    daemon = lab.load(farm).daemon("ts1")
    tsfarm = Path(sys.executable).with_name("tsfarm")
    command: list[str | Path] = [tsfarm, "connect", f"{daemon.host}:{daemon.port}"]
    command += ["--user", "user1", "--store", tmp_path, "--ca", farm / "pki" / "authority.crt"]
    command += ["--password-file", farm / "users" / "user1", "--", "echo", "hello"]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, timeout=SECONDS)
    assert done.returncode == 1
    assert b"standard output: No space left on device" in done.stderr


def test_no_process_with_a_secret_dumps_its_memory(farm: Path) -> None:
    """`test_core_dumps` shows what goes with the limit."""
    pids = {each.name: lab.pid_of(farm, each.name) for each in lab.load(farm).daemons}
    pids["keeper"] = int((farm / "ts1" / "state" / "keeper.pid").read_text())
    soft = {name: resource.prlimit(pid or 0, resource.RLIMIT_CORE)[0] for name, pid in pids.items()}
    assert soft == dict.fromkeys(pids, 0)


@pytest.mark.parametrize("command", ["status", "up", "stop", "warp"])
def test_a_lab_that_others_could_change_is_refused(tmp_path: Path, command: str) -> None:
    tmp_path.chmod(0o777)
    words = {"stop": ["ts1"], "warp": ["1d"]}.get(command, [])
    tsfarm = Path(sys.executable).with_name("tsfarm")
    done = subprocess.run(
        [tsfarm, "lab", command, *words, "--dir", tmp_path], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr == (
        f"tsfarm: others can write in {tmp_path} (mode 0777): run `chmod go-w {tmp_path}`\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_the_clock_only_goes_forward(farm: Path) -> None:
    before = lab.clock_offset(farm)
    assert warp(farm, 3600.0) == before + 3600.0
    with pytest.raises(lab.LabError, match="only goes forward"):
        warp(farm, -1.0)


def test_a_lab_that_is_there_gets_no_synthetic_users(farm: Path) -> None:
    with pytest.raises(lab.LabError, match="made with 0 synthetic users: make one with 5 in anoth"):
        lab.up(farm, lab.Plan(load_users=5))


def test_a_daemon_that_the_lab_does_not_have_is_named_with_those_it_has(farm: Path) -> None:
    with pytest.raises(lab.LabError, match="no daemon 'ts9'; it has license-a, directory, ts1"):
        lab.stop(farm, "ts9")


# --- without TLS ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("plain")
    lab.up(folder, replace(PLAN, tls=False), say=lambda line: None)
    yield folder
    lab.down(folder)


def test_a_plain_lab_tells_how_to_connect_to_it(plain: Path, tmp_path: Path) -> None:
    hint = lab.connect_hint(plain, lab.load(plain))
    assert "--plain" in hint and "--ca" not in hint
    tsfarm = Path(sys.executable).with_name("tsfarm")
    command: list[str | Path] = [tsfarm, *shlex.split(hint)[1:]]
    command += ["--store", tmp_path / "device", "--", "echo", "hello"]
    done = subprocess.run(command, capture_output=True, timeout=SECONDS)
    assert (done.stdout, done.returncode) == (b"hello\n", 0), done.stderr


def test_a_plain_lab_is_asked_without_certificates(plain: Path) -> None:
    shutil.rmtree(plain / "pki")
    tsfarm = Path(sys.executable).with_name("tsfarm")
    command: list[str | Path] = [tsfarm, "query", "server", "--lab", plain, "--json"]
    done = subprocess.run(command, capture_output=True, timeout=SECONDS)
    assert [row["name"] for row in json.loads(done.stdout)] == ["ts1"], done.stderr
    assert warp(plain, 3600.0) == 3600.0


def test_a_plain_lab_stays_one(plain: Path) -> None:
    assert lab.up(plain).tls is False


def test_a_lab_with_tls_does_not_become_a_plain_one(farm: Path) -> None:
    with pytest.raises(lab.LabError, match="was made with TLS"):
        lab.up(farm, replace(PLAN, tls=False))
