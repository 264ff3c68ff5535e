"""The driver and its stages die before or after any write: no track is ever listed as done that is not.

All stages run in one process without Ray, a child that is forked for each death, so that the write at
which it dies is exact. Storage is real; it only counts.
"""

import hashlib
import io
import itertools
import os
import signal
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import soundfile

from jobs.pipeline import schema
from jobs.pipeline.driver import run
from jobs.pipeline.job import Job
from jobs.pipeline.output import tables
from jobs.pipeline.output.lease import Lease
from jobs.pipeline.progress import Events
from jobs.pipeline.sizing import JobPlan
from separation.console import LineConsole
from separation.contract import HTDEMUCS
from separation.models.bag_json import read_bag
from separation.options import Options
from separation.store.objects import Store
from tests.bags import FOUR_STEMS, write_gain_bag
from tests.jobs.pipeline.in_process import InProcess
from tests.stores import STORE

TRACKS = {
    "short.wav": 0.4,
    "long.wav": 1.5 * HTDEMUCS.stride / HTDEMUCS.sample_rate,
}  # seconds; one section, and two
WRITES = {  # who writes, by which verb, below which folders: how often in this job
    ("separation.audio.stem_files", "put_file", ("stems",)): 2 * len(FOUR_STEMS),
    ("jobs.pipeline.stages.stitch", "put_bytes", ("parts",)): 2 * len(FOUR_STEMS),  # of the long track
    ("jobs.pipeline.driver", "remove", ("parts",)): 1,  # when they are joined
    ("jobs.pipeline.output.tables", "put_bytes", ("timings", "tracks")): 4,  # after each track
}
POINTS = [
    (module, verb, folders, number, after)
    for (module, verb, folders), count in WRITES.items()
    for number in range(count)
    for after in (False, True)
]


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("music")
    write_gain_bag(folder / "models")
    (folder / "in").mkdir()
    for seed, (name, seconds) in enumerate(TRACKS.items()):
        noise = 0.1 * np.random.default_rng(seed).standard_normal((int(seconds * HTDEMUCS.sample_rate), 2))
        soundfile.write(folder / "in" / name, noise, HTDEMUCS.sample_rate)
    return folder


def job_at(music: Path, output: Path, run_id: str, store: Store) -> Job:
    plan = JobPlan("cpu", 1, 1, 1.0, 0.0, 1, 0, 1, 1, 1, 2**22)
    bag = read_bag(str(music / "models"), STORE)
    return Job(
        run_id, str(output), bag, Options(), plan, str(music / "cache"), 10**9, verify_writes=0.0, store=store
    )


def separate(music: Path, output: Path, run_id: str, store: Store = STORE) -> None:
    """As `jobs.separate` does the tracks that are left at an output."""
    job = job_at(music, output, run_id, store)
    with Lease(job.output, job.run_id, STORE) as lease:
        tables.drop_uncommitted(job.output, STORE)
        done = tables.read_table(job.output, "tracks", STORE, ["track_id"])["track_id"].to_pylist()
        left = [name for name in TRACKS if name not in done]
        listed = [{"track_id": name, "uri": str(music / "in" / name)} for name in left]
        catalogue = pa.Table.from_pylist(listed, schema.LISTED)
        run(catalogue, job, Events(LineConsole(file=io.StringIO())), InProcess(job), lease.check)


@dataclass(frozen=True)
class DyingStore(Store):
    """Kills its process before or after the call of that number of `verb` below `folders`."""

    verb: str
    folders: tuple[str, ...]
    number: int
    after: bool
    calls: Iterator[int] = field(default_factory=itertools.count)

    def put_file(self, source: Path | str, uri: str) -> None:
        self._write("put_file", uri, lambda: super(DyingStore, self).put_file(source, uri))

    def put_bytes(self, data: bytes, uri: str) -> None:
        self._write("put_bytes", uri, lambda: super(DyingStore, self).put_bytes(data, uri))

    def remove(self, uris: Iterable[str]) -> None:
        uris = list(uris)
        self._write("remove", uris[0], lambda: super(DyingStore, self).remove(uris))

    def _write(self, verb: str, uri: str, write: Callable[[], None]) -> None:
        counts = verb == self.verb and any(f"/{folder}/" in uri for folder in self.folders)
        mine = counts and next(self.calls) == self.number
        if mine and not self.after:
            os.kill(os.getpid(), signal.SIGKILL)
        write()
        if mine:
            os.kill(os.getpid(), signal.SIGKILL)


