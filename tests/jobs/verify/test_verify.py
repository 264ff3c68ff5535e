"""The parts of jobs.verify on a local output, without Ray; integration/test_verify.py has the program."""

import hashlib
from argparse import ArgumentTypeError
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from jobs.pipeline.output import tables
from jobs.pipeline.output.folder import OutputFolder
from jobs.pipeline.output.lease import Lease, OutputInUse
from jobs.pipeline.output.paths import part_folder
from jobs.verify import leftovers, stored_stems, sweep
from jobs.verify.__main__ import parser
from jobs.verify.name_hashes import contains, draw, hash_name, hash_names
from jobs.verify.problems import Kind, Problems
from jobs.verify.reconcile import Reconciled, find_duplicates, reconcile_tables
from jobs.verify.run import mend, sample_of
from jobs.verify.stored_stems import Sample, StemRow
from separation.arguments import share_or_count
from separation.console import LineConsole
from separation.errors import UsageError
from separation.settings import Settings
from tests.outputs import write_tables
from tests.stores import STORE

NOW = datetime.now(UTC) + timedelta(days=1)  # later than every file that a test writes
STEMS = {"drums", "bass"}
SETTINGS = Settings(dict.fromkeys(STEMS, ""))


def row(track: str, folder: Path, status: str = "ok", **more: Any) -> dict[str, Any]:
    """A finished track with two stems, which are written."""
    files = []
    for stem in sorted(STEMS) if status == "ok" else ():
        path = folder / "stems" / track / f"{stem}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"{track} {stem}".encode())
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        files.append({"stem": stem, "uri": str(path), "bytes": path.stat().st_size, "sha256": sha256})
    base = {"track_id": track, "uri": f"s3://music/{track}", "status": status, "length": 44_100}
    return base | {"stems": files, "finished_at": datetime(2026, 1, 1, tzinfo=UTC)} | more


def look(path: Path, catalogue: list[str], problems: Problems) -> tuple[Reconciled, OutputFolder]:
    folder = OutputFolder(str(path), str(path), STORE)
    found = reconcile_tables(folder, pa.chunked_array([pa.array(catalogue, pa.string())]), SETTINGS, problems)
    find_duplicates(folder, found, problems)
    stored_stems.list_sizes(folder, found, problems)
    leftovers.find_parts(folder, pa.chunked_array([pa.array(catalogue, pa.string())]), problems)
    leftovers.find_uploads(folder, problems)
    return found, folder


def test_every_track_is_counted_once(tmp_path: Path) -> None:
    write_tables(tmp_path, "r1", [row("a.wav", tmp_path), row("b.wav", tmp_path, "error")])
    write_tables(tmp_path, "r2", [row("elsewhere.wav", tmp_path)])
    with Problems(NOW) as problems:
        found, _ = look(tmp_path, ["a.wav", "b.wav", "c.wav"], problems)
        assert (found.catalogue, found.ok, found.errors, found.pending, found.unlisted) == (3, 1, 1, 1, 1)
        assert dict(problems.counts) == {Kind.PENDING: 1}
        assert [each.track_id for each in problems.found(Kind.PENDING)] == ["c.wav"]


def test_tracks_of_other_settings_are_seen_and_forgotten(tmp_path: Path) -> None:
    other = replace(SETTINGS, options={"overlap": 0.5})
    for run, settings in (("r1", SETTINGS), ("r2", other), ("r3", None)):
        write_tables(tmp_path, run, [row(f"{run}.wav", tmp_path)], settings=settings and settings.digest)
    with Problems(NOW) as problems:
        _, folder = look(tmp_path, ["r1.wav", "r2.wav", "r3.wav"], problems)
        assert dict(problems.counts) == {Kind.MIXED_SETTINGS: 1}
        (mixed,) = problems.found(Kind.MIXED_SETTINGS)
        assert (mixed.track_id, mixed.found) == ("r2.wav", "those of run r2")
        sweep.repair(folder, problems)
    assert tables.read_table(str(tmp_path), "tracks", STORE)["run_id"].to_pylist() == ["r1", "r3"]


