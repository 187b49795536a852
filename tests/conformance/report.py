"""What came of a run: for a person, for a build server (JUnit), and as a matrix (HTML)."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

from tests.conformance import wire
from tests.conformance.coverage import BY_ID
from tests.conformance.runner import Result, Verdict
from tests.conformance.scenarios import NOT_BUILT
from tsproto.requirements import CHAPTERS

HEX_BYTES = 128
WHOLE_CHARACTERS = 4_096  # of a value in the last thing that was said or heard
COLOURS = {Verdict.PASSED: "#cfc", Verdict.FAILED: "#fbb", Verdict.SKIPPED: "#eee"}


def explained(result: Result) -> str:
    """A failure: the requirement, what was said and heard, what was expected."""
    requirement = BY_ID.get(result.case.requirement)
    sentence = requirement.text if requirement else ""
    return "\n".join(
        [
            f"FAILED  {result.case.id}  ({result.case.role.name.lower().replace('_', ' ')})",
            f"  {sentence}",
            *(f"  {line}" for line in _transcript(result)),
            *(f"  {line}" for line in result.why.rstrip().splitlines()),
        ]
    )


def _transcript(result: Result) -> Iterator[str]:
    last = max((at for at, said in enumerate(result.said) if said.data), default=None)
    for at, said in enumerate(result.said):
        arrow = "->" if said.heard else "<-"  # to the suite, to the target
        shown = said.data[:HEX_BYTES].hex(" ") or "the end"
        more = f" … {len(said.data)} bytes" if len(said.data) > HEX_BYTES else ""
        characters = WHOLE_CHARACTERS if at == last else wire.SHOWN_CHARACTERS
        what = f"   {wire.describe(said.data, characters)}" if said.data else ""
        yield f"target {arrow} {said.who}: {shown}{more}{what}"


def summary(results: Sequence[Result]) -> str:
    counts = Counter(result.verdict for result in results)
    reasons = Counter(r.why for r in results if r.verdict is Verdict.SKIPPED)
    lines = [f"  {count} skipped: {why}" for why, count in reasons.most_common()]
    total = ", ".join(f"{counts[verdict]} {verdict.value}" for verdict in Verdict)
    return "\n".join([*lines, total])


def write_junit(file: Path, results: Sequence[Result]) -> None:
    counts = Counter(result.verdict for result in results)
    suite = ElementTree.Element(
        "testsuite",
        name="tsfarm conformance",
        tests=str(len(results)),
        failures=str(counts[Verdict.FAILED]),
        skipped=str(counts[Verdict.SKIPPED]),
        time=f"{sum(result.seconds for result in results):.3f}",
    )
    for result in results:
        case = ElementTree.SubElement(
            suite,
            "testcase",
            classname=f"{result.case.role.name.lower()}.{result.case.requirement}",
            name=result.case.id,
            time=f"{result.seconds:.3f}",
        )
        if result.verdict is Verdict.FAILED:
            failure = ElementTree.SubElement(case, "failure", message=_first_line(result.why))
            failure.text = _printable(explained(result))
        elif result.verdict is Verdict.SKIPPED:
            ElementTree.SubElement(case, "skipped", message=result.why)
    ElementTree.ElementTree(suite).write(file, encoding="utf-8", xml_declaration=True)


def write_html(file: Path, title: str, results: Sequence[Result]) -> None:
    """One row a requirement, one cell a case; every failure explained below."""
    rows = "\n".join(_chapters(results))
    failures = "\n".join(
        f"<pre id='{html.escape(r.case.id)}'>{html.escape(explained(r))}</pre>"
        for r in results
        if r.verdict is Verdict.FAILED
    )
    missing = "\n".join(
        f"<li>{html.escape(id)}: {html.escape(what)}</li>" for id, what in NOT_BUILT.items()
    )
    file.write_text(
        f"<!doctype html><meta charset='utf-8'><title>{html.escape(title)}</title>"
        "<style>body{font:14px sans-serif}td{padding:2px 6px;vertical-align:top}"
        "a,span{display:inline-block;width:9px;height:14px;margin:1px}"
        "pre{background:#fee;white-space:pre-wrap}</style>"
        f"<h1>{html.escape(title)}</h1><p>{html.escape(summary(results).splitlines()[-1])}</p>"
        f"<table>{rows}</table><h2>Failures</h2>{failures or '<p>none</p>'}"
        f"<h2>Scenarios whose feature is not built yet</h2><ul>{missing}</ul>\n",
        encoding="utf-8",
    )


def _chapters(results: Sequence[Result]) -> Iterator[str]:
    by_requirement: dict[str, list[Result]] = {}
    for result in results:
        by_requirement.setdefault(result.case.requirement, []).append(result)
    for prefix, chapter in CHAPTERS.items():
        ids = sorted(id for id in by_requirement if id.partition("-")[0] == prefix)
        if ids:
            yield f"<tr><th colspan=3 align=left>{html.escape(chapter)}</th></tr>"
        for id in ids:
            text = html.escape(BY_ID[id].text)
            cells = "".join(_cells(by_requirement[id]))
            yield f"<tr><td>{id}</td><td>{text}</td><td>{cells}</td></tr>"


def _cells(results: Iterable[Result]) -> Iterator[str]:
    for result in results:
        id, colour = html.escape(result.case.id), COLOURS[result.verdict]
        title = f"{id} {result.verdict.value} {html.escape(_first_line(result.why))}"
        style = f"title=\"{title}\" style='background:{colour}'"
        has_failed = result.verdict is Verdict.FAILED
        yield f"<a href='#{id}' {style}></a>" if has_failed else f"<span {style}></span>"


def _first_line(text: str) -> str:
    return _printable(text.strip().splitlines()[-1]) if text.strip() else ""


def _printable(text: str) -> str:
    """Without what XML cannot hold."""
    return "".join(char if char.isprintable() or char == "\n" else "?" for char in text)
