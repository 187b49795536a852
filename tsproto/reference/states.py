"""State machines: each a list of transitions, from which a table and a diagram are drawn.

Those of a connection come from the table of messages. The others are written here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from tsproto import messages
from tsproto.lawful import have_business
from tsproto.messages import TABLE, Goodbye, Hello, LinkState, Role, Welcome
from tsproto.reference.markdown import table

ANY_END = "[*]"


class Transition(msgspec.Struct, frozen=True):
    """`ANY_END` is where a machine begins, or ends."""

    before: str
    event: str
    after: str


def _of(*transitions: tuple[str, str, str]) -> tuple[Transition, ...]:
    return tuple(Transition(*transition) for transition in transitions)


MACHINES: dict[str, tuple[Transition, ...]] = {
    "licensing": _of(
        ("[*]", "Welcome sent: send LicenseRequest", "WAITS_FOR_INFO"),
        ("WAITS_FOR_INFO", "LicenseInfo, bad proof or token: Goodbye", "[*]"),
        ("WAITS_FOR_INFO", "LicenseInfo, full token far from its end", "LET_IN"),
        ("WAITS_FOR_INFO", "LicenseInfo, any other: ask license server", "ASKS"),
        ("ASKS", "LicenseIssued, a new token: send NewLicense", "WAITS_FOR_STORED"),
        ("ASKS", "LicenseIssued, the token held", "LET_IN"),
        ("ASKS", "refused or no answer, token held still live", "LET_IN"),
        ("ASKS", "no answer, grace period not over", "LET_IN"),
        ("ASKS", "refused or no answer, otherwise: Goodbye", "[*]"),
        ("WAITS_FOR_STORED", "LicenseStored with the pushed id", "LET_IN"),
        ("WAITS_FOR_STORED", "LicenseStored with another id: Goodbye", "[*]"),
        ("LET_IN", "send LicenseAccepted: state LOGON", "[*]"),
    ),
    "logon": _of(
        ("[*]", "LicenseAccepted sent", "READY"),
        ("READY", "LogonRequest", "CHECKS"),
        ("CHECKS", "not accepted: send LogonRefused", "READY"),
        ("CHECKS", "third wrong password: send LogonRefused, Goodbye", "[*]"),
        ("CHECKS", "LogonRequest: Goodbye OUT_OF_ORDER", "[*]"),
        ("CHECKS", "user proved", "PLACES"),
        ("PLACES", "directory names another host: send Redirect", "LEFT"),
        ("PLACES", "session here or new: send LogonAccepted", "SHOWN"),
        ("PLACES", "no session can be had: send LogonRefused", "READY"),
        ("LEFT", "client says Goodbye", "[*]"),
        ("SHOWN", "see Session", "[*]"),
    ),
    "session": _of(
        ("[*]", "logon needs a new session", "CONNECTED"),
        ("CONNECTED", "program started, a client waits", "ACTIVE"),
        ("CONNECTED", "program started, nobody waits", "DISCONNECTED"),
        ("CONNECTED", "program not started", "[*]"),
        ("ACTIVE", "DisconnectSession, or the connection is lost", "DISCONNECTED"),
        ("ACTIVE", "another client logs on: the first is sent away", "ACTIVE"),
        ("DISCONNECTED", "a client of its user logs on", "ACTIVE"),
        ("ACTIVE", "LogoffSession", "RESET"),
        ("ACTIVE", "program ended", "[*]"),
        ("DISCONNECTED", "program ended", "[*]"),
        ("RESET", "program ended", "[*]"),
    ),
    "license": _of(
        ("[*]", "AcquireLicense of an unknown device", "TEMPORARY"),
        ("TEMPORARY", "AcquireLicense: the same token", "TEMPORARY"),
        ("TEMPORARY", "MarkValidated", "VALIDATED"),
        ("TEMPORARY", "TEMPORARY_DAYS over", "REFUSED"),
        ("REFUSED", "MarkValidated", "VALIDATED"),
        ("VALIDATED", "AcquireLicense, a pool has a token", "FULL"),
        ("VALIDATED", "AcquireLicense, another license server lends one", "FULL"),
        ("VALIDATED", "AcquireLicense, none, temporary token live: that one", "VALIDATED"),
        ("VALIDATED", "AcquireLicense, none, temporary token over: NO_LICENSE", "VALIDATED"),
        ("FULL", "AcquireLicense: the same token", "FULL"),
        ("FULL", "RenewLicense in the last RENEWAL_DAYS: a fresh end", "FULL"),
        ("FULL", "expires_at reached: the token returns to its pool", "VALIDATED"),
    ),
    "joining": _of(
        ("[*]", "JoinFarm: Joined", "SYNCHRONIZING"),
        ("SYNCHRONIZING", "SyncSessions, last false", "SYNCHRONIZING"),
        ("SYNCHRONIZING", "SyncSessions, last true", "READY"),
        ("SYNCHRONIZING", "SyncSessions refused, NOT_PERMITTED or TOO_MANY_SESSIONS", "LOST"),
        ("SYNCHRONIZING", "connection lost", "LOST"),
        ("READY", "connection lost", "LOST"),
        ("READY", "JoinFarm, on this link or a newer one", "SYNCHRONIZING"),
        ("LOST", "JoinFarm", "SYNCHRONIZING"),
        ("LOST", "SERVER_LOST_SECONDS over", "[*]"),
    ),
    "lending": _of(
        ("[*]", "pool empty, a peer claims a token: send LendLicense", "ASKED"),
        ("ASKED", "LicenseIssued, usable", "BORROWED"),
        ("ASKED", "Refused, or LicenseIssued not usable: ask the next", "[*]"),
        ("ASKED", "no answer", "IN_DOUBT"),
        ("IN_DOUBT", "device asks again: send LendLicense, same loan_id", "ASKED"),
        ("BORROWED", "RenewLicense: passed on to the lender", "BORROWED"),
        ("BORROWED", "expires_at reached", "[*]"),
    ),
}


def machine(name: str) -> str:
    """The table and the diagram of one machine; `client-link` and `service-link` are those of a
    connection."""
    transitions = _link_transitions(name) if name.endswith("-link") else MACHINES[name]
    lines = [(_place(t.before), t.event, _place(t.after)) for t in transitions]
    return f"{table(('state', 'event', 'next state'), lines)}\n\n{diagram(transitions)}"


def diagram(transitions: Iterable[Transition]) -> str:
    """A Mermaid diagram; its labels may not contain colons or semicolons."""
    lines = [
        f"    {t.before} --> {t.after} : {t.event.replace(':', ',').replace(';', ',')}"
        for t in transitions
    ]
    return "\n".join(["```mermaid", "stateDiagram-v2", *lines, "```"])


def _place(state: str) -> str:
    return "(none)" if state == ANY_END else state


def _link_transitions(name: str) -> list[Transition]:
    is_client = name == "client-link"
    opened = LinkState.LICENSING if is_client else LinkState.SERVICE
    found = [
        Transition(ANY_END, f"TCP and TLS stand, {Hello.__name__} follows", LinkState.OPENING.name),
        Transition(LinkState.OPENING.name, Welcome.__name__, opened.name),
        *_within(opened),
    ]
    reached = {transition.after for transition in found}
    closing = [
        Transition(state.name, Goodbye.__name__, LinkState.CLOSED.name)
        for state in LinkState
        if state.name in reached
    ]
    return [*found, *closing, Transition(LinkState.CLOSED.name, "nothing more", ANY_END)]


def _within(opened: LinkState) -> Iterator[Transition]:
    """The transitions that messages make from the state on that Welcome leads to."""
    if opened is LinkState.SERVICE:
        return
    for found in TABLE.values():
        then = found.row.then
        if then is None or found is Goodbye:
            continue
        for state in (state for state in LinkState if state in found.row.states):
            yield Transition(state.name, found.__name__, then.name)


def businesses() -> str:
    """Which role may dial which."""
    lines = [
        (
            _role(dialler),
            ", ".join(_role(listener) for listener in Role if listens(dialler, listener)) or "none",
        )
        for dialler in Role
    ]
    return table(("dials", "what it may dial"), lines)


def listens(dialler: Role, listener: Role) -> bool:
    return listener in messages.DAEMONS and have_business(dialler, listener)


def _role(role: Role) -> str:
    return role.name.lower().replace("_", " ")