@pytest.mark.parametrize("table", ["tracks", "timings"])
def test_a_damaged_table_is_named_and_the_others_go_on(tmp_path: Path, table: str) -> None:
    write_tables(tmp_path, "r1", [row("a.wav", tmp_path)])
    write_tables(tmp_path, "r2", [row("b.wav", tmp_path)])
    file = tmp_path / table / "r1-00000.parquet"
    file.write_bytes(file.read_bytes()[:-100])
    args = parser().parse_args(["--output", str(tmp_path), "--sweep", "--repair"])
    with Problems(NOW) as problems:
        found, folder = look(tmp_path, ["a.wav", "b.wav"], problems)
        assert (found.ok, found.pending) == (1, 1)
        assert dict(problems.counts) == {Kind.DAMAGED_TABLE: 1, Kind.PENDING: 1, Kind.ORPHAN_STEM: 2}
        assert problems.examples[Kind.DAMAGED_TABLE].uri == str(file)
        with pytest.raises(UsageError, match=r"1 file of the tables cannot be read.* nothing was removed"):
            mend(args, folder, problems, 0, LineConsole())
        sweep.repair(folder, problems)
    with Problems(NOW) as problems:
        look(tmp_path, ["a.wav", "b.wav"], problems)
        assert dict(problems.counts) == {Kind.PENDING: 1, Kind.ORPHAN_STEM: 2}
    assert tables.read_table(str(tmp_path), "tracks", STORE)["track_id"].to_pylist() == ["b.wav"]


def test_of_several_rows_the_newest_ok_one_with_its_stems_stays(tmp_path: Path) -> None:
    later = datetime(2026, 2, 2, tzinfo=UTC)
    write_tables(tmp_path, "r1", [row("a.wav", tmp_path), row("b.wav", tmp_path), row("c.wav", tmp_path)])
    write_tables(tmp_path, "r2", [row("a.wav", tmp_path, "error", finished_at=later)])
    write_tables(tmp_path, "r3", [row("b.wav", tmp_path, finished_at=later)] * 2)
    ids = ["a.wav", "b.wav", "c.wav"]
    with Problems(NOW) as problems:
        _, folder = look(tmp_path, ids, problems)
        assert dict(problems.counts) == {Kind.DUPLICATE_TRACK: 2}
        sweep.sweep(folder, problems)
    with Problems(NOW) as problems:
        look(tmp_path, ids, problems)
        assert not problems.counts
    kept = {each["track_id"]: each for each in tables.read_table(str(tmp_path), "tracks", STORE).to_pylist()}
    assert kept["a.wav"]["status"] == "ok"
    assert kept["b.wav"]["finished_at"] == later
    assert tables.read_table(str(tmp_path), "timings", STORE).num_rows == 6


def test_one_file_of_two_tracks_is_seen_and_left(tmp_path: Path) -> None:
    first, second = row("a.wav", tmp_path), row("b.wav", tmp_path)
    write_tables(tmp_path, "r1", [first, second | {"stems": first["stems"]}])
    with Problems(NOW) as problems:
        _, folder = look(tmp_path, ["a.wav", "b.wav"], problems)
        assert dict(problems.counts) == {Kind.SHARED_STEM: 2, Kind.ORPHAN_STEM: 2}
        sweep.sweep(folder, problems)
    assert tables.read_table(str(tmp_path), "tracks", STORE).num_rows == 2
    assert {path.name for path in (tmp_path / "stems/a.wav").iterdir()} == {"drums.wav", "bass.wav"}


def test_parts_belong_to_tracks_that_are_not_done(tmp_path: Path) -> None:
    write_tables(tmp_path, "r1", [row("done.wav", tmp_path)])
    for number, name in enumerate((*map(part_folder, ("done.wav", "new.wav", "gone.wav")), "a/b.wav/drums")):
        path = tmp_path / "parts" / name / "drums/0.npy"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"x" * number)
    with Problems(NOW) as problems:
        look(tmp_path, ["done.wav", "new.wav"], problems)
        found = [(each.track_id, each.expected, each.found) for each in problems.found(Kind.ORPHAN_PART)]
    unknown = "none: no such track"
    assert sorted(found, key=str) == [
        ("done.wav", "none: the track is done", "0 bytes"),
        (None, unknown, "2 bytes"),
        (None, unknown, "3 bytes"),
    ]


