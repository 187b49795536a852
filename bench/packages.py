"""Finds the peers' programs, and installs missing ones from Debian's packages."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

# The package of each command.
PACKAGES = {
    "redis-server": "redis-server",
    "initdb": "postgresql",
    "sshd": "openssh-server",
    "ssh": "openssh-client",
    "tmux": "tmux",
    "wrk": "wrk",
}
# Folders of packages that PATH may lack.
ELSEWHERE = ("/usr/sbin", "/usr/local/sbin")


def find(command: str) -> str | None:
    """The path of a peer's program, or None where it is missing."""
    if command in ("initdb", "postgres", "pg_ctl"):
        found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{command}"))
        return str(found[-1]) if found else None
    return shutil.which(command, path=os.pathsep.join([os.environ["PATH"], *ELSEWHERE]))


def install_missing(say: Callable[[str], None]) -> list[str]:
    """Install missing programs if this user may; returns those still missing.

    The packages' services are not started: each peer runs in a folder of its own.
    """
    missing = [command for command in PACKAGES if find(command) is None]
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        packages = [PACKAGES[command] for command in missing]
        say(f"installing {', '.join(packages)}")
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        for words in (
            ["apt-get", "update", "-qq"],
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages],
        ):
            subprocess.run(words, env=quiet, stdout=subprocess.DEVNULL, check=False)
    return [command for command in PACKAGES if find(command) is None]


def main() -> None:
    """`python -m bench.packages`: install the peers' programs, or print the missing ones."""
    if missing := install_missing(print):
        print(f"still missing: {', '.join(missing)}; benches go without them")


if __name__ == "__main__":
    main()
