"""`cat` of a large file through a session, beside `ssh -tt` and a tmux session shown through it.

Everywhere the same command on a terminal of its session's: it waits for a line, prints the file,
says that it is over, and waits again. The clock runs from that line until the last word has come;
logons are not in it. Ours is the client library in this process, over TLS; ssh writes to a pipe,
which this process reads. Both must bring every byte: the file, and a carriage return for each of
its lines. A bare terminal, which this process reads and drops, is about as fast as anything can be
that passes a terminal's output on. tmux draws what a screen shows of it, far less, and is there for
what a user waits.

A megabyte is 10^6 bytes of the file. Server CPU is that of the terminal server; of both processes
of sshd's connection; and with tmux that of its server and of the client that it shows itself by.
`cat` is in none of them.
"""

from __future__ import annotations

import base64
import contextlib
import random
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import msgspec
import uvloop

from bench.course import Course, Figures, cpu_seconds, take_turns
from bench.peers import openssh, tmux
from bench.peers.openssh import Sshd
from bench.peers.tmux import Tmux
from bench.processes import descendants, name_of
from bench.programs import Program
from bench.results import Aim, Row, alone, beside
from bench.terminals import TerminalServer, terminal_servers
from bench.viewer import Viewer, device_in_memory

BYTES, SMOKE_BYTES = 200_000_000, 1_000_000
LINE_BYTES = 80
READY, OVER = b"ready\r\n", b"this is all\r\n"
RATE_AIM = Aim(1.5, at_most=False)
AS_OURS = "aes256-gcm@openssh.com"  # the cipher that our TLS takes
BARE = "a bare terminal"
ON, OFF = "screen tracking on", "screen tracking off"
SERVERS = {"tracking": {"screen": True}, "not-tracking": {"screen": False}}


class Text(msgspec.Struct, frozen=True):
    """What is printed."""

    file: Path
    lines: int

    @property
    def size(self) -> int:
        return self.lines * LINE_BYTES

    @property
    def command(self) -> str:
        ready, over = (word.decode().strip() for word in (READY, OVER))
        wait = "read line"
        return f"stty -echo; echo {ready}; {wait}; cat {self.file}; echo {over}; {wait}"

    def check(self, count: int) -> None:
        """Raises OSError unless so many bytes are all that a terminal shows of it, and OVER."""
        expected = self.size + self.lines + len(OVER)
        if count != expected:
            raise OSError(f"{count} bytes came instead of {expected}")

    def figures(self, took: float, cpu: float) -> Figures:
        megabytes = self.size / 1e6
        return {"rate": megabytes / took, "cpu": cpu / megabytes * 1e3}


def run(course: Course) -> Iterator[Row]:
    text = _make_text(course.folder / "text", course.size(BYTES, SMOKE_BYTES))
    contestants: dict[str, Callable[[], Figures]] = {}
    with contextlib.ExitStack() as stack:
        applications = {"print": ("/bin/sh", "-c", text.command)}
        servers = stack.enter_context(
            terminal_servers(course.folder / "lab", applications, SERVERS)
        )
        contestants[ON] = partial(_ours, servers["tracking"], text)
        contestants[OFF] = partial(_ours, servers["not-tracking"], text)
        contestants[BARE] = partial(_bare, text)
        if openssh.is_there():
            sshd = stack.enter_context(openssh.openssh(course.folder / "openssh"))
            contestants["ssh -tt"] = partial(_ssh, sshd, text, ())
            contestants[f"ssh -tt -c {AS_OURS}"] = partial(_ssh, sshd, text, ("-c", AS_OURS))
            if tmux.is_there():
                terminals = stack.enter_context(tmux.tmux(course.folder / "tmux"))
                contestants["ssh -tt tmux attach"] = partial(_tmux, sshd, terminals, text)
        found = take_turns(course, contestants)
    for ours in (ON, OFF):
        yield from _rows(found, ours)


