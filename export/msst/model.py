"""A network in MSST's formats, of any family: what `model_folder` exports and `verify` compares."""

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
from torch import Tensor, nn

from export.model_folder import contract_name
from export.msst.arguments import PRECISIONS
from export.msst.checkpoint import load_weights
from export.msst.config import Config, read_config
from export.msst.state import State
from export.parity import Bar, torch_rows
from export.weights import check_finite
from separation.contract import Contract
from separation.errors import UsageError
from separation.models.bag import Licence

LONGEST_NAME = 48  # of a graph that is named after its checkpoint


class Network(Protocol):
    """What a family makes of a configuration; the weights are given where they are needed."""

    @property
    def rows(self) -> int:
        """How many rows the network's output has."""

    @property
    def bars(self) -> Mapping[str, Bar]:
        """By precision: how near to the published network its graph has to be."""

    def to_onnx(self, state: State, segment: int, rows: Sequence[int], precision: str) -> bytes:
        """The graph of the rows `rows` for segments of `segment` samples, in one of PRECISIONS.

        Raises `ModelError` for weights of another network.
        """

    def published(self, weights: Mapping[str, Tensor]) -> nn.Module:
        """The published network in eval mode: (n, 2, segment) -> (n, rows, 2, segment)."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The weights of a file, its name and its sha256; `export.model_folder.CheckpointFacts`."""

    weights: Mapping[str, Tensor]
    where: str
    source: str
    sha256: str
    licence: Licence


@dataclass(frozen=True)
class MsstModel:
    """An `export.model_folder.ExportableModel`; `rows` are those exported, by name: each one's index."""

    family: str
    config: Config
    network: Network
    checkpoint: Checkpoint
    rows: Mapping[str, int]

    @property
    def name(self) -> str:
        """A single row's own, or that of the checkpoint's file."""
        (only,) = self.rows if len(self.rows) == 1 else ("",)
        return only or graph_name(self.checkpoint.source)

    @property
    def weights(self) -> dict[str, float]:
        return dict.fromkeys(self.rows, 1.0)

    @property
    def sources(self) -> tuple[str, ...]:
        return tuple(self.config.rows(self.network.rows))

    @property
    def contract(self) -> Contract:
        return self.config.contract

    @property
    def contract_name(self) -> str:
        return contract_name(self.family, self.contract)

    @property
    def bars(self) -> Mapping[str, Bar]:
        return self.network.bars

    def to_onnx(self, precision: str) -> bytes:
        """The graph of these rows in `precision`. Raises `UsageError` for one that the families here lack."""
        if precision not in PRECISIONS:
            raise UsageError(
                f"--precision {precision} is not for {self.family}; expected {' or '.join(PRECISIONS)}"
            )
        check_finite(self.checkpoint.where, self.checkpoint.weights)
        state = State(self.checkpoint.where, self.checkpoint.weights)
        return self.network.to_onnx(state, self.contract.segment, [*self.rows.values()], precision)

    def run(self, segments: np.ndarray, rows: Sequence[str]) -> np.ndarray:
        """What the published network computes: float32 (n, 2, segment) -> (n, rows, 2, segment)."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a transform without a window, as plain SCNets have
            return torch_rows(self._published, [self.rows[row] for row in rows], segments)

    @cached_property
    def _published(self) -> nn.Module:
        return self.network.published(self.checkpoint.weights)


def open_model(
    family: str,
    kind: str | None,
    config: Path,
    checkpoint: Path,
    trust: bool,
    stems: Sequence[str] | None = None,
    licence: Licence | None = None,
) -> MsstModel:
    """The model of MSST's type `kind` (None: by its files), with the rows `stems` (None: all).

    Raises `ModelError` for files that do not fit each other or are not supported, and `UsageError` for stems
    that the model has not.
    """
    found = read_config(config)
    network = network_of(family, kind, found)
    rows = found.rows(network.rows)
    if unknown := [stem for stem in stems or () if stem not in rows]:
        raise UsageError(f"{config} has no {', '.join(unknown)}; it has {', '.join(rows)}")
    weights, sha256 = load_weights(checkpoint, trust)
    facts = Checkpoint(weights, str(checkpoint), checkpoint.name, sha256, licence or Licence())
    kept = {name: index for name, index in rows.items() if stems is None or name in stems}
    return MsstModel(family, found, network, facts, kept)


def network_of(family: str, kind: str | None, config: Config) -> Network:
    """The network that a configuration describes. Raises `ModelError` for what is not supported."""
    if family == "roformer":
        from export.roformer import network as roformer

        return roformer.network_of(kind, config)
    from export.scnet import network as scnet

    return scnet.network_of(kind, config)


def graph_name(file: str) -> str:
    """The file's name without its suffix, in the letters that a graph's name may have."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", Path(file).stem)[:LONGEST_NAME]
