"""Nothing is lost, repeated or changed, whatever dies on the way."""

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.bags import write_gain_bag
from tests.conftest import make_bucket
from tests.faulty_store import WRITES, Proxy, faulty_store
from tests.integration import storm
from tests.integration.conftest import STORE_BYTES, start_cluster
from tests.integration.storm import ACTOR, DRIVER, RAYLET, TASK, Gate, Nodes, Storm, worker_nodes
from tests.stores import STORE

# The nodes are described: the plan must not depend on which of them live when a driver starts.
PLAN = ["--nodes=3", "--node-cpus=2", "--node-memory-gb=4", "--chunks-per-section=1", "--actors=2"]


@pytest.fixture(scope="module")
def proxy(s3_endpoint: str) -> Iterator[Proxy]:
    with faulty_store(s3_endpoint) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def nodes(proxy: Proxy) -> Iterator[Nodes]:
    """A head and two more nodes, of two CPUs each, which know the store by the proxy only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_health_check_period_ms", "1000")  # a lost node is found in 5 s, not 15
        patch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        with start_cluster(STORE_BYTES) as head, worker_nodes(head, 2) as found:
            patch.undo()  # this process goes to the store itself: its connections outlive the proxy
            yield found


@dataclass(frozen=True)
class Place:
    """`tracks` and models in a folder; the job's stems go to a bucket of each run."""

    nodes: Nodes
    proxy: Proxy
    folder: Path
    tracks: int
    stems: tuple[str, ...] = ("bass", "vocals")  # more would show no more

    def __post_init__(self) -> None:
        write_gain_bag(self.folder / "models")
        storm.write_catalogue(self.folder / "in", self.tracks)

    def blow(self, bucket: str, seed: int, kills: int, drivers: int) -> Storm:
        """A job that has ended well in spite of the storm."""
        print(f"storm of seed {seed}: {kills} kills, {drivers} drivers", flush=True)
        cache = self.folder / bucket.removeprefix("s3://")
        cache.mkdir()
        arguments = ("--input", str(self.folder / "in"), "--models", str(self.folder / "models"), *PLAN)
        arguments += ("--stems", ",".join(self.stems))
        gate = Gate(bucket, self.tracks)
        self.proxy.always = dict.fromkeys(WRITES, gate)
        wind = Storm(self.nodes, arguments, f"{bucket}/out", gate, cache, self.tracks, seed)
        clock = time.perf_counter()
        assert wind.blow(kills, drivers) == 0, wind.log()
        print(f"seed {seed}: {dict(wind.counts)} in {time.perf_counter() - clock:.0f} s", flush=True)
        return wind


@pytest.fixture(scope="module")
def calm(
    nodes: Nodes, proxy: Proxy, s3_endpoint: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Place, dict[str, str]]:
    """500 tracks, and what an undisturbed run makes of them."""
    place = Place(nodes, proxy, tmp_path_factory.mktemp("calm"), 500)
    stems = storm.hashes(place.blow(make_bucket(), seed=0, kills=0, drivers=0).output)
    assert len(stems) == 500 * len(place.stems)
    return place, stems


@pytest.mark.chaos
@pytest.mark.parametrize("seed", range(5))
def test_five_hundred_tracks_in_a_storm(calm: tuple[Place, dict[str, str]], bucket: str, seed: int) -> None:
    place, expected = calm
    wind = place.blow(bucket, seed, kills=30, drivers=5)
    storm.check(wind.output, 500, expected)
    assert wind.counts[DRIVER] == 5
    assert wind.counts[ACTOR] + wind.counts[TASK] + wind.counts[RAYLET] == 30
    assert min(wind.counts[kind] for kind in (ACTOR, TASK, RAYLET)) > 0
    STORE.remove([file.uri for file in STORE.list_files(bucket)])  # half a GB, in the server's memory


def test_forty_tracks_in_a_small_storm(
    nodes: Nodes, proxy: Proxy, bucket: str, tmp_path: Path, storm_seed: int
) -> None:
    """`--storm-seeds 20` runs it with the seeds 0 to 19."""
    place = Place(nodes, proxy, tmp_path, 40)
    tracks = [str(path) for path in sorted((tmp_path / "in").iterdir())]
    where = ("--models", str(tmp_path / "models"), "--out", str(tmp_path / "laptop/stems"))
    command = [sys.executable, "-m", "separation", *tracks, *where, "--stems", ",".join(place.stems)]
    subprocess.run(command, check=True, capture_output=True)
    expected = storm.hashes(str(tmp_path / "laptop"))
    del expected["stemfleet.json"]
    assert len(expected) == 40 * len(place.stems)
    wind = place.blow(bucket, storm_seed, kills=3, drivers=1)
    assert wind.counts.total() == 4
    storm.check(wind.output, 40, expected)
