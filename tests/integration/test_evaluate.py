"""Scores of the job's stems: against demucs's own on the same checkpoints, and with faults built in."""

import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import fsspec
import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

from band.musdb import write_split
from export.htdemucs import reference
from jobs.evaluate import scoring
from jobs.evaluate.layout import find_tracks, pair
from separation import overlap_add
from separation.audio import limits
from separation.audio.mixes import read_mix
from separation.audio.stem_files import write_stems
from separation.contract import HTDEMUCS
from separation.models.bag_json import read_bag
from separation.models.graph import open_graph
from separation.models.graph_files import fetch
from separation.options import Options
from separation.separator import separate as separate_mix
from separation.store.filesystems import S3_SETTINGS
from tests.bags import FOUR_STEMS, write_gain_bag
from tests.integration.conftest import HANG_S, SMALL, Run
from tests.integration.session import Session
from tests.sounds import DECODERS
from tests.stores import STORE

BAR_DB = 60  # of the job's stems against demucs's: over 100 as they are, under this with any fault below
Scores = dict[tuple[str, str, str], float]  # estimates, stem, metric


@dataclass(frozen=True)
class Bench:
    """A test song, the exported bag, and demucs's stems of the song, as folders."""

    songs: Path
    models: Path
    demucs: Path
    inferred: dict[tuple[str, bytes], np.ndarray]  # of `remembered`

    @property
    def mixture(self) -> Path:
        (found,) = self.songs.rglob("mixture.wav")
        return found


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, small_models: str) -> Bench:
    folder = tmp_path_factory.mktemp("evaluate")
    made = Bench(folder / "songs", Path(small_models), folder / "demucs", {})
    write_split(made.songs, "test", 1, (9.0, 9.0))
    spec = {
        "tracks": [[f"test/{made.mixture.parent.name}/mixture.wav", str(made.mixture)]],
        "origin": SMALL,
        "trust": False,
        "stems": list(FOUR_STEMS),
        "overlap": 0.25,
        "threads": 2,
        "device": "cpu",
        "out": str(made.demucs),
    }
    reference.run(reference.ReferenceRun(**spec), STORE)
    return made


def scores_of(reference: Path, **estimates: Path) -> Scores:
    """What `jobs.evaluate` would say, by its own functions and without Ray."""
    sets = {name: find_tracks(str(folder), STORE) for name, folder in estimates.items()}
    pairs, _ = pair(find_tracks(str(reference), STORE), sets, baseline=False)
    rows = scoring.score(scoring.pairs_table(pairs), FOUR_STEMS, STORE).to_pylist()
    assert all(row["status"] == "ok" for row in rows), rows
    return {(row["estimates"], row["stem"], row["metric"]): row["score_db"] for row in rows}


Infer = Callable[[np.ndarray], np.ndarray]


def remembered(bench: Bench, name: str, graph: Infer) -> Infer:
    """The graph, which infers no segment of the song twice."""

    def infer(segments: np.ndarray) -> np.ndarray:
        key = (name, segments.tobytes())
        if key not in bench.inferred:
            bench.inferred[key] = graph(segments)
        return bench.inferred[key].copy()

    return infer


def separated(bench: Bench, out: Path, change: Callable[[dict[str, Infer]], Mapping[str, Infer]]) -> Path:
    """The song's stems by the core, its graphs as `change` leaves them."""
    bag = read_bag(bench.models, STORE)
    graphs: dict[str, Infer] = {
        name: remembered(bench, name, open_graph(bag, name, fetch(bag, name, out, STORE), "cpu"))
        for name in bag.graphs
    }
    rate = bag.sample_rate
    mix, _ = read_mix(str(bench.mixture), limits.DEFAULTS, DECODERS, STORE, sample_rate=rate)
    options = Options(bits="float", clip_mode="none")
    stems = separate_mix(mix, bag, change(graphs), bag.stems, options.grid_rules(bag.contracts))
    track_id = f"test/{bench.mixture.parent.name}/mixture.wav"
    write_stems(stems, track_id, mix.shape[1], options, str(out), STORE, sample_rate=rate)
    return out


