"""What runs a graph: onnxruntime or OpenVINO, behind one shape. Only the one asked for is imported."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

FLOAT32 = "float32"


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A graph's input or output; an axis of free size is its name, or "?" where it has none."""

    name: str
    kind: str  # "float32", or the engine's word for anything else
    shape: tuple[int | str, ...]

    def __str__(self) -> str:
        return f"{self.name} {self.kind} {list(self.shape)}"


@dataclass(frozen=True, slots=True)
class Settings:
    """How a session runs; `threads` of 0 leaves the number to the engine.

    `spinning` threads wait for work by turning: faster for a session alone on its cores, slower where
    sessions share them. `cache` is the node's folder of optimized graphs; without it every session
    optimizes its own.
    """

    threads: int = 0
    spinning: bool = True
    cache: Path | None = None


class Session(Protocol):
    """A loaded graph; `provider` and `runs_on_cpu` are read back from the engine, not what was asked for."""

    provider: str
    runs_on_cpu: bool
    inputs: list[TensorSpec]
    outputs: list[TensorSpec]

    def run(self, segments: np.ndarray) -> np.ndarray:
        """The first output for the first input; the array is the caller's own."""
        ...
