"""The requirements of the protocol, each with an id that is written by hand and never changes.

The document prints them, the conformance suite has a case for each. A requirement that no longer
holds goes to `RETIRED`: its id is not given to another.
"""

from __future__ import annotations

from tsproto.requirements import (
    directory,
    frames,
    keeping,
    license_servers,
    licenses,
    opening,
    sessions,
)
from tsproto.requirements.requirement import CHAPTERS, Level, Requirement

__all__ = [
    "CHAPTERS",
    "NOT_TESTABLE",
    "REQUIREMENTS",
    "RETIRED",
    "Level",
    "Requirement",
]

REQUIREMENTS: tuple[Requirement, ...] = (
    *frames.REQUIREMENTS,
    *opening.REQUIREMENTS,
    *keeping.REQUIREMENTS,
    *licenses.REQUIREMENTS,
    *license_servers.REQUIREMENTS,
    *sessions.REQUIREMENTS,
    *directory.REQUIREMENTS,
)

# Ids that once were, never to be used again.
RETIRED: tuple[str, ...] = ("GROW-03", "HELLO-08")

# SHOULD and MAY that one target cannot show, with the reason.
NOT_TESTABLE: dict[str, str] = {
    "BEAT-06": "whether an end reads cannot be seen from outside",
    "CLOSE-08": "the suite does not stop its target",
    "CLOSE-10": "a client that does try again may have another reason",
    "DISC-11": "an answer that is lost and one that was not sent look alike",
    "DISC-13": "one draw at random shows nothing",
    "LIMIT-01": "it takes thousands of connections from one machine",
    "LIMIT-04": "memory of the target is out of sight",
    "LSRV-19": "it takes a million devices",
    "SEC-01": "other work on the machine changes the times as much",
    "SEC-02": "logs are out of sight",
    "SEC-03": "files of the device are out of sight",
    "SEC-04": "what a person is shown is out of sight",
    "SYNC-10": "one pause at random shows nothing",
    "TIME-07": "it is the TLS library's, before the protocol begins",
}
