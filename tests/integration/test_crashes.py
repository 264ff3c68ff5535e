"""A track that kills the processes that work on it, on a real Ray, by graphs of two contracts."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import soundfile

from jobs.pipeline.output.tables import read_table
from separation.contract import HTDEMUCS
from tests.bags import write_two_contracts
from tests.integration.conftest import HANG_S
from tests.stores import STORE

STAGES = {"probe": "probe", "cut": "cut", "low": "infer low of", "stitch": "stitch", "finish": "finish"}


def test_it_is_an_error_after_three_deaths_and_its_neighbours_are_done(
    ray_cluster: dict[str, str], tmp_path: Path
) -> None:
    names = [*(f"{stage}.wav" for stage in STAGES), *(f"good-{number}.wav" for number in range(5))]
    (tmp_path / "in").mkdir()
    for seed, name in enumerate(names):
        seconds = 1.5 * HTDEMUCS.stride / HTDEMUCS.sample_rate if name in ("finish.wav", "good-0.wav") else 1
        noise = 0.1 * np.random.default_rng(seed).standard_normal((int(seconds * HTDEMUCS.sample_rate), 2))
        soundfile.write(tmp_path / "in" / name, noise, HTDEMUCS.sample_rate)
    models = write_two_contracts(tmp_path / "models")
    command = [sys.executable, "-m", "tests.integration.poison", str(tmp_path / "deaths")]
    command += ["--input", str(tmp_path / "in"), "--output", str(tmp_path / "out"), "--models", str(models)]
    command += ["--cache", str(tmp_path / "cache"), "--chunks-per-section", "1", "--stems", "bass,vocals"]
    done = subprocess.run(command, env=ray_cluster, capture_output=True, text=True, timeout=HANG_S)
    assert done.returncode == 1, done.stdout + done.stderr

    tracks = {row["track_id"]: row for row in read_table(str(tmp_path / "out"), "tracks", STORE).to_pylist()}
    assert sorted(tracks) == sorted(names)
    assert all(tracks[name]["status"] == "ok" for name in names if name.startswith("good"))
    for stage, words in STAGES.items():
        row = tracks[f"{stage}.wav"]
        assert (row["error_kind"], row["error"]) == (
            "crashed",
            f"the process died 3 times: at each try to {words} it",
        )
    deaths = Counter((tmp_path / "deaths").read_text().split())
    # A track has a section for each of the two contracts, and each is tried three times.
    tries = {"probe": 3, "cut": 6, "low": 6, "stitch": 6, "finish": 3}
    assert deaths == Counter({f"{stage}.wav": count for stage, count in tries.items()})
    assert not [path for path in (tmp_path / "out/parts").rglob("*") if path.is_file()]
