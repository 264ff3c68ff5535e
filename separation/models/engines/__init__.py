"""Engines: one file per library that runs a graph. Only the one that is asked for is imported.

To add an engine: write a class with the attributes of `Session` in a file of its own, and name its providers
in `models/graph.py`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

FLOAT32 = "float32"


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """An input or output of a graph; an axis of any size is given by its name, or "?" if it has none."""

    name: str
    dtype: str  # "float32", or the engine's own name of any other type
    shape: tuple[int | str, ...]

    def __str__(self) -> str:
        return f"{self.name} {self.dtype} {list(self.shape)}"


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """How a session runs; with 0 `threads` the engine chooses the number.

    `spinning` threads wait for work in a busy loop: faster for a session alone on its cores, slower where
    several share them. `cache` is the node's folder of optimized graphs; without it, every session optimizes
    its graph again. `batch` is the number of segments in every run, where the graph leaves it open, and
    `precision` that of the graph, as bag.json has it.
    """

    threads: int = 0
    spinning: bool = True
    cache: Path | None = None
    batch: int = 1
    precision: str = "fp32"


class Session(Protocol):
    """A loaded graph; `provider` and `runs_on_cpu` are what the engine reports, not what was asked for."""

    provider: str
    runs_on_cpu: bool
    inputs: list[TensorSpec]
    outputs: list[TensorSpec]

    def run(self, segments: np.ndarray) -> np.ndarray:
        """The first output for the first input; the caller may keep the array."""
        ...
