"""A client under test: the suite listens as its terminal server, and starts the client anew for
each case, on a PTY of its own."""

from __future__ import annotations

import shlex
import socket
import tempfile
import time
from collections.abc import Callable

from clients.conformance.client_process import ClientProcess, Command
from clients.conformance.linking import NAMES
from clients.conformance.listeners import Listener
from clients.conformance.over_sockets import STRANGER, OverSockets, Settings, SocketLine
from clients.conformance.target import Line, Setup, Target, Unavailable, Unmet
from clients.conformance.trust import Trust
from tsproto.error_text import words_of
from tsproto.messages import Role

LOOK_SECONDS = 0.1  # between two checks that the client still runs


class Listening(OverSockets):
    """`command` starts the client, with PLACEHOLDERS for where it is to connect, and `leave_keys`
    make it leave its session.

    Without a command `say` tells a person to start it. Raises ValueError for a command that cannot
    be started.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        command: str = "",
        leave_keys: bytes = b"",
        say: Callable[[str], None] = print,
    ) -> None:
        super().__init__(settings)
        self._command = Command(command) if command else None
        self._leave_keys = leave_keys
        self._say = say
        self._trusted = settings.trust if settings.tls else None
        self._process: ClientProcess | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._ear = Listener(
            Role.TERMINAL_SERVER, NAMES[Role.TERMINAL_SERVER], settings.address, self._trusted
        )

    def take_new_folder(self) -> None:
        """Gives the client a new {folder}, and deletes the last one."""
        self._end_client()
        self._forget_folder()
        if self._command is not None and "folder" in self._command.placeholders:
            self._folder = tempfile.TemporaryDirectory(
                prefix="conformance-client-", ignore_cleanup_errors=True
            )

    def begin(self) -> None:
        self._end_client()
        self._ear.forget_callers()  # links of the client that was ended
        if self._command is None:
            host, port = self.accepting_at()
            authority = f", authority {self._trusted.authority_file}" if self._trusted else ""
            self._say(f"connect the client: {host}:{port}{authority}")
            return
        words = self._command.filled(self._where())
        try:
            self._process = ClientProcess(words)
        except OSError as error:
            raise Unmet(f"expected a client: {shlex.join(words)}: {words_of(error)}") from None

    def stop(self) -> None:
        super().stop()
        self._end_client()
        self._forget_folder()
        self._ear.close()

    def accept(self, role: Role, seconds: float) -> Line:
        return self._accept(role, seconds, self._trusted)

    def accept_as_a_stranger(self, seconds: float) -> Line:
        if self._trusted is None:
            raise Unavailable("the link is plain TCP")
        stranger = Trust.invented(self.farm, STRANGER)
        return self._accept(Role.TERMINAL_SERVER, seconds, stranger)

    def strangers_authority(self) -> bytes:
        return Trust.invented(self.farm, STRANGER).authority().certificate

    def accept_without_address(self, seconds: float) -> Line:
        if self._trusted is None:
            raise Unavailable("the link is plain TCP")
        return self._accept(Role.TERMINAL_SERVER, seconds, self._trusted.without_addresses())

    def _accept(self, role: Role, seconds: float, trust: Trust | None) -> Line:
        if role is not Role.TERMINAL_SERVER:
            raise Unavailable("a client dials terminal servers alone")
        link = self._picked_up(seconds)
        if link is None:
            became = f"\n{self._process.described()}" if self._process else ""
            raise Unmet(f"the client did not dial {self._ear.address}{became}")
        # Where it has hung up in the handshake, reading tells.
        return self._ear.secured(link, trust) or SocketLine(self._ear.name, link, bytes(32))

    def _picked_up(self, seconds: float) -> socket.socket | None:
        """The client's next link, or None. A client that has failed is not waited for."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            has_failed = self._process is not None and self._process.has_failed
            link = self._ear.pick_up(0.0 if has_failed else min(left, LOOK_SECONDS))
            if link is not None or has_failed:
                return link
        return self._ear.pick_up(0.0)

    def accepting_at(self) -> tuple[str, int]:
        return self._ear.address.host, self._ear.address.port

    def disconnect(self) -> None:
        if self._process is None or not self._leave_keys:
            raise Unavailable("nobody sits at the client (--run, --leave)")
        self._process.type(self._leave_keys)

    def _where(self) -> dict[str, object]:
        host, port = self.accepting_at()
        authority = str(self._trusted.authority_file) if self._trusted else ""
        folder = self._folder.name if self._folder else ""
        return {"host": host, "port": port, "ca": authority, "folder": folder}

    def _end_client(self) -> None:
        if self._process is not None:
            self._process.end()
            self._process = None

    def _forget_folder(self) -> None:
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None


class OneClient:
    """The source when the target is a client: every case has the same one."""

    def __init__(self, client: Listening) -> None:
        self._client = client

    def target(self, setup: Setup, fresh: bool) -> Target:
        self._client.take_new_folder()
        return self._client

    def done(self, target: Target, has_failed: bool) -> None:
        """The client is started anew for the next case."""

    def stop(self) -> None:
        self._client.stop()
