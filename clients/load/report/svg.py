"""Draws a plot as inline SVG: marked axes, lines, and what is told where somebody points.

Colours are the page's stylesheet's (`clients.load.report.stylesheet`), by class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from html import escape

import msgspec

from clients.load.report.axes import Scale
from clients.say import printable

WIDTH, HEIGHT = 880, 320
LEFT, RIGHT, TOP, BOTTOM = 84, 32, 14, 44
ACROSS, DOWN = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
DOT_RADIUS = 5


class Axis(msgspec.Struct, frozen=True):
    """`shown` is how its marks are written."""

    title: str
    scale: Scale
    shown: Callable[[float], str]


class Frame(msgspec.Struct, frozen=True):
    """What a plot is drawn in; `name` is its own on the page."""

    name: str
    title: str
    description: str
    x: Axis
    y: Axis

    def across(self, value: float) -> float:
        return LEFT + ACROSS * self.x.scale.place(value)

    def up(self, value: float) -> float:
        return TOP + DOWN * (1 - self.y.scale.place(value))


def plot(frame: Frame, drawn: Sequence[str]) -> str:
    """`drawn` is what the functions below give, the last on top."""
    title, description = f"{frame.name}-title", f"{frame.name}-description"
    return "\n".join(
        [
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
            f' aria-labelledby="{title} {description}">',
            f'<title id="{title}">{escape(frame.title)}</title>',
            f'<desc id="{description}">{escape(frame.description)}</desc>',
            *_upright_axis(frame),
            *_level_axis(frame),
            *drawn,
            "</svg>",
        ]
    )


def line(frame: Frame, classes: str, values: Sequence[tuple[float, float | None]]) -> str:
    """Broken where there is no value; one that stands alone is a dot."""
    pieces: list[list[str]] = [[]]
    for x, y in values:
        if y is not None:
            pieces[-1].append(f"{frame.across(x):.1f} {frame.up(y):.1f}")
        elif pieces[-1]:
            pieces.append([])
    drawn = "".join("M" + "L".join(piece) for piece in pieces if len(piece) > 1)
    alone = "".join(f"M{piece[0]}h0" for piece in pieces if len(piece) == 1)
    paths = ((f"line {classes}", drawn), (f"line alone {classes}", alone))
    return "\n".join(f'<path class="{named}" d="{path}"/>' for named, path in paths if path)


def strip(frame: Frame, start: float, end: float, told: Sequence[str]) -> str:
    """Upright through the whole plot, from `start` to `end`; a line of the tooltip each."""
    left, right = frame.across(start), min(frame.across(end), LEFT + ACROSS)
    area = f'<rect x="{left:.1f}" y="{TOP}" width="{right - left:.1f}" height="{DOWN}"/>'
    return f'<g class="strip">{_tooltip(told)}{area}</g>'


def dot(frame: Frame, classes: str, x: float, y: float, told: str) -> str:
    circle = f'<circle cx="{frame.across(x):.1f}" cy="{frame.up(y):.1f}" r="{DOT_RADIUS}"/>'
    return f'<g class="dot {classes}">{_tooltip([told])}{circle}</g>'


def _tooltip(lines: Sequence[str]) -> str:
    text = "\n".join(printable(line) for line in lines)
    return f"<title>{escape(text)}</title>"


def _upright_axis(frame: Frame) -> Iterator[str]:
    for mark in frame.y.scale.marks:
        y = frame.up(mark)
        yield f'<path class="grid" d="M{LEFT} {y:.1f}h{ACROSS}"/>'
        yield _text(LEFT - 8, y + 4, "end", frame.y.shown(mark))
    middle = TOP + DOWN / 2
    yield _text(14, middle, "middle", frame.y.title, f' transform="rotate(-90 14 {middle:.0f})"')


def _level_axis(frame: Frame) -> Iterator[str]:
    for mark in frame.x.scale.marks:
        x = frame.across(mark)
        yield f'<path class="grid" d="M{x:.1f} {TOP}v{DOWN}"/>'
        yield _text(x, TOP + DOWN + 18, "middle", frame.x.shown(mark))
    yield _text(LEFT + ACROSS / 2, HEIGHT - 6, "middle", frame.x.title)


def _text(x: float, y: float, anchor: str, text: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{escape(text)}</text>'
