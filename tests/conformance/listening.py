"""A client under test: the suite listens as the terminal server that it connects to, and starts the
client anew for each case, on a terminal of its own."""

from __future__ import annotations

import contextlib
import os
import pty
import shlex
import subprocess
import threading
from collections.abc import Callable

from tests.conformance.acting import NAMES
from tests.conformance.ears import Ear
from tests.conformance.over_sockets import STRANGER, OverSockets, Settings, SocketLine
from tests.conformance.stage import Cast, Line, Target, Unavailable, Unmet
from tests.conformance.trust import Trust
from tsproto.messages import Role

KILL_SECONDS = 5.0


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
        self._trusted = settings.trust if settings.tls else None
        self._process: ClientProcess | None = None
        self._ear = Ear(
            Role.TERMINAL_SERVER, NAMES[Role.TERMINAL_SERVER], settings.address, self._trusted
        )

    def begin(self) -> None:
        self._end_client()
        self._ear.forget_callers()  # links of the client that was ended
        host, port = self.accepting_at()
        where = {"host": host, "port": port, "ca": self._authority()}
        if self._command:
            self._process = ClientProcess(self._command.format(**where))
        else:
            self._tell("connect the client: {host}:{port}, authority {ca}".format(**where))

    def stop(self) -> None:
        super().stop()
        self._end_client()
        self._ear.close()

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
        link = self._ear.pick_up(seconds)
        if link is None:
            raise Unmet(f"the client did not dial {self._ear.address}")
        # Where it has hung up in the handshake, reading tells.
        return self._ear.secured(link, trust) or SocketLine(self._ear.name, link, bytes(32))

    def accepting_at(self) -> tuple[str, int]:
        return self._ear.address.host, self._ear.address.port

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
