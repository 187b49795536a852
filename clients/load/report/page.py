"""The HTML page of a run: one file that loads nothing from elsewhere."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from clients.load.measuring.results import Result
from clients.load.report import figures, findings
from clients.load.report.charts import charts
from tsproto.printable import printable


def page(result: Result) -> str:
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_made_printable,
    )
    return templates.get_template("page.html").render(
        result=result,
        verdict=findings.verdict(result),
        errors=findings.errors_by_code(result.steps),
        began=datetime.fromtimestamp(result.started_at, UTC),
        charts=charts(result),
        figures=figures,
        findings=findings,
    )


def _made_printable(value: object) -> object:
    is_text = isinstance(value, str) and not isinstance(value, Markup)
    return printable(str(value)) if is_text else value
