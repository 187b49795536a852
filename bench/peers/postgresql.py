"""PostgreSQL on loopback with Debian's defaults, durable at every commit."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from bench import packages
from bench.peers.ports import free_port

SYSTEM_USER = "postgres"  # it refuses to run as root
START_SECONDS = 30
CONNECTIONS_MAX = 200


@contextlib.contextmanager
def postgresql(folder: Path) -> Iterator[str]:
    """A server inside the block; yields psycopg's connection string."""
    initdb, pg_ctl = packages.find("initdb"), packages.find("pg_ctl")
    if initdb is None or pg_ctl is None:
        raise OSError("PostgreSQL's server is missing")
    folder.mkdir(parents=True, exist_ok=True)
    as_user = _becoming(folder)
    data, port = folder / "data", free_port()
    options = f"-p {port} -h 127.0.0.1 -k {folder} -N {CONNECTIONS_MAX}"
    _run(as_user, initdb, "-D", str(data), "-A", "trust", "-U", SYSTEM_USER, "-E", "UTF8")
    log = str(folder / "log")
    _run(as_user, pg_ctl, "-D", str(data), "-l", log, "-o", options, "-w", "start")
    try:
        yield f"host=127.0.0.1 port={port} user={SYSTEM_USER} dbname=postgres"
    finally:
        _run(as_user, pg_ctl, "-D", str(data), "-m", "fast", "-w", "stop")


def server_pid(folder: Path) -> int:
    """The postmaster; each connection has a child process."""
    return int((folder / "data" / "postmaster.pid").read_text().split()[0])


def _becoming(folder: Path) -> dict[str, int]:
    """The user for subprocess, when the bench runs as root."""
    if os.geteuid():
        return {}
    account = pwd.getpwnam(SYSTEM_USER)
    shutil.chown(folder, account.pw_uid, account.pw_gid)
    for parent in folder.parents:  # its user must reach the folder
        if parent.stat().st_uid == 0 and not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o011)
    return {"user": account.pw_uid, "group": account.pw_gid}


def _run(as_user: dict[str, int], *words: str) -> None:
    done = subprocess.run(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=START_SECONDS,
        cwd="/",
        extra_groups=[] if as_user else None,
        user=as_user.get("user"),
        group=as_user.get("group"),
        check=False,
    )
    if done.returncode:
        raise OSError(f"{words[0]}: {done.stderr.strip()[-400:]}")
