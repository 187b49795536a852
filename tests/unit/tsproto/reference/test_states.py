import re

from tsproto.messages import TABLE, Role
from tsproto.reference import states


def drawn(dialler: str) -> list[tuple[str, str]]:
    """The arrows of the diagram."""
    return re.findall(r"^    (\S+) --> (\S+) :", states.connection(dialler), re.MULTILINE)


def listed(dialler: str) -> list[tuple[str, str]]:
    """The lines of the table."""
    rows = re.findall(r"^\| (\S+) \| [^|]* \| (\S+) \|$", states.connection(dialler), re.MULTILINE)
    end = {"(none)": "[*]"}
    return [(end.get(a, a), end.get(b, b)) for a, b in rows if a not in ("state", "---")]


def test_table_and_diagram_say_the_same() -> None:
    for dialler in ("client", "other"):
        assert drawn(dialler) == listed(dialler) != []


def test_every_transition_of_the_table_of_messages_is_drawn() -> None:
    wanted = {
        (state.name, found.entry.then.name)
        for found in TABLE.values()
        if found.entry.then is not None
        for state in found.entry.states
    }
    assert wanted - {*drawn("client"), *drawn("other")} == set()


def test_welcome_leads_a_client_to_licensing_and_others_to_service() -> None:
    assert ("OPENING", "LICENSING") in drawn("client")
    assert drawn("other") == [
        ("[*]", "OPENING"),
        ("OPENING", "SERVICE"),
        ("OPENING", "CLOSED"),
        ("SERVICE", "CLOSED"),
        ("CLOSED", "[*]"),
    ]


def test_who_may_dial_whom() -> None:
    assert Role.CLIENT not in states.listeners(Role.TERMINAL_SERVER)
    assert Role.LICENSE_SERVER in states.listeners(Role.LICENSE_SERVER)
    assert "| client | terminal server |\n" in states.who_may_dial()
    assert "| session directory | none |\n" in states.who_may_dial()
