"""What is left of a catalogue, and which settings one output may have."""

import io
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from jobs.pipeline import schema
from jobs.pipeline.catalogue.reading import Catalogue
from jobs.pipeline.job import Job
from jobs.pipeline.output import run_record
from jobs.pipeline.output.run_record import Standing, State
from jobs.pipeline.sizing import JobPlan
from jobs.separate.run import show_errors
from jobs.separate.work import find_work, refuse_mixture
from separation.console import LineConsole
from separation.errors import UsageError
from separation.models.bag_json import read_bag
from separation.options import Options
from tests.bags import write_gain_bag
from tests.outputs import finished_rows, write_tables
from tests.stores import STORE


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """Whose output holds the tracks a and b."""
    plan = JobPlan("cpu", 1, 2, 0.5, 0.0, 2, 1, 1, 16, 40, 2**22)
    bag = read_bag(str(write_gain_bag(tmp_path / "models")), STORE)
    job = Job("r1", str(tmp_path / "out"), bag, Options(), plan, str(tmp_path / "cache"), 0, 0.0, STORE)
    run_record.write(job, {}, [], None, Standing(State.DONE, ""))
    rows = [row | {"track_id": track} for row, track in zip(finished_rows(2), "ab", strict=True)]
    write_tables(tmp_path / "out", "r1", rows)
    return job


def catalogue_of(*ids: str) -> Catalogue:
    rows = [{"track_id": each, "uri": f"s3://music/{each}"} for each in ids]
    return Catalogue(pa.Table.from_pylist(rows, schema.LISTED))


def test_other_settings_are_refused_whatever_the_catalogue(job: Job) -> None:
    refuse_mixture(catalogue_of("c"), job, force=False)
    other = replace(job, options=Options(format="flac"))
    for tracks in ("a", "ab", "c"):
        with pytest.raises(UsageError) as refused:
            find_work(catalogue_of(*tracks), other, force=False, retry_errors=True)
        assert str(refused.value) == (
            f'{job.output} holds stems of other settings: format was "wav", is "flac". '
            "Choose another --output, or --force to do its tracks again"
        )


def test_force_does_every_track_of_the_output_or_none(job: Job) -> None:
    other = replace(job, plan=replace(job.plan, provider="openvino"))
    with pytest.raises(UsageError, match=r"force all of its tracks: 1 are not in this .*, b among"):
        find_work(catalogue_of("a", "c"), other, force=True, retry_errors=False)
    work = find_work(catalogue_of("a", "b", "c"), other, force=True, retry_errors=False)
    assert sorted(work.again.to_pylist()) == ["a", "b"]
    assert find_work(catalogue_of("a"), job, force=True, retry_errors=False).again.to_pylist() == ["a"]


def test_an_output_without_tracks_takes_any_settings(job: Job, tmp_path: Path) -> None:
    for table in ("tracks", "timings"):
        (tmp_path / "out" / table / "r1-00000.parquet").unlink()
    other = replace(job, options=Options(overlap=0.5))
    assert find_work(catalogue_of("a"), other, force=False, retry_errors=False).pending.num_rows == 1


def test_the_summary_names_every_error_and_says_how_many_more(job: Job) -> None:
    good, *_ = (row for row in finished_rows(9) if row["status"] == "ok")
    bad = good | {"status": "error", "error_kind": "bad_key", "error": "why", "stems": []}
    names = [("1", "/m/s.wav"), ("2", "/m/s.wav"), ("", "/m/t.wav"), ("5", ""), ("", ""), ("z", "/m/z")]
    rows = [bad | {"track_id": track_id, "uri": uri} for track_id, uri in names]
    rows.append(bad | {"error_kind": "missing", "track_id": "m/u.wav", "uri": "/m/u.wav"})
    write_tables(Path(job.output), "r2", rows)
    log = io.StringIO()
    show_errors(job, LineConsole(file=log, width=200))
    assert log.getvalue().splitlines() == [
        "6 tracks bad_key:",
        "  1 (/m/s.wav): why",
        "  2 (/m/s.wav): why",
        "  /m/t.wav: why",
        "  5: why",
        "  a row with neither track_id nor uri: why",
        "  and 1 more",
        "1 track missing:",
        "  /m/u.wav: why",
    ]
