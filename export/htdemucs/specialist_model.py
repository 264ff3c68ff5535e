"""One HTDemucs of a bag, of whose output one row is exported."""

from dataclasses import dataclass

import numpy as np
from demucs.htdemucs import HTDemucs

from export.htdemucs.graph import SpecialistModule, to_onnx
from export.parity import torch_stem


@dataclass(frozen=True, slots=True)
class SpecialistModel:
    """`model`, of whose rows `row` is kept as `stem`; `source` names the checkpoint.

    An `export.model_folder.ExportableModel`.
    """

    stem: str
    row: int
    model: HTDemucs
    source: str
    source_sha256: str

    def to_onnx(self, precision: str) -> bytes:
        """The specialist's ONNX file in `precision`."""
        return to_onnx(SpecialistModule(self.model, self.row, precision))

    def run(self, segments: np.ndarray) -> np.ndarray:
        """What demucs itself computes: float32 (n, 2, SEGMENT) -> (n, 2, SEGMENT)."""
        return torch_stem(self.model, self.row, segments)
