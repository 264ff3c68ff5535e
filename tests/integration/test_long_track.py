"""Memory does not grow with a track's length: ten minutes against two hours in a small object store.

Takes half an hour and 8 GB of disk; `make test-long` runs it, `make test` not.
"""

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile

from jobs.pipeline.output.tables import read_table
from separation.contract import HTDEMUCS
from tests.integration.conftest import Cluster, job_command, start_cluster
from tests.stores import STORE

STORE_BYTES = 600_000_000
GROWTH = 1.25  # of a process's own memory from ten minutes to two hours; a section takes all it needs in both


@pytest.fixture(scope="module")
def cluster(s3_endpoint: str) -> Iterator[Cluster]:
    with start_cluster(STORE_BYTES) as cluster:
        yield cluster


def write_hum(path: Path, minutes: int) -> None:
    """A tone in noise, in FLAC, a minute at a time."""
    rng = np.random.default_rng(0)
    time = np.arange(60 * HTDEMUCS.sample_rate) / HTDEMUCS.sample_rate
    with soundfile.SoundFile(path, "w", HTDEMUCS.sample_rate, 2, subtype="PCM_16") as file:
        for _ in range(minutes):
            minute = 0.1 * np.sin(2 * np.pi * 220 * time) + 0.001 * rng.standard_normal(time.size)
            file.write(np.stack([minute, -0.5 * minute], axis=1).astype(np.float32))


class PeakMemory:
    """The largest memory of its own of any Ray worker below `root`, sampled while the job runs.

    Its own is what Linux calls RssAnon: the object store's pages are none of it.
    """

    def __init__(self, root: int):
        self.bytes: dict[str, int] = {}
        self._root, self._stop = psutil.Process(root), threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> "PeakMemory":
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._stop.wait(0.5):
            for process in self._root.children(recursive=True):
                try:
                    name = " ".join(process.cmdline()).strip()
                    status = Path(f"/proc/{process.pid}/status").read_text()
                except (psutil.Error, OSError):
                    continue
                anonymous = re.search(r"RssAnon:\s+(\d+) kB", status)
                if name.startswith("ray::") and anonymous:
                    self.bytes[name] = max(self.bytes.get(name, 0), 1024 * int(anonymous[1]))


@pytest.mark.long
def test_two_hours_need_no_more_memory_than_ten_minutes(
    cluster: Cluster, small_models: str, tmp_path: Path
) -> None:
    peaks = {}
    for minutes in (10, 120):
        folder, output = tmp_path / f"in-{minutes}", tmp_path / f"out-{minutes}"
        folder.mkdir()
        write_hum(folder / "hum.flac", minutes)
        arguments = ("--input", str(folder), "--output", str(output), "--models", small_models)
        with PeakMemory(cluster.pid) as memory:
            command = job_command(tmp_path, *arguments, "--format", "flac")
            subprocess.run(command, env=cluster.environment, check=True)
        (row,) = read_table(str(output), "tracks", STORE).to_pylist()
        assert row["duration_s"] == minutes * 60
        assert row["sections"] > 10 * minutes / 10
        peaks[minutes] = max(memory.bytes.values())
        print(minutes, "minutes:", {name: f"{own / 1e6:.0f} MB" for name, own in memory.bytes.items()})
    command = [sys.executable, "-m", "ray.scripts.scripts", "memory", "--stats-only"]
    stats = subprocess.run(command, env=cluster.environment, check=True, capture_output=True, text=True)
    assert "Plasma memory usage" in stats.stdout
    assert not re.search("[Ss]pilled", stats.stdout), stats.stdout
    assert peaks[120] < GROWTH * peaks[10], peaks
