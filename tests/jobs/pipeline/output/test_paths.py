"""Where a track's outputs go on a local disk, and what happens where two tracks want one path."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import soundfile

from jobs.pipeline import schema
from jobs.pipeline.arrow import Row
from jobs.pipeline.job import Job
from jobs.pipeline.sizing import Plan
from jobs.pipeline.stages import steps, stitch
from separation.models.bag import read_bag
from separation.options import Options
from tests.bags import write_gain_bag


@pytest.fixture
def job(tmp_path: Path) -> Job:
    bag = read_bag(str(write_gain_bag(tmp_path / "models")))
    plan = Plan("cpu", 1, 1, 1, 0, 1, 0, 1, 8, 8)
    return Job("run", str(tmp_path / "out"), bag, Options(), plan, str(tmp_path / "cache"), 10**9, 1.0)


def separate(track_ids: list[str], job: Job, source: Path) -> list[Row]:
    """The steps of the road over `source` under these ids, without Ray."""
    soundfile.write(source, np.random.default_rng(0).uniform(-0.5, 0.5, (4_410, 2)), 44_100)
    rows = [{"track_id": track_id, "uri": str(source), "error": None} for track_id in track_ids]
    table = steps.probe(pa.Table.from_pylist(rows, schema.LISTED), job)
    table = steps.chunk(steps.plan(table, job), job)
    for stem in job.stems:
        table = steps.Infer(stem, job, "node")(table)
    return stitch.stitch(table, job).to_pylist()


def test_a_name_longer_than_a_disk_takes_is_a_bad_key(job: Job, tmp_path: Path) -> None:
    fits, long, wide = "n" * 251 + ".wav", "n" * 252 + ".wav", "é" * 126 + ".wav"
    rows = separate([fits, long, wide], job, tmp_path / "song.wav")
    assert [row["error_kind"] for row in rows] == [None, "bad_key", "bad_key"]
    assert (tmp_path / "out/stems" / fits / "drums.wav").exists()


def test_a_track_below_another_tracks_stem_is_a_bad_key(job: Job, tmp_path: Path) -> None:
    rows = separate(["a", "a/drums.wav", "b"], job, tmp_path / "song.wav")
    assert [(row["status"], row["error_kind"]) for row in rows] == [
        ("ok", None),
        ("error", "bad_key"),
        ("ok", None),
    ]
