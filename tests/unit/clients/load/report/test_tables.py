from __future__ import annotations

import io

from rich.console import Console, RenderableType

from clients.load.report.tables import failures, steps_table


def shown(part: RenderableType, columns: int, colour: bool = False) -> str:
    written = io.StringIO()
    console = Console(
        file=written,
        width=columns,
        force_terminal=colour,
        color_system="standard" if colour else None,
    )
    console.print(part)
    return written.getvalue()


def test_only_the_names_of_steps_give_way() -> None:
    table = steps_table(("count", "p50"), [("a-long-name-of-a-step", "1,200", "12.3 ms")])
    assert shown(table, 30).splitlines()[1] == "a-long-name-o…  1,200  12.3 ms"


def test_a_name_does_not_command_the_terminal() -> None:
    assert "step\\u001b[2J" in shown(steps_table((), [("step\x1b[2J",)]), 80)


def test_only_failures_are_red() -> None:
    assert "\x1b[1;31m1,234" in shown(failures(1234), 80, colour=True)
    assert shown(failures(0), 80, colour=True) == "0\n"
