"""Separates privilege: a terminal server that is started as root becomes three processes.

The supervisor is this small one, root. It starts the keeper, root too, and again whenever it has
died; and the terminal server, which faces the network, in a child that becomes the user of its
state folder before it opens a port. Nobody can ask the supervisor for anything: it only watches
both, and passes signals on. It ends when the terminal server ends; the keeper and the sessions
stay for the next one.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from daemons.config import ConfigError
from daemons.files import core_dumps
from daemons.files.trusted import check_root_owns
from daemons.keeper.own_log import tell
from daemons.keeper.starting import PID_FILE, KeeperError, start_keeper

USER_NAME = "tsfarm"  # of a state folder that is made here
AGAIN_SECONDS = 1.0  # between two starts of a keeper
FAULT = 70  # exit status
FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def keeper_folder(state: Path) -> Path:
    """The folder of a keeper with more privilege than its terminal server: beside `state`."""
    return state.with_name(f"{state.name}.keeper")


def user_of(state: Path) -> pwd.struct_passwd:
    """The owner of the state folder, which is made for the user `tsfarm` when there is none. Raises
    ConfigError."""
    try:
        if not state.exists():
            user = pwd.getpwnam(USER_NAME)
            state.mkdir(mode=0o700, parents=True)
            os.chown(state, user.pw_uid, user.pw_gid)
        return pwd.getpwuid(state.stat().st_uid)
    except KeyError:
        raise ConfigError(
            f"state: {state}: a terminal server that is started as root becomes the owner of this"
            f" folder: make the user with `useradd --system {USER_NAME}`, or make the folder and"
            " give it to another user"
        ) from None
    except OSError as error:
        raise ConfigError(f"state: {state}: cannot be made: {error.strerror}") from None


def supervise(config: Path, state: Path, user: pwd.struct_passwd, serve: Callable[[], int]) -> int:
    """Run `serve` as `user` in a child, and a keeper beside it; gives the exit status of `serve`.
    Raises KeeperError and NotTrusted before anything runs."""
    folder = keeper_folder(state)
    check_root_owns(folder.parent)
    folder.mkdir(mode=0o711, exist_ok=True)  # the user reaches the socket in it
    check_root_owns(folder)
    start_keeper(config, folder, user_name=user.pw_name)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED)  # until both have their handlers
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        _run_as(user, parent, mask, serve)
    ended = os.pidfd_open(child)
    for number in FORWARDED:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup leaves SIGHUP
            signal.signal(number, lambda number, _: signal.pidfd_send_signal(ended, number))
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    while not _is_readable(ended, _keeper_in(folder)):
        try:
            start_keeper(config, folder, user_name=user.pw_name)
        except KeeperError as error:
            tell(str(error))
        time.sleep(AGAIN_SECONDS)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) % 256


def _is_readable(ended: int, keeper: int | None) -> bool:
    """Wait until the child has ended, which gives True, or the keeper."""
    if keeper is None:
        return bool(select.select([ended], [], [], 0)[0])
    try:
        return ended in select.select([ended, keeper], [], [])[0]
    finally:
        os.close(keeper)


def _keeper_in(folder: Path) -> int | None:
    """A pidfd of the keeper, None when it has ended."""
    try:
        return os.pidfd_open(int((folder / PID_FILE).read_text()))
    except (OSError, ValueError):
        return None


def _run_as(
    user: pwd.struct_passwd, parent: int, mask: set[int | signal.Signals], serve: Callable[[], int]
) -> NoReturn:
    status = FAULT
    try:
        _become(user, parent)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        status = serve()
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else FAULT
    except BaseException:  # the parent's code must not run in the child
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _become(user: pwd.struct_passwd, parent: int) -> None:
    """For good: without privilege, without a terminal, never dumped, and not outliving the
    supervisor, which alone starts keepers."""
    os.setsid()
    os.initgroups(user.pw_name, user.pw_gid)
    os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
    os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)
    core_dumps.forbid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(FAULT)
