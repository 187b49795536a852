import re

from tsproto.messages import TABLE, LinkState, Role
from tsproto.reference import states
from tsproto.reference.states import MACHINES


def drawn(name: str) -> list[tuple[str, str]]:
    """The arrows of a machine's diagram."""
    return re.findall(r"^    (\S+) --> (\S+) :", states.machine(name), re.MULTILINE)


def listed(name: str) -> list[tuple[str, str]]:
    """The lines of a machine's table."""
    rows = re.findall(r"^\| (\S+) \| [^|]* \| (\S+) \|$", states.machine(name), re.MULTILINE)
    end = {"(none)": "[*]"}
    return [(end.get(a, a), end.get(b, b)) for a, b in rows if a not in ("state", "---")]


def test_table_and_diagram_say_the_same() -> None:
    for name in ("client-link", "service-link", *MACHINES):
        assert drawn(name) == listed(name) != []


def test_every_transition_of_the_table_of_messages_is_drawn() -> None:
    wanted = {
        (state.name, found.row.then.name)
        for found in TABLE.values()
        if found.row.then is not None
        for state in found.row.states
    }
    assert wanted - {*drawn("client-link"), *drawn("service-link")} == set()


def test_welcome_leads_a_client_to_licensing_and_others_to_service() -> None:
    assert ("OPENING", LinkState.LICENSING.name) in drawn("client-link")
    assert ("OPENING", LinkState.SERVICE.name) in drawn("service-link")
    assert not {state for arrow in drawn("client-link") for state in arrow} & {"SERVICE"}


def test_every_machine_begins_and_leaves_no_state_unreached() -> None:
    for name in MACHINES:
        arrows = drawn(name)
        assert arrows[0][0] == "[*]"
        assert {before for before, _ in arrows} <= {"[*]", *(after for _, after in arrows)}


def test_who_may_dial_whom() -> None:
    assert not states.listens(Role.TERMINAL_SERVER, Role.CLIENT)
    assert states.listens(Role.LICENSE_SERVER, Role.LICENSE_SERVER)
    assert "| client | terminal server |\n" in states.businesses()
    assert "| session directory | none |\n" in states.businesses()
