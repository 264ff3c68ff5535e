"""A report's facts against the same sums taken from the rows one by one."""

import shutil
from collections import Counter
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.report.facts import gather
from jobs.report.findings import KINDS, OTHER_KINDS
from jobs.report.listening import listen
from jobs.report.tally import SAMPLES, SLOWEST, STAGES
from separation.errors import StorageError
from separation.models.bag import Licence
from tests.bags import FOUR_STEMS
from tests.outputs import ACTORS, BEGIN, ERRORS, Row, finished_rows, write_record, write_tables
from tests.sounds import DECODERS, RATE
from tests.stores import STORE

Full = tuple[Path, list[Row]]


def good(rows: list[Row]) -> list[Row]:
    return [row for row in rows if row["status"] == "ok"]


def audio_s(rows: list[Row]) -> float:
    return sum(row["length"] for row in good(rows)) / RATE


def test_sums_are_those_of_the_rows(full_output: Full) -> None:
    folder, rows = full_output
    facts = gather(str(folder), STORE)
    assert (facts.done, facts.failed) == (len(good(rows)), len(rows) - len(good(rows)))
    assert facts.catalogue_tracks == 200
    assert facts.audio_s == pytest.approx(audio_s(rows))
    wall = max(row["finished_at"] for row in rows) - min(row["started_at"] for row in rows)
    assert facts.wall_s == wall.total_seconds()
    for stage in STAGES:
        assert facts.stages[stage] == pytest.approx(sum(row.get(f"{stage}_s") or 0.0 for row in rows))
    assert [each.graph for each in facts.graphs] == list(FOUR_STEMS)
    for each in facts.graphs:
        runs = [stem for row in good(rows) for stem in row["stems"] if stem["graph"] == each.graph]
        assert each.infer_s == pytest.approx(sum(run["infer_s"] for run in runs))
        assert each.queue_s == pytest.approx(sum(run["queue_s"] for run in runs))
        assert each.chunks == sum(run["chunks"] for run in runs)
        assert each.x_realtime == pytest.approx(audio_s(rows) / each.infer_s)
        assert facts.utilisation(each) == pytest.approx(
            [seconds / (ACTORS * facts.wall_s) for seconds in (each.infer_s, each.queue_s)]
        )


def test_errors_are_counted_by_kind_and_sentence(full_output: Full) -> None:
    folder, rows = full_output
    bad = [row for row in rows if row["status"] != "ok"]
    kinds = Counter(row["error_kind"] for row in bad)
    found = gather(str(folder), STORE).errors
    assert {error.kind: error.count for error in found} == kinds
    assert [error.count for error in found] == sorted(kinds.values(), reverse=True)
    assert {(error.kind, each.sentence) for error in found for each in error.examples} == set(ERRORS)
    assert all(error.unlisted == 0 for error in found)


def test_sentences_of_which_every_track_has_its_own_are_not_all_kept(tmp_path: Path) -> None:
    row = finished_rows(1)[0] | {"status": "error", "error_kind": "corrupt"}
    rows = [row | {"track_id": str(n), "error": f"stopped at {n} s"} for n in range(50)]
    write_tables(tmp_path, "r1", rows)
    (error,) = gather(str(tmp_path), STORE).errors
    assert (error.count, len(error.examples), error.unlisted) == (50, 6, 44)


def test_a_table_of_a_thousand_kinds_has_a_few_groups(tmp_path: Path) -> None:
    row = finished_rows(1)[0] | {"status": "error", "error": "no"}
    rows = [row | {"track_id": str(n), "error_kind": f"kind {n}"} for n in range(1_000)]
    write_tables(tmp_path, "r1", rows)
    found = gather(str(tmp_path), STORE).errors
    assert len(found) == KINDS + 1
    assert (found[0].kind, found[0].count) == (OTHER_KINDS, 1_000 - KINDS)


def test_warnings_are_counted_by_track_and_kind(tmp_path: Path) -> None:
    rows = finished_rows(8)
    rows[0]["warnings"] = ["level: silence", "level: cancels", "downmix: 6 channels"]
    rows[1]["warnings"] = ["level: silence", "of a later version"]
    rows[4]["warnings"] = ["level: of a track in error"]
    write_tables(tmp_path, "r1", rows, rows_a_file=1)
    found = gather(str(tmp_path), STORE).warnings
    assert [(group.kind, group.count) for group in found] == [
        ("level", 2),
        ("downmix", 1),
        ("of a later version", 1),
    ]
    assert [(each.sentence, each.count) for each in found[0].examples] == [("silence", 2)]
    assert found[0].examples[0].track_id == rows[0]["track_id"]


