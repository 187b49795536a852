"""OpenSSH on loopback: an sshd with its own host key, user key and configuration.

Left out is what slows its logons: PAM, name lookups, the message of the day, and the shell's start-
up files (the home is an empty folder). Ciphers and privilege separation are the defaults.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from bench import packages
from bench.peers.ports import free_port, listening
from bench.processes import descendants, name_of

PRIVILEGE_SEPARATION = Path("/run/sshd")  # sshd insists on it when it runs as root
CONFIGURATION = """\
ListenAddress 127.0.0.1
PidFile none
UsePAM no
UseDNS no
StrictModes no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
PrintMotd no
PrintLastLog no
MaxStartups 1000
LogLevel ERROR
"""


class Sshd(msgspec.Struct, frozen=True):
    """`pid` is the listener's; every connection has two processes below it."""

    pid: int
    client: tuple[str, ...]

    def words(
        self, *command: str, terminal: bool = False, options: Sequence[str] = ()
    ) -> list[str]:
        """The command line of an ssh that runs `command` there."""
        asked = ["-tt"] if terminal else ["-T"]
        return [self.client[0], *asked, *options, *self.client[1:], *command]

    def connections(self) -> list[int]:
        """The processes that serve connections, without those that they started."""
        return [pid for pid in descendants(self.pid) if name_of(pid).startswith("sshd")]


@contextlib.contextmanager
def openssh(folder: Path) -> Iterator[Sshd | None]:
    """A server that admits the user of the bench by key; None without the programs."""
    program, client = packages.find("sshd"), packages.find("ssh")
    if program is None or client is None:
        yield None
        return
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    _make_keys(folder, port)
    configuration = folder / "sshd_config"
    home = folder / "home"
    home.mkdir()
    own = f"Port {port}\nHostKey {folder}/host_key\nAuthorizedKeysFile {folder}/user_key.pub\n"
    configuration.write_text(f"{own}SetEnv HOME={home}\n{CONFIGURATION}")
    words = [program, "-D", "-e", "-f", str(configuration)]
    with _privilege_separation(), listening(words, port, folder / "log") as pid:
        yield Sshd(pid, (client, *_client_options(folder, port)))


def _make_keys(folder: Path, port: int) -> None:
    for name in ("host_key", "user_key"):
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(words, check=True, stdin=subprocess.DEVNULL)
    public = (folder / "host_key.pub").read_text()
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {public}")


def _client_options(folder: Path, port: int) -> list[str]:
    options = ["-F", "none", "-p", str(port), "-i", str(folder / "user_key")]
    for option in (
        "IdentitiesOnly=yes",
        "BatchMode=yes",
        "StrictHostKeyChecking=yes",
        f"UserKnownHostsFile={folder}/known_hosts",
        "GlobalKnownHostsFile=none",
        "LogLevel=ERROR",
    ):
        options += ["-o", option]
    return [*options, f"{getpass.getuser()}@127.0.0.1"]


@contextlib.contextmanager
def _privilege_separation() -> Iterator[None]:
    """Makes the folder that sshd demands, where the package's service has not made it."""
    is_ours = os.geteuid() == 0 and not PRIVILEGE_SEPARATION.exists()
    if is_ours:
        PRIVILEGE_SEPARATION.mkdir(mode=0o755)
    try:
        yield
    finally:
        if is_ours:
            PRIVILEGE_SEPARATION.rmdir()
