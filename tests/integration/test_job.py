"""The job on a real Ray cluster and a real S3 server, over files of several kinds."""

import asyncio
import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from aiohttp import web

from jobs.pipeline.catalogue.reading import read_catalogue
from jobs.pipeline.output.tables import read_table
from separation.contract import SAMPLE_RATE, STEMS, STRIDE
from separation.store.filesystems import S3_SETTINGS
from separation.store.metadata import Listed
from tests.bags import GAINS, write_gain_bag
from tests.faulty_store import Exchange, faulty_store, honest
from tests.integration.conftest import (
    HANG_S,
    STORE_BYTES,
    Run,
    job_command,
    start_cluster,
    wait_until,
)
from tests.stores import STORE

TRACKS, BROKEN = 200, 5
HALF, FEW = TRACKS // 2, TRACKS // 5  # tracks of `half` and `few`, all broken ones among them
HELD = "100.wav"  # a track of the catalogue, and the first of `few`
FORMATS = ("wav", "flac", "mp3", "ogg")
TWO = ("--stems", "bass,vocals")  # where more stems would show no more


def write_track(
    path: Path, seconds: float, rate: int = SAMPLE_RATE, channels: int = 2, seed: int = 0
) -> None:
    noise = np.random.default_rng(seed).standard_normal((int(seconds * rate), channels))
    soundfile.write(path, np.float32(0.1) * noise.astype(np.float32), rate)


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory, s3_endpoint: str) -> str:
    """200 short tracks on S3, five of them broken."""
    folder = tmp_path_factory.mktemp("catalogue")
    for number in range(TRACKS - BROKEN):
        path = folder / f"{number:03}.{FORMATS[number % 4]}"
        write_track(path, 0.5 + number % 7 / 3, (44_100, 48_000)[number % 2], 1 + number % 2, number)
    (folder / "empty.wav").write_bytes(b"")
    (folder / "text.mp3").write_text("not audio\n" * 50)
    for source, broken in (("000.wav", "short.wav"), ("001.flac", "short.flac"), ("004.wav", "half.wav")):
        data = (folder / source).read_bytes()
        (folder / broken).write_bytes(data[: len(data) // 2])
    storage_root = "s3://catalogue"
    make_bucket("catalogue")
    for path in sorted(folder.iterdir()):
        STORE.put_file(path, f"{storage_root}/in/{path.name}")
    return f"{storage_root}/in/"


def half(catalogue: str) -> str:
    return f"{catalogue}[!0]*"


def few(catalogue: str) -> str:
    return f"{catalogue}[!0][!1-6]*"


def make_bucket(name: str) -> None:
    import fsspec

    fsspec.filesystem("s3", **S3_SETTINGS).call_s3("create_bucket", Bucket=name)


@contextmanager
def held_back(catalogue: str, folder: Path) -> Iterator[tuple[str, threading.Event]]:
    """A manifest of the catalogue, one of whose tracks is not served before the event is set.

    So a job over it runs until the test lets it end, however fast the machine is.
    """
    served, released = folder / "served", threading.Event()
    served.mkdir(parents=True)

    class Held(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            released.wait(HANG_S)
            super().do_GET()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Held, directory=str(served)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    rows = read_catalogue(catalogue, "/nowhere", STORE).tracks.to_pylist()
    held = next(row for row in rows if row["track_id"] == HELD)
    (served / HELD).write_bytes(STORE.read_bytes(held["uri"]))
    held["uri"] = f"http://127.0.0.1:{server.server_port}/{HELD}"
    pq.write_table(pa.Table.from_pylist(rows), folder / "manifest.parquet")
    try:
        yield str(folder / "manifest.parquet"), released
    finally:
        released.set()
        server.shutdown()
        server.server_close()


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def hashes(output: str) -> dict[str, str]:
    files = STORE.list_files(f"{output}/stems")
    return {
        file.uri.removeprefix(f"{output}/stems/"): hashlib.sha256(STORE.read_bytes(file.uri)).hexdigest()
        for file in files
    }


def results(output: str) -> list[Listed]:
    """Every object with its time, but for those that tell who ran: `run.json` and the lock."""
    own = (f"{output}/run.json", f"{output}/locks/")
    return [file for file in STORE.list_files(output) if not file.uri.startswith(own)]


def check_tables(output: str, count: int = TRACKS) -> pa.Table:
    """Every track once, every stem once, each as the tables say."""
    tracks, timings = read_table(output, "tracks", STORE), read_table(output, "timings", STORE)
    assert tracks.num_rows == len(set(tracks["track_id"].to_pylist())) == count
    statuses = tracks["status"].to_pylist()
    assert (statuses.count("ok"), statuses.count("error")) == (count - BROKEN, BROKEN)
    assert timings.num_rows == 2 * (count - BROKEN)
    written = hashes(output)
    assert written == {
        row["uri"].removeprefix(f"{output}/stems/"): row["sha256"] for row in timings.to_pylist()
    }
    return tracks


def test_two_hundred_tracks_with_five_broken(
    separate: Run, catalogue: str, any_models: str, bucket: str
) -> None:
    arguments = ("--input", catalogue, "--output", f"{bucket}/out", "--models", any_models, *TWO)
    first = separate(*arguments)
    assert first.returncode == 1, first.stdout + first.stderr
    tracks = check_tables(f"{bucket}/out")
    errors = {row["track_id"]: row for row in tracks.to_pylist() if row["status"] == "error"}
    kinds = {track: row["error_kind"] for track, row in errors.items()}
    assert kinds == {
        "empty.wav": "empty",
        "text.mp3": "not_audio",
        "short.wav": "truncated",
        "half.wav": "truncated",
        "short.flac": "corrupt",
    }
    assert all(row["error"] for row in errors.values())
    assert "left 0  failed 5" in first.stdout

    before = results(f"{bucket}/out")
    again = separate(*arguments)
    assert again.returncode == 1, again.stdout + again.stderr
    assert "0 left" in again.stdout
    assert results(f"{bucket}/out") == before

    other = separate(*arguments, "--format", "flac")
    assert other.returncode == 2
    assert 'holds stems of other settings: format was "wav", is "flac"' in other.stderr


def test_a_killed_driver_loses_and_repeats_nothing(
    ray_cluster: dict[str, str],
    separate: Run,
    catalogue: str,
    any_models: str,
    s3_endpoint: str,
    bucket: str,
    tmp_path: Path,
) -> None:
    output, log = f"{bucket}/out", tmp_path / "log"

    def done() -> int:
        return read_table(output, "tracks", STORE, ["track_id"]).num_rows

    async def all_but_the_last_commit(exchange: Exchange) -> web.StreamResponse:
        """A commit rewrites the table's only file: that which has all tracks waits for ever."""
        if "/out/tracks/" in exchange.path and pq.read_metadata(BytesIO(exchange.body)).num_rows == HALF:
            await asyncio.Event().wait()
        return await honest(exchange)

    arguments = ("--input", half(catalogue), "--output", output, "--models", any_models, *TWO)
    with faulty_store(s3_endpoint) as proxy, log.open("w") as written:
        proxy.always = {"PUT": all_but_the_last_commit}
        environment = ray_cluster | {"AWS_ENDPOINT_URL": proxy.endpoint}  # of the driver alone
        command = job_command(tmp_path, *arguments)
        driver = subprocess.Popen(command, env=environment, stdout=written, stderr=written)
        wait_until(lambda: done() > HALF // 4, log.read_text, HANG_S, alive=driver)
        before = done()
        driver.kill()
        driver.wait()
        committed = read_table(output, "tracks", STORE, ["track_id", "finished_at"])
        assert before <= committed.num_rows < HALF
    second = separate(*arguments)
    assert second.returncode == 1, second.stdout + second.stderr
    tracks = check_tables(output, HALF)
    kept = set(map(tuple, (row.values() for row in committed.to_pylist())))
    assert kept <= set(
        map(tuple, (row.values() for row in tracks.select(committed.column_names).to_pylist()))
    )


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
    assert separate(*arguments, "--force", "--format", "flac").returncode == 0
    third = read_table(output, "tracks", STORE).to_pylist()
    assert len(third) == 2
    assert all(row["finished_at"] > second[row["track_id"]]["finished_at"] for row in third)
    assert (tmp_path / "out/stems/good.wav/bass.flac").exists()


@pytest.mark.parametrize(
    ("bag", "seconds", "options"),
    [("models", 65.3, ("--shifts", "2", "--seed", "7")), ("small_models", 27.1, ())],
)
def test_sections_and_laptop_give_the_same_files(
    separate: Run,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    bag: str,
    seconds: float,
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
    assert len(expected) == 4
    for chunks in (2, 8, 1000):
        output = tmp_path / f"out-{chunks}"
        where = ("--input", str(folder), "--output", str(output))
        done = separate(*where, "--chunks-per-section", str(chunks), *options)
        assert done.returncode == 0, done.stdout + done.stderr
        assert contents(output / "stems") == expected
        assert not contents(output / "parts")


def test_two_stems_run_one_specialist(separate: Run, models: str, tmp_path: Path) -> None:
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
    write_track(folder / "long.flac", 54.5 * STRIDE / SAMPLE_RATE)
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
    arguments = ("--input", str(folder), "--output", str(tmp_path / "out"), "--models", models)
    with start_cluster(STORE_BYTES, gpus=1) as cluster:
        command = job_command(tmp_path, *arguments)
        stopped = subprocess.run(command, env=cluster.environment, capture_output=True, text=True)
    assert stopped.returncode == 2
    assert "1 actor per specialist, each 0.25 GPU" in stopped.stdout
    assert "the session runs on CPUExecutionProvider; asked for CUDAExecutionProvider" in stopped.stderr
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
    assert separate(*base, "--shifts", "1", "--price", "0.8").returncode == 0
    record: dict[str, Any] = json.loads((output / "run.json").read_text())
    assert record["plan"]["provider"] == "cpu"
    assert set(record["settings"]["models"]) == set(STEMS)
    assert len(record["shifts_samples"]) == 1
    assert record["cluster"][0]["cpus"] == 2
    assert record["price"] == {"usd_per_node_hour": 0.8}
    assert record["totals"] == {"total": 1, "done": 1, "failed": 0, "pending": 0, "audio_s": 1.0}
    assert record["catalogue"] == {"tracks": 1}
    assert os.environ.get("AWS_SECRET_ACCESS_KEY", "-") not in (output / "run.json").read_text()


def test_a_second_run_at_once_says_what_it_found_while_one_source_holds_up_no_other(
    ray_cluster: dict[str, str], separate: Run, catalogue: str, models: str, bucket: str, tmp_path: Path
) -> None:
    def done() -> int:
        return read_table(output, "tracks", STORE, ["track_id"]).num_rows

    output, log = f"{bucket}/out", tmp_path / "log"
    with held_back(few(catalogue), tmp_path / "held") as (manifest, released), log.open("w") as written:
        arguments = ("--input", manifest, "--output", output, "--models", models, *TWO)
        command = job_command(tmp_path, *arguments, "--source-patience", str(HANG_S))
        first = subprocess.Popen(command, env=ray_cluster, stdout=written, stderr=written)
        wait_until(lambda: list(STORE.list_files(f"{output}/locks")), log.read_text, alive=first)
        (lock,) = STORE.list_files(f"{output}/locks")
        second = separate(*arguments)
        assert second.returncode == 2
        assert first.poll() is None
        holder = json.loads(STORE.read_bytes(lock.uri))
        assert f"in use by run {holder['run_id']} on {holder['host']} (process {first.pid})" in second.stderr
        wait_until(lambda: done() == FEW - 1, log.read_text, HANG_S, alive=first)
        released.set()
        first.wait(HANG_S)
    assert first.returncode == 1, log.read_text()
    check_tables(output, FEW)