def worst(scores: Scores) -> float:
    return min(scores.values())


def test_the_bar_is_passed_by_the_pipeline_as_it_is(bench: Bench, tmp_path: Path) -> None:
    out = separated(bench, tmp_path / "out", lambda graphs: graphs)
    assert worst(scores_of(bench.demucs, ours=out)) > BAR_DB + 40


def test_two_stems_swapped_fall_below_the_bar(bench: Bench, tmp_path: Path) -> None:
    def swap(graphs: dict[str, Infer]) -> dict[str, Infer]:
        return {**graphs, "bass": graphs["other"], "other": graphs["bass"]}

    scores = scores_of(bench.demucs, ours=separated(bench, tmp_path / "out", swap))
    for metric in scoring.METRICS:
        assert scores["ours", "bass", metric] < BAR_DB / 2 > scores["ours", "other", metric]
        assert scores["ours", "drums", metric] > BAR_DB < scores["ours", "vocals", metric]


def test_a_stem_delayed_by_ten_samples_falls_below_the_bar(bench: Bench, tmp_path: Path) -> None:
    def delay(graphs: dict[str, Infer]) -> dict[str, Infer]:
        return {**graphs, "vocals": lambda mix: np.roll(graphs["vocals"](mix), 10, axis=-1)}

    scores = scores_of(bench.demucs, ours=separated(bench, tmp_path / "out", delay))
    for metric in scoring.METRICS:
        assert scores["ours", "vocals", metric] < BAR_DB / 2
        assert scores["ours", "drums", metric] > BAR_DB


@pytest.mark.parametrize("shape", [np.ones_like, np.sqrt])
def test_a_wrong_window_falls_below_the_bar(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: Callable[[np.ndarray], np.ndarray]
) -> None:
    """SI-SDR shows it: the median over seconds passes over those few where chunks meet."""
    wrong = np.ascontiguousarray(shape(overlap_add.window(HTDEMUCS.segment)))
    monkeypatch.setattr(overlap_add, "window", lambda segment: wrong)
    out = separated(bench, tmp_path / "out", lambda graphs: graphs)
    scores = scores_of(bench.demucs, ours=out)
    assert all(scores["ours", stem, "si_sdr"] < BAR_DB for stem in FOUR_STEMS), scores


def write_truth(bench: Bench, folder: Path) -> Path:
    """True stems that a random bag comes within about 10 dB of: demucs's, and the song's own below them.

    From the song's own alone a random bag is so far that its SDR is 0 dB whatever it does.
    """
    for path in bench.demucs.rglob("mixture.wav/*.wav"):
        stem, _ = soundfile.read(path)
        song, _ = soundfile.read(bench.mixture.with_name(path.name))
        below = 10 ** (-10 / 20) * np.sqrt(np.mean(stem**2) / np.mean(song**2))
        truth = stem + below * song
        folder.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / path.name, truth, HTDEMUCS.sample_rate, subtype="FLOAT")
    return folder


def test_the_job_scores_what_demucs_scores(
    bench: Bench, separate: Run, session: Session, tmp_path: Path
) -> None:
    """The job's stems are those of its defaults: at 16 bits, and scaled against clipping."""
    separation = ("--input", f"{bench.songs}/*/*/mixture.wav", "--models", str(bench.models))
    job = separate(*separation, "--output", str(tmp_path / "job"))
    assert job.returncode == 0, job.stdout + job.stderr
    write_truth(bench, tmp_path / "true/test" / bench.mixture.parent.name)
    sets = ("--estimates", f"job={tmp_path / 'job'}", "--estimates", f"demucs={bench.demucs}")
    output = tmp_path / "scores"
    done = session.run("jobs.evaluate", "--reference", str(tmp_path / "true"), *sets, "--output", str(output))
    assert done.returncode == 0, done.stdout + done.stderr
    rows = pq.read_table(output / "scores.parquet").to_pylist()
    assert len(rows) == 2 * len(FOUR_STEMS) * len(scoring.METRICS)
    scores = {(row["estimates"], row["stem"], row["metric"]): row["score_db"] for row in rows}
    for stem in FOUR_STEMS:
        for metric in scoring.METRICS:
            demucs_db = scores["demucs", stem, metric]
            assert 3 < demucs_db < 30, scores  # a sparse stem's median second is quieter than its whole
            assert scores["job", stem, metric] == pytest.approx(demucs_db, abs=0.01)


