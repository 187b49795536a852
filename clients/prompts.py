"""Questions to a person at the terminal: the password, and whether a new farm is the right one.

A script answers them in advance, with a password file and a fingerprint.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from clients import tty
from clients.say import prompt, say
from clients.trust import Stranger, UntrustedFarm
from clients.user_keys import KeyRefused
from tsproto import limits
from tsproto.errors import TsfarmError
from tsproto.messages import PamQuestion


class Prompts:
    """Asks on standard input when it is a terminal. `password` and `new_password` come from files;
    `fingerprint` is of the one new farm to accept."""

    def __init__(
        self,
        password: bytes | None = None,
        fingerprint: str = "",
        descriptor: int = 0,
        *,
        new_password: bytes | None = None,
    ) -> None:
        self._password = password
        self._new_password = new_password
        self._fingerprint = fingerprint
        self._descriptor = descriptor
        self._is_asking = False

    def on_continued(self) -> None:
        """The process was stopped and continued, and the shell has turned echo on again."""
        if self._is_asking:
            tty.silence(self._descriptor)

    async def password(self, user_name: str, host: str, again: bool) -> bytes | None:
        """None when the user gives none. Raises TsfarmError when standard input is no terminal."""
        if self._password is not None:
            return self._password
        if not os.isatty(self._descriptor):
            raise TsfarmError(
                "standard input is no terminal to ask for a password on: give --password-file FILE,"
                " or an SSH key with --identity-file FILE"
            )
        if again:
            say("wrong; try again")
        line = await self._in_silence(f"{user_name}'s password at {host}: ")
        return None if line is None else line.encode()[: limits.PASSWORD_BYTES]

    async def new_password(self) -> bytes | None:
        """Asked for twice; None when the user gives none. Raises TsfarmError when standard input is
        no terminal."""
        if self._new_password is not None:
            return self._new_password
        if not os.isatty(self._descriptor):
            raise TsfarmError(
                "standard input is no terminal to ask for a new password on: give"
                " --new-password-file FILE"
            )
        while True:
            first = await self._in_silence("New password: ")
            if not first:
                return None
            if first == await self._in_silence("New password again: "):
                return first.encode()[: limits.PASSWORD_BYTES]
            say("they differ; try again")

    async def passphrase(self, key: Path, again: bool) -> bytes | None:
        """None when the user gives none. Raises KeyRefused when standard input is no terminal."""
        if not os.isatty(self._descriptor):
            raise KeyRefused(
                f"{key} is encrypted, and standard input is no terminal to ask for its passphrase"
                f" on: add it to an agent with `ssh-add {key}`"
            )
        if again:
            say("wrong; try again")
        line = await self._in_silence(f"passphrase of {key}: ")
        return line.encode() if line else None

    async def answer(self, prompts: Sequence[PamQuestion]) -> list[bytes] | None:
        """An answer for each prompt of a host's PAM, typed in silence unless it may be shown; None
        when the user gives up. Raises TsfarmError when standard input is no terminal."""
        if prompts and not os.isatty(self._descriptor):
            raise TsfarmError("standard input is no terminal to answer the host's questions on")
        answers = []
        for question in prompts:
            if question.is_shown:
                prompt(question.words)
                line = await tty.read_line(self._descriptor)
            else:
                line = await self._in_silence(question.words)
            if line is None:
                return None
            answers.append(line.encode()[: limits.PAM_ANSWER_BYTES])
        return answers

    async def _in_silence(self, question: str) -> str | None:
        with tty.silent(self._descriptor):
            prompt(question)
            self._is_asking = True
            try:
                line = await tty.read_line(self._descriptor)
            finally:
                self._is_asking = False
            prompt("\n")
        return line

    async def confirm(self, stranger: Stranger) -> bool:
        """Whether the user accepts a farm that was met for the first time."""
        if self._fingerprint:
            if _is_same(self._fingerprint, stranger.fingerprint):
                return True
            raise UntrustedFarm(
                f"the farm {stranger.farm} at {stranger.host} has the fingerprint"
                f" {stranger.fingerprint}, not {self._fingerprint}"
            )
        if not os.isatty(self._descriptor):
            raise UntrustedFarm(
                f"the farm {stranger.farm} at {stranger.host} is not known yet, its authority has"
                f" the fingerprint {stranger.fingerprint}: give its certificate with --ca FILE, or"
                " accept it with --accept-new FINGERPRINT"
            )
        prompt(
            f"The farm {stranger.farm!r} at {stranger.host} is not known yet.\n"
            f"Its authority has the fingerprint {stranger.fingerprint}\n"
        )
        while True:
            prompt("Is that the right one (yes/no)? ")
            line = await tty.read_line(self._descriptor)
            if line is None or line.strip().lower() == "no":
                return False
            if line.strip().lower() == "yes" or _is_same(line.strip(), stranger.fingerprint):
                return True


def _is_same(typed: str, shown: str) -> bool:
    return typed.replace(":", "").upper() == shown.replace(":", "").upper()
