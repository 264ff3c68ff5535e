"""The model that is checked: htdemucs_ft's size, hot random weights, one row, in float32 and in float16."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from separation.contract import HTDEMUCS, Contract
from separation.models.engines import cuda
from separation.models.graph import Graph

ROW = "vocals"
SEGMENTS = 8  # the largest batch


@dataclass(frozen=True, slots=True)
class Case:
    """In `folder`, once `steps.export` has written them: the graphs, segments, and PyTorch's row for them."""

    folder: Path
    contract: Contract = HTDEMUCS

    def file(self, precision: str) -> Path:
        return self.folder / f"{precision}.onnx"

    @property
    def segments(self) -> np.ndarray:
        """float32 (SEGMENTS, channels, segment)"""
        found: np.ndarray = np.load(self.folder / "segments.npy")
        return found

    @property
    def expected(self) -> np.ndarray:
        """PyTorch's on the CPU, of the first segments: float32 (n, 1, channels, segment)."""
        found: np.ndarray = np.load(self.folder / "expected.npy")
        return found

    @property
    def chunk_s(self) -> float:
        """Seconds of audio that a chunk is worth."""
        return self.contract.stride / self.contract.sample_rate

    def open(self, precision: str, batch: int = 1) -> Graph:
        """On the GPU, as a job opens it."""
        return Graph(
            self.file(precision),
            ROW,
            self.contract,
            (ROW,),
            provider="cuda",
            spinning=False,
            batch=batch,
            precision=precision,
        )


@dataclass(frozen=True, slots=True)
class Setting:
    """A way to open a session that differs from `Case.open`.

    options        of the CUDA provider, in place of ours
    deterministic  onnxruntime's use_deterministic_compute
    prepared       with what `cuda.start` sets; without, NVIDIA_TF32_OVERRIDE is not set, and threads that
                   wait for the GPU spin
    batch          None leaves it free
    """

    options: tuple[tuple[str, str], ...] = ()
    deterministic: bool = True
    prepared: bool = True
    batch: int | None = 1

    def open(self, file: Path, precision: str) -> Any:
        """A session of onnxruntime."""
        if self.prepared:
            cuda.start()
        else:
            onnxruntime.preload_dlls()
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.use_deterministic_compute = self.deterministic
        options.enable_mem_pattern = False
        if self.batch:
            options.add_free_dimension_override_by_name("batch", self.batch)
        provider = (cuda.CUDA, cuda.options(precision) | dict(self.options))
        return onnxruntime.InferenceSession(
            file.read_bytes(), options, providers=[provider], enable_fallback=0
        )


def run(session: Any, segments: np.ndarray) -> np.ndarray:
    """float32 (n, channels, segment) -> (n, 1, channels, segment)"""
    (rows,) = session.run(None, {session.get_inputs()[0].name: segments})
    found: np.ndarray = rows.reshape(len(segments), 1, *segments.shape[1:])
    return found
