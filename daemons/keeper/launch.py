"""The last step before a session's program: run in the child, between fork and exec.

The child drops all that it inherited from the keeper, makes the PTY its controlling terminal, and
becomes the user. PR_SET_NO_NEW_PRIVS is not set: users of a terminal server need su and sudo.
"""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import resource
import signal
import time
from pathlib import Path
from typing import NoReturn

import msgspec

from daemons.keeper import system_account, terminfo
from tsproto.errors import ErrorCode, TsfarmError

PATH = "/usr/local/bin:/usr/bin:/bin"
ROOT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NOT_EXECUTED = 127  # as a shell reports a command that it could not run
# Programs that use select() break on a higher descriptor. The keeper itself has a higher limit.
OPEN_FILES = 1024


class LaunchFailure(msgspec.Struct, array_like=True, frozen=True):
    """The report that a child writes into its pipe when it cannot run the program."""

    code: ErrorCode
    detail: str


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """The program of a session: from the keeper's configuration, the account, and what the user
    asked for.

    `shell` empty means the system user's own. `arguments` start an application and are empty for a
    shell. A `command` is run by the shell on a PTY that changes no byte of its output. `group` is
    the folder of the session's control group, empty for none.
    """

    session_id: int
    system_user: str
    allow_root: bool
    group: str = ""
    shared_user: bool = False
    shell: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    command: str = ""
    folder: str = ""
    terminal: str = "xterm-256color"
    lang: str = ""
    tz: str = ""
    colorterm: str = ""


class AccountUnusable(TsfarmError):
    """No session may run as this system user."""


class Account(msgspec.Struct, frozen=True):
    name: str
    uid: int
    gid: int
    home: str
    shell: str


def account_for(
    system_user: str, *, allow_root: bool, own_uid: int, shared_user: bool = False
) -> Account:
    """The account that a session runs as.

    A keeper without root runs every session as its own user, for accounts that name another one
    only with `shared_user`. A keeper with root runs it as `system_user`, which must exist and be
    let in by this host (`system_account`); empty means root. Root needs `allow_root`. Raises
    AccountUnusable.
    """
    if own_uid != 0:
        own = _account_of_uid(own_uid)
        if system_user in ("", own.name) or shared_user:
            return own
        raise AccountUnusable(
            f"the account names the system user {system_user!r}, but this host runs sessions as"
            f" {own.name} only: start its terminal server as root"
        )
    try:
        entry = pwd.getpwnam(system_user) if system_user else pwd.getpwuid(0)
    except KeyError:
        raise AccountUnusable(
            f"this host has no system user {system_user!r}: create it, or name another one in the"
            " accounts file"
        ) from None
    if entry.pw_uid == 0 and not allow_root:
        raise AccountUnusable(
            "the account names no system user but root: name one in the accounts file, or set"
            " sessions.allow_root = true"
        )
    account = _account(entry)
    shadow = system_account.shadow_of(account.name)
    if refusal := system_account.refusal(account.shell, shadow, time.time()):
        raise AccountUnusable(f"no session may run as the system user {account.name}: {refusal}")
    return account


def _account_of_uid(uid: int) -> Account:
    try:
        return _account(pwd.getpwuid(uid))
    except KeyError:  # a container's arbitrary uid
        return Account(name=str(uid), uid=uid, gid=os.getgid(), home="/", shell="/bin/sh")


def _account(entry: pwd.struct_passwd) -> Account:
    shell = entry.pw_shell or "/bin/sh"
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir, shell)


def argv_of(program: Program, account: Account) -> tuple[str, list[str]]:
    """The file to execute and its arguments. A shell without a command is a login shell, which is
    told so by a dash before its name."""
    if program.arguments:
        return program.arguments[0], list(program.arguments)
    shell = list(program.shell or (account.shell,))
    if program.command:
        return shell[0], [*shell, "-c", program.command]
    return shell[0], ["-" + os.path.basename(shell[0]), *shell[1:]]


def environment_of(
    program: Program, account: Account, language: str, from_pam: dict[str, str] | None = None
) -> dict[str, str]:
    """The whole environment of a session's program. PAM decides the folders of programs and the
    language, the user's own terminal comes before it, and nobody else says who they are."""
    passed_on = {"TZ": program.tz, "COLORTERM": program.colorterm, "LANG": program.lang}
    return {
        "PATH": PATH if account.uid else ROOT_PATH,
        "LANG": language,
        **(from_pam or {}),
        **{name: value for name, value in passed_on.items() if value},
        "HOME": account.home,
        "USER": account.name,
        "LOGNAME": account.name,
        "SHELL": program.shell[0] if program.shell else account.shell,
        "TERM": program.terminal,
        "TSFARM_SESSION": str(program.session_id),
    }


