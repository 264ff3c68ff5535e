"""The table of `--interactive` as JSON; `tests/integration/test_report_browser.py` sorts and searches it."""

import base64
import hashlib
import json
import math
import re
from pathlib import Path
from typing import Any

import pyarrow as pa

from jobs.pipeline import schema
from jobs.report import formatting
from jobs.report import run as report
from jobs.report.page.track_rows import COLUMNS, TrackRows
from tests.outputs import HOSTILE, finished_rows, write_tables
from tests.stores import STORE


def interactive(folder: Path, most: int = 1_000) -> tuple[str, dict[str, Any]]:
    """The page about `folder`, and the content of its table as a browser parses it."""
    page = report.report(str(folder), "html", STORE, tracks=TrackRows(most))
    scripts = re.findall(r"<script( [^>]*)?>(.*?)</script>", page, re.DOTALL)
    assert [attributes for attributes, _ in scripts] == [' type="application/json" id="tracks-data"', ""]
    found: dict[str, Any] = json.loads(scripts[0][1], parse_constant=lambda name: float("nope"))
    return page, found


def test_a_row_has_what_the_tables_have(tmp_path: Path) -> None:
    rows = finished_rows(14)
    rows[0]["warnings"] = ["level: silence", "downmix: 6 channels"]
    write_tables(tmp_path, "r1", rows, rows_a_file=5)
    _, found = interactive(tmp_path)
    assert [(each["name"], each["kind"]) for each in found["columns"]] == list(COLUMNS)
    assert len(found["rows"]) == 14
    names = [name for name, _ in COLUMNS]
    first, failed = (dict(zip(names, found["rows"][at], strict=True)) for at in (0, 4))
    took = (rows[0]["finished_at"] - rows[0]["started_at"]).total_seconds()
    assert first == {
        "track": formatting.safe_text(HOSTILE[0], 300),
        "state": "ok",
        "length": round(rows[0]["length"] / 44_100, 1),
        "took": round(took, 1),
        "chunks": rows[0]["chunks"],
        "finished": round(rows[0]["finished_at"].timestamp(), 1),
        "note": "level: silence; downmix: 6 channels",
    }
    assert failed["length"] is None
    assert (failed["state"], failed["note"]) == (rows[4]["error_kind"], rows[4]["error"])


def test_the_first_tracks_are_in_the_page_and_it_says_how_many_are_not(tmp_path: Path) -> None:
    write_tables(tmp_path, "r1", finished_rows(20), rows_a_file=6)
    page, found = interactive(tmp_path, most=8)
    assert len(found["rows"]) == 8
    assert "The first 8 are here; 12 more are in the" in page
    assert "more are in the <code>tracks</code>" not in interactive(tmp_path)[0]


def test_the_policy_names_the_one_script_and_takes_markup_from_it(tmp_path: Path) -> None:
    write_tables(tmp_path, "r1", finished_rows(12))
    page, _ = interactive(tmp_path)
    script = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy.startswith(f"default-src 'none'; script-src 'sha256-{digest}'; require-trusted-types-for")
    assert "unsafe" not in policy
    assert not re.search(
        r"innerHTML|insertAdjacentHTML|document\.write|eval\(|fetch\(|XMLHttp|import", script
    )


def test_no_name_ends_the_data_and_no_number_breaks_it(tmp_path: Path) -> None:
    base = next(row for row in finished_rows(20) if row["status"] == "ok")
    names = [*HOSTILE, "</script><script>alert(1)</script>", "<!--<script>", "\u2028 &amp; '"]
    rows = [base | {"track_id": name, "warnings": [name], "length": 0} for name in names]
    write_tables(tmp_path, "r1", rows)
    page, found = interactive(tmp_path)
    assert [row[0] for row in found["rows"]] == [formatting.safe_text(name, 300) for name in names]
    data = page.partition('id="tracks-data">')[2].partition("</script>")[0]
    assert not set(data) & set("<>&'")
    table = TrackRows()
    row = {"run_id": "r1", "track_id": "a", "status": "ok", "duration_s": math.nan}
    table.add(pa.Table.from_pylist([row], schema.TRACKS))
    assert table.rows == [("a", "ok", None, None, None, None, "")]