def test_what_is_young_is_no_problem(tmp_path: Path) -> None:
    write_tables(tmp_path, "r1", [row("a.wav", tmp_path)])
    (tmp_path / "stems/nobody.wav").write_bytes(b"")
    (tmp_path / f"stems/.{'0' * 32}.part").write_bytes(b"")
    with Problems(NOW - timedelta(days=2)) as problems:
        look(tmp_path, ["a.wav"], problems)
        assert not problems.counts
        assert dict(problems.recent) == {Kind.ORPHAN_STEM: 1, Kind.UNFINISHED_UPLOAD: 1}
    with Problems(NOW) as problems:
        _, folder = look(tmp_path, ["a.wav"], problems)
        assert dict(problems.counts) == {Kind.ORPHAN_STEM: 1, Kind.UNFINISHED_UPLOAD: 1}
        sweep.sweep(folder, problems)
    assert sorted(path.name for path in (tmp_path / "stems").iterdir()) == ["a.wav"]


def test_nothing_is_removed_while_a_run_holds_the_output(tmp_path: Path) -> None:
    write_tables(tmp_path, "r1", [row("a.wav", tmp_path)])
    (tmp_path / "stems/nobody.wav").write_bytes(b"")
    args = parser().parse_args(["--output", str(tmp_path), "--sweep"])
    with Problems(NOW) as problems:
        _, folder = look(tmp_path, ["a.wav"], problems)
        with Lease(str(tmp_path), "r2", STORE), pytest.raises(OutputInUse, match="run r2"):
            mend(args, folder, problems, 0, LineConsole())
        assert (tmp_path / "stems/nobody.wav").exists()
        with pytest.raises(UsageError, match="1 stems are there under other names"):
            mend(args, folder, problems, 1, LineConsole())
        assert (tmp_path / "stems/nobody.wav").exists()
        assert Kind.ORPHAN_STEM in mend(args, folder, problems, 0, LineConsole())
        assert not (tmp_path / "stems/nobody.wav").exists()


def test_a_folder_that_was_moved_is_the_same(tmp_path: Path) -> None:
    write_tables(tmp_path / "old", "r1", [row("a.wav", tmp_path / "old")])
    (tmp_path / "old").rename(tmp_path / "new")
    folder = OutputFolder(str(tmp_path / "new"), str(tmp_path / "old"), STORE)
    key = folder.stem_key("x", "y", str(tmp_path / "old/stems/a.wav/drums.wav"))
    assert (key, folder.key_below(folder.stem_uri(key))) == ("a.wav/drums.wav", "a.wav/drums.wav")
    assert folder.stem_key("a.wav", "drums", "s3://before/stems/a.wav/drums.wav") == "a.wav/drums.wav"
    assert OutputFolder("s3://b/out", "s3a://b/out", STORE).key_below("s3a://b/out/stems/x") == "x"


@pytest.mark.parametrize(
    "uri",
    [
        "{secret}",
        "{out}/stems/../../secret",
        "file://{out}/stems/a.wav/../../../secret",
        "http://169.254.169.254/latest/meta-data",
        "memory://stems/b.wav/drums.wav",
        "a.wav/drums.wav",
        "{out}/stems/",
        None,
    ],
)
def test_nothing_is_read_that_a_row_names_outside_the_output(tmp_path: Path, uri: str | None) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    out = tmp_path / "out"
    good = row("a.wav", out)
    named = uri and uri.format(out=out, secret=tmp_path / "secret")
    stems = [good["stems"][0], good["stems"][1] | {"uri": named}]
    write_tables(out, "r1", [good | {"stems": stems}])
    with Problems(NOW) as problems:
        found, folder = look(out, ["a.wav"], problems)
        (foreign,) = problems.found(Kind.FOREIGN_STEM)
        assert (foreign.track_id, foreign.stem, foreign.uri) == ("a.wav", "drums", named)
        sizes = stored_stems.list_sizes(folder, found, problems)
        read = list(stored_stems._to_read(folder, found, sizes, Sample(0, rate=1.0), problems))
    assert [each.stem for each in read] == ["bass"]


