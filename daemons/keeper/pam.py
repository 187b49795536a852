"""A small layer over libpam: one handle, and conversations of any number of prompts.

The Python libraries that are kept answer one password prompt. Calls block, a wrong password for
seconds, and modules run in the caller: make them in a process of their own.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from enum import IntEnum
from functools import cache
from typing import Any

from tsproto.errors import TsfarmError

# Numbers of <security/_pam_types.h>, as in every Linux-PAM since 1.0.
_SUCCESS, _BUFFER_ERROR, _CONVERSATION_ERROR = 0, 5, 19
_NEW_PASSWORD_REQUIRED = 12
_ECHO_OFF, _ECHO_ON = 1, 2  # styles of a message that wants an answer
_ESTABLISH_CREDENTIALS, _DELETE_CREDENTIALS, _CHANGE_EXPIRED = 0x2, 0x4, 0x20

# Is given notices, then prompts, each with whether its answer is shown while it is typed; returns
# an answer for each prompt, or None to let the call fail.
Converse = Callable[[list[str], list[tuple[str, bool]]], list[bytes] | None]


class Item(IntEnum):
    """A fact about the logon that modules read."""

    USER = 2
    TERMINAL = 3
    REMOTE_HOST = 4


class PamError(TsfarmError):
    """A call of the library failed; the text is the library's."""


class _Message(ctypes.Structure):
    _fields_ = [("style", ctypes.c_int), ("text", ctypes.c_char_p)]


class _Response(ctypes.Structure):
    _fields_ = [("answer", ctypes.c_void_p), ("unused", ctypes.c_int)]


_Converse = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.c_int,
    ctypes.POINTER(ctypes.POINTER(_Message)),
    ctypes.POINTER(ctypes.POINTER(_Response)),
    ctypes.c_void_p,
)


class _Conversation(ctypes.Structure):
    _fields_ = [("converse", _Converse), ("data", ctypes.c_void_p)]


class Pam:
    """One logon of `user` by the rules of `/etc/pam.d/service`. Methods raise PamError."""

    def __init__(self, service: str, user: str, converse: Converse) -> None:
        self.converse = converse
        self._callback = _Conversation(_Converse(self._on_messages), None)
        self._handle = ctypes.c_void_p()
        self._status = _SUCCESS
        self._check(
            _pam().pam_start(
                service.encode(),
                user.encode(),
                ctypes.byref(self._callback),
                ctypes.byref(self._handle),
            )
        )

    def set_item(self, item: Item, value: str) -> None:
        self._check(_pam().pam_set_item(self._handle, int(item), value.encode()))

    def user(self) -> str:
        """The user whom the modules mean: one of them may have chosen another name."""
        found = ctypes.c_char_p()
        self._check(_pam().pam_get_item(self._handle, int(Item.USER), ctypes.byref(found)))
        return (found.value or b"").decode(errors="replace")

    def authenticate(self) -> None:
        self._check(_pam().pam_authenticate(self._handle, 0))

    def check_account(self) -> bool:
        """Whether the user may log on as it is; False when the password must be changed first."""
        status = _pam().pam_acct_mgmt(self._handle, 0)
        if status == _NEW_PASSWORD_REQUIRED:
            return False
        self._check(status)
        return True

    def change_expired_password(self) -> None:
        self._check(_pam().pam_chauthtok(self._handle, _CHANGE_EXPIRED))

    def open_session(self) -> dict[str, str]:
        """Gives the environment that the modules set for the session."""
        self._check(_pam().pam_setcred(self._handle, _ESTABLISH_CREDENTIALS))
        self._check(_pam().pam_open_session(self._handle, 0))
        return self._environment()

    def close_session(self) -> None:
        status = _pam().pam_close_session(self._handle, 0)
        _pam().pam_setcred(self._handle, _DELETE_CREDENTIALS)
        self._check(status)

    def end(self) -> None:
        if self._handle:
            _pam().pam_end(self._handle, self._status)
            self._handle = ctypes.c_void_p()

    def _environment(self) -> dict[str, str]:
        entries = _pam().pam_getenvlist(self._handle)
        environment = {}
        for entry in entries or ():
            if entry is None:
                break
            name, _, value = entry.decode(errors="surrogateescape").partition("=")
            environment[name] = value
        return environment

    def _check(self, status: int) -> None:
        self._status = status
        if status != _SUCCESS:
            raise PamError(_pam().pam_strerror(self._handle, status).decode(errors="replace"))

    def _on_messages(self, count: int, messages: Any, responses: Any, data: Any) -> int:
        """No exception may cross the library."""
        try:
            said = [messages[index].contents for index in range(count)]
            asks = [message.style in (_ECHO_OFF, _ECHO_ON) for message in said]
            texts = [(message.text or b"").decode(errors="replace") for message in said]
            notices = [text for text, asked in zip(texts, asks, strict=True) if not asked]
            prompts = [
                (text, message.style == _ECHO_ON)
                for text, message, asked in zip(texts, said, asks, strict=True)
                if asked
            ]
            answers = self.converse(notices, prompts)
            if answers is None or len(answers) != len(prompts) or any(b"\0" in a for a in answers):
                return _CONVERSATION_ERROR
            return _respond(asks, answers, responses)
        except BaseException:
            return _CONVERSATION_ERROR


def _respond(asks: list[bool], answers: list[bytes], responses: Any) -> int:
    """The module frees what is allocated here."""
    libc = ctypes.CDLL(None)
    libc.calloc.restype = libc.strdup.restype = ctypes.c_void_p
    allocated = libc.calloc(len(asks), ctypes.sizeof(_Response))
    if not allocated:
        return _BUFFER_ERROR
    array = ctypes.cast(allocated, ctypes.POINTER(_Response))
    left = iter(answers)
    for index, asked in enumerate(asks):
        if asked:
            array[index].answer = libc.strdup(next(left))
    responses[0] = array
    return _SUCCESS


@cache
def _pam() -> ctypes.CDLL:
    """Raises PamError on a host without PAM."""
    try:
        # For all: modules that are not linked with the library find it all the same.
        library = ctypes.CDLL("libpam.so.0", mode=ctypes.RTLD_GLOBAL)
    except OSError as error:
        raise PamError(f"this host has no PAM: {error}") from None
    library.pam_strerror.restype = ctypes.c_char_p
    library.pam_getenvlist.restype = ctypes.POINTER(ctypes.c_char_p)
    handle, number, pointer = ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p
    for name in _CALLS:
        getattr(library, f"pam_{name}").argtypes = [handle, number]
    library.pam_getenvlist.argtypes = [handle]
    library.pam_set_item.argtypes = [handle, number, ctypes.c_char_p]
    library.pam_get_item.argtypes = [handle, number, pointer]
    return library


_CALLS = (
    *("acct_mgmt", "authenticate", "chauthtok", "close_session"),
    *("end", "open_session", "setcred", "strerror"),
)
