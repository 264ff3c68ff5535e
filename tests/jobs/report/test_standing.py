"""A report says how far the last run is."""

import re
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from jobs.pipeline.output.lease import Lease
from jobs.report import run as report
from tests.outputs import finished_rows, write_record, write_tables
from tests.stores import STORE


@pytest.mark.parametrize(
    ("record", "is_held", "said"),
    [
        ({"state": "running"}, True, "Run r1 is running; 4 tracks are left."),
        (
            {"state": "running"},
            False,
            "Run r1 was killed: .*; 4 tracks are left: run the same",
        ),
        ({"state": "interrupted"}, False, "Run r1 was interrupted; 4 tracks are left: run the same"),
        ({"state": "stopped", "reason": "no <room>"}, False, "Run r1 stopped: no (&lt;|<)room(&gt;|>); 4 tr"),
        ({"state": "done", "catalogue": {"tracks": 12}}, False, "Run r1 came to its end.$"),
        (
            {"state": "done", "catalogue": {"tracks": 13}},
            False,
            "Run r1 came to its end; 1 track is left: ",
        ),
        ({"state": "of a later version", "catalogue": {}}, False, "Run r1 of a later version.$"),
    ],
)
@pytest.mark.parametrize("form", ["html", "md"])
def test_the_report_says_it(
    tmp_path: Path, form: str, record: dict[str, Any], is_held: bool, said: str
) -> None:
    write_tables(tmp_path, "r1", finished_rows(12))
    write_record(tmp_path, **{"catalogue": {"tracks": 16}, **record})
    with Lease(str(tmp_path), "r1", STORE) if is_held else nullcontext():
        page = report.report(str(tmp_path), form, STORE)
    (line,) = (line for line in page.splitlines() if "Run r1" in line)
    line = line.replace("\\", "").partition("<bdi>")[2].partition("</bdi>")[0] or line.replace("\\", "")
    assert re.match(said, line), line


def test_a_run_of_an_older_version_says_nothing(tmp_path: Path) -> None:
    write_tables(tmp_path, "r1", finished_rows(3))
    write_record(tmp_path)
    assert "Run r1" not in report.report(str(tmp_path), "html", STORE)
