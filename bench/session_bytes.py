"""`cat` of a large file through a session, beside `ssh -tt` and tmux over it.

The same command runs on a terminal everywhere: it waits for a line, prints the file and an end
mark, and waits again. Time runs from that line to the mark; logons are not included. Ours is the
client library in this process, over TLS; ssh writes to a pipe that this process reads. Both must
deliver every byte: the file, and a carriage return for each line. A bare terminal, which this
process reads, is a floor. tmux draws only what a screen shows; it is there for the user's wait.

A megabyte is 10^6 bytes of the file. Server CPU is of the terminal server, of both processes of an
sshd connection, or with tmux of its server and client as well; `cat` is not included.
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

from bench.context import BenchContext, Figures, Found, of, take_turns
from bench.peers.openssh import Sshd, openssh
from bench.peers.tmux import Tmux, tmux
from bench.processes import cpu_seconds, descendants, name_of
from bench.programs import Program
from bench.results import Aim, Row, row
from bench.terminals import TerminalServer, terminal_servers

BYTES, SMOKE_BYTES = 200_000_000, 1_000_000
LINE_BYTES = 80
READY, OVER = b"ready\r\n", b"this is all\r\n"
RATE_AIM = Aim(1.5, at_most=False)
AS_OURS = "aes256-gcm@openssh.com"  # our TLS cipher
BARE = "a bare terminal"
SSH = "ssh -tt"
ON, OFF = "screen tracking on", "screen tracking off"
SERVERS = {"tracking": {"screen": True}, "not-tracking": {"screen": False}}


class Text(msgspec.Struct, frozen=True):
    """The text that is printed."""

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
        """Raises OSError unless `count` is all bytes that a terminal shows of it, with OVER."""
        expected = self.size + self.lines + len(OVER)
        if count != expected:
            raise OSError(f"{count} bytes came instead of {expected}")

    def figures(self, took: float, cpu: float) -> Figures:
        megabytes = self.size / 1e6
        return {"rate": megabytes / took, "cpu": cpu / megabytes * 1e3}


def run(context: BenchContext) -> Iterator[Row]:
    text = _make_text(context.folder / "text", context.size(BYTES, SMOKE_BYTES))
    contestants: dict[str, Callable[[], Figures]] = {}
    with contextlib.ExitStack() as stack:
        applications = {"print": ("/bin/sh", "-c", text.command)}
        servers = stack.enter_context(
            terminal_servers(context.folder / "lab", applications, SERVERS)
        )
        contestants[ON] = partial(_ours, servers["tracking"], text)
        contestants[OFF] = partial(_ours, servers["not-tracking"], text)
        contestants[BARE] = partial(_bare, text)
        if sshd := stack.enter_context(openssh(context.folder / "openssh")):
            contestants["ssh -tt"] = partial(_ssh, sshd, text, ())
            contestants[f"ssh -tt -c {AS_OURS}"] = partial(_ssh, sshd, text, ("-c", AS_OURS))
            if terminals := stack.enter_context(tmux(context.folder / "tmux")):
                contestants["ssh -tt tmux attach"] = partial(_tmux, sshd, terminals, text)
        found = take_turns(context, contestants)
    for ours in (ON, OFF):
        yield from _rows(found, ours)


def _rows(found: Found, ours: str) -> Iterator[Row]:
    peers = [name for name in found if name not in (ON, OFF)]
    mine = found[ours]
    for peer in dict.fromkeys([*peers, SSH]):
        aim, theirs = RATE_AIM if peer == SSH else None, of(found, peer, "rate")
        yield row(ours, "of the file", "MB/s", mine["rate"], peer, theirs, aim)
        if cpu := of(found, peer, "cpu"):
            yield row(ours, "server CPU a megabyte", "ms", mine["cpu"], peer, cpu)


def _make_text(file: Path, size: int) -> Text:
    """Writes lines of random letters and digits."""
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
    viewer = server.viewer("print")
    await viewer.until(READY)
    over = viewer.until(OVER)
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
        count, figures = _printed(program, text, [])
    text.check(count)
    return {"rate": figures["rate"]}


def _ssh(sshd: Sshd, text: Text, options: Sequence[str]) -> Figures:
    with Program(sshd.words(text.command, terminal=True, options=options)) as program:
        program.read_until(READY)
        count, figures = _printed(program, text, sshd.connections())
    text.check(count)
    return figures


def _tmux(sshd: Sshd, terminals: Tmux, text: Text) -> Figures:
    attach = terminals.session("/bin/sh", "-c", text.command)
    with Program(sshd.words(attach, terminal=True)) as program:
        program.read_until(READY.rstrip())
        pids = [*sshd.connections(), *_clients(sshd), terminals.pid]
        return _printed(program, text, pids, OVER.rstrip())[1]


def _printed(
    program: Program, text: Text, pids: Sequence[int], over: bytes = OVER
) -> tuple[int, Figures]:
    """Have the text printed; returns the number of bytes, and the figures of these processes."""
    cpu, began = sum(map(cpu_seconds, pids)), time.perf_counter()
    program.send(b"\n")
    count = program.read_until(over)
    took = time.perf_counter() - began
    cpu = sum(map(cpu_seconds, pids)) - cpu
    program.send(b"\n")
    return count, text.figures(took, cpu)


def _clients(sshd: Sshd) -> list[int]:
    """The tmux clients in ssh's sessions."""
    return [pid for pid in descendants(sshd.pid) if name_of(pid).startswith("tmux")]
