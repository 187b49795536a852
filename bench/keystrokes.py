"""How long a typed key takes to be echoed on the screen, beside ssh and tmux.

The session runs `cat` on a terminal in raw mode, so that a program echoes, like an editor or a
shell. Each key is typed when the last one was shown, a few thousand times.

- library: our client library in this process, over TLS, beside an ssh on pipes, which is a
  process more
- programs: `tsfarm connect`, `ssh -tt`, and that with `tmux attach`, each on a terminal that this
  process reads, as a terminal window does
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Callable, Iterator
from functools import partial

import uvloop

from bench.context import BenchContext, Figures, Found, of, take_turns
from bench.peers.openssh import Sshd, openssh
from bench.peers.tmux import Tmux, tmux
from bench.programs import Program
from bench.results import Aim, Row, row
from bench.terminals import TerminalServer, terminal_servers

KEYS, WARM_UP_KEYS = 3000, 100
# Neither stands in an escape sequence, so that tmux's output has them only as keys.
ALTERNATING = (b"{", b"}")
COMMAND = "stty raw -echo; echo ready; exec cat"
READY = b"ready\n"
AIM = Aim(1.0)
PERCENTILES = {"p50": 0.5, "p99": 0.99}


def run(context: BenchContext) -> Iterator[Row]:
    keys = context.size(KEYS, 20)
    with contextlib.ExitStack() as stack:
        applications = {"keys": ("/bin/sh", "-c", COMMAND)}
        servers = terminal_servers(context.folder / "lab", applications, {"ts": {}})
        ours = stack.enter_context(servers)["ts"]
        contestants: dict[str, Callable[[], Figures]] = {
            "library": partial(_library, ours, keys),
            "tsfarm connect": lambda: _program(_connect(ours), keys, on_terminal=True),
        }
        if sshd := stack.enter_context(openssh(context.folder / "openssh")):
            words = sshd.words(COMMAND, terminal=True)
            contestants["ssh on pipes"] = lambda: _program(words, keys, on_terminal=False)
            contestants["ssh -tt"] = lambda: _program(words, keys, on_terminal=True)
            if terminals := stack.enter_context(tmux(context.folder / "tmux")):
                contestants["ssh -tt tmux attach"] = partial(_tmux, sshd, terminals, keys)
        found = take_turns(context, contestants)
    yield from _rows(found, "library", "ssh on pipes", AIM)
    yield from _rows(found, "tsfarm connect", "ssh -tt", AIM)
    yield from _rows(found, "tsfarm connect", "ssh -tt tmux attach", None)


def _rows(found: Found, ours: str, peer: str, aim: Aim | None) -> Iterator[Row]:
    for figure in PERCENTILES:
        yield row(ours, figure, "µs", found[ours][figure], peer, of(found, peer, figure), aim)


def percentiles(seconds: list[float]) -> Figures:
    """Microseconds, without the first WARM_UP_KEYS keys."""
    ordered = sorted(seconds[WARM_UP_KEYS:] or seconds)
    last = len(ordered) - 1
    return {name: ordered[round(part * last)] * 1e6 for name, part in PERCENTILES.items()}


# --- our library ----------------------------------------------------------------------------------


def _library(ours: TerminalServer, keys: int) -> Figures:
    return percentiles(uvloop.run(_type(ours, keys)))


async def _type(ours: TerminalServer, keys: int) -> list[float]:
    viewer = ours.viewer("keys")
    await viewer.until(READY)
    seconds: list[float] = []
    is_done = asyncio.get_running_loop().create_future()
    typed_at = 0.0

    def on_shown(data: bytes) -> None:
        nonlocal typed_at
        seconds.append(time.perf_counter() - typed_at)
        if len(seconds) < keys:
            typed_at = time.perf_counter()
            viewer.send(ALTERNATING[len(seconds) % 2])
        elif not is_done.done():
            is_done.set_result(None)

    viewer.take = on_shown
    typed_at = time.perf_counter()
    viewer.send(ALTERNATING[0])
    await is_done
    await viewer.log_off()
    return seconds


# --- programs -------------------------------------------------------------------------------------


def _connect(ours: TerminalServer) -> list[str]:
    """`tsfarm connect` with a device of its own, kept between turns."""
    return ours.farm.words(ours.logon("keys"), ours.farm.folder / "device")


def _tmux(sshd: Sshd, terminals: Tmux, keys: int) -> Figures:
    words = sshd.words(terminals.session("/bin/sh", "-c", COMMAND), terminal=True)
    return _program(words, keys, on_terminal=True)


def _program(words: list[str], keys: int, *, on_terminal: bool) -> Figures:
    seconds = []
    with Program(words, on_terminal=on_terminal) as program:
        program.read_until(READY.rstrip())
        for key in itertools.islice(itertools.cycle(ALTERNATING), keys):
            typed_at = time.perf_counter()
            program.send(key)
            program.read_until(key)
            seconds.append(time.perf_counter() - typed_at)
    return percentiles(seconds)
