"""Which sessions `export verify` compares; test_main.py has the command on exported models."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from export.model_folder import ExportableModel
from export.parity import BARS, Bar
from export.verify import verify
from separation.contract import Contract
from separation.models.bag import WeightedRow
from separation.models.bag_json import read_bag
from tests.bags import write_rows_bag
from tests.recorded_gpu import recorded_gpu
from tests.stores import STORE

CONTRACT = Contract(44_100, 2, segment=20_000, stride=15_000, max_shift=0)
RAMP = np.linspace(0.5, 1.5, CONTRACT.segment, dtype=np.float32)


@dataclass
class Gain:
    """What the graph `low` of the bag computes, as a model of PyTorch's would give it."""

    gain: float
    name: str = "low"
    sha256: str = ""
    weights: dict[str, float] = field(default_factory=lambda: {"bass": 1.0})
    bars: Mapping[str, Bar] = field(default_factory=lambda: BARS)

    @property
    def checkpoint(self) -> "Gain":
        return self

    def run(self, segments: np.ndarray, rows: Any) -> np.ndarray:
        assert rows == ("bass",)
        return self.gain * RAMP * segments[:, None]


@pytest.mark.parametrize(("gain", "meets"), [(0.25, True), (0.2501, False)])
def test_a_gpu_runs_the_batches_too_each_in_a_session_of_its_size(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    gain: float,
    meets: bool,
) -> None:
    gpu = recorded_gpu(monkeypatch)
    recipes = {"bass": (WeightedRow("low", "bass"),)}
    folder = write_rows_bag(tmp_path, {"low": {"bass": 0.25}}, recipes, {"htdemucs": CONTRACT})
    models = [cast(ExportableModel, Gain(gain))]
    assert verify(read_bag(folder, STORE), models, STORE, "cuda", [2, 3]) == meets
    assert gpu.sizes == [1, 1, 2, 2, 3, 3]  # of each session: on silence at load, then compared
    lines = [line.split() for line in capsys.readouterr().out.splitlines()[2:]]
    assert [line[3:5] for line in lines] == [["cuda", "1"], ["cuda", "2"], ["cuda", "3"]]


def test_a_graph_of_another_name_is_known_by_its_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two graphs of one network, in a bag that was combined of two."""
    gains = {"low": {"bass": 0.25}, "low_2": {"bass": 0.125}}
    recipes = {"bass": (WeightedRow("low", "bass"),), "double_bass": (WeightedRow("low_2", "bass"),)}
    bag = read_bag(write_rows_bag(tmp_path, gains, recipes, {"htdemucs": CONTRACT}), STORE)
    models = [
        cast(ExportableModel, Gain(gain, sha256=bag.graphs[name].source_sha256))
        for name, gain in (("low", 0.25), ("low_2", 0.125))
    ]
    assert verify(bag, models, STORE)
    assert not verify(bag, models[:1], STORE)
    assert "low_2: no model of its checkpoints gives it" in capsys.readouterr().out
