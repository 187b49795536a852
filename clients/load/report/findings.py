"""Sentences about a result, shared by summary and page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from clients.load.measuring.results import CheckResult, Result, StepResult, ThresholdResult
from clients.load.report import figures
from tsproto.errors import ErrorCode

MEASURED_DIGITS = 5  # more than a histogram's three, so that a narrow miss does not look met


def errors_by_code(steps: Sequence[StepResult]) -> dict[str, Counter[str]]:
    """Counts of each code by step; the most frequent code first."""
    counts: dict[str, Counter[str]] = {}
    for step in steps:
        for code, count in step.errors.items():
            counts.setdefault(code, Counter())[step.step] += count
    return dict(sorted(counts.items(), key=lambda item: (-item[1].total(), item[0])))


def meaning_of(code: str) -> str:
    """Empty for an unknown code."""
    known = ErrorCode.__members__.get(code)
    return known.meaning if known is not None else ""


def where(steps: Counter[str]) -> str:
    """`logon 12, roam 3`"""
    return ", ".join(f"{name} {figures.count(count)}" for name, count in steps.most_common())


def dropped(result: Result) -> str:
    """Empty when no arrival was dropped."""
    if not result.dropped:
        return ""
    of_all = figures.share(result.dropped, result.begun + result.dropped)
    arrivals, were = ("arrival", "was") if result.dropped == 1 else ("arrivals", "were")
    return (
        f"{figures.count(result.dropped)} {arrivals} ({of_all}) {were} dropped: nobody was free to"
        " begin them. A lower --rate finds what the farm can take; more --users, with an account"
        " each, or more --links let more be under way at once."
    )


def measured(threshold: ThresholdResult) -> str:
    if threshold.measured is None:
        return "never happened"
    shown, unit = figures.digits(threshold.measured, MEASURED_DIGITS), threshold.unit
    if "." in shown:
        shown = shown.rstrip("0").rstrip(".")
    return f"{shown}{'' if unit.startswith('/') else ' '}{unit}".rstrip()


def standing(check: CheckResult) -> str:
    if check.passed is None:
        return "unknown"
    return "kept" if check.passed else "BROKEN"


def lateness(result: Result) -> str:
    late = result.generator.lateness
    if not late.max:
        return "no journey was begun while it measured"
    p50, p99, longest = (figures.latency(each) for each in (late.p50, late.p99, late.max))
    return f"lateness of arrivals: p50 {p50}, p99 {p99}, max {longest}"


def workers(result: Result) -> str:
    generator = result.generator
    busy = f"{100 * generator.busy:.0f} % of a core"
    if generator.workers == 1:
        return f"1 worker, busy {busy}"
    return f"{figures.count(generator.workers)} workers, busy {busy} each"


def cut_short(result: Result) -> str:
    """Empty for a run that was not stopped early."""
    if result.complete:
        return ""
    if not result.seconds:
        return "stopped before anything was measured"
    ran = figures.duration(result.seconds)
    return f"stopped before its end: this is what its first {ran} showed"


def verdict(result: Result) -> str:
    """Passed, or what failed. Empty when nothing was asked or measured."""
    missed = sum(not each.passed for each in result.thresholds)
    broken = sum(each.passed is False for each in result.checks)
    parts = [
        *(["no step succeeded"] if result.all_failed else []),
        *([f"{figures.counted(missed, 'threshold')} missed"] if missed else []),
        *([f"{figures.counted(broken, 'rule')} broken"] if broken else []),
    ]
    if parts:
        return f"FAILED: {', '.join(parts)}"
    if not result.seconds or not (result.thresholds or result.checks):
        return ""
    so_far = "" if result.complete else " so far"
    if result.failed and not result.thresholds:
        failed = figures.counted(result.failed, "step")
        return f"no rule broken{so_far}; {failed} failed: a --threshold says how many may"
    return f"passed{so_far}"


def ran(result: Result) -> str:
    """`60.0 s, after a warm-up of 3.0 s`"""
    seconds = figures.duration(result.seconds)
    if not (result.warm_up_seconds and result.seconds):
        return seconds
    return f"{seconds}, after a warm-up of {figures.duration(result.warm_up_seconds)}"


def repeating(result: Result) -> str:
    return f"--seed {result.seed} makes the same journeys again"
