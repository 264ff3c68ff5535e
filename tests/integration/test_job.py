"""The job over a catalogue on a real S3 server: broken tracks among good ones, killed, and run twice."""

import asyncio
import hashlib
import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from aiohttp import web

from jobs.pipeline.catalogue.reading import read_catalogue
from jobs.pipeline.output.tables import read_table
from separation.store.filesystems import S3_SETTINGS
from separation.store.metadata import Listed
from tests.faulty_store import Exchange, faulty_store, honest
from tests.integration.conftest import (
    HANG_S,
    TWO,
    Run,
    job_command,
    wait_until,
)
from tests.sounds import write_track
from tests.stores import STORE

TRACKS, BROKEN = 100, 5
HALF, FEW = 50, 23  # tracks of `half` and `few`, all broken ones among them
HELD = ("008.wav", "009.flac", "018.mp3")  # of `few`; fewer than probes at once
FORMATS = ("wav", "flac", "mp3", "ogg")


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory, s3_endpoint: str) -> str:
    """TRACKS short tracks on S3, BROKEN of them broken."""
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
    return f"{catalogue}*[!0-4].*"


def few(catalogue: str) -> str:
    return f"{catalogue}*[!0-7].*"


def make_bucket(name: str) -> None:
    import fsspec

    fsspec.filesystem("s3", **S3_SETTINGS).call_s3("create_bucket", Bucket=name)


@contextmanager
def held_back(catalogue: str, folder: Path) -> Iterator[tuple[str, threading.Event]]:
    """A manifest of the catalogue, of which HELD are not served before the event is set.

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
    for row in rows:
        if row["track_id"] in HELD:
            (served / row["track_id"]).write_bytes(STORE.read_bytes(row["uri"]))
            row["uri"] = f"http://127.0.0.1:{server.server_port}/{row['track_id']}"
    pq.write_table(pa.Table.from_pylist(rows), folder / "manifest.parquet")
    try:
        yield str(folder / "manifest.parquet"), released
    finally:
        released.set()
        server.shutdown()
        server.server_close()


def hashes(output: str) -> dict[str, str]:
    files = STORE.list_files(f"{output}/stems")
    return {
        file.uri.removeprefix(f"{output}/stems/"): hashlib.sha256(STORE.read_bytes(file.uri)).hexdigest()
        for file in files
    }


def results(output: str) -> list[Listed]:
    """Every object with its time, but for those that tell who ran: the records of runs, and the lock."""
    own = (f"{output}/run.json", f"{output}/runs/", f"{output}/locks/")
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


def test_a_hundred_tracks_with_five_broken(
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


def test_a_second_run_at_once_says_what_it_found_while_a_slow_source_holds_up_no_other(
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
        wait_until(lambda: done() == FEW - len(HELD), log.read_text, HANG_S, alive=first)
        released.set()
        first.wait(HANG_S)
    assert first.returncode == 1, log.read_text()
    check_tables(output, FEW)
