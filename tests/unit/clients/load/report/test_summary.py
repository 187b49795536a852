from __future__ import annotations

import re

from clients.load.measuring.results import CheckResult, ThresholdResult
from clients.load.report.summary import summary
from tests.unit.clients.load.samples import failed_step, generator, result, step

GOOD = """\
storm on lab
6,000 journeys begun in 60.0 s; 5,990 finished

step   count  per second      p50      p90      p99    p99.9     max  failed
logon  5,990        99.8  12.3 ms  15.0 ms  31.0 ms  82.0 ms  1.25 s       0

thresholds
  passed  p99(logon) < 200ms  31 ms

checks
  kept     never two sessions a user

generator
  2 workers, busy 45 % of a core each; lateness of arrivals: p50 20 µs, p99 800 µs, max 3.10 ms
  --seed 7 makes the same journeys again

passed
"""

BAD = """\
storm on lab
6,000 journeys begun in 12.5 s; 5,990 finished

step         count  per second      p50      p90      p99    p99.9     max  failed
first-visit  5,990        99.8  12.3 ms  15.0 ms  31.0 ms  82.0 ms  1.25 s      13
roam             0           0        -        -        -        -       -       2

errors
  12  LOGON_BUSY: too many proofs are being checked, or were wrong
      at first-visit 10, roam 2
   3  WRONG_ROLE: this role may not send this message, or is not the certificate's
      at first-visit 3

12 arrivals (0.20 %) were dropped: nobody was free to begin them. A lower --rate finds what the farm
can take; more --users, with an account each, or more --links let more be under way at once.

thresholds
  FAILED  p99(logon) < 200ms  200.04 ms
  FAILED  p99(renew) < 1s     never happened

checks
  BROKEN   tokens conserved: license-a issued 12 tokens and knows of 11, of which none is for a
           device that this run has seen
  unknown  one session a user: no administrator

generator
  2 workers, busy 45 % of a core each; lateness of arrivals: p50 20 µs, p99 800 µs, max 3.10 ms
  --seed 7 makes the same journeys again
  warning: the generator was the bottleneck; add --workers

stopped before its end: this is what its first 12.5 s showed
FAILED: 2 thresholds missed, 1 rule broken
"""


def test_a_good_run() -> None:
    found = result(
        thresholds=[ThresholdResult("p99(logon) < 200ms", 31.0, "ms", True)],
        checks=[CheckResult("never two sessions a user", True, "")],
    )
    assert summary(found, colour=False) == GOOD


def bad_run() -> str:
    saw = "license-a issued 12 tokens and knows of 11, of which none is for a device that this run"
    return summary(
        result(
            seconds=12.5,
            complete=False,
            dropped=12,
            steps=[
                step("first-visit", {"LOGON_BUSY": 10, "WRONG_ROLE": 3}),
                failed_step("roam", {"LOGON_BUSY": 2}),
            ],
            thresholds=[
                ThresholdResult("p99(logon) < 200ms", 200.04, "ms", False),
                ThresholdResult("p99(renew) < 1s", None, "s", False),
            ],
            checks=[
                CheckResult("tokens conserved", False, f"{saw} has seen"),
                CheckResult("one session a user", None, "no administrator"),
            ],
            generator=generator(warning="the generator was the bottleneck; add --workers"),
        ),
        colour=False,
    )


def test_a_bad_run_tells_what_was_wrong_and_what_to_do() -> None:
    assert bad_run() == BAD


def test_a_run_that_did_nothing_says_so() -> None:
    text = summary(result(begun=0, finished=0, steps=[], farm=""), colour=False)
    assert text.startswith("storm\n0 journeys begun in 60.0 s; 0 finished\n\nno step was done\n")


def test_no_line_is_longer_than_a_hundred_columns() -> None:
    long = step("a-step-of-a-very-long-name" * 4, {"UNANSWERED": 10**9}, count=10**10)
    text = summary(result(steps=[long, step("logon")], dropped=10**9), colour=False)
    assert max(map(len, text.splitlines())) == 100
    assert "\na-step-of-a-…  10,000,000,000" in text


def test_colour_adds_nothing_but_colour() -> None:
    found = result(steps=[step("logon", {"NO_LICENSE": 1})], complete=False)
    coloured = summary(found, colour=True)
    assert "\x1b[1;31m" in coloured
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == summary(found, colour=False)


def test_what_a_farm_says_does_not_command_the_terminal() -> None:
    told = [CheckResult("one session", False, "user1\x1b[2J has two")]
    text = summary(result(checks=told, farm="lab\x1b[31m"), colour=False)
    assert "\x1b" not in text
    assert "one session: user1\\u001b[2J has two" in text
