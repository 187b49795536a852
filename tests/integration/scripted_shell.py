"""A scripted terminal server whose sessions have a shell that knows the few commands of a load run,
and a terminal that can be made to err."""

from __future__ import annotations

import re
from collections.abc import Callable

from tests.integration.scripted_server import Farm, Logon, ScriptedServer
from tsproto.connection import Event, SessionBytes
from tsproto.messages import LogonAccepted
from tsproto.transport.link import Link

_PRINTF = re.compile(rb"printf '%s-%d:%s\\n' (\w+) (\d+)( \"\$TSFARM_LOAD\")?")
_HEAD = re.compile(rb"head -c (\d+)")
_MARK = re.compile(rb"TSFARM_LOAD=(\w+)")


class ScriptedShell(ScriptedServer):
    """`show` is what the terminal makes of each key typed into `cat`, `printed` of a command's
    output; `mark` is the session's variable, and `session_id` and `reattached` what the next logon
    is told."""

    def __init__(self, farm: Farm, name: str = "ts1") -> None:
        super().__init__(farm, name)
        self.session_id = 7
        self.reattached = False
        self.mark = b""
        self.show: Callable[[bytes], bytes] = lambda keys: keys.replace(b"\r", b"\r\n")
        self.printed: Callable[[bytes], bytes] = lambda output: output
        self._line = b""
        self._in_cat = False

    def accept(self, link: Link, request: Logon) -> None:
        accepted = LogonAccepted(
            host=self.name,
            session_id=self.session_id,
            user_name=request.user_name,
            reattached=self.reattached,
            created_at=1,
            attachment=len(self.logons),
        )
        link.send(accepted)
        self.session_shown.set()

    def on_events(self, link: Link, events: list[Event]) -> None:
        typed = b"".join(event.data for event in events if isinstance(event, SessionBytes))
        super().on_events(link, [each for each in events if not isinstance(each, SessionBytes)])
        for index in range(len(typed)):
            self._on_key(link, typed[index : index + 1])

    def _on_key(self, link: Link, key: bytes) -> None:
        if self._in_cat:
            self._in_cat = key != b"\x04"
            if self._in_cat:
                link.send_session_bytes(self.show(key))
            return
        link.send_session_bytes(key.replace(b"\r", b"\r\n"))
        self._line += key
        if key == b"\r":
            line, self._line = self._line, b""
            self._run(link, line)

    def _run(self, link: Link, line: bytes) -> None:
        if found := _MARK.search(line):
            self.mark = found[1]
        prints = [
            b"%s-%s:%s\r\n" % (each[1], each[2], self.mark if each[3] else b"")
            for each in _PRINTF.finditer(line)
        ]
        if size := _HEAD.search(line):
            words = re.search(rb"yes '(.*?)'", line)
            assert words is not None
            whole = (words[1] + b"\n") * (int(size[1]) // len(words[1]) + 1)
            output = whole[: int(size[1])].replace(b"\n", b"\r\n")
            prints.insert(1, self.printed(output))
        link.send_session_bytes(b"".join(prints))
        self._in_cat = b"cat >/dev/null" in line
