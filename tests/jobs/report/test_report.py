"""python -m jobs.report: where it writes, what it refuses, and Markdown."""

import json
import re
from pathlib import Path

import fsspec
import msgspec
import pytest

from jobs.pipeline.cost.summary import as_json
from jobs.report import formatting, markdown
from jobs.report import run as report
from jobs.report.__main__ import main
from separation.errors import StorageError
from separation.store.filesystems import S3_SETTINGS
from tests.outputs import HOSTILE, Row, benchmark_summary, finished_rows, write_record, write_tables
from tests.stores import STORE


def test_the_report_stands_at_the_output_or_where_it_is_sent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_tables(tmp_path / "out", "r1", finished_rows(3))
    output = ["--output", f"{tmp_path}/out/"]
    assert main(output) == 0
    assert (tmp_path / "out/report.html").read_text().startswith("<!DOCTYPE html>")
    assert main([*output, "--format", "md"]) == 0
    assert (tmp_path / "out/report.md").read_text().startswith("# stemfleet")
    assert main([*output, "--to", str(tmp_path / "new/other.html")]) == 0
    assert (tmp_path / "new/other.html").exists()
    assert f"report: {tmp_path}/new/other.html" in capsys.readouterr().out


def test_an_output_on_s3(bucket: str, tmp_path: Path) -> None:
    write_tables(tmp_path, "r1", finished_rows(12))
    fs = fsspec.filesystem("s3", **S3_SETTINGS)
    fs.put(f"{tmp_path}/", f"{bucket}/out/", recursive=True)
    assert main(["--output", f"{bucket}/out"]) == 0
    page = fs.cat_file(f"{bucket}/out/report.html").decode()
    assert "vocals: not at the output" in page
    assert formatting.safe_text(finished_rows(12)[11]["track_id"]) in page


def test_a_bucket_that_is_not_there_is_refused(s3_endpoint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--output", "s3://no-such-bucket/out"]) == 2
    assert "error: s3://no-such-bucket" in capsys.readouterr().err


def test_a_broken_run_json_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run.json").write_text("{")
    assert main(["--output", str(tmp_path)]) == 2
    assert "run.json: expected" in capsys.readouterr().err
    assert not (tmp_path / "report.html").exists()


def test_a_folder_that_is_no_output_is_refused(bucket: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A mistyped prefix of a bucket lists nothing, and no page is left there; of a folder, see WRONG."""
    assert main(["--output", f"{bucket}/ouptut"]) == 2
    assert f"error: {bucket}/ouptut is no output: it has neither run.json nor" in capsys.readouterr().err
    assert fsspec.filesystem("s3", **S3_SETTINGS).ls(bucket, refresh=True) == []


@pytest.mark.parametrize("form", ["md", "html"])
def test_a_damaged_table_is_named_and_left_out(tmp_path: Path, form: str) -> None:
    for run in ("r1", "r2"):
        write_tables(tmp_path, run, finished_rows(3))
    (tmp_path / "tracks/r1-00000.parquet").write_bytes(b"")
    page = report.report(str(tmp_path), form, STORE)
    assert "Cannot be read, so their tracks are left out" in page
    assert "r1-00000.parquet" in page


def test_a_given_price_wins_over_the_record_s(tmp_path: Path) -> None:
    write_tables(tmp_path, "r1", finished_rows(30))
    write_record(tmp_path, price=100.0)
    output = ["--output", str(tmp_path), "--format", "md"]
    costs = []
    for price in ([], ["--price", "1000"]):
        assert main([*output, *price]) == 0
        costs.append(re.search(r"cost to date: .([\d.]+) for", (tmp_path / "report.md").read_text()))
    cheap, dear = (float(cost[1]) for cost in costs if cost)
    assert dear == pytest.approx(10 * cheap, rel=0.01)


def test_a_benchmark_that_still_runs_shows_its_last_run(tmp_path: Path) -> None:
    for name, tracks in (("20261123T000000-aaa/run-7", 9), ("20261124T000000-bbb/run-9", 5)):
        write_tables(tmp_path / "runs" / name, "r1", finished_rows(tracks))
        write_record(tmp_path / "runs" / name)
    begun = "20261124T000000-bbb/run-threads-1-10"
    write_tables(tmp_path / "runs" / begun, "r1", finished_rows(3))
    write_record(tmp_path / "runs" / begun, price=2.0)
    text = report.report(str(tmp_path), "md", STORE)
    assert "20261124T000000-bbb\n\nIt is still running, or was stopped" in text
    assert "last run, run-threads-1-10" in text
    assert "- 3 tracks done" in text
    assert "cost to date" in text
    assert "is still running, or was stopped" in report.report(str(tmp_path), "html", STORE)


def test_a_benchmark_shows_no_run_outside_its_output(tmp_path: Path) -> None:
    write_tables(tmp_path / "secret", "r1", finished_rows(3))
    summary = msgspec.structs.replace(benchmark_summary("b"), last_run="../secret")
    (tmp_path / "out/runs/b/run-1").mkdir(parents=True)
    (tmp_path / "out/runs/b/run-1/run.json").write_text("{}")
    (tmp_path / "out/benchmarks").mkdir()
    (tmp_path / "out/benchmarks/b.json").write_text(json.dumps(as_json(summary)))
    with pytest.raises(StorageError, match=r"last run is '\.\./secret', expected a folder below it"):
        report.report(str(tmp_path / "out"), "md", STORE)


def test_markdown_is_not_steered_by_names(tmp_path: Path) -> None:
    rows: list[Row] = []
    base = next(row for row in finished_rows(20) if row["status"] == "ok")
    for name in HOSTILE:
        rows.append(base | {"track_id": name})
        rows.append(
            base | {"track_id": f"{name}!", "status": "error", "error_kind": "corrupt", "error": name}
        )
    write_tables(tmp_path, "r1", rows)
    text = report.report(str(tmp_path), "md", STORE)
    tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert len(tables) == 4
    for table in tables:
        cells = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(cells) == 1
    slowest = text.partition("## Slowest tracks")[2].partition("## Runs")[0]
    assert len(re.findall(r"^\| ", slowest, re.MULTILINE)) == 1 + len(HOSTILE)
    assert r"\](javascript" in text
    assert not re.search(r"(?<!\\)[<`\[\]]", text)
    assert markdown.text("- a # b-c") == r"\- a # b-c"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-0.3, "0 s"),
        (0.001, "under 0.01 s"),
        (0.421, "0.42 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min"),
        (200.4, "3 min 20 s"),
        (3599.6, "1 h"),
        (18_420, "5 h 7 min"),
        (1_052_000, "12 d 4 h"),
        (None, "unknown"),
    ],
)
def test_durations(seconds: float | None, shown: str) -> None:
    assert formatting.duration(seconds) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (0.01234, "0.0123"), (4.5, "4.50"), (78.94, "78.9"), (99.96, "100"), (1234.5, "1,234")],
)
def test_numbers(value: float, shown: str) -> None:
    assert formatting.three_digits(value) == shown


def test_names_are_one_line_and_not_too_long() -> None:
    assert formatting.safe_text("a\nb\t\x1b[0m\u202e") == "a\\nb\\t\\x1b[0m\\u202e"
    assert formatting.safe_text("👨\u200d👩 夜") == "👨\u200d👩 夜"
    shown = formatting.safe_text("x" * 400 + ".wav")
    assert len(shown) == formatting.LONGEST_NAME
    assert shown.endswith("x.wav")
