from __future__ import annotations

import errno
import json
import os
import tempfile
from pathlib import Path

import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

from clients.load.measuring.measures import histogram
from clients.load.measuring.results import ThresholdResult
from clients.load.measuring.totals import Totals
from clients.load.report.writing import (
    NotWritten,
    check_writable,
    hdr_of,
    json_of,
    make_folder,
    write,
)
from tests.unit.clients.load.intervals import interval, step
from tests.unit.clients.load.samples import point, result, second

STARTED_AT = 1_700_000_000.0
LATENCIES = [0.8, 1.5, 12.0, 12.3, 15.9, 250.0, 1250.0]  # ms


def totals(ends_at: float = 11.0, seconds: float = 10.0) -> Totals:
    found = Totals()
    steps = {"logon": step(LATENCIES), "roam, far": step([3.0]), "renew": step(NO_LICENSE=4)}
    found.add(interval(ends_at, seconds, steps=steps))
    return found


def read_back(log: str, folder: Path) -> dict[str, HdrHistogram]:
    """By hdrh's own reader."""
    (folder / "run.hlog").write_text(log, encoding="utf-8")
    reader = HistogramLogReader(str(folder / "run.hlog"), histogram())
    found = {}
    while (read := reader.get_next_interval_histogram()) is not None:
        found[read.tag] = read
    reader.close()
    return found


def test_a_histogram_log_reads_back_with_the_same_percentiles(tmp_path: Path) -> None:
    written = totals()
    logon = read_back(hdr_of(written, STARTED_AT), tmp_path)["logon"]
    expected = written.steps["logon"].latencies
    assert logon.get_total_count() == len(LATENCIES)
    for percentile in (0, 50, 90, 99, 99.9, 100):
        of_expected = expected.get_value_at_percentile(percentile)
        assert logon.get_value_at_percentile(percentile) == of_expected > 0
    assert logon.get_start_time_stamp() == (STARTED_AT + 1.0) * 1e3
    assert logon.get_end_time_stamp() == (STARTED_AT + 11.0) * 1e3


def test_a_histogram_log_has_a_line_for_each_step_that_succeeded(tmp_path: Path) -> None:
    assert list(read_back(hdr_of(totals(), STARTED_AT), tmp_path)) == ["logon", "roam__far"]
    assert read_back(hdr_of(Totals()), tmp_path) == {}


def test_a_histogram_log_is_of_the_format_that_other_tools_know() -> None:
    *header, logon, roam = hdr_of(totals(), STARTED_AT).splitlines()
    assert header == [
        "#[Logged by tsfarm load; values are microseconds]",
        "#[Histogram log format version 1.3]",
        "#[StartTime: 1700000000.000 (seconds since epoch), 2023-11-14T22:13:20Z]",
        "#[BaseTime: 1700000000.000 (seconds since epoch)]",
        '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"',
    ]
    tag, start, length, longest, encoded = logon.split(",")
    assert (tag, start, length) == ("Tag=logon", "1.000", "10.000")
    assert float(longest) == pytest.approx(1250, rel=1e-3)
    assert encoded.startswith("HISTFAAAA")  # the cookie of a compressed V2 histogram
    assert roam.startswith("Tag=roam__far,1.000,10.000,3.0")


def test_json_is_the_result_and_whether_it_passed() -> None:
    missed = ThresholdResult("errors < 1%", None, "%", False)
    found = result(thresholds=[missed], timeline=[point(0.0, logon=second())])
    written = json_of(found)
    read = json.loads(written)
    assert written.startswith(b'{\n  "passed": false,\n  "scenario": "storm"')
    assert written.endswith(b"}\n")
    assert read["steps"][0]["latency"]["p999"] == 82.0
    assert read["timeline"][0]["steps"]["logon"]["p99"] == 30.0
    assert read["thresholds"] == [
        {"expression": "errors < 1%", "measured": None, "unit": "%", "passed": False}
    ]


# --- files ----------------------------------------------------------------------------------------


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    file.write_text("what was there, and was longer")
    write(file, b"{}")
    assert file.read_bytes() == b"{}"
    assert list(tmp_path.iterdir()) == [file]


def test_what_a_link_leads_to_is_written(tmp_path: Path) -> None:
    (tmp_path / "latest.json").symlink_to(tmp_path / "run.json")
    write(tmp_path / "latest.json", b"{}")
    assert (tmp_path / "latest.json").is_symlink()
    assert (tmp_path / "run.json").read_bytes() == b"{}"


def test_what_is_no_file_is_written_into() -> None:
    check_writable([Path(os.devnull)])
    write(Path(os.devnull), b"{}")
    assert not Path(os.devnull).is_file()


def test_a_full_disk_is_told_and_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "run.json"
    file.write_text("old")

    def fails(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(NotWritten, match=r"run\.json cannot be written: No space left on device"):
        write(file, b"{}")
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_files_are_checked_before_a_run(tmp_path: Path) -> None:
    check_writable([])
    check_writable([tmp_path / "run.json", tmp_path / "run.html"])
    with pytest.raises(NotWritten, match="there is no folder .*/missing: make it"):
        check_writable([tmp_path / "missing" / "run.json"])
    with pytest.raises(NotWritten, match="is a folder: name a file in it"):
        check_writable([tmp_path])
    with pytest.raises(NotWritten, match=r"run\.json is named twice"):
        check_writable([tmp_path / "run.json", tmp_path / "." / "run.json"])


def test_a_folder_that_may_not_be_written_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(dir: Path) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuses)
    with pytest.raises(NotWritten, match=r"cannot be written: Read-only file system; see to"):
        check_writable([tmp_path / "run.json"])
    with pytest.raises(NotWritten, match=r"cannot be used: Read-only file system"):
        make_folder(tmp_path / "devices")


def test_a_check_leaves_nothing_behind(tmp_path: Path) -> None:
    check_writable([tmp_path / "run.json"])
    make_folder(tmp_path / "devices")
    assert list(tmp_path.rglob("*")) == [tmp_path / "devices"]


def test_a_folder_whose_place_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "devices").touch()
    with pytest.raises(NotWritten, match="devices/mine cannot be used: Not a directory"):
        make_folder(tmp_path / "devices" / "mine")
