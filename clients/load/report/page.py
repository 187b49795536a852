"""What a run found, as one HTML file that asks nothing of anybody: no script, font or picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from html import escape

from clients.load.measuring.results import Result, StepResult
from clients.load.report import figures, findings, plots
from clients.load.report.stylesheet import stylesheet
from clients.say import printable

# The browser is held to it, whatever a name of the run's might say.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"

LATENCY_HEADINGS = ("Mean", "p50", "p90", "p99", "p99.9", "Max")
STEP_HEADINGS = ("Step", "Count", "Per second", *LATENCY_HEADINGS, "Failed")
FOOTNOTE = (
    "Latencies are of successes. Where arrivals come at a rate, a journey's first step is timed"
    " from when it was due: waiting to be begun counts."
)


def page(result: Result) -> str:
    title = _title(result)
    sections = (_head, _steps, _errors, _thresholds, _checks, _plots, _generator)
    body = [line for section in sections for line in section(result)]
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<link rel="icon" href="data:,">',
            f"<title>{_text(title)}: load run</title>",
            f"<style>\n{stylesheet(len(result.steps))}\n</style>",
            "</head>",
            "<body>",
            "<main>",
            *body,
            f"<footer><p>{_text(FOOTNOTE)}</p></footer>",
            "</main>",
            "</body>",
            "</html>",
            "",
        ]
    )


def _title(result: Result) -> str:
    return f"{result.scenario} on {result.farm}" if result.farm else result.scenario


# --- sections: their lines; without one, a section is left out ------------------------------------


def _head(result: Result) -> Iterator[str]:
    began = datetime.fromtimestamp(result.started_at, UTC)
    stamp = f"{began:%Y-%m-%d %H:%M:%S} UTC"
    verdict = findings.verdict(result)
    yield "<header>"
    yield f'<div class="top"><h1>{_text(_title(result))}</h1>'
    if verdict:
        yield f'<span class="verdict {_class_of(result)}">{_text(verdict)}</span>'
    yield "</div>"
    yield f'<p class="aside">Began <time datetime="{began:%Y-%m-%dT%H:%M:%SZ}">{stamp}</time></p>'
    yield '<dl class="totals">'
    yield _total("Ran for", figures.duration(result.seconds))
    yield _total("Journeys begun", figures.count(result.begun))
    yield _total("Finished", figures.count(result.finished))
    yield _total("Arrivals dropped", figures.count(result.dropped), "doubtful")
    yield _total("Steps failed", figures.count(result.failed), "bad")
    yield "</dl>"
    yield from _notices(result)
    yield "</header>"


def _class_of(result: Result) -> str:
    if not result.passed:
        return "bad"
    return "good" if result.complete else "doubtful"


def _total(name: str, value: str, unless_none: str = "") -> str:
    classes = f' class="{unless_none}"' if unless_none and value != "0" else ""
    return f"<div><dt>{name}</dt><dd{classes}>{_text(value)}</dd></div>"


def _notices(result: Result) -> Iterator[str]:
    warning = result.generator.warning
    said = (
        ("Incomplete.", findings.cut_short(result)),
        ("Dropped.", findings.dropped(result)),
        ("Warning.", warning),
    )
    for heading, text in said:
        if text:
            yield (
                f'<p class="notice doubtful"><strong>{heading}</strong>'
                f" <span>{_text(_sentence(text))}</span></p>"
            )


def _steps(result: Result) -> Iterator[str]:
    yield "<section>"
    yield "<h2>Steps</h2>"
    if result.steps:
        rows = [_step(index, step) for index, step in enumerate(result.steps)]
        yield from _table(STEP_HEADINGS, rows, numbers_from=1)
    else:
        yield '<p class="nothing">No step was done.</p>'
    yield "</section>"


def _step(index: int, step: StepResult) -> list[str]:
    took = step.latency
    latencies = (took.mean, took.p50, took.p90, took.p99, took.p999, took.max)
    failed = figures.count(step.failed)
    if step.failed:
        of_all = figures.share(step.failed, step.count + step.failed)
        failed = f'<span class="bad">{failed} <small>({_text(of_all)})</small></span>'
    return [
        f'<span class="name"><i class="dot-of {plots.classes_of(index)}"></i>'
        f"{_text(step.step)}</span>",
        figures.count(step.count),
        figures.per_second(step.per_second),
        *map(figures.latency, latencies),
        failed,
    ]


def _errors(result: Result) -> Iterator[str]:
    counts = findings.errors_by_code(result.steps)
    if not counts:
        return
    rows = [
        [
            f'<span class="code">{_text(code)}</span>',
            _text(findings.meaning_of(code)),
            _text(findings.where(steps)),
            figures.count(steps.total()),
        ]
        for code, steps in counts.items()
    ]
    yield "<section>"
    yield "<h2>Errors</h2>"
    yield from _table(("Code", "Meaning", "At", "Count"), rows, numbers_from=3)
    yield "</section>"


def _thresholds(result: Result) -> Iterator[str]:
    if not result.thresholds:
        return
    rows = [
        [
            f'<span class="code">{_text(each.expression)}</span>',
            _text(findings.measured(each)),
            _mark("passed", "good") if each.passed else _mark("FAILED", "bad"),
        ]
        for each in result.thresholds
    ]
    yield "<section>"
    yield "<h2>Thresholds</h2>"
    yield from _table(("Threshold", "Measured", "Verdict"), rows, numbers_from=3)
    yield "</section>"


def _checks(result: Result) -> Iterator[str]:
    if not result.checks:
        return
    classes = {True: "good", False: "bad", None: "doubtful"}
    rows = [
        [
            _text(check.rule),
            _text(check.detail),
            _mark(findings.standing(check), classes[check.passed]),
        ]
        for check in result.checks
    ]
    yield "<section>"
    yield "<h2>Checks</h2>"
    yield from _table(("Rule of the farm", "Seen", "Verdict"), rows, numbers_from=3)
    yield "</section>"


def _plots(result: Result) -> Iterator[str]:
    if not result.steps:
        return
    yield '<section class="plots">'
    yield "<h2>Plots</h2>"
    yield from _key(result)
    nothing = '<p class="nothing">Nothing to draw: no step succeeded.</p>'
    for plot in plots.plots(result):
        yield "<figure>"
        yield f"<figcaption><h3>{plot.title}</h3>{plot.description}</figcaption>"
        yield f'<div class="scroll">{plot.svg}</div>' if plot.svg else nothing
        yield "</figure>"
    yield "</section>"


def _key(result: Result) -> Iterator[str]:
    """Which colour is which step; each can be hidden."""
    yield '<ul class="key">'
    for index, step in enumerate(result.steps):
        show = f'<input type="checkbox" id="show-{index + 1}" checked>'
        swatch = f'<i class="swatch"></i><span>{_text(step.step)}</span>'
        yield f'<li><label class="{plots.classes_of(index)}">{show}{swatch}</label></li>'
    of_all = {"failed": any(step.failed for step in result.steps), "dropped": result.dropped > 0}
    for name in (name for name, happened in of_all.items() if happened):
        swatch = f'<i class="swatch {name}"></i><span>{name}</span>'
        yield f'<li><span class="{name}">{swatch}</span></li>'
    yield "</ul>"


def _generator(result: Result) -> Iterator[str]:
    yield "<section>"
    yield "<h2>Generator</h2>"
    yield f"<p>{_text(_sentence(findings.workers(result)))}</p>"
    yield f"<p>{_text(_sentence(findings.lateness(result)))}</p>"
    yield f"<p>{_text(_sentence(findings.repeating(result)))}</p>"
    yield "</section>"


# --- HTML -----------------------------------------------------------------------------------------


def _table(headings: Sequence[str], rows: Sequence[list[str]], numbers_from: int) -> Iterator[str]:
    """Cells are HTML. From that column on they are numbers, to the right."""
    classes = ["" if index < numbers_from else ' class="number"' for index in range(len(headings))]
    yield '<div class="scroll"><table>'
    titles = (
        f'<th scope="col"{more}>{heading}</th>'
        for heading, more in zip(headings, classes, strict=True)
    )
    yield f"<thead><tr>{''.join(titles)}</tr></thead>"
    yield "<tbody>"
    for first, *others in rows:
        cells = (f"<td{more}>{c}</td>" for c, more in zip(others, classes[1:], strict=True))
        yield f'<tr><th scope="row">{first}</th>{"".join(cells)}</tr>'
    yield "</tbody></table></div>"


def _mark(text: str, classes: str) -> str:
    return f'<strong class="{classes}">{text}</strong>'


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].removesuffix('.')}."


def _text(text: str) -> str:
    return escape(printable(text))
