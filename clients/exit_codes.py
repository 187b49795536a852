"""The exit statuses of `tsfarm`, told in its help and relied on by scripts."""

from __future__ import annotations

from enum import IntEnum

from clients.ask import AskFailed
from clients.steps import Finished, Outcome
from clients.trust import UntrustedFarm
from tsproto.errors import TsfarmError
from tsproto.transport import DialFailed


class ExitCode(IntEnum):
    meaning: str

    def __new__(cls, value: int, meaning: str) -> ExitCode:
        code = int.__new__(cls, value)
        code._value_ = value
        code.meaning = meaning
        return code

    OK = 0, "done; or the session was disconnected and goes on"
    FAILED = 1, "refused or failed"
    USAGE = 2, "the command line, or a file that it names, is wrong"
    NO_LICENSE = 3, "no license for this device"
    LOGON_FAILED = 4, "the logon was refused"
    UNREACHABLE = 5, "no answer, or come back later"
    UNTRUSTED = 6, "the farm is not known, or not the one it was"
    THRESHOLD = 7, "a load run missed a threshold, or saw a rule of the farm broken"
    CANCELLED = 130, "given up with Ctrl-C; 128 + n after signal n"


_OUTCOMES = {
    Outcome.DISCONNECTED: ExitCode.OK,
    Outcome.NO_LICENSE: ExitCode.NO_LICENSE,
    Outcome.LOGON_FAILED: ExitCode.LOGON_FAILED,
    Outcome.UNREACHABLE: ExitCode.UNREACHABLE,
    Outcome.CANCELLED: ExitCode.CANCELLED,
    Outcome.FAILED: ExitCode.FAILED,
}


def exit_status(finished: Finished, signal: int) -> int:
    """What `tsfarm connect` ends with; a session that has ended hands on its program's status."""
    if finished.outcome is Outcome.CANCELLED and signal:
        return 128 + signal
    if finished.outcome is Outcome.ENDED:
        return finished.exit_status
    return _OUTCOMES[finished.outcome]


def exit_code_of(error: TsfarmError) -> ExitCode:
    if isinstance(error, UntrustedFarm):
        return ExitCode.UNTRUSTED
    if isinstance(error, (AskFailed, DialFailed)) and error.code.may_retry:
        return ExitCode.UNREACHABLE
    return ExitCode.FAILED


def table() -> str:
    """The statuses, one a line; after a session `connect` ends with its program's."""
    lines = [f"  {code.value:>3}  {code.meaning}" for code in ExitCode]
    return "\n".join(["Exit status:", *lines, "  otherwise, that of the session's program"])