def _rows(found: dict[str, dict[str, list[float]]], ours: str) -> Iterator[Row]:
    peers = [name for name in found if name not in (ON, OFF)]
    mine, cpu = found[ours], "server CPU a megabyte"
    if peers == [BARE]:
        note = "not compared: sshd or ssh is missing"
        yield alone("session_bytes", ours, "of the file", "MB/s", mine["rate"], note=note)
    for peer in peers:
        theirs, aim = found[peer], RATE_AIM if peer == "ssh -tt" else None
        yield beside(
            "session_bytes", ours, "of the file", "MB/s", mine["rate"], peer, theirs["rate"], aim
        )
        if "cpu" in theirs:
            yield beside("session_bytes", ours, cpu, "ms", mine["cpu"], peer, theirs["cpu"])


def _make_text(file: Path, size: int) -> Text:
    """Lines of letters and digits without a pattern."""
    lines = size // LINE_BYTES
    letters = base64.b64encode(random.Random(1).randbytes(60 * 1000))
    some = [letters[start : start + LINE_BYTES - 1] for start in range(0, len(letters), LINE_BYTES)]
    block = b"".join(line + b"\n" for line in some)
    with open(file, "wb") as written:
        whole, rest = divmod(lines, len(some))
        for _ in range(whole):
            written.write(block)
        written.write(block[: rest * LINE_BYTES])
    return Text(file, lines)


# --- contestants ----------------------------------------------------------------------------------


def _ours(server: TerminalServer, text: Text) -> Figures:
    return uvloop.run(_our_session(server, text))


async def _our_session(server: TerminalServer, text: Text) -> Figures:
    viewer = Viewer(server.seat("print"), device_in_memory())
    await viewer.expect(READY)
    over = viewer.expect(OVER)
    cpu, began = cpu_seconds(server.pid), time.perf_counter()
    viewer.send(b"\n")
    count = await over
    took = time.perf_counter() - began
    cpu = cpu_seconds(server.pid) - cpu
    viewer.send(b"\n")
    await viewer.ended_by_program()
    text.check(count)
    return text.figures(took, cpu)


def _bare(text: Text) -> Figures:
    words = ["/bin/sh", "-c", text.command]
    with Program(words, on_terminal=True, raw=False) as program:
        program.read_until(READY)
        began = time.perf_counter()
        program.send(b"\n")
        count = program.read_until(OVER)
        took = time.perf_counter() - began
        program.send(b"\n")
    text.check(count)
    return {"rate": text.figures(took, 0.0)["rate"]}


def _ssh(sshd: Sshd, text: Text, options: Sequence[str]) -> Figures:
    words = sshd.words(text.command, terminal=True, options=options)
    with Program(words) as program:
        program.read_until(READY)
        pids = sshd.connections()
        cpu, began = _cpu_of(pids), time.perf_counter()
        program.send(b"\n")
        count = program.read_until(OVER)
        took = time.perf_counter() - began
        cpu = _cpu_of(pids) - cpu
        program.send(b"\n")
    text.check(count)
    return text.figures(took, cpu)


def _tmux(sshd: Sshd, terminals: Tmux, text: Text) -> Figures:
    name = f"print-{time.perf_counter_ns()}"
    terminals.start(name, "/bin/sh", "-c", text.command)
    words = sshd.words(terminals.attach(name), terminal=True)
    with Program(words) as program:
        program.read_until(READY.rstrip())
        pids = [*sshd.connections(), *_clients(sshd), terminals.pid]
        cpu, began = _cpu_of(pids), time.perf_counter()
        program.send(b"\n")
        program.read_until(OVER.rstrip())
        took = time.perf_counter() - began
        cpu = _cpu_of(pids) - cpu
        program.send(b"\n")
    return text.figures(took, cpu)


def _clients(sshd: Sshd) -> list[int]:
    """What shows a session of tmux to a terminal of ssh's."""
    return [pid for pid in descendants(sshd.pid) if name_of(pid).startswith("tmux")]


def _cpu_of(pids: Sequence[int]) -> float:
    return sum(map(cpu_seconds, pids))
