"""What the table of messages says of connections: their states, and who may dial whom."""

from __future__ import annotations

from collections.abc import Iterator

from tsproto import messages
from tsproto.lawful import have_business
from tsproto.messages import TABLE, Goodbye, Hello, LinkState, Role, Welcome
from tsproto.reference.markdown import table

# Where a connection begins and ends, in a Mermaid diagram.
NOWHERE = "[*]"


def connection(dialler: str) -> str:
    """The table and the diagram of the states that a connection goes through; `dialler` is
    `client` or `other`."""
    opened = LinkState.LICENSING if dialler == "client" else LinkState.SERVICE
    transitions = list(_transitions(opened))
    lines = [[cell.replace(NOWHERE, "(none)") for cell in line] for line in transitions]
    drawn = [f"    {before} --> {after} : {event}" for before, event, after in transitions]
    diagram = "\n".join(["```mermaid", "stateDiagram-v2", *drawn, "```"])
    return f"{table(('state', 'event', 'next state'), lines)}\n\n{diagram}"


def _transitions(opened: LinkState) -> Iterator[tuple[str, str, str]]:
    """State, event and next state; `opened` is the state that Welcome leads to."""
    yield NOWHERE, f"TCP and TLS stand, {Hello.__name__} follows", "OPENING"
    yield "OPENING", Welcome.__name__, opened.name
    reached = {LinkState.OPENING, opened}
    for message in TABLE.values():
        then = message.entry.then
        if opened is LinkState.SERVICE or then is None or message is Goodbye:
            continue
        for state in (state for state in LinkState if state in message.entry.states):
            reached.add(then)
            yield state.name, message.__name__, then.name
    for state in (state for state in LinkState if state in reached):
        yield state.name, Goodbye.__name__, "CLOSED"
    yield "CLOSED", "nothing more", NOWHERE


def who_may_dial() -> str:
    lines = [
        (dialler.noun, ", ".join(role.noun for role in listeners(dialler)) or "none")
        for dialler in Role
    ]
    return table(("dials", "what it may dial"), lines)


def listeners(dialler: Role) -> list[Role]:
    return [role for role in Role if role in messages.DAEMONS and have_business(dialler, role)]