def test_a_catalogue_with_gaps_on_s3(separate: Run, session: Session, bucket: str, tmp_path: Path) -> None:
    """The stems are the mix times 2 and more: all of them are scaled down, and scored as if they were not."""
    gains = {"drums": 2.0, "bass": 0.5, "other": 0.25, "vocals": 0.125}
    models = str(write_gain_bag(tmp_path / "models", gains))
    songs = write_split(tmp_path / "songs", "test", 3, (3.0, 3.0))
    store = fsspec.filesystem("s3", **S3_SETTINGS)
    files, root = f"{bucket}/musdb", bucket.removeprefix("s3://")
    store.put(f"{tmp_path / 'songs'}/", f"{root}/musdb/", recursive=True)
    job = separate("--input", f"{files}/test/*/mixture.wav", "--output", f"{bucket}/out", "--models", models)
    assert job.returncode == 0, job.stdout + job.stderr

    short, gap, whole = (f"test/{song.name}" for song in songs)
    STORE.remove([f"{files}/{gap}/drums.wav"])
    sound, _ = soundfile.read(tmp_path / "songs" / short / "bass.wav")
    soundfile.write(tmp_path / "short.wav", sound[:-5], HTDEMUCS.sample_rate, subtype="FLOAT")
    store.put_file(str(tmp_path / "short.wav"), f"{root}/musdb/{short}/bass.wav")
    done = session.run(
        "jobs.evaluate", "--reference", files, "--estimates", f"{bucket}/out", "--output", f"{bucket}/s"
    )
    assert done.returncode == 1, done.stdout + done.stderr
    with store.open(f"{root}/s/scores.parquet") as file:
        rows = {(row["track_id"], row["stem"], row["metric"]): row for row in pq.read_table(file).to_pylist()}
    assert len(rows) == 3 * len(FOUR_STEMS) * len(scoring.METRICS)
    reasons = {key[:2]: row["reason"] for key, row in rows.items() if row["status"] == "error"}
    assert set(reasons) == {(gap, "drums"), (short, "bass")}
    assert "no drums" in reasons[gap, "drums"]
    assert (
        f"{3 * HTDEMUCS.sample_rate} samples; the reference has {3 * HTDEMUCS.sample_rate - 5}"
        in reasons[short, "bass"]
    )
    assert "2 stems could not be scored" in done.stdout and "1 of 3" in done.stdout

    for stem, gain in gains.items():
        true, mix = (soundfile.read(tmp_path / "songs" / whole / f"{n}.wav")[0] for n in (stem, "mixture"))
        ratios = [
            10 * np.log10(np.sum(s**2) / np.sum((s - gain * m) ** 2))
            for s, m in zip(np.split(true, 3), np.split(mix, 3), strict=True)
        ]
        assert rows[whole, stem, "sdr"]["score_db"] == pytest.approx(np.median(ratios), abs=0.01)
        assert rows[whole, stem, "sdr"]["frames"] == 3


@pytest.mark.parametrize("estimates", ["nowhere", "other"])
def test_it_refuses_what_has_no_track_in_common(tmp_path: Path, estimates: str) -> None:
    for name in ("songs/a", "other/b"):
        (tmp_path / name).mkdir(parents=True)
        soundfile.write(tmp_path / name / "drums.wav", np.ones((9, 2)), HTDEMUCS.sample_rate)
    where = ("--reference", str(tmp_path / "songs"), "--estimates", str(tmp_path / estimates))
    command = [sys.executable, "-m", "jobs.evaluate", *where]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANG_S)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and "no track" in done.stderr
