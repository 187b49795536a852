"""All SSH keys that a user could sign with: those of an agent, and those in files.

The agent is asked first, since it asks for no passphrase. A host names the key that it knows; no
other is asked to sign.
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clients.ssh import key_file
from clients.ssh.agent import Agent, AgentFailed, AgentKey, NoAgent
from clients.ssh.key_file import KeyFile, KeyFileError, WrongPassphrase
from clients.user_keys import KeyRefused
from tsproto import limits

if TYPE_CHECKING:
    from clients.ssh.key_file import PrivateKey

# As in ssh_config(5), without those of security keys, which an agent must hold.
DEFAULT_FILES = ("id_ed25519", "id_ecdsa", "id_rsa")
PASSPHRASES_ASKED = 3

# The passphrase of a key's file; `again` after a wrong one. None makes the client leave the key.
AskPassphrase = Callable[[Path, bool], Awaitable[bytes | None]]


class SshKeys:
    """The keys of one agent and some files."""

    def __init__(
        self,
        agent: Agent | None,
        held: Sequence[AgentKey],
        in_files: Sequence[KeyFile],
        ask_passphrase: AskPassphrase,
        say: Callable[[str], None],
        first: Iterable[bytes] = (),
    ) -> None:
        self._agent = agent
        self._held = {key.fingerprint: key for key in held}
        self._files = {file.fingerprint: file for file in in_files}
        self._opened: dict[bytes, PrivateKey] = {}
        self._ask_passphrase = ask_passphrase
        self._say = say
        self._first = tuple(first)

    @property
    def fingerprints(self) -> tuple[bytes, ...]:
        """Those that a host is told, the preferred one first."""
        every = dict.fromkeys((*self._first, *self._held, *self._files))
        return tuple(every)[: limits.KEY_FINGERPRINTS_MAX]

    async def sign(self, fingerprint: bytes, message: bytes) -> tuple[str, bytes]:
        """Algorithm and raw signature, see `tsproto.ssh_keys`. Raises KeyRefused."""
        from tsproto.ssh_keys import signed_by_ssh

        data = signed_by_ssh(message)
        file = self._files.get(fingerprint)
        if self._agent is not None and (held := self._held.get(fingerprint)) is not None:
            try:
                return await self._sign_by_agent(self._agent, held, data)
            except KeyRefused:
                if file is None:
                    raise
        if file is None:
            raise KeyRefused(f"there is no SSH key {shown(fingerprint)} to sign with")
        if fingerprint not in self._opened:
            self._opened[fingerprint] = await self._open(file)
        return key_file.sign(self._opened[fingerprint], data)

    async def _sign_by_agent(self, agent: Agent, key: AgentKey, data: bytes) -> tuple[str, bytes]:
        if key.kind.startswith("sk-"):
            self._say(f"touch the security key {key.comment or shown(key.fingerprint)}")
        try:
            return await agent.sign(key, data)
        except AgentFailed as failed:
            why = await self._why_refused(agent, key)
            name = key.comment or shown(key.fingerprint)
            raise KeyRefused(f"{failed} to sign with the key {name}: {why}") from None

    async def _why_refused(self, agent: Agent, key: AgentKey) -> str:
        try:
            held = await agent.keys()
        except AgentFailed:
            return "it is gone"
        if not held:
            return "it is locked (`ssh-add -X` unlocks it), or holds no key any more"
        if key not in held:
            return "the key was removed from it; `ssh-add` adds it again"
        if key.kind.startswith("sk-"):
            return "the key was not touched in time, or is not plugged in"
        return (
            "somebody said no, or the key is constrained to destinations of ssh (`ssh-add -h`) and"
            " signs for nothing else: add it without -h, or name another with --identity-file"
        )

    async def _open(self, file: KeyFile) -> PrivateKey:
        try:
            if not file.is_encrypted:
                return file.load(None)
            for attempt in range(PASSPHRASES_ASKED):
                passphrase = await self._ask_passphrase(file.path, attempt > 0)
                if passphrase is None:
                    break
                try:
                    return file.load(passphrase)
                except WrongPassphrase:
                    continue
        except KeyFileError as error:
            raise KeyRefused(str(error)) from None
        raise KeyRefused(f"{file.path} stays locked: its passphrase was not given")


async def find(
    environment: Mapping[str, str],
    home: Path,
    identity_files: Sequence[Path],
    ask_passphrase: AskPassphrase,
    say: Callable[[str], None],
) -> SshKeys:
    """The keys of the agent that SSH_AUTH_SOCK names, of `identity_files`, which come first, and
    of the files that ssh uses by default. Raises KeyFileError for one of `identity_files`."""
    agent, held = await _agent(environment.get("SSH_AUTH_SOCK", ""), say)
    named = [key_file.read(path) for path in identity_files]
    fingerprints = {key.fingerprint for key in held}
    for file in named:
        if file.is_in_hardware and file.fingerprint not in fingerprints:
            raise KeyFileError(
                f"{file.path} is a security key's: add it to an agent with `ssh-add {file.path}`"
            )
    files = named + [file for name in DEFAULT_FILES for file in _default(home / ".ssh" / name)]
    first = [file.fingerprint for file in named]
    return SshKeys(agent, held, files, ask_passphrase, say, first)


async def _agent(socket: str, say: Callable[[str], None]) -> tuple[Agent | None, list[AgentKey]]:
    if not socket:
        return None, []
    agent = Agent(Path(socket))
    try:
        return agent, await agent.keys()
    except NoAgent:
        return None, []
    except AgentFailed as failed:
        say(str(failed))
        return None, []


def _default(path: Path) -> list[KeyFile]:
    """The key there if it can be used: the user has not named it."""
    try:
        return [key_file.read(path)]
    except KeyFileError:
        return []


def shown(fingerprint: bytes) -> str:
    """As `ssh-add -l` shows it."""
    return "SHA256:" + base64.b64encode(fingerprint).decode().rstrip("=")
