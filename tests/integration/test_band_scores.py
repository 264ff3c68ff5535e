"""What the demonstration bag promises: 6 dB on songs it never heard, as demucs scores it, at every precision.

Twenty minutes on two cores; `make test-long` runs it, and the table in docs/benchmarks.md is what it prints.
"""

import sys
from pathlib import Path
from statistics import median

import pyarrow.parquet as pq
import pytest

import band
from band.musdb import write_split
from export.htdemucs import reference
from export.htdemucs.export_bag import export
from export.htdemucs.origin import BAND, from_origin
from jobs.evaluate.layout import BASELINE
from tests.bags import FOUR_STEMS
from tests.integration.conftest import Run
from tests.integration.session import Session
from tests.stores import STORE

TRACKS, SECONDS = 20, 30.0
BAR_DB = 6.0  # the SDR of every stem, and what it is above that of the mix as an estimate
LOSS_DB = {"demucs": 0.01, "int8": 0.05, "fp16": 0.05}  # from the job's own, in float32

pytestmark = pytest.mark.long


def by_demucs(songs: list[Path], out: Path) -> None:
    """The songs' stems by demucs's `apply_model` on the checkpoints, under the job's ids."""
    tracks = [[f"{song.name}/mixture.wav", str(song / "mixture.wav")] for song in songs]
    where = {"origin": BAND, "trust": False, "device": "cpu", "threads": 2, "out": str(out)}
    reference.run(reference.ReferenceRun(tracks=tracks, stems=list(FOUR_STEMS), overlap=0.25, **where), STORE)


def test_the_bag_separates_songs_it_never_heard(separate: Run, session: Session, tmp_path: Path) -> None:
    songs = write_split(tmp_path / "songs", "test", TRACKS, (SECONDS, SECONDS))
    bags = {"fp32": Path(band.__file__).with_name("bag")}
    for precision in ("int8", "fp16"):
        bags[precision] = tmp_path / "models" / precision
        export(from_origin(BAND, trust=False), bags[precision], None, precision)
    for name, models in bags.items():
        mixtures = ("--input", str(tmp_path / "songs/test/*/mixture.wav"), "--models", str(models))
        job = separate(*mixtures, "--output", str(tmp_path / name))
        assert job.returncode == 0, job.stdout + job.stderr
    by_demucs(songs, tmp_path / "demucs")

    sets = [word for name in (*bags, "demucs") for word in ("--estimates", f"{name}={tmp_path / name}")]
    scores = ("--baseline", "--output", str(tmp_path / "scores"))
    truth = ("--reference", str(tmp_path / "songs/test"))
    done = session.run("jobs.evaluate", *truth, *sets, *scores)
    assert done.returncode == 0, done.stdout + done.stderr
    sys.stdout.write(done.stdout)

    found: dict[tuple[str, str], list[float]] = {}
    for row in pq.read_table(tmp_path / "scores/scores.parquet").to_pylist():
        if row["metric"] == "sdr":
            found.setdefault((row["estimates"], row["stem"]), []).append(row["score_db"])
    assert {len(tracks) for tracks in found.values()} == {TRACKS}
    scored = {key: median(tracks) for key, tracks in found.items()}
    for stem in FOUR_STEMS:
        for name, most in LOSS_DB.items():
            loss = scored["fp32", stem] - scored[name, stem]
            assert loss <= most, (stem, name)
            assert name != "demucs" or loss >= -most, stem
    for stem in FOUR_STEMS:
        assert scored["fp32", stem] >= scored[BASELINE, stem] + BAR_DB, stem
    assert min(scored["fp32", stem] for stem in FOUR_STEMS) >= BAR_DB, scored
