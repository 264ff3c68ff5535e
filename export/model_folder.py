"""Models of any family -> a model folder: one ONNX file per stem, and bag.json."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import numpy as np

from export.parity import compare, music_like
from separation.errors import UsageError
from separation.models.bag import Bag, SpecialistFile, write_bag
from separation.models.specialist import Specialist

TEST_SEGMENT_SEED = 0  # of the segment on which a precision's cost is measured


class ExportableModel(Protocol):
    """A PyTorch model of which one stem is exported: what a family of models provides."""

    @property
    def stem(self) -> str: ...

    @property
    def source(self) -> str:
        """The name of the checkpoint, for bag.json."""

    @property
    def source_sha256(self) -> str: ...

    def to_onnx(self, precision: str) -> bytes:
        """The ONNX file in `precision`, one of `separation.models.bag.PRECISIONS`."""

    def run(self, segments: np.ndarray) -> np.ndarray:
        """PyTorch's own output for the stem: float32 (n, channels, segment) -> the same shape."""


def write_model_folder(
    models: Iterable[ExportableModel],
    name: str,
    origin: str,
    out: Path,
    stems: list[str] | None,
    precision: str,
) -> Bag:
    """Exports the models of `stems` (None: all), then writes bag.json, and returns what it says.

    `name` is the bag's, `origin` the command-line words that name the checkpoints again. bag.json comes last,
    so a folder without one is unfinished.
    """
    out.mkdir(parents=True, exist_ok=True)
    files, order = {}, []
    for model in models:
        order.append(model.stem)
        if stems is not None and model.stem not in stems:
            continue
        content = model.to_onnx(precision)
        path = out / f"{model.stem}.onnx"
        path.write_bytes(content)
        sha256 = hashlib.sha256(content).hexdigest()
        snr_db = None if precision == "fp32" else _snr_db(model, path)
        files[model.stem] = SpecialistFile(
            path.name, sha256, len(content), model.source, model.source_sha256, snr_db
        )
        cost = "" if snr_db is None else f"{snr_db:.1f} dB  "
        print(f"{path}  {len(content) / 1e6:.1f} MB  {cost}from {model.source}", flush=True)
    if unknown := set(stems or ()) - set(order):
        raise UsageError(f"{name} has no {', '.join(sorted(unknown))}; it has {', '.join(order)}")
    kept = tuple(stem for stem in order if stem in files)
    bag = Bag(str(out), name, kept, precision, files, origin)
    write_bag(bag, out)
    return bag


def _snr_db(model: ExportableModel, path: Path) -> float:
    """Signal over the precision's error in dB, on onnxruntime's CPU; rounded to a tenth, as the rest depends
    on the processor's rounding."""
    specialist = Specialist(path, model.stem, provider="cpu")
    segments = music_like(TEST_SEGMENT_SEED)
    return round(compare(model.run(segments), specialist(segments)).snr_db, 1)
