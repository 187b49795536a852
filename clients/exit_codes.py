"""The exit statuses of `tsfarm`: its help lists them, and scripts rely on them."""

from __future__ import annotations

from enum import IntEnum

from tsproto.errors import PeerError, TsfarmError


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
    READER_GONE = 141, "the reader of standard output has closed the pipe, as `head` does"


def exit_code_of(error: TsfarmError) -> ExitCode:
    # A command that raises it has imported this module; `tsfarm --version` never does.
    from clients.trust import UntrustedFarm

    if isinstance(error, UntrustedFarm):
        return ExitCode.UNTRUSTED
    if isinstance(error, PeerError) and error.code.may_retry:
        return ExitCode.UNREACHABLE
    return ExitCode.FAILED


def table() -> str:
    """The exit statuses for an epilog, one a line."""
    lines = [f"  {code.value:>3}  {code.meaning}" for code in ExitCode]
    return "\n".join(["Exit status:", *lines, "  otherwise, that of the session's program"])
