"""errors.csv as a spreadsheet and a script read it."""

import csv
from pathlib import Path

import fsspec
import pytest

from jobs.report.__main__ import main
from jobs.report.errors_csv import COLUMNS, NAME, cell
from separation.store.filesystems import S3_SETTINGS
from tests.outputs import ERRORS, HOSTILE, Row, finished_rows, write_tables

FORMULAS = ("=1+1", "+1", "-2", "@SUM(A1)", " =1", "\t=1", "\r=1", "＝1", "=cmd|' /C calc'!A0")


def rows_of(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(data.decode("utf-8-sig").splitlines()))


def failed(number: int) -> list[Row]:
    return [row for row in finished_rows(number) if row["status"] != "ok"]


def test_every_track_in_error_is_in_it_and_no_other(bucket: str, tmp_path: Path) -> None:
    """The page lists the first ones, says how many more there are, and stands beside the file."""
    rows = finished_rows(400)
    for at, row in enumerate(row for row in rows if row["status"] != "ok"):
        row["error"] = f"stopped at {at} s"
    write_tables(tmp_path, "r1", rows, rows_a_file=150)
    fs = fsspec.filesystem("s3", **S3_SETTINGS)
    fs.put(f"{tmp_path}/", f"{bucket}/out/", recursive=True)
    assert main(["--output", f"{bucket}/out"]) == 0
    found = rows_of(fs.cat_file(f"{bucket}/out/{NAME}"))
    bad = [row for row in rows if row["status"] != "ok"]
    assert [row["track_id"] for row in found] == [cell(row["track_id"]) for row in bad]
    assert [row["error"] for row in found] == [row["error"] for row in bad]
    assert {row["error_kind"] for row in found} == {kind for kind, _ in ERRORS}
    assert {(row["run_id"], row["uri"][:11], row["finished_at"][-6:]) for row in found} == {
        ("r1", "s3://music/", "+00:00")
    }
    page = fs.cat_file(f"{bucket}/out/report.html").decode()
    assert f'{len(bad) - 4 * 6} more are in <a href="{NAME}">' in page
    assert main(["--output", f"{bucket}/out", "--format", "md", "--to", str(tmp_path / "new/page.md")]) == 0
    assert len(rows_of((tmp_path / "new" / NAME).read_bytes())) == len(bad)
    assert f"All of them are in {NAME}" in (tmp_path / "new/page.md").read_text()


def test_without_errors_none_of_an_earlier_report_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_tables(tmp_path, "r1", failed(20))
    assert main(["--output", str(tmp_path)]) == 0
    assert len((tmp_path / NAME).read_bytes().splitlines()) == 3
    write_tables(tmp_path, "r1", finished_rows(3))
    assert main(["--output", str(tmp_path)]) == 0
    assert rows_of((tmp_path / NAME).read_bytes()) == []
    assert f"errors: {tmp_path}/{NAME} (0 tracks)" in capsys.readouterr().out


def test_no_name_is_a_formula_and_none_leaves_its_cell(tmp_path: Path) -> None:
    names = [*HOSTILE, *FORMULAS, "s3://key:secret@bucket/a.wav"]
    base = failed(20)[0]
    write_tables(
        tmp_path, "r1", [base | {"track_id": name, "error": name, "error_kind": name} for name in names]
    )
    assert main(["--output", str(tmp_path)]) == 0
    data = (tmp_path / NAME).read_bytes()
    assert data.count(b"\n") == 1 + len(names)
    assert b"secret" not in data
    found = rows_of(data)
    for row in found:
        assert tuple(row) == COLUMNS
        for text in row.values():
            assert text.isprintable()
            assert text.lstrip()[:1] not in "=+-@＝"
    for formula in FORMULAS:
        assert cell(formula).startswith(("'", "\\")), formula
    assert found[0]["error"] == HOSTILE[0]
    assert data.decode("utf-8-sig").splitlines()[0] == ",".join(f'"{name}"' for name in COLUMNS)


def test_the_page_may_not_take_its_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tables(tmp_path, "r1", failed(20))
    assert main(["--output", str(tmp_path), "--to", f"{tmp_path}/{NAME}"]) == 2
    assert "the list of errors beside the page" in capsys.readouterr().err
    assert not (tmp_path / NAME).exists()
