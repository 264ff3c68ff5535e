from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from jobs.pipeline import schema
from jobs.pipeline.output import tables
from jobs.pipeline.output.table_files import DamagedTable
from jobs.pipeline.output.tables import TableWriter, drop_uncommitted, forget, read_table
from jobs.pipeline.records import Failure, FinishedTrack, InferenceRun, StemResult, Track, Work
from separation.errors import ErrorKind
from separation.level import Level
from tests.stores import STORE

BAD = Failure(ErrorKind.CORRUPT, "why")


def finished(track_id: str, failure: Failure | None = None) -> FinishedTrack:
    run = InferenceRun(2.0, 0.0, 2.9999999, None, None, None, None, None)
    track = Track(
        track_id=track_id,
        uri=f"s3://b/{track_id}",
        failure=failure,
        warnings=(),
        source=None,
        encoded=None,
        measured=Level(441_000, 0.0, 0.1, 0.5),
        probe_s=None,
        started_at=datetime.now(UTC),
    )
    stems = tuple(StemResult(stem, chunks=3, run=run) for stem in ("bass", "vocals"))
    return FinishedTrack(track, 1, 3, Work(stems=stems))


def write(output: Path, run_id: str, *rows: FinishedTrack) -> None:
    with TableWriter(str(output), run_id, STORE, 44_100) as writer:
        for row in rows:
            writer.add(row)


def test_a_track_is_a_row_and_its_stems_are_timings(tmp_path: Path) -> None:
    write(tmp_path, "r1", finished("a"), finished("b", BAD))
    tracks, timings = read_table(str(tmp_path), "tracks", STORE), read_table(str(tmp_path), "timings", STORE)
    assert tracks.schema == schema.TRACKS
    assert timings.schema == schema.TIMINGS
    assert tracks["track_id"].to_pylist() == ["a", "b"]
    assert tracks["status"].to_pylist() == ["ok", "error"]
    assert tracks["error_kind"].to_pylist() == [None, "corrupt"]
    assert tracks["duration_s"].to_pylist() == [10.0, 10.0]
    assert timings["track_id"].to_pylist() == ["a", "a"]
    assert timings["x_realtime"].to_pylist() == [5.0, 5.0]
    assert timings["batches"].to_pylist() == [3, 3]


def test_a_column_that_an_older_version_did_not_write_is_null(tmp_path: Path) -> None:
    write(tmp_path, "r1", finished("a"))
    file = tmp_path / "tracks" / "r1-00000.parquet"
    pq.write_table(pq.read_table(file).drop_columns(["settings_sha256", "warnings"]), file)
    found = read_table(str(tmp_path), "tracks", STORE, ["track_id", "settings_sha256"])
    assert found.to_pylist() == [{"track_id": "a", "settings_sha256": None}]


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "flipped", "other", "null"])
def test_a_damaged_file_is_named(tmp_path: Path, damage: str) -> None:
    write(tmp_path, "r1", finished("a"))
    write(tmp_path, "r2", finished("b"))
    spoil(tmp_path / "tracks" / "r1-00000.parquet", damage)
    words = r"tracks/r1-00000\.parquet: not a table of ours: .*[^.]\. python .* --repair forgets"
    with pytest.raises(DamagedTable, match=words):
        read_table(str(tmp_path), "tracks", STORE)
    named: list[DamagedTable] = []
    columns = ["track_id", "uri"], ["track_id"]
    pairs = list(tables.read_pairs(str(tmp_path), *columns, STORE, named.append))
    assert [tracks["track_id"].to_pylist() for tracks, _ in pairs] == [["b"]]
    assert [error.uri for error in named] == [str(tmp_path / "tracks/r1-00000.parquet")]


def spoil(file: Path, damage: str) -> None:
    """Damages a file of the table `tracks`."""
    data, stored = bytearray(file.read_bytes()), pq.read_table(file)
    if damage == "flipped":
        data[data.index(b"s3://b/a")] ^= 1
    elif damage == "cut":
        del data[len(data) // 2 :]
    elif damage in ("empty", "text"):
        data = bytearray(b"" if damage == "empty" else b"<html>504</html>")
    if damage in ("other", "null"):
        stored = pa.table({"name": ["x"]}) if damage == "other" else without_ids(stored)
        pq.write_table(stored, file)
    else:
        file.write_bytes(data)


def without_ids(tracks: pa.Table) -> pa.Table:
    return tracks.set_column(1, "track_id", pa.nulls(len(tracks), pa.string()))


def test_what_other_programs_hide_in_the_folder_is_no_table(tmp_path: Path) -> None:
    write(tmp_path, "r1", finished("a"))
    (tmp_path / "tracks/._r1-00000.parquet").write_bytes(b"\0\5\x16\7")
    assert read_table(str(tmp_path), "tracks", STORE).num_rows == 1


def test_full_files_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "ROWS_PER_FILE", 2)
    writer = TableWriter(str(tmp_path), "r1", STORE, 44_100)
    for track in "abcde":
        writer.add(finished(track))
        writer._flush()
    assert sorted(path.name for path in (tmp_path / "tracks").iterdir()) == [
        f"r1-0000{number}.parquet" for number in range(3)
    ]
    assert sorted(read_table(str(tmp_path), "tracks", STORE)["track_id"].to_pylist()) == list("abcde")


def test_rows_are_written_while_the_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "FLUSH_S", 0.01)
    with TableWriter(str(tmp_path), "r1", STORE, 44_100) as writer:
        writer.add(finished("a"))
        while not read_table(str(tmp_path), "tracks", STORE).num_rows:
            pass


def test_a_store_that_fails_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "FLUSH_S", 0.01)
    (tmp_path / "timings").write_text("a file where the folder should be")
    with pytest.raises(Exception, match="timings"), TableWriter(str(tmp_path), "r1", STORE, 44_100) as writer:
        writer.add(finished("a"))


def test_forgotten_tracks_leave_both_tables(tmp_path: Path) -> None:
    write(tmp_path, "r1", finished("a"), finished("b"))
    write(tmp_path, "r2", finished("c"))
    forget(str(tmp_path), pa.chunked_array([["a", "c"]]), STORE)
    assert read_table(str(tmp_path), "tracks", STORE)["track_id"].to_pylist() == ["b"]
    assert pc.unique(read_table(str(tmp_path), "timings", STORE)["track_id"]).to_pylist() == ["b"]


def test_timings_without_their_track_are_dropped(tmp_path: Path) -> None:
    """As a driver leaves them that is killed between the two files of a flush."""
    write(tmp_path, "r1", finished("a"), finished("b"))
    write(tmp_path, "r2", finished("c"))
    tracks = tmp_path / "tracks" / "r1-00000.parquet"
    pq.write_table(pq.read_table(tracks).slice(0, 1), tracks)
    (tmp_path / "tracks" / "r2-00000.parquet").unlink()
    drop_uncommitted(str(tmp_path), STORE)
    assert read_table(str(tmp_path), "timings", STORE)["track_id"].to_pylist() == ["a", "a"]
