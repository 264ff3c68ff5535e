"""Nothing is lost, repeated or changed, whatever dies on the way."""

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from separation.contract import STEMS
from tests.bags import write_gain_bag
from tests.integration import storm
from tests.integration.conftest import STORE_BYTES, start_cluster
from tests.integration.storm import ACTOR, DRIVER, RAYLET, TASK, Nodes, Storm, worker_nodes

# The nodes are described: the plan must not depend on which of them live when a driver starts.
PLAN = ["--nodes=3", "--node-cpus=2", "--node-memory-gb=4", "--chunks-per-section=1", "--actors=2"]


@pytest.fixture(scope="module")
def nodes(s3_endpoint: str) -> Iterator[Nodes]:
    """A head and two more nodes, of two CPUs each."""
    with pytest.MonkeyPatch.context() as patch:
        # Ray ends a worker that was idle for a second: half of the time would go into starting others.
        patch.setenv("RAY_idle_worker_killing_time_threshold_ms", "60000")
        patch.setenv("RAY_health_check_period_ms", "1000")  # a lost node is found in 5 s, not 15
        with start_cluster(STORE_BYTES) as head, worker_nodes(head, 2) as found:
            yield found


@dataclass(frozen=True)
class Place:
    """`tracks` and models in a folder, where each run has a folder of its own."""

    nodes: Nodes
    folder: Path
    tracks: int

    def __post_init__(self) -> None:
        write_gain_bag(self.folder / "models")
        storm.write_catalogue(self.folder / "in", self.tracks)

    def blow(self, name: str, seed: int, kills: int, drivers: int) -> Storm:
        """A job that has ended well in spite of the storm."""
        cache = self.folder / name
        cache.mkdir()
        arguments = ("--input", str(self.folder / "in"), "--models", str(self.folder / "models"), *PLAN)
        wind = Storm(self.nodes, arguments, str(cache / "out"), cache, self.tracks, seed)
        clock = time.perf_counter()
        assert wind.blow(kills, drivers) == 0, wind.log()
        print(f"{name}: {dict(wind.counts)} in {time.perf_counter() - clock:.0f} s", flush=True)
        return wind


@pytest.fixture(scope="module")
def calm(nodes: Nodes, tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, dict[str, str]]:
    """500 tracks, and what an undisturbed run makes of them."""
    place = Place(nodes, tmp_path_factory.mktemp("calm"), 500)
    stems = storm.hashes(place.blow("undisturbed", seed=0, kills=0, drivers=0).output)
    assert len(stems) == 500 * len(STEMS)
    return place, stems


@pytest.mark.chaos
@pytest.mark.parametrize("seed", range(5))
def test_five_hundred_tracks_in_a_storm(calm: tuple[Place, dict[str, str]], seed: int) -> None:
    place, expected = calm
    wind = place.blow(f"storm {seed}", seed, kills=30, drivers=5)
    storm.check(wind.output, 500, expected)
    assert wind.counts[DRIVER] == 5
    assert wind.counts[ACTOR] + wind.counts[TASK] + wind.counts[RAYLET] == 30
    assert min(wind.counts[kind] for kind in (ACTOR, TASK, RAYLET)) > 0


def test_forty_tracks_in_a_small_storm(nodes: Nodes, tmp_path: Path) -> None:
    place = Place(nodes, tmp_path, 40)
    tracks = [str(path) for path in sorted((tmp_path / "in").iterdir())]
    where = ("--models", str(tmp_path / "models"), "--out", str(tmp_path / "laptop/stems"))
    command = [sys.executable, "-m", "separation", *tracks, *where]
    subprocess.run(command, check=True, capture_output=True)
    wind = place.blow("storm", random.randrange(1000), kills=5, drivers=1)
    storm.check(wind.output, 40, storm.hashes(str(tmp_path / "laptop")))
