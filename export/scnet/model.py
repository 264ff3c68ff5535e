"""An SCNet from its configuration and checkpoint: what `model_folder` exports and `verify` compares."""

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from export.model_folder import contract_name
from export.msst.checkpoint import load_weights
from export.msst.config import Config, read_config
from export.msst.state import State
from export.parity import torch_rows
from export.scnet.graph import SCNetModule, to_onnx
from export.scnet.published import published
from export.scnet.sizes import Sizes, sizes_of
from export.weights import check_finite
from separation.contract import Contract
from separation.errors import UsageError
from separation.models.bag import Licence

LONGEST_NAME = 48  # of a graph that is named after its checkpoint
MASKED = "mask_layer.0.weight"  # a weight of the masked variant alone


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The weights of a file, its name and its sha256; `export.model_folder.CheckpointFacts`."""

    weights: Mapping[str, Tensor]
    where: str
    source: str
    sha256: str
    licence: Licence


@dataclass(frozen=True)
class SCNetModel:
    """An `export.model_folder.ExportableModel`; `rows` are those exported, by name: each one's index."""

    config: Config
    sizes: Sizes
    checkpoint: Checkpoint
    masked: bool
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
        return tuple(self.config.rows(self.sizes.rows))

    @property
    def contract(self) -> Contract:
        return self.config.contract

    @property
    def contract_name(self) -> str:
        return contract_name("scnet", self.contract)

    def to_onnx(self, precision: str) -> bytes:
        """The graph of these rows in `precision`. Raises `UsageError` for int8."""
        return to_onnx(self._module(precision))

    def run(self, segments: np.ndarray, rows: Sequence[str]) -> np.ndarray:
        """What the published network computes: float32 (n, 2, segment) -> (n, rows, 2, segment)."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a transform without a window, as the plain ones have
            return torch_rows(self._published, [self.rows[row] for row in rows], segments)

    def _module(self, precision: str) -> SCNetModule:
        if precision == "int8":
            # Its work is in convolutions and LSTMs; int8 here is of linear layers.
            raise UsageError("--precision int8 is not for SCNet; expected fp32 or fp16")
        check_finite(self.checkpoint.where, self.checkpoint.weights)
        state = State(self.checkpoint.where, self.checkpoint.weights)
        rows = [*self.rows.values()]
        return SCNetModule(state, self.sizes, self.contract.segment, rows, self.masked, precision)

    @cached_property
    def _published(self) -> nn.Module:
        return published(self.sizes, self.masked, self.checkpoint.weights)


def open_model(
    kind: str | None,
    config: Path,
    checkpoint: Path,
    trust: bool,
    stems: Sequence[str] | None = None,
    licence: Licence | None = None,
) -> SCNetModel:
    """The model of MSST's type `kind` (None: by the checkpoint), with the rows `stems` (None: all).

    Raises `ModelError` for files that do not fit each other or are not supported, and `UsageError` for stems
    that the model has not.
    """
    found = read_config(config)
    sizes = sizes_of(found.where, found.model)
    rows = found.rows(sizes.rows)
    if unknown := [stem for stem in stems or () if stem not in rows]:
        raise UsageError(f"{config} has no {', '.join(unknown)}; it has {', '.join(rows)}")
    weights, sha256 = load_weights(checkpoint, trust)
    masked = MASKED in weights if kind is None else kind == "scnet_masked"
    facts = Checkpoint(weights, str(checkpoint), checkpoint.name, sha256, licence or Licence())
    kept = {name: index for name, index in rows.items() if stems is None or name in stems}
    return SCNetModel(found, sizes, facts, masked, kept)


def graph_name(file: str) -> str:
    """The file's name without its suffix, in the letters that a graph's name may have."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", Path(file).stem)[:LONGEST_NAME]
