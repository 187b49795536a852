"""The results of a run: for a person, for a build server (JUnit XML), and as a matrix (HTML)."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

import msgspec

from clients.conformance import wire
from clients.conformance.coverage import BY_ID
from clients.conformance.runner import Result, Verdict
from clients.conformance.scenarios import not_built
from clients.conformance.target import Said, word_of
from tsproto.messages import Role
from tsproto.printable import printable_lines
from tsproto.requirements import REQUIREMENTS

HEX_BYTES = 48
RECORDS = 60  # of a transcript: its last
WHOLE_CHARACTERS = 4_096  # of a value in the last message of a transcript
FAILED = "FAILED"
STYLE = """
body{font:14px/1.4 sans-serif;max-width:75em;margin:1em auto;padding:0 1em}
table{border-collapse:collapse}
th{text-align:left;padding:1em .5em .25em}
td{padding:3px .5em;vertical-align:top;border-top:1px solid #ddd}
td.id{white-space:nowrap}td.cases{min-width:16em;line-height:1}
a,i{display:inline-block;width:10px;height:14px;margin:1px}
.passed{background:#7c7}.failed{background:#c22}.skipped{background:#ccc}
summary{padding:2px 0;cursor:pointer}
pre{background:#fee;padding:.5em;white-space:pre-wrap;overflow-wrap:anywhere}
"""
LEGEND = " ".join(f"<i class={v.value}></i> {v.value} " for v in Verdict) + "(one box a case)"


class Run(msgspec.Struct, frozen=True):
    """`cases` were to be played; an interrupted run has fewer `results`."""

    target: str
    role: Role
    results: Sequence[Result]
    cases: int

    @property
    def is_cut(self) -> bool:
        return len(self.results) < self.cases

    @property
    def word(self) -> str:
        return word_of(self.role)

    @property
    def title(self) -> str:
        return f"{self.target} as {self.word}"


def explained(result: Result) -> str:
    """A failure for a person: the requirement, what was expected, and the transcript."""
    requirement = BY_ID.get(result.case.requirement)
    sentence = requirement.text if requirement else ""
    return "\n".join(
        [
            f"{FAILED}  {result.case.id}  ({result.case.role.name.lower().replace('_', ' ')})",
            f"  {sentence}",
            *(f"  {line}" for line in result.why.rstrip().splitlines()),
            *(f"  {line}" for line in _transcript(result.said[-RECORDS:])),
        ]
    )


def _transcript(records: Sequence[Said]) -> Iterator[str]:
    last = max((at for at, said in enumerate(records) if said.data), default=None)
    for at, said in enumerate(records):
        arrow = "->" if said.heard else "<-"  # to the suite, to the target
        shown = said.data[:HEX_BYTES].hex(" ") or "the end"
        more = f" … {len(said.data)} bytes" if len(said.data) > HEX_BYTES else ""
        characters = WHOLE_CHARACTERS if at == last else wire.SHOWN_CHARACTERS
        what = f"   {wire.describe(said.data, characters)}" if said.data else ""
        yield f"target {arrow} {said.who}: {shown}{more}{what}"


def summary(run: Run) -> str:
    reasons = Counter(r.why for r in run.results if r.verdict is Verdict.SKIPPED)
    lines = [f"  {count} skipped: {why}" for why, count in reasons.most_common()]
    return "\n".join([*lines, total(run)])


def total(run: Run) -> str:
    counts = Counter(result.verdict for result in run.results)
    total = ", ".join(f"{counts[verdict]} {verdict.value}" for verdict in Verdict)
    left = run.cases - len(run.results)
    return f"{total}; cut, {left} of {run.cases} not played" if run.is_cut else total


def check_can_be_written(option: str, file: Path | None) -> None:
    """Raises ValueError, which names the option, when the file cannot be written. Creates no
    file."""
    if file is None:
        return
    was_there = file.exists()
    try:
        file.open("ab").close()
    except OSError as error:
        raise ValueError(f"{option} {file}: {error.strerror}") from None
    if not was_there:
        file.unlink()


def write_junit(file: Path, run: Run) -> None:
    counts = Counter(result.verdict for result in run.results)
    suite = ElementTree.Element(
        "testsuite",
        name=f"tsfarm conformance: {run.title}",
        tests=str(len(run.results)),
        failures=str(counts[Verdict.FAILED]),
        errors="0",
        skipped=str(counts[Verdict.SKIPPED]),
        time=f"{sum(result.seconds for result in run.results):.3f}",
    )
    if run.is_cut:
        properties = ElementTree.SubElement(suite, "properties")
        ElementTree.SubElement(properties, "property", name="cut", value=total(run))
    for result in run.results:
        case = ElementTree.SubElement(
            suite,
            "testcase",
            classname=f"{run.word}.{result.case.requirement}",
            name=result.case.id,
            time=f"{result.seconds:.3f}",
        )
        if result.verdict is Verdict.FAILED:
            failure = ElementTree.SubElement(case, "failure", message=_in_short(result.why))
            failure.text = printable_lines(explained(result))
        elif result.verdict is Verdict.SKIPPED:
            ElementTree.SubElement(case, "skipped", message=_in_short(result.why))
    ElementTree.indent(suite)
    ElementTree.ElementTree(suite).write(file, encoding="utf-8", xml_declaration=True)


def write_html(file: Path, run: Run) -> None:
    """Every failure, to be unfolded; below them a row for each requirement with a box for each
    case."""
    title = html.escape(run.title)
    failures = "\n".join(_unfolding(r) for r in run.results if r.verdict is Verdict.FAILED)
    skipped = Counter(r.why for r in run.results if r.verdict is Verdict.SKIPPED)
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        f"<title>{title}</title><style>{STYLE}</style>",
        f"<h1>{title}</h1><p>{html.escape(total(run))}</p>",
        _list("Skipped", (f"{count}: {why}" for why, count in skipped.most_common())),
        f"<h2>Failures</h2>{failures}" if failures else "",
        f"<h2>Requirements</h2><p>{LEGEND}</p><table>",
        *_chapters(run.results),
        "</table>",
        _list("Scenarios whose feature is not built yet", not_built(run.role)),
    ]
    file.write_text("\n".join(part for part in parts if part) + "\n", encoding="utf-8")


def _unfolding(failure: Result) -> str:
    id = html.escape(failure.case.id)
    what = html.escape(_in_short(failure.why))
    shown = html.escape(printable_lines(explained(failure)))
    return f"<details><summary><b>{id}</b> {what}</summary><pre id='{id}'>{shown}</pre></details>"


def _list(heading: str, lines: Iterable[str]) -> str:
    items = "".join(f"<li>{html.escape(printable_lines(line))}</li>" for line in lines)
    return f"<h2>{heading}</h2><ul>{items}</ul>" if items else ""


def _chapters(results: Sequence[Result]) -> Iterator[str]:
    by_requirement: dict[str, list[Result]] = {}
    for result in results:
        by_requirement.setdefault(result.case.requirement, []).append(result)
    for chapter in dict.fromkeys(requirement.chapter for requirement in REQUIREMENTS):
        ids = sorted(id for id in by_requirement if BY_ID[id].chapter == chapter)
        if ids:
            yield f"<tr><th colspan=3>{html.escape(chapter)}</th></tr>"
        for id in ids:
            text = html.escape(BY_ID[id].text)
            cells = "".join(_cells(by_requirement[id]))
            yield f"<tr><td class=id>{id}</td><td>{text}</td><td class=cases>{cells}</td></tr>"


def _cells(results: Iterable[Result]) -> Iterator[str]:
    for result in results:
        id, verdict = html.escape(result.case.id), result.verdict
        why = f": {html.escape(_in_short(result.why))}" if result.why else ""
        attributes = f"class={verdict.value} title='{id} {verdict.value}{why}'"
        is_failure = verdict is Verdict.FAILED
        yield f"<a href='#{id}' {attributes}></a>" if is_failure else f"<i {attributes}></i>"


def _in_short(why: str) -> str:
    """One line: what was expected, or the exception."""
    lines = why.strip().splitlines() or [""]
    return printable_lines(lines[-1] if lines[0].startswith("Traceback") else lines[0])
