"""A client under test: the suite listens as the terminal server that it connects to, and starts the
client anew for each case, on a terminal of its own."""

from __future__ import annotations

import contextlib
import os
import pty
import shlex
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable

from tests.conformance.acting import NAMES
from tests.conformance.over_sockets import STRANGER, OverSockets, Settings, SocketLine
from tests.conformance.stage import Cast, Line, Target, Unavailable, Unmet
from tests.conformance.trust import Trust
from tsproto import identity
from tsproto.messages import Role

KILL_SECONDS = 5.0
HANDSHAKE_SECONDS = 5.0


class ClientProcess:
    """The client, started by a command, as somebody at a terminal would."""

    def __init__(self, command: str) -> None:
        self._master, terminal = pty.openpty()
        try:
            self._process = subprocess.Popen(
                shlex.split(command),
                stdin=terminal,
                stdout=terminal,
                stderr=terminal,
                start_new_session=True,
            )
        finally:
            os.close(terminal)
        threading.Thread(target=self._drain, daemon=True).start()

    def type(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def end(self) -> None:
        self._process.kill()
        self._process.wait(KILL_SECONDS)
        os.close(self._master)

    def _drain(self) -> None:
        """What it shows interests nobody, but must be read."""
        with contextlib.suppress(OSError):
            while os.read(self._master, 65_536):
                continue


class Listening(OverSockets):
    """`command` starts the client, with {host}, {port} and {ca} where it is to connect to, and
    `leave_keys` make it leave its session. Without a command `wait` tells a person to start it."""

    def __init__(
        self,
        settings: Settings,
        *,
        command: str = "",
        leave_keys: bytes = b"",
        wait: Callable[[str], None] = print,
    ) -> None:
        super().__init__(settings)
        self._command = command
        self._leave_keys = leave_keys
        self._tell = wait
        self._trusted = settings.trust
        self._process: ClientProcess | None = None
        self._listener = socket.create_server((settings.address.host, settings.address.port))
        self._host, self._port = self._listener.getsockname()[:2]
        self._name = NAMES[Role.TERMINAL_SERVER]

    def begin(self) -> None:
        self._end_client()
        self._forget_callers()
        where = {"host": self._host, "port": self._port, "ca": self._authority()}
        if self._command:
            self._process = ClientProcess(self._command.format(**where))
        else:
            self._tell("connect the client: {host}:{port}, authority {ca}".format(**where))

    def stop(self) -> None:
        super().stop()
        self._end_client()
        self._listener.close()

    def accept(self, role: Role, seconds: float) -> Line:
        return self._accept(role, seconds, self._trusted)

    def accept_as_a_stranger(self, seconds: float) -> Line:
        if self._trusted is None:
            raise Unavailable("the link is plain TCP")
        stranger = Trust.invented(self.farm, STRANGER)
        return self._accept(Role.TERMINAL_SERVER, seconds, stranger)

    def _accept(self, role: Role, seconds: float, trust: Trust | None) -> Line:
        if role is not Role.TERMINAL_SERVER:
            raise Unavailable("a client dials terminal servers alone")
        deadline = time.monotonic() + seconds
        self._listener.settimeout(seconds)
        try:
            link, _ = self._listener.accept()
        except TimeoutError:
            raise Unmet(f"the client did not dial {self._host}:{self._port}") from None
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if trust is None:
            return SocketLine(self._name, link, bytes(32))
        link.settimeout(max(HANDSHAKE_SECONDS, deadline - time.monotonic()))
        files = trust.files(role, self._name)
        certificate = trust.issuer(role, self._name, False).certificate
        try:
            secured = trust.server_context(files).wrap_socket(link, server_side=True)
        except OSError:
            return SocketLine(self._name, link, bytes(32))  # it has hung up: reading tells
        return SocketLine(self._name, secured, identity.fingerprint(certificate))

    def accepting_at(self) -> tuple[str, int]:
        return self._host, self._port

    def disconnect(self) -> None:
        if self._process is None or not self._leave_keys:
            raise Unavailable("nobody sits at the client (--run, --leave)")
        self._process.type(self._leave_keys)

    def _authority(self) -> str:
        return str(self._trusted.authority_file) if self._trusted else ""

    def _end_client(self) -> None:
        if self._process is not None:
            self._process.end()
            self._process = None

    def _forget_callers(self) -> None:
        """Links of the client that was ended."""
        self._listener.settimeout(0.0)
        with contextlib.suppress(BlockingIOError, ssl.SSLError):
            while True:
                self._listener.accept()[0].close()


class OneClient:
    """The source of the client that there is once; whoever dials it is the suite anyway."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def target(self, cast: Cast, fresh: bool) -> Target:
        return self._target

    def done(self, target: Target, has_failed: bool) -> None:
        """It is started anew for the next case."""

    def stop(self) -> None:
        self._target.stop()
