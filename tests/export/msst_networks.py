"""Networks as MSST publishes them, with hot random weights: what the tests of its families share."""

import re
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import yaml
from torch import nn

from export.msst.request import Request, export
from export.parity import compare, music_like, torch_rows
from separation.contract import msst_contract
from separation.models.bag_json import read_bag
from separation.models.graph import Graph, open_graph
from separation.models.graph_files import fetch
from separation.options import Options
from separation.separator import collect, separate
from tests import msst
from tests.stores import STORE

NEAR_DB = 3  # of PyTorch's own float32, in its distance from float64
ENOUGH_DB = 110


@dataclass(frozen=True)
class MsstNetwork(ABC):
    """One of MSST's configurations; `segment` in samples, `sizes` are the family's."""

    sizes: Any
    segment: int
    num_overlap: int = 4
    normalize: bool = False
    seed: int = 0

    family: ClassVar[str]

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """Of the rows of its output."""

    @property
    @abstractmethod
    def model(self) -> nn.Module:
        """The published network, the same each time."""

    def configuration(self, **training: Any) -> dict[str, Any]:
        """What its yaml says; `training` are more keys of that section."""
        return {
            "audio": {"chunk_size": self.segment, "num_channels": 2, "sample_rate": 44_100},
            "model": {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self.sizes).items()},
            "training": {"instruments": [*self.names], "target_instrument": None, **training},
            "inference": {"batch_size": 8, "num_overlap": self.num_overlap, "normalize": self.normalize},
        }

    def tagged(self, text: str) -> str:
        """The yaml with a tag of Python's, as MSST's have somewhere."""
        return text

    def saved(self) -> object:
        """What its checkpoint holds."""
        return self.model.state_dict()

    def write(self, folder: Path, kind: str | None = None, **training: Any) -> Request:
        """Writes model.yaml and model.ckpt into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        text = yaml.safe_dump(self.configuration(**training))
        (folder / "model.yaml").write_text(self.tagged(text))
        torch.save(self.saved(), folder / "model.ckpt")
        return Request(self.family, kind, folder / "model.yaml", folder / "model.ckpt")

    def exported(self, folder: Path) -> Path:
        """The folder, with its files in `checkpoints`, and its graph in `models`."""
        export(self.write(folder / "checkpoints"), folder / "models", None, "fp32")
        return folder

    def music(self, seed: int = 1) -> np.ndarray:
        """A segment, (1, 2, samples)."""
        return music_like(seed, msst_contract(self.segment, 4, normalize=False))

    def opened(self, path: Path, provider: str = "cpu") -> Graph:
        """The graph of all its rows at `path`."""
        contract = msst_contract(self.segment, 4, normalize=False)
        return Graph(path, "graph", contract, self.names, provider=provider, threads=1)


def track(samples: int) -> np.ndarray:
    """Music of both channels, float32 (2, samples)."""
    rng, time = np.random.default_rng(samples), np.arange(samples) / 44_100
    notes = sum(np.sin(2 * np.pi * pitch * time) * np.exp(-2 * (time % 0.2)) for pitch in (110, 277, 1_760))
    return (0.1 * np.outer((1, 0.7), notes) + 0.02 * rng.standard_normal((2, samples)) + 0.01).astype(
        np.float32
    )


def check_whole_tracks(network: MsstNetwork, models: Path, chunks: int, snr_db: float) -> None:
    """A track shorter than a chunk, one just longer, one of `chunks` and a part, and a mono one are `demix`'s
    within `snr_db`; silence is silent."""
    model, bag = network.model, read_bag(models, STORE)
    graphs = {name: open_graph(bag, name, fetch(bag, name, models, STORE), "cpu", 1) for name in bag.graphs}
    rules, rows, chunk = Options().grid_rules(bag.contracts), range(len(network.names)), network.segment
    mono = np.repeat(track(2 * chunk)[:1], 2, axis=0)
    for mix in (track(chunk - 1), track(chunk + 1), track(chunks * chunk + 4_321), mono):
        expected = msst.separate(
            mix,
            lambda segments: torch_rows(model, rows, segments),
            chunk,
            network.num_overlap,
            network.normalize,
        )
        found = separate(mix, bag, graphs, bag.stems, rules)
        for row, stem in enumerate(network.names):
            assert compare(expected[row], collect(found[stem])).snr_db > snr_db, (mix.shape, stem)
    silent = separate(np.zeros((2, 2 * chunk), np.float32), bag, graphs, bag.stems, rules)
    assert not any(collect(stem).any() for stem in silent.values())


def assert_says(error: str, expected: str) -> None:
    assert len(error.splitlines()) == 1, error
    assert re.search(expected, error), error
