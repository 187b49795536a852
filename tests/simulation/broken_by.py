"""Laws that today's product breaks: each is written and checked all the same, and off by name in a
run in which a certain fault has struck, or a certain work is done, with the reason. The change that
mends it deletes its line.
"""

from __future__ import annotations

from collections.abc import Set

_OUTAGES = (
    "broken links",
    "clock apart",
    "clock drifts",
    "clock steps",
    "commit error",
    "crash",
    "cut",
    "full disk",
    "one-way cut",
    "restored ledger",
    "slow disk",
    "stalled link",
    "stand-still",
    "weeks asleep",
)
_DOUBLED = "who logs on while a session is out of the directory's reach gets another one"
_RESTORED = "a ledger that was put back gives out its tokens again: it has no epoch yet"
_FULL = "a full disk ends the daemon in place of a refusal"
_LESSER = "an issuer that is away is made up for by another one, with what that one has"
_STEPPED = "what a stepped clock shows is taken for the time, without an alarm"
_SET_BACK = "a directory numbers by its clock, and forgets at a restart how far it came"
_BEHIND = "a daemon whose clock is more than a day behind refuses the list until it links anew"
_HIGHER = "a device whose token is of a lower version asks for a new one, and renews nothing"
_NOT_ASKED = (
    "a lender without a token of one version is asked for no other until its next inventory"
)

OFF: dict[str, dict[str, str]] = {
    "a user has one session": dict.fromkeys(_OUTAGES, _DOUBLED),
    "devices hold no more than was bought": {
        "clock steps": _STEPPED,
        "restored ledger": _RESTORED,
    },
    "a device's tokens follow each other": {
        "clock steps": _STEPPED,
        "restored ledger": _RESTORED,
    },
    "a live token is never replaced by a lesser one": {"always": _LESSER},
    "a row has one life": {"restored ledger": _RESTORED},
    "an answer given is an answer kept": {
        "clock steps": _STEPPED,
        "restored ledger": _RESTORED,
    },
    "a license server answers a device as if nobody else asked": {
        "clock steps": _STEPPED,
        "restored ledger": _RESTORED,
    },
    "a device comes in by a token of its own": {"restored ledger": _RESTORED},
    "a token is renewed in its last days": {
        "clock steps": _STEPPED,
        "restored ledger": _RESTORED,
        "two versions": _HIGHER,
    },
    "a validated device holds a full token while there are any": {
        "clock steps": _STEPPED,
        "two versions": _NOT_ASKED,
    },
    "linked daemons have the same deny lists": {"clock steps": _BEHIND},
    "placements rise": {"clock steps": _SET_BACK},
    "a full disk does not end a daemon": {"full disk": _FULL},
}


def reason_off(law: str, present: Set[str]) -> str:
    """Why the law is off where these faults have struck, and this work is done; empty when on.
    What is off "always" is off in every run."""
    reasons = OFF.get(law, {})
    found = sorted((present | {"always"}) & reasons.keys())
    return reasons[found[0]] if found else ""