def test_a_node_that_was_lost_comes_first(tmp_path: Path) -> None:
    """node-1 had tracks in the first half of the run alone."""
    rows = good(finished_rows(60))
    for at, row in enumerate(rows):
        nodes = ("node-0", "node-1") if at < 20 else ("node-0",)
        row["stems"] = [
            stem | {"node": nodes[number % len(nodes)]} for number, stem in enumerate(row["stems"])
        ]
    write_tables(tmp_path, "r1", rows, rows_a_file=17)
    lost, last = gather(str(tmp_path), STORE).nodes
    assert (lost.node, lost.tracks, lost.last_at) == ("node-1", 20, rows[19]["finished_at"])
    assert lost.silent_s == (rows[-1]["finished_at"] - rows[19]["finished_at"]).total_seconds()
    assert (last.node, last.tracks, last.silent_s) == ("node-0", len(rows), 0.0)


def test_slowest_are_those_of_the_most_work_a_chunk(full_output: Full) -> None:
    folder, rows = full_output

    def chunk_s(row: Row) -> float:
        stages = sum(row[f"{stage}_s"] for stage in STAGES)
        return (stages + sum(stem["infer_s"] for stem in row["stems"])) / row["chunks"]

    facts = gather(str(folder), STORE)
    expected = sorted(good(rows), key=chunk_s, reverse=True)[:SLOWEST]
    assert [slow.track_id for slow in facts.slowest] == [row["track_id"] for row in expected]
    assert [slow.chunk_s for slow in facts.slowest] == pytest.approx([chunk_s(row) for row in expected])
    assert facts.median_chunk_s == pytest.approx(np.median([chunk_s(row) for row in good(rows)]), rel=1e-6)
    parts = {f"graph {stem['graph']}": stem["infer_s"] for stem in expected[0]["stems"]}
    assert facts.slowest[0].longest_step == max(parts, key=lambda stem: parts[stem])


def test_samples_do_not_depend_on_files_or_order(tmp_path: Path) -> None:
    rows = finished_rows(120)
    write_tables(tmp_path / "one", "r1", rows)
    write_tables(tmp_path / "many", "r2", rows[::-1], rows_a_file=7)
    one, many = (gather(str(tmp_path / name), STORE) for name in ("one", "many"))
    assert [each.track_id for each in one.samples] == [each.track_id for each in many.samples]
    assert len(one.samples) == SAMPLES
    assert list(one.samples[0].stems) == list(FOUR_STEMS)
    assert one.audio_s == pytest.approx(many.audio_s)
    assert [slow.track_id for slow in one.slowest] == [slow.track_id for slow in many.slowest]


def test_a_long_track_is_sampled_only_for_want_of_shorter_ones(tmp_path: Path) -> None:
    rows = [row | {"length": 3600 * RATE} for row in good(finished_rows(8))]
    rows[3]["length"] = 60 * RATE
    write_tables(tmp_path, "r1", rows)
    samples = gather(str(tmp_path), STORE).samples
    assert samples[0].track_id == rows[3]["track_id"]
    assert len(samples) == SAMPLES


def test_the_timeline_holds_all_and_cuts_the_pause_between_runs(tmp_path: Path) -> None:
    rows = finished_rows(400)
    later = timedelta(days=3)
    moved = [row | {name: row[name] + later for name in ("started_at", "finished_at")} for row in rows[200:]]
    write_tables(tmp_path, "r1", rows[:200])
    write_tables(tmp_path, "r2", moved)
    facts = gather(str(tmp_path), STORE)
    assert facts.wall_s < later.total_seconds() / 2
    assert sum(each.audio_s for each in facts.timeline) == pytest.approx(audio_s(rows), rel=1e-5)
    assert sum(each.tracks for each in facts.timeline) == 400
    assert sum(each.failed for each in facts.timeline) == len(rows) - len(good(rows))
    assert sum(each.width_s for each in facts.timeline) == pytest.approx(facts.wall_s)
    ends = [each.position_s + each.width_s for each in facts.timeline]
    assert [each.position_s for each in facts.timeline] == pytest.approx([0.0, *ends[:-1]])
    assert {each.run for each in facts.timeline} == {0, 1}
    assert facts.timeline[0].started_at < BEGIN + timedelta(hours=1)
    assert facts.timeline[-1].started_at > BEGIN + later


