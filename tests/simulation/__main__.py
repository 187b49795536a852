"""`python -m tests.simulation --seeds 1000`: many seeds; a failure prints how it is replayed."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from tests.simulation.farm import Result, simulate
from tests.simulation.planted import PLANTED


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many seeds to run")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="run this one alone, and print its trace")
    parser.add_argument("--planted", choices=sorted(PLANTED), help="with this bug in it")
    options = parser.parse_args()
    plant = PLANTED[options.planted] if options.planted else None
    if options.seed is not None:
        return _show(simulate(options.seed, plant))
    began, messages, seconds, seen = time.perf_counter(), 0, 0.0, Counter[str]()
    for seed in range(options.first, options.first + options.seeds):
        result = simulate(seed, plant)
        messages += result.messages
        seconds += result.simulated_seconds
        seen.update(result.seen)
        if result.violation:
            print(f"\nseed {seed}: {result.violation}\nreplay: {replay(result, options.planted)}")
            return 1
        if sys.stderr.isatty():
            print(f"\r{seed + 1 - options.first} of {options.seeds}", end="", file=sys.stderr)
    took = time.perf_counter() - began
    print(
        f"\n{options.seeds} seeds, {messages} messages in {took:.1f} s:"
        f" {messages / took:,.0f} a second"
    )
    print(f"{seconds / 86_400:,.0f} days lived; " + ", ".join(f"{k}: {n}" for k, n in seen.items()))
    return 0


def replay(result: Result, planted: str | None = None) -> str:
    extra = f" --planted {planted!r}" if planted else ""
    return f"python -m tests.simulation --seed {result.seed}{extra}"


def _show(result: Result) -> int:
    print("\n".join(result.tail))
    print(f"seed {result.seed}: trace {result.digest}, {result.events} events, {result.seen}")
    print(result.violation or "every law held")
    return 1 if result.violation else 0


if __name__ == "__main__":
    sys.exit(main())
