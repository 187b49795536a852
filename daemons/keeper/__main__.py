"""Starts a keeper.

    python -m daemons.keeper --config FILE --socket PATH --pid-file PATH [--detach]

A terminal server starts its keeper itself, as its own user; one that is started as root has it
started as root, see `daemons.keeper.supervisor`.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pwd
import resource
import socket
import sys
from pathlib import Path

from daemons.copied import copied
from daemons.files import core_dumps
from daemons.keeper.address import unix_address
from daemons.keeper.cgroup import SessionLimits, groups_of
from daemons.keeper.keeper import Keeper
from daemons.keeper.launch import load_name_services
from daemons.keeper.own_files import OwnFiles
from daemons.keeper.own_log import tell
from daemons.keeper.record import Record
from tsproto.errors import TsfarmError

IDLE_SECONDS = 60.0  # without a client and without a session; a restart takes less


def main(arguments: list[str] | None = None) -> None:
    parser = _parser()
    options = parser.parse_args(arguments)
    core_dumps.forbid()
    folders = {options.socket.parent, options.pid_file.parent}
    if options.allow_user is not None and not all(map(_is_private, folders)):
        parser.error("--allow-user: the keeper's folders must be writable by its user alone")
    lock = _lock(options.pid_file)
    if lock is None:
        return  # another keeper serves this socket already
    try:
        files = OwnFiles(options.config, _on_fault)
    except TsfarmError as error:
        parser.error(str(error))
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        _bind(listener, options.socket, options.allow_user)
        if options.detach:
            _detach(options.pid_file.with_suffix(".log"), lock)
        else:
            _write_pid(lock, os.getpid())
        os.chdir("/")
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # a session takes four
        load_name_services()
        record = Record(options.pid_file.with_suffix(".sessions"))
        groups = groups_of(copied(SessionLimits, files.settings.sessions))
        Keeper(listener, files, record, groups, options.idle_seconds, options.allow_user).run()
    options.socket.unlink(missing_ok=True)
    options.pid_file.unlink(missing_ok=True)


def _on_fault(detail: str) -> None:
    tell(f"{detail}; the file as it was before stays valid")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="keeper", description="Starts and keeps the sessions of a terminal server."
    )
    parser.add_argument(
        "--config", type=_absolute, required=True, help="configuration of the terminal server"
    )
    parser.add_argument("--socket", type=_absolute, required=True, help="Unix socket to listen on")
    parser.add_argument(
        "--pid-file",
        type=_absolute,
        required=True,
        help="file for its process id, locked while it runs",
    )
    parser.add_argument(
        "--idle-seconds",
        type=float,
        default=IDLE_SECONDS,
        help="time without a client and without a session before the keeper ends",
    )
    parser.add_argument(
        "--allow-user",
        type=_uid,
        metavar="NAME",
        help="serve this user too, and make them the owner of the socket: for a keeper that runs as"
        " root, with a terminal server that does not",
    )
    parser.add_argument(
        "--detach",
        action="store_true",
        help="return once the keeper listens; errors go to a .log file beside the pid file",
    )
    return parser


def _absolute(path: str) -> Path:
    return Path(path).absolute()


def _uid(user_name: str) -> int:
    try:
        return pwd.getpwnam(user_name).pw_uid
    except KeyError:
        raise argparse.ArgumentTypeError(f"this host has no user {user_name}") from None


def _is_private(folder: Path) -> bool:
    """Whether only this user can create files in the folder. Through another user's symbolic link
    there the keeper would give away the link's target."""
    status = folder.stat()
    return status.st_uid == os.geteuid() and not status.st_mode & 0o022


def _lock(path: Path) -> int | None:
    """Descriptor of the locked pid file, or None while another keeper holds it."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_ino == os.stat(path).st_ino:
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            return None
        except FileNotFoundError:
            pass
        os.close(descriptor)  # an ending keeper removed this file while we opened it


def _bind(listener: socket.socket, path: Path, owner: int | None) -> None:
    path.unlink(missing_ok=True)  # left by a killed keeper: this one has the lock
    umask = os.umask(0o177)
    try:
        with unix_address(path) as address:
            listener.bind(address)
        if owner is not None:
            os.chown(path, owner, -1)
    finally:
        os.umask(umask)
    listener.listen(8)


def _write_pid(lock: int, pid: int) -> None:
    os.ftruncate(lock, 0)
    os.pwrite(lock, b"%d\n" % pid, 0)


def _detach(log: Path, lock: int) -> None:
    """Continue in a child without a terminal; the parent ends, so that its caller returns."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    if child := os.fork():
        _write_pid(lock, child)
        os._exit(0)
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for standard, target in enumerate((null, null, descriptor)):
        os.dup2(target, standard)
    os.close(null)
    os.close(descriptor)


if __name__ == "__main__":
    main(sys.argv[1:])