def launch(
    program: Program, terminal: int, failures: int, from_pam: dict[str, str] | None = None
) -> NoReturn:
    """Become the program. `terminal` is the PTY's slave. A failure is written to `failures`, a
    pipe that closes on exec. With `from_pam`, the environment of an open PAM session, this process
    has the groups, the limits and the umask of that session already.

    The caller must have blocked all signals: they are unblocked right before exec, when neither the
    keeper's handlers nor its descriptors are left.
    """
    try:
        drop_handlers()
        close_all_but(terminal, failures)
        _enter_group(program.group)
        account = account_for(
            program.system_user,
            allow_root=program.allow_root,
            own_uid=os.geteuid(),
            shared_user=program.shared_user,
        )
        language = os.environ.get("LANG") or "C.UTF-8"
        environment = environment_of(program, account, language, from_pam)
        _give_terminal_to(terminal, account)
        os.login_tty(terminal)
        if from_pam is None:
            os.umask(0o022)
            limit_open_files()
            join_groups(account)
        _become(account)
        note = _fall_back(environment, program)
        _enter_folder(program, account)
        close_all_but(failures)  # the account lookup may have opened files
        file, arguments = argv_of(program, account)
        os.write(1, note)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.execvpe(file, arguments, environment)
    except AccountUnusable as error:
        report(failures, ErrorCode.ACCOUNT_UNUSABLE, str(error))
    except BaseException as error:  # the parent's code must not run in the child
        report(failures, ErrorCode.PROGRAM_FAILED, str(error))
    finally:
        os._exit(NOT_EXECUTED)


def _enter_group(group: str) -> None:
    """Leave the keeper's protection from the kernel's search for memory, and its group."""
    if os.geteuid() == 0:
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("0")
    if group:
        Path(group, "cgroup.procs").write_text(str(os.getpid()))


def _fall_back(environment: dict[str, str], program: Program) -> bytes:
    """Replaces a TERM that this host does not know, with which programs do not start or draw
    rubbish; returns the line that tells the user so. The output of a command has no such line."""
    wanted = environment["TERM"]
    if wanted == terminfo.FALLBACK or terminfo.is_known(wanted, environment["HOME"]):
        return b""
    environment["TERM"] = terminfo.FALLBACK
    if program.command:
        return b""
    told = f"this host does not know the terminal {wanted!r}: TERM is {terminfo.FALLBACK}"
    return f"[tsfarm] {told}\r\n".encode()


def load_name_services() -> None:
    """Look up a user once, so that the C library loads its name services here and not again in
    each child."""
    with contextlib.suppress(KeyError, OSError):
        user = pwd.getpwuid(0)
        system_account.shadow_of(user.pw_name)
        grp.getgrgid(user.pw_gid)
        os.getgrouplist(user.pw_name, user.pw_gid)


def _give_terminal_to(terminal: int, account: Account) -> None:
    """Make the user the owner of their terminal, as login(1) does: programs open it by name."""
    if os.geteuid() != 0:
        return
    try:
        os.fchown(terminal, account.uid, grp.getgrnam("tty").gr_gid)
        os.fchmod(terminal, 0o620)
    except KeyError:
        os.fchown(terminal, account.uid, account.gid)
        os.fchmod(terminal, 0o600)


def join_groups(account: Account) -> None:
    if os.geteuid() == 0:
        os.initgroups(account.name, account.gid)


def _become(account: Account) -> None:
    """After `join_groups`: the user may not change groups any more."""
    if os.geteuid() != 0:
        return
    os.setresgid(account.gid, account.gid, account.gid)
    os.setresuid(account.uid, account.uid, account.uid)


def _enter_folder(program: Program, account: Account) -> None:
    if program.folder:
        os.chdir(program.folder)
        return
    try:
        os.chdir(account.home)
    except OSError:  # a user without a home folder may still log on
        os.chdir("/")


def drop_handlers() -> None:
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            try:
                signal.signal(number, signal.SIG_DFL)
            except OSError:  # the C library keeps two real-time signals to itself
                continue


def close_all_but(*kept: int) -> None:
    """Close all descriptors but the standard streams and those `kept`. The keeper holds four for
    every session, so whole ranges are closed at once."""
    first = 3
    for descriptor in sorted(kept):
        os.closerange(first, descriptor)
        first = descriptor + 1
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    os.closerange(first, limit)


def limit_open_files() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def report(failures: int, code: ErrorCode, detail: str) -> None:
    os.write(failures, msgspec.msgpack.encode(LaunchFailure(code, detail[:1000])))
