from tsproto.messages import Pools
from tsproto.reference import markdown


def test_a_table_escapes_what_would_end_a_cell() -> None:
    assert markdown.table(("a", "b"), [("x|y", 1)]) == "| a | b |\n| --- | --- |\n| x\\|y | 1 |"


def test_bytes_go_on_the_next_line_and_are_explained_once() -> None:
    assert markdown.annotated([(bytes(17), "zeros"), (b"\xff", "end")]) == (
        "```\n" + "00 " * 15 + "00  zeros\n00\nff" + " " * 45 + "  end\n```"
    )


def test_very_long_bytes_are_cut() -> None:
    assert "... 84 more" in markdown.annotated([(bytes(100), "")])


def test_names_are_joined_as_a_person_would() -> None:
    assert markdown.words([]) == "none"
    assert markdown.words(["a"]) == "a"
    assert markdown.words(["a", "b", "c"], "or") == "a, b or c"


def test_what_has_no_docstring_says_nothing() -> None:
    assert markdown.docstring(Pools) == ""
