"""Digital silence is not inferred: a silent track, with the same bits; silent chunks only if asked for."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from jobs.pipeline.arrow import to_table
from jobs.pipeline.job import Job
from jobs.pipeline.output.tables import timing_rows, track_row
from jobs.pipeline.records import FinishedTrack, ListedTrack, Track, merge
from jobs.pipeline.sizing import JobPlan
from separation.contract import CHANNELS, HTDEMUCS
from separation.models.bag_json import read_bag
from separation.options import Options
from separation.separator import collect
from tests.bags import separate_with, write_gain_bag
from tests.jobs.pipeline.in_process import InProcess
from tests.stores import STORE

CHUNKS = 5
HOLE = slice(HTDEMUCS.stride, 3 * HTDEMUCS.stride + HTDEMUCS.segment)  # chunks 1 to 3 are silent


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """One chunk a section, two specialists."""
    bag = read_bag(str(write_gain_bag(tmp_path / "models", {"drums": 0.5, "bass": 0.25})), STORE)
    plan = JobPlan("cpu", 1, 1, 1, 0, 1, 0, 1, 1, 8, 2**22)
    return Job("run", str(tmp_path / "out"), bag, Options(), plan, str(tmp_path / "cache"), 10**9, 0.0, STORE)


def run(job: Job, mix: np.ndarray, tmp_path: Path) -> FinishedTrack:
    """The mix, float32 (samples, channels), through the pipeline."""
    soundfile.write(tmp_path / "a.wav", mix, HTDEMUCS.sample_rate, subtype="FLOAT")
    pipeline = InProcess(job)
    sections = list(pipeline.sections(to_table([ListedTrack("a.wav", str(tmp_path / "a.wav"))], ListedTrack)))
    return merge(sections) if len(sections) == 1 else pipeline.finish(sections)


def stem_files(job: Job) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (Path(job.output) / "stems/a.wav").iterdir()}


@pytest.mark.parametrize(
    "options", [Options(bits="float", two_stems="bass"), Options(format="flac", shifts=2)]
)
def test_a_silent_track_has_the_same_bits_without_inference(
    job: Job, options: Options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, silent = replace(job, options=options), np.zeros((HTDEMUCS.stride + 1, CHANNELS), np.float32)
    found = run(job, silent, tmp_path)
    row = track_row("r", found, HTDEMUCS.sample_rate)
    grids = max(1, options.shifts)
    assert (row["status"], row["chunks"], row["sections"]) == ("ok", 0, 1)
    assert row["silent_chunks"] == sum(len(each.chunks) for each in job.sections(len(silent))) >= 2 * grids
    timings = {timing["stem"]: timing for timing in timing_rows("r", found, HTDEMUCS.sample_rate)}
    assert set(timings) == set(options.outputs(job.bag.stems))
    assert all(timing["infer_s"] is None and not timing["chunks"] for timing in timings.values())
    skipped = stem_files(job)
    monkeypatch.setattr(Track, "is_silent", False)
    inferred = run(replace(job, output=f"{job.output}-inferred"), silent, tmp_path)
    assert inferred.chunks == row["silent_chunks"]
    assert stem_files(replace(job, output=f"{job.output}-inferred")) == skipped


def test_silent_chunks_are_skipped_where_that_is_asked_for(job: Job, tmp_path: Path) -> None:
    mix = np.random.default_rng(0).uniform(-0.5, 0.4, (CHUNKS * HTDEMUCS.stride, CHANNELS)).astype(np.float32)
    mix[HOLE] = 0
    exact, skipping = (
        replace(job, options=Options(bits="float", skip_silence=skip)) for skip in (False, True)
    )
    found = run(skipping, mix, tmp_path)
    row, whole = track_row("r", found, HTDEMUCS.sample_rate), stem_files(skipping)
    assert (row["chunks"], row["silent_chunks"], row["sections"]) == (CHUNKS - 3, 3, CHUNKS)
    timings = timing_rows("r", found, HTDEMUCS.sample_rate)
    assert [timing["chunks"] for timing in timings] == [CHUNKS - 3] * 2
    for data, gain in zip((whole["drums.wav"], whole["bass.wav"]), (0.5, 0.25), strict=True):
        (tmp_path / "stem.wav").write_bytes(data)
        stem, _ = soundfile.read(tmp_path / "stem.wav", dtype="float32")
        inside = slice(HTDEMUCS.segment + 1, HOLE.stop - HTDEMUCS.segment)  # where no other chunk adds to it
        assert np.abs(stem[inside]).max() < 1e-7
        np.testing.assert_allclose(
            stem[: HTDEMUCS.stride // 2], mix[: HTDEMUCS.stride // 2] * gain, atol=0.05
        )
    row = track_row("r", run(exact, mix, tmp_path), HTDEMUCS.sample_rate)
    assert (row["chunks"], row["silent_chunks"]) == (CHUNKS, 0)
    local = separate_with(mix.T, {"drums": lambda s: s / 2, "bass": lambda s: s / 4}, skip_silence=True)
    (tmp_path / "stem.wav").write_bytes(whole["drums.wav"])
    stem, _ = soundfile.read(tmp_path / "stem.wav", dtype="float32")
    np.testing.assert_array_equal(collect(local["drums"]).T, stem)