def test_runs_at_the_same_time_do_not_count_each_others_tracks(tmp_path: Path) -> None:
    rows = finished_rows(80)
    write_tables(tmp_path, "r1", rows[::2])
    write_tables(tmp_path, "r2", rows[1::2])
    assert sum(each.tracks for each in gather(str(tmp_path), STORE).timeline) == 80


@pytest.mark.parametrize("price", [1.5, {"usd_per_node_hour": 1.5, "region": "us-east-1"}])
def test_cost_is_the_nodes_that_inferred_for_as_long_as_the_runs(tmp_path: Path, price: object) -> None:
    rows = finished_rows(50)
    write_tables(tmp_path, "r1", rows)
    write_record(tmp_path, price=price)
    facts = gather(str(tmp_path), STORE)
    assert facts.cost is not None
    assert facts.runs[0].nodes == {"node-0", "node-1"}
    assert facts.cost.usd == pytest.approx(1.5 * 2 * facts.wall_s / 3600)
    assert facts.cost.usd_per_audio_hour == pytest.approx(facts.cost.usd / (facts.audio_s / 3600))


def test_what_run_json_does_not_say_is_not_made_up(tmp_path: Path) -> None:
    write_tables(tmp_path, "r1", finished_rows(20))
    facts = gather(str(tmp_path), STORE)
    assert facts.cost is None
    assert facts.catalogue_tracks is None
    assert facts.utilisation(facts.graphs[0]) is None


def test_a_running_job_leaves_twins_that_differ(tmp_path: Path) -> None:
    """Timings come before their tracks, and a file may go while it is read."""
    rows = finished_rows(60)
    write_tables(tmp_path, "r1", rows[:40])
    write_tables(tmp_path / "later", "r1", rows)
    shutil.copy(tmp_path / "later/timings/r1-00000.parquet", tmp_path / "timings/r1-00000.parquet")
    write_tables(tmp_path, "r2", rows[40:])
    (tmp_path / "timings/r2-00000.parquet").unlink()
    facts = gather(str(tmp_path), STORE)
    assert facts.done == len(good(rows))
    assert facts.graphs[0].tracks == len(good(rows[:40]))


def test_a_job_of_one_stem_and_its_complement(tmp_path: Path) -> None:
    """`no_vocals` has a file and no graph."""
    rows = good(finished_rows(20, stems=("vocals",)))
    rest = {"stem": "no_vocals", "uri": f"{tmp_path}/stems/no_vocals.wav"}
    write_tables(tmp_path, "r1", [row | {"stems": [*row["stems"], rest]} for row in rows])
    facts = gather(str(tmp_path), STORE)
    assert [each.graph for each in facts.graphs] == ["vocals"]
    assert list(facts.samples[0].stems) == ["vocals", "no_vocals"]


def test_stems_of_one_graph_count_once(tmp_path: Path) -> None:
    graphs = {"drums": "htdemucs", "bass": "htdemucs", "other": "htdemucs", "vocals": "m1+m2"}
    rows = good(finished_rows(30, graphs=graphs))
    write_tables(tmp_path, "r1", rows)
    write_record(tmp_path)
    facts = gather(str(tmp_path), STORE)
    one, two = facts.graphs
    assert (one.graph, one.stems, one.graphs) == ("htdemucs", ("drums", "bass", "other"), 1)
    assert (two.graph, two.stems, two.graphs) == ("m1+m2", ("vocals",), 2)
    for each in facts.graphs:
        runs = [stem for row in rows for stem in row["stems"] if stem["graph"] == each.graph]
        assert each.tracks == len(rows)
        assert each.chunks == sum(row["chunks"] for row in rows)
        assert each.infer_s == pytest.approx(sum(run["infer_s"] for run in runs))
        assert each.queue_s == pytest.approx(sum(run["queue_s"] for run in runs))
        assert each.audio_s == pytest.approx(audio_s(rows))
        busy, _ = facts.utilisation(each) or (0.0, 0.0)
        assert busy == pytest.approx(each.infer_s / (ACTORS * each.graphs * facts.wall_s))
    slow = facts.slowest[0]
    (row,) = [row for row in rows if row["track_id"] == slow.track_id]
    seconds = [sum(s["infer_s"] for s in row["stems"] if s["graph"] == each.graph) for each in facts.graphs]
    assert slow.longest_step == ("graph htdemucs" if seconds[0] > seconds[1] else "graph m1+m2")
    assert slow.longest_step_s == pytest.approx(max(seconds))


