"""Run the whole farm under virtual time, many seeds, with every law checked. A seed that breaks one
is shrunk, and printed with the command that replays it and the draft of a test.

examples:
  python -m tests.simulation --seeds 1000 --processes 2
                                                   look for bugs that need bad luck
  python -m tests.simulation --seed 21             the trace of one seed
  python -m tests.simulation --seed 21 --faults 'cut,crash' --rounds 1 --devices 2
  python -m tests.simulation --planted 'a wrong host' --seeds 60
                                                   how often a planted bug is found
  python -m tests.simulation --planted 'a wrong host' --seeds 60 --starts 30
                                                   how soon, from 30 starting points
  python -m tests.simulation --list                faults, work, planted bugs, laws that are off
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor

import msgspec

from tests.simulation import broken_by, marks, shrink
from tests.simulation.farm import Result, simulate
from tests.simulation.planted import PLANTED
from tests.simulation.swarm import FAULTS, WORK, Swarm, draw


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    if options.list:
        return _list()
    if options.seed is not None:
        return _show(options)
    if options.planted and options.starts:
        return _count_until_found(options)
    if options.planted:
        return _count_found(options)
    return _run(options)


def _parser() -> argparse.ArgumentParser:
    about, examples = (__doc__ or "").split("examples:")
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation",
        description=about,
        epilog=f"examples:{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seeds", type=int, default=100, help="how many seeds to run (100)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (0)")
    parser.add_argument("--processes", type=int, default=1, help="that share the seeds (1)")
    parser.add_argument("--seed", type=int, help="run this one alone, and print its trace")
    parser.add_argument("--planted", choices=sorted(PLANTED), help="with this bug in it")
    parser.add_argument("--starts", type=int, metavar="N", help="look for it from N first seeds")
    parser.add_argument("--json", action="store_true", help="print results as JSON")
    parser.add_argument("--list", action="store_true", help="say what there is, and end")
    one = parser.add_argument_group("with --seed, in place of what the seed draws")
    one.add_argument("--faults", metavar="A,B", help="these faults alone")
    one.add_argument("--work", metavar="A,B", help="these kinds of work alone")
    one.add_argument("--devices", type=int, help="how many devices")
    one.add_argument("--users", type=int, help="how many users")
    one.add_argument("--rounds", type=int, help="how many rounds of faults")
    one.add_argument("--seconds", type=float, help="how long each round lasts")
    return parser


def made_of(options: argparse.Namespace) -> Swarm:
    """What the seed draws, but for what the options say."""
    swarm = draw(options.seed)
    changes: dict[str, object] = {
        name: getattr(options, name)
        for name in ("devices", "users", "rounds", "seconds")
        if getattr(options, name) is not None
    }
    if options.faults is not None:
        names = _names(options.faults, FAULTS)
        changes["faults"] = {name: swarm.faults.get(name, 1.0) for name in names}
    if options.work is not None:
        changes["work"] = frozenset(_names(options.work, WORK))
    return msgspec.structs.replace(swarm, **changes)


def _names(text: str, known: Sequence[str] | dict[str, float]) -> list[str]:
    names = [name for name in text.split(",") if name]
    if unknown := [name for name in names if name not in known]:
        sys.exit(f"no such thing: {', '.join(unknown)}; there are: {', '.join(known)}")
    return names


def _show(options: argparse.Namespace) -> int:
    plant = PLANTED[options.planted] if options.planted else None
    result = simulate(options.seed, plant, made_of(options))
    if options.json:
        print(msgspec.json.encode(result).decode())
    else:
        print("\n".join(result.tail))
        print(f"seed {result.seed}: trace {result.digest}, {result.events} events")
        print(result.violation or "every law held")
    return 1 if result.violation else 0


def _run(options: argparse.Namespace) -> int:
    began, messages, seconds, seen = time.perf_counter(), 0, 0.0, Counter[str]()
    for number, result in enumerate(_results(options)):
        messages += result.messages
        seconds += result.simulated_seconds
        seen.update(result.seen)
        if result.violation:
            return _report(result)
        _progress(f"{number + 1} of {options.seeds}")
    took = time.perf_counter() - began
    _progress("")
    missed = marks.missed(seen)
    figures = {
        "seeds": options.seeds,
        "messages": messages,
        "took_seconds": round(took, 1),
        "days": round(seconds / 86_400),
        "seen": dict(sorted(seen.items())),
        "never_seen": missed,
    }
    if options.json:
        print(json.dumps(figures, indent=1))
        return 0
    print(f"{options.seeds} seeds in {took:.1f} s: {messages} messages, {figures['days']} days")
    print("\n".join(f"{count:8} {name}" for name, count in sorted(seen.items())))
    print(f"never seen: {', '.join(missed) or 'nothing on the list'}")
    return 0


def _results(options: argparse.Namespace) -> Iterator[Result]:
    seeds = range(options.first, options.first + options.seeds)
    if options.processes == 1:
        yield from map(simulate, seeds)
        return
    with ProcessPoolExecutor(options.processes) as pool:
        try:
            yield from pool.map(simulate, seeds)
        finally:
            pool.shutdown(cancel_futures=True)


def _report(failed: Result) -> int:
    print(f"\nseed {failed.seed}: {failed.violation}\nreplay: {shrink.command(failed)}")
    smallest = shrink.shrunk(failed, None, lambda result: _progress(shrink.command(result)))
    _progress("")
    print(f"\nshrunk: {smallest.violation}\nreplay: {shrink.command(smallest)}")
    print(f"\n{shrink.draft(smallest)}")
    return 1


def _count_found(options: argparse.Namespace) -> int:
    """How many of the seeds find the planted bug, and by which law."""
    by_law: Counter[str] = Counter()
    for number in range(options.seeds):
        result = simulate(options.first + number, PLANTED[options.planted])
        if result.violation:
            by_law[result.law] += 1
        _progress(f"{by_law.total()} of {number + 1}")
    _progress("")
    if options.json:
        print(json.dumps({"seeds": options.seeds, "found": by_law.total(), "by_law": by_law}))
    else:
        print(f"{by_law.total()} of {options.seeds} seeds find: {options.planted}")
        print("\n".join(f"{count:6} {law}" for law, count in by_law.most_common()))
    return 0 if by_law else 1


def _count_until_found(options: argparse.Namespace) -> int:
    """How many seeds find the planted bug from each start, `--seeds` apart and at most as many."""
    needed: list[int] = []
    for start in range(options.starts):
        first = options.first + start * options.seeds
        for number in range(1, options.seeds + 1):
            if simulate(first + number - 1, PLANTED[options.planted]).violation:
                needed.append(number)
                break
        _progress(f"{len(needed)} of {start + 1} starts")
    _progress("")
    worst = max(needed, default=0)
    figures = {"starts": options.starts, "found": len(needed), "seeds_at_worst": worst}
    if options.json:
        print(json.dumps(figures))
    else:
        found = f"{len(needed)} of {options.starts} starts find: {options.planted}"
        print(
            f"{found}; {worst} seeds at worst, {sum(needed) / max(len(needed), 1):.1f} on average"
        )
    return 0 if len(needed) == options.starts else 1


def _list() -> int:
    print("faults: " + ", ".join(FAULTS))
    print("work: " + ", ".join(WORK))
    print("planted bugs: " + ", ".join(sorted(PLANTED)))
    print("laws that are off:")
    for law, reasons in broken_by.OFF.items():
        for reason in sorted(set(reasons.values())):
            present = ", ".join(what for what in reasons if reasons[what] == reason)
            print(f"  {law}\n    with {present}:\n    {reason}")
    return 0


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{text[:100]}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
