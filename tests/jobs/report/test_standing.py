"""A report says how far the last run is."""

import re
import shutil
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from jobs.pipeline.output.lease import Lease
from jobs.report import run as report
from jobs.report.facts import gather
from tests.outputs import finished_rows, write_record, write_tables
from tests.stores import STORE


@pytest.mark.parametrize(
    ("record", "is_held", "said"),
    [
        (
            {"state": "running"},
            True,
            r"Run r1 is running; 4 tracks are left, 20 min at the speed of its tracks so far: until about "
            r"20\d\d-\d\d-\d\d \d\d:\d\d UTC.$",
        ),
        (
            {"state": "running", "run_id": "Run r1 and r2"},
            True,
            "Run Run r1 and r2 is running; 4 tracks are left.$",
        ),
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
    began = datetime.now(UTC) - timedelta(hours=1)  # 12 tracks in an hour
    rows = [row | {"started_at": began, "finished_at": began} for row in finished_rows(12)]
    write_tables(tmp_path, "r1", rows)
    write_record(tmp_path, **{"catalogue": {"tracks": 16}, **record})
    with Lease(str(tmp_path), record.get("run_id", "r1"), STORE) if is_held else nullcontext():
        page = report.report(str(tmp_path), form, STORE)
    (line,) = (line for line in page.splitlines() if "Run r1" in line)
    line = line.replace("\\", "").partition("<bdi>")[2].partition("</bdi>")[0] or line.replace("\\", "")
    assert re.match(said, line), line


def test_each_run_says_how_it_ended(tmp_path: Path) -> None:
    for run_id, state in (("r0", "interrupted"), ("r1", "running"), ("r2", "done")):
        write_tables(tmp_path, run_id, finished_rows(3))
        write_record(tmp_path, run_id=run_id, state=state)
        (tmp_path / "runs").mkdir(exist_ok=True)
        shutil.copy(tmp_path / "run.json", tmp_path / f"runs/{run_id}.json")
    write_tables(tmp_path, "r3", finished_rows(3))
    facts = gather(str(tmp_path), STORE)
    assert facts.ends == {"r0": "interrupted", "r1": "killed", "r2": "done"}
    lines = report.report(str(tmp_path), "md", STORE).splitlines()
    ends = [line.rpartition("| ")[2] for line in lines if re.match(r"\| r\d ", line)]
    assert ends == ["interrupted |", "killed |", "done |", "– |"]
    assert facts.eta_s is None


def test_a_run_of_an_older_version_says_nothing(tmp_path: Path) -> None:
    write_tables(tmp_path, "r1", finished_rows(3))
    write_record(tmp_path)
    assert "Run r1" not in report.report(str(tmp_path), "html", STORE)