def test_a_link_out_of_the_output_is_not_read(tmp_path: Path) -> None:
    (stem, *_) = row("a.wav", tmp_path / "out")["stems"]
    Path(stem["uri"]).rename(tmp_path / "secret")
    Path(stem["uri"]).symlink_to(tmp_path / "secret")
    folder = OutputFolder(str(tmp_path / "out"), str(tmp_path / "out"), STORE)
    (read,) = stored_stems.read_batch([StemRow("a.wav", file="r1.parquet", **stem)], folder)
    assert read.problem and read.problem.kind == "foreign_stem"
    (tmp_path / "link").symlink_to(tmp_path / "out")  # the output itself may be one
    row("a.wav", tmp_path / "out")
    linked = OutputFolder(str(tmp_path / "link"), str(tmp_path / "link"), STORE)
    assert not linked.leads_out(f"{tmp_path}/link/stems/a.wav/drums.wav")


@pytest.mark.parametrize("size", [0, 3, 10_000])
def test_a_link_out_of_the_output_is_no_stem_of_a_wrong_size(tmp_path: Path, size: int) -> None:
    good = row("a.wav", tmp_path / "out")
    write_tables(tmp_path / "out", "r1", [good])
    (tmp_path / "secret").write_bytes(b"x" * size)
    path = Path(good["stems"][0]["uri"])
    path.unlink()
    path.symlink_to(tmp_path / "secret")
    with Problems(NOW) as problems:
        found, folder = look(tmp_path / "out", ["a.wav"], problems)
        sizes = stored_stems.list_sizes(folder, found, problems)
        assert len(list(stored_stems._to_read(folder, found, sizes, Sample(0, rate=1.0), problems))) == 1
        assert dict(problems.counts) == {Kind.FOREIGN_STEM: 1}


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda path: path.write_bytes(b"A" + path.read_bytes()[1:]), "damaged_stem"),
        (lambda path: path.write_bytes(path.read_bytes()[1:]), "wrong_size"),
        (lambda path: path.unlink(), "missing_stem"),
        (lambda path: None, ""),
    ],
)
def test_a_stem_is_read_for_what_it_is(tmp_path: Path, change: Any, kind: str) -> None:
    (stem, *_) = row("a.wav", tmp_path)["stems"]
    change(Path(stem["uri"]))
    (read,) = stored_stems.read_batch(
        [StemRow("a.wav", file="r1.parquet", **stem)], OutputFolder(str(tmp_path), "", STORE)
    )
    assert (read.problem.kind if read.problem else "") == kind


def test_a_sample_is_drawn_by_its_seed() -> None:
    names = np.unique(hash_names(f"stem {number}" for number in range(10_000)))

    def drawn(sample: Sample) -> set[int]:
        limit = sample.limit(names)
        return {
            int(n) for n, number in zip(names, draw(names, sample.seed), strict=True) if int(number) < limit
        }

    assert len(drawn(Sample(0, count=37))) == 37
    assert drawn(Sample(0, count=37)) == drawn(Sample(0, count=37)) != drawn(Sample(1, count=37))
    assert 80 < len(drawn(Sample(5, rate=0.01))) < 120
    assert len(drawn(Sample(0, rate=1.0))) == len(drawn(Sample(0, count=10**6))) == 10_000
    assert sample_of(share_or_count("0.25"), 0) == Sample(0, rate=0.25)
    assert sample_of(share_or_count("25"), 0) == Sample(0, count=25)
    assert sample_of(share_or_count("1"), 0) == Sample(0, count=1)
    assert sample_of(share_or_count("0"), 0).limit(names) == 0
    for wrong in ("-1", "1.5", "x"):
        with pytest.raises(ArgumentTypeError):
            share_or_count(wrong)


def test_marks_find_what_they_mark() -> None:
    ordered = np.sort(hash_names(["a", "b", "é", "e\u0301", "\udcff"]))
    assert len(set(ordered.tolist())) == 5
    assert contains(ordered, hash_names(["b", "c"])).tolist() == [True, False]
    assert contains(ordered[:0], hash_names(["b"])).tolist() == [False]
    assert 0 <= hash_name("a") < 2**64
