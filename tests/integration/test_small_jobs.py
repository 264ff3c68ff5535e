"""What options do to a job over a track or two, what is refused, and what is recorded of it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from jobs.pipeline.output.tables import read_table
from separation.contract import HTDEMUCS
from tests.bags import GAINS, write_gain_bag
from tests.integration.conftest import (
    STORE_BYTES,
    TWO,
    Run,
    job_command,
    start_cluster,
)
from tests.integration.session import Session
from tests.sounds import write_track
from tests.stores import STORE


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_errors_are_retried_and_all_is_forced(separate: Run, models: str, tmp_path: Path) -> None:
    folder, output = tmp_path / "in", str(tmp_path / "out")
    folder.mkdir()
    write_track(folder / "good.wav", 1)
    (folder / "late.wav").write_bytes(b"")
    arguments = ("--input", str(folder), "--output", output, "--models", models, *TWO)
    assert separate(*arguments).returncode == 1
    write_track(folder / "late.wav", 1, seed=2)
    first = {row["track_id"]: row for row in read_table(output, "tracks", STORE).to_pylist()}
    assert separate(*arguments, "--retry-errors").returncode == 0
    second = {row["track_id"]: row for row in read_table(output, "tracks", STORE).to_pylist()}
    assert second["good.wav"] == first["good.wav"]
    assert second["late.wav"]["status"] == "ok"
    done = separate(*arguments, "--force", "--format", "flac", "--json")
    assert done.returncode == 0
    check_json_lines(done.stdout)
    third = read_table(output, "tracks", STORE).to_pylist()
    assert len(third) == 2
    assert all(row["finished_at"] > second[row["track_id"]]["finished_at"] for row in third)
    assert (tmp_path / "out/stems/good.wav/bass.flac").exists()


def check_json_lines(text: str) -> None:
    """Of a job over two tracks of a second, both done."""
    lines = [json.loads(line) for line in text.splitlines()]
    phases = [line["phase"] for line in lines if line["event"] == "phase"]
    assert phases == [
        "reading options and models",
        "reading the catalogue",
        "starting Ray",
        "loading models",
        "first chunk inferred",
    ]
    *_, progress, end = lines
    assert progress["event"] == "progress" and progress["tracks"]["done"] == 2
    assert progress["audio_s"] == pytest.approx(2.0) and progress["audio_total_s"] == pytest.approx(2.0)
    assert (end["event"], end["exit_code"]) == ("end", 0)
    moments = [line["elapsed_s"] for line in lines]
    assert moments == sorted(moments)


@pytest.mark.parametrize(
    ("bag", "seconds", "sections", "options"),
    [("models", 65.3, (2, 1000), ("--shifts", "2", "--seed", "7")), ("small_models", 14.1, (2, 1000), ())],
)
def test_sections_and_laptop_give_the_same_files(
    separate: Run,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    bag: str,
    seconds: float,
    sections: tuple[int, ...],
    options: tuple[str, ...],
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    write_track(folder / "a.flac", seconds, 48_000)
    write_track(folder / "b.mp3", seconds / 3, channels=1, seed=1)
    laptop = tmp_path / "laptop"
    options += ("--models", request.getfixturevalue(bag), *TWO, "--format", "flac")
    tracks = [str(path) for path in sorted(folder.iterdir())]
    command = [sys.executable, "-m", "separation", *tracks, "--out", str(laptop), *options]
    subprocess.run(command, check=True, capture_output=True)
    expected = contents(laptop)
    del expected["stemfleet.json"]
    assert len(expected) == 4
    for chunks in sections:
        output = tmp_path / f"out-{chunks}"
        where = ("--input", str(folder), "--output", str(output))
        done = separate(*where, "--chunks-per-section", str(chunks), *options)
        assert done.returncode == 0, done.stdout + done.stderr
        assert contents(output / "stems") == expected
        assert not contents(output / "parts")


def test_two_stems_run_one_graph(separate: Run, models: str, tmp_path: Path) -> None:
    folder, output = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    write_track(folder / "a.wav", 30)
    base = ("--input", str(folder), "--output", str(output), "--models", models)
    done = separate(*base, "--two-stems", "vocals", "--float32", "--chunks-per-section", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    mix = soundfile.read(folder / "a.wav", dtype="float32")[0]
    stem, rest = (
        soundfile.read(output / f"stems/a.wav/{s}.wav", dtype="float32")[0] for s in ("vocals", "no_vocals")
    )
    np.testing.assert_allclose(stem, (mix - mix.mean()) * GAINS["vocals"] + mix.mean(), atol=1e-6)
    np.testing.assert_array_equal(rest, mix - stem)
    timings = {row["stem"]: row for row in read_table(str(output), "timings", STORE).to_pylist()}
    assert set(timings) == {"vocals", "no_vocals"}
    assert timings["vocals"]["infer_s"] > 0
    assert timings["no_vocals"]["infer_s"] is None


def test_a_long_section_stays_one_block(separate: Run, models: str, tmp_path: Path) -> None:
    """Over 49 chunks of 2.75 MB, Ray's default block size of 128 MiB would split a section."""
    folder, output = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    write_track(folder / "long.flac", 54.5 * HTDEMUCS.stride / HTDEMUCS.sample_rate)
    base = ("--input", str(folder), "--output", str(output), "--models", models)
    done = separate(*base, "--chunks-per-section", "64", "--stems", "bass")
    assert done.returncode == 0, done.stdout + done.stderr
    (row,) = read_table(str(output), "tracks", STORE).to_pylist()
    assert (row["chunks"], row["sections"]) == (55, 1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--provider", "cuda"), "needs a GPU"),
        (("--stems", "piano"), "not piano"),
        (("--actors", "9"), "the cluster has 2 CPUs"),
    ],
)
def test_what_cannot_be_is_refused_before_it_starts(
    separate: Run, models: str, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    write_track(folder / "a.wav", 1)
    refused = separate(
        "--input", str(folder), "--output", str(tmp_path / "o"), "--models", models, *arguments
    )
    assert refused.returncode == 2
    assert words in refused.stderr
    assert not (tmp_path / "o").exists()


def test_a_gpu_in_name_is_no_silent_run_on_the_cpu(models: str, tmp_path: Path, s3_endpoint: str) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    write_track(folder / "a.wav", 1)
    arguments = ("--input", str(folder), "--output", str(tmp_path / "out"), "--models", models, *TWO)
    with start_cluster(STORE_BYTES, gpus=1) as cluster:
        command = job_command(tmp_path, *arguments)
        stopped = subprocess.run(command, env=cluster.environment, capture_output=True, text=True)
    assert stopped.returncode == 2
    assert "1 actor per graph, each 0.5 GPU" in stopped.stdout
    assert "error: the installed onnxruntime " in stopped.stderr and " is one for CPUs" in stopped.stderr
    assert not read_table(str(tmp_path / "out"), "tracks", STORE).num_rows


def test_a_damaged_model_is_refused(separate: Run, models: str, tmp_path: Path) -> None:
    folder = write_gain_bag(tmp_path / "models")
    data = bytearray((folder / "bass.onnx").read_bytes())
    data[-1] ^= 1
    (folder / "bass.onnx").write_bytes(data)
    refused = separate("--input", str(tmp_path), "--output", str(tmp_path / "o"), "--models", str(folder))
    assert refused.returncode == 2
    assert "bass.onnx" in refused.stderr


def test_a_missing_bucket_is_refused(separate: Run, models: str, bucket: str) -> None:
    refused = separate("--input", "s3://nowhere/x/", "--output", f"{bucket}/o", "--models", models)
    assert refused.returncode == 2
    assert "s3://nowhere" in refused.stderr


def test_the_run_record_tells_what_ran(separate: Run, models: str, tmp_path: Path) -> None:
    folder, output = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    write_track(folder / "a.wav", 1)
    base = ("--input", str(folder), "--output", str(output), "--models", models)
    assert separate(*base, *TWO, "--shifts", "1", "--price", "0.8").returncode == 0
    record: dict[str, Any] = json.loads((output / "run.json").read_text())
    assert record["plan"]["provider"] == "cpu"
    assert set(record["settings"]["models"]) == {"bass", "vocals"}
    assert len(record["shifts_samples"]) == 1
    assert record["cluster"][0]["cpus"] == 2
    assert record["price"] == {"usd_per_node_hour": 0.8}
    assert record["totals"] == {"total": 1, "done": 1, "failed": 0, "pending": 0, "left": 0, "audio_s": 1.0}
    assert record["catalogue"] == {"tracks": 1}
    assert os.environ.get("AWS_SECRET_ACCESS_KEY", "-") not in (output / "run.json").read_text()


def test_probe_split_and_rows_of_their_own_are_one_task_and_few_at_once(
    session: Session, models: str, tmp_path: Path
) -> None:
    words = ("--input", "in/", "--output", "out", "--models", models, "--cache", str(tmp_path), *TWO)
    done = session.run("tests.integration.operators", *words)
    assert done.returncode == 0, done.stderr
    rows = "StreamingRepartition[num_rows_per_block=1,strict=False]"
    assert json.loads(done.stdout) == [
        ["MapBatches(stitch)", None],
        *([f"MapBatches(infer_{graph})", 2] for graph in ("vocals", "bass")),
        ["MapBatches(cut)", None],
        [f"MapBatches(probe)->MapBatches(split)->{rows}", 8],
        [rows, None],
    ]
