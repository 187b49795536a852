"""What the table of messages says of connections: their states, and who may dial whom."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from tsproto import messages
from tsproto.lawful import have_business
from tsproto.messages import TABLE, Goodbye, Hello, LinkState, Role, Welcome
from tsproto.reference.markdown import role_name, table

# Where a connection begins and ends, in a Mermaid diagram.
NOWHERE = "[*]"


class Transition(msgspec.Struct, frozen=True):
    before: str
    event: str
    after: str


def connection(dialler: str) -> str:
    """The table and the diagram of the states that a connection goes through; `dialler` is
    `client` or `other`."""
    opened = LinkState.LICENSING if dialler == "client" else LinkState.SERVICE
    transitions = list(_transitions(opened))
    lines = [(_place(t.before), t.event, _place(t.after)) for t in transitions]
    drawn = [f"    {t.before} --> {t.after} : {t.event}" for t in transitions]
    diagram = "\n".join(["```mermaid", "stateDiagram-v2", *drawn, "```"])
    return f"{table(('state', 'event', 'next state'), lines)}\n\n{diagram}"


def _transitions(opened: LinkState) -> Iterator[Transition]:
    """`opened` is the state that Welcome leads to."""
    yield Transition(NOWHERE, f"TCP and TLS stand, {Hello.__name__} follows", "OPENING")
    yield Transition("OPENING", Welcome.__name__, opened.name)
    reached = {LinkState.OPENING, opened}
    for message in TABLE.values():
        then = message.entry.then
        if opened is LinkState.SERVICE or then is None or message is Goodbye:
            continue
        for state in (state for state in LinkState if state in message.entry.states):
            reached.add(then)
            yield Transition(state.name, message.__name__, then.name)
    for state in (state for state in LinkState if state in reached):
        yield Transition(state.name, Goodbye.__name__, "CLOSED")
    yield Transition("CLOSED", "nothing more", NOWHERE)


def _place(state: str) -> str:
    return "(none)" if state == NOWHERE else state


def who_may_dial() -> str:
    """Which role may dial which."""
    lines = [
        (role_name(dialler), ", ".join(map(role_name, listeners(dialler))) or "none")
        for dialler in Role
    ]
    return table(("dials", "what it may dial"), lines)


def listeners(dialler: Role) -> list[Role]:
    return [role for role in Role if role in messages.DAEMONS and have_business(dialler, role)]