def test_tables_without_a_column_graph_have_a_graph_per_stem(tmp_path: Path) -> None:
    write_tables(tmp_path, "r1", finished_rows(30))
    expected = gather(str(tmp_path), STORE).graphs
    (file,) = (tmp_path / "timings").iterdir()
    pq.write_table(pq.read_table(file).drop_columns(["graph"]), file)
    assert gather(str(tmp_path), STORE).graphs == expected


def test_the_stems_that_make_the_mix_are_those_of_the_settings(tmp_path: Path) -> None:
    rows = finished_rows(5, stems=("piano", "vocals"))
    write_tables(tmp_path, "r1", rows)
    for models, mix in ((["vocals", "piano"], ("vocals", "piano")), (["vocals", "piano", "drums"], ())):
        write_record(tmp_path, settings={"models": dict.fromkeys(models, "0" * 64)})
        assert gather(str(tmp_path), STORE).samples[0].mix == mix


def test_licences_are_those_of_all_runs_that_have_tracks(tmp_path: Path) -> None:
    science = {"weights": "for science only", "terms": "none", "said_at": "https://example.org/327"}
    for run_id, licences in (
        ("r1", {"drums": science, "bass": {"weights": "MIT"}}),
        ("r2", {"drums": science, "vocals": science}),
        ("r3", {"mine": {"weights": "no track of it is left"}}),
    ):
        write_record(tmp_path, run_id=run_id, licences=licences)
        (tmp_path / "runs").mkdir(exist_ok=True)
        shutil.copy(tmp_path / "run.json", tmp_path / f"runs/{run_id}.json")
    for run_id in ("r1", "r2", "../run"):  # the last one is no name of a file
        write_tables(tmp_path / "made", run_id.rpartition("/")[2], finished_rows(3))
        (made,) = (tmp_path / "made/tracks").iterdir()
        rows = pq.read_table(made)
        rows = rows.set_column(0, "run_id", pa.array([run_id] * len(rows)))
        (tmp_path / "tracks").mkdir(exist_ok=True)
        pq.write_table(rows, tmp_path / "tracks" / made.name)
        made.unlink()
    both = {Licence(**science): ("drums", "vocals"), Licence("MIT"): ("bass",)}
    assert gather(str(tmp_path), STORE).licences == both


def test_without_records_of_its_runs_an_output_has_the_last_one_s_licences(tmp_path: Path) -> None:
    write_tables(tmp_path, "of before the records", finished_rows(3))
    assert not gather(str(tmp_path), STORE).licences
    write_record(tmp_path, licences={"mine": {"weights": "MIT"}})
    assert gather(str(tmp_path), STORE).licences == {Licence("MIT"): ("mine",)}


@pytest.mark.parametrize("written_to", ["s3://music/out", "s3://music/out/", "out"])
def test_the_stems_of_a_copied_output_are_those_of_the_copy(tmp_path: Path, written_to: str) -> None:
    row = good(finished_rows(3))[0]
    uri = f"{written_to.rstrip('/')}/stems/a/out/drums.wav"
    write_tables(tmp_path, "r1", [row | {"stems": [row["stems"][0] | {"uri": uri}, row["stems"][1]]}])
    write_record(tmp_path, arguments={"output": written_to})
    (sample,) = gather(str(tmp_path), STORE).samples
    track = row["track_id"]
    assert sample.stems == {
        "drums": f"{tmp_path}/stems/a/out/drums.wav",
        "bass": f"{tmp_path}/stems/{track}/bass.wav",  # of before an earlier move
    }


def test_no_stem_is_taken_from_outside_the_output(tmp_path: Path) -> None:
    row = good(finished_rows(3))[0]
    out, (drums, bass, other, vocals) = tmp_path / "out", row["stems"]
    (out / "stems").mkdir(parents=True)
    (out / "stems/link.wav").symlink_to("/etc/hostname")
    named = [
        drums | {"uri": "/etc/passwd"},
        bass | {"uri": "http://169.254.169.254/latest"},
        other | {"uri": f"{out}/stems/link.wav"},
        vocals | {"uri": f"{out}/stems/x.wav"},
    ]
    write_tables(out, "r1", [row | {"stems": named}])
    write_record(out)
    (sample,) = gather(str(out), STORE).samples
    assert sample.stems == {"vocals": f"{out}/stems/x.wav"}
    assert sample.elsewhere == ("drums", "bass", "other")
    assert listen(sample, STORE, DECODERS).notes[0] == "drums, bass, other: named outside the output"


@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_broken_record_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(StorageError, match=r"run\.json: expected"):
        gather(str(tmp_path), STORE)