def in_child(work: Callable[[], None]) -> int:
    """The status of a forked child that did `work`: 0, or that of its death."""
    child = os.fork()
    if not child:
        try:
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    return os.waitpid(child, 0)[1]


def killed_at(music: Path, output: Path, store: DyingStore) -> int:
    def work() -> None:
        tables.FLUSH_S = 0.001  # a flush for each track, or two flushes would often be one
        separate(music, output, "r1", store)

    return in_child(work)


def check(output: Path, run_ids: set[str], expected: dict[str, str] | None = None) -> dict[str, str]:
    """Whoever is listed done is done: each stem with its hash. The hashes of all stems that are there."""
    there = {
        str(path.relative_to(output / "stems")): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (output / "stems").rglob("*.wav")
        if path.is_file()  # a track's folder has its name
    }
    tracks = tables.read_table(str(output), "tracks", STORE).to_pylist()
    timings = tables.read_table(str(output), "timings", STORE).to_pylist()
    assert len({row["track_id"] for row in tracks}) == len(tracks)
    for track in tracks:
        assert (track["status"], track["run_id"] in run_ids) == ("ok", True)
        mine = [row for row in timings if row["track_id"] == track["track_id"]]
        assert sorted(row["stem"] for row in mine) == sorted(FOUR_STEMS)
        for row in mine:
            assert there[f"{track['track_id']}/{row['stem']}.wav"] == row["sha256"]
    if expected is not None:
        assert there == expected
        assert {row["track_id"] for row in tracks} == set(TRACKS)
        assert len(timings) == len(TRACKS) * len(FOUR_STEMS)
        assert not [path for path in (output / "parts").rglob("*") if path.is_file()]
    return there


@pytest.fixture(scope="module")
def expected(music: Path) -> dict[str, str]:
    """The stems of a run in which nothing dies."""
    output = music / "undisturbed"
    assert in_child(lambda: separate(music, output, "r0")) == 0
    stems = check(output, {"r0"})
    assert len(stems) == len(TRACKS) * len(FOUR_STEMS)
    return check(output, {"r0"}, stems)


def die_and_resume(music: Path, folder: Path, expected: dict[str, str], point: tuple[Any, ...]) -> None:
    folder.mkdir()
    _, verb, folders, number, after = point
    status = killed_at(music, folder, DyingStore(STORE.policy, verb, folders, number, after))
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, (
        f"never came to {point}: {status}"
    )
    check(folder, {"r1"})
    assert in_child(lambda: separate(music, folder, "r2")) == 0
    check(folder, {"r1", "r2"}, expected)


def name_of(point: tuple[Any, ...]) -> str:
    module, verb, _, number, after = point
    return f"{'after' if after else 'before'} {module}.{verb} {number}"


@pytest.mark.parametrize("point", POINTS[::5], ids=name_of)
def test_a_death_at_some_writes(
    music: Path, tmp_path: Path, expected: dict[str, str], point: tuple[Any, ...]
) -> None:
    die_and_resume(music, tmp_path / "out", expected, point)


@pytest.mark.chaos
@pytest.mark.parametrize("point", POINTS, ids=name_of)
def test_twenty_deaths_at_each_write(
    music: Path, tmp_path: Path, expected: dict[str, str], point: tuple[Any, ...]
) -> None:
    for number in range(20):
        die_and_resume(music, tmp_path / str(number), expected, point)
