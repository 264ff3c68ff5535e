"""Catalogues of a million tracks: what the driver makes of them in time and memory."""

import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.pipeline import schema
from jobs.pipeline.output.tables import timing_rows, track_row
from tests.bags import FOUR_STEMS
from tests.integration.conftest import job_command
from tests.outputs import HOSTILE, finished_rows, finished_track

MILLION = 1_000_000
ROWS_PER_FILE = 5_000


def write_million(folder: Path, done: int) -> tuple[str, str]:
    """A manifest of a million tracks, and an output that has the first `done` of them."""
    ids = pa.array([f"label/{n // 1000:04}/{n:07}.flac" for n in range(MILLION)])
    uris = pa.array([f"s3://catalogue/label/{n // 1000:04}/{n:07}.flac" for n in range(MILLION)])
    pq.write_table(pa.table({"track_id": ids, "uri": uris}), folder / "manifest.parquet")
    finished = finished_track(finished_rows(len(HOSTILE) + 1)[-1])
    track = pa.Table.from_pylist([track_row("r", finished, 44_100)] * ROWS_PER_FILE, schema.TRACKS)
    stems = [timing for timing in timing_rows("r", finished, 44_100) for _ in range(ROWS_PER_FILE)]
    timings = pa.Table.from_pylist(stems, schema.TIMINGS)
    column = schema.TRACKS.get_field_index("track_id"), schema.TIMINGS.get_field_index("track_id")
    for table in ("tracks", "timings"):
        (folder / "out" / table).mkdir(parents=True, exist_ok=True)
    for first in range(0, done, ROWS_PER_FILE):
        some = ids.slice(first, ROWS_PER_FILE)
        name = f"20260101T000000-aaaaaa-{first // ROWS_PER_FILE:05}.parquet"
        pq.write_table(track.set_column(column[0], "track_id", some), folder / "out/tracks" / name)
        each = pa.concat_arrays([some] * len(FOUR_STEMS))
        pq.write_table(timings.set_column(column[1], "track_id", each), folder / "out/timings" / name)
    return str(folder / "manifest.parquet"), str(folder / "out")


def measured(
    environment: dict[str, str], cache: Path, *arguments: str
) -> tuple[subprocess.CompletedProcess[str], int]:
    """`jobs.separate`, and the KiB of memory that it had at most."""
    program = (  # VmHWM: the peak of getrusage outlives exec, and would be this process's own
        "import re, runpy, sys; sys.argv = sys.argv[1:]\n"
        "try: runpy.run_module('jobs.separate', run_name='__main__')\n"
        "finally: print('PEAK', *re.findall(r'VmHWM:\\s+(\\d+) kB', open('/proc/self/status').read()))"
    )
    command = [sys.executable, "-c", program, *job_command(cache, *arguments)[2:]]
    clock = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    print(f"{done.stdout}{time.perf_counter() - clock:.1f} s")
    assert done.returncode == 0, done.stderr
    return done, int(done.stdout.split("PEAK ")[1])


def test_a_dry_run_over_a_million_tracks(ray_cluster: dict[str, str], models: str, tmp_path: Path) -> None:
    manifest, output = write_million(tmp_path, MILLION // 2)
    arguments = ("--input", manifest, "--output", output, "--models", models)
    done, peak_kib = measured(ray_cluster, tmp_path, *arguments, "--dry-run")
    assert "1000000 tracks, 500000 done, 0 failed, 500000 left" in done.stdout
    assert peak_kib < 2 * 2**20


def test_a_second_run_over_a_million_tracks_does_nothing(
    ray_cluster: dict[str, str], models: str, tmp_path: Path
) -> None:
    """Its time is printed: 60 s are allowed for it on a machine of its own."""
    manifest, output = write_million(tmp_path, MILLION)
    before = {path: path.stat().st_mtime_ns for path in Path(output).rglob("*.parquet")}
    done, peak_kib = measured(
        ray_cluster, tmp_path, "--input", manifest, "--output", output, "--models", models
    )
    assert "1000000 tracks, 1000000 done, 0 failed, 0 left" in done.stdout
    assert {path: path.stat().st_mtime_ns for path in Path(output).rglob("*.parquet")} == before
    assert not Path(output, "stems").exists()
    assert peak_kib < 10**9 / 1024
