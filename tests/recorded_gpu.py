"""A GPU build of onnxruntime for machines without a GPU: its sessions record, and compute on the CPU."""

import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnxruntime
import pytest

from separation.models.engines import cuda

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


@dataclass
class Part:
    """Some nodes of a graph, and where they run."""

    ep_name: str
    kinds: tuple[str, ...]

    def get_nodes(self) -> list[Any]:
        return [type("Node", (), {"op_type": kind}) for kind in self.kinds]


@dataclass
class Gpu:
    """What sessions were opened and run with; the next ones report `parts`, and raise what is set."""

    sessions: list[dict[str, Any]] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)  # of the runs' batches
    providers: list[str] = field(default_factory=lambda: [CUDA, CPU])
    parts: list[Part] = field(default_factory=lambda: [Part(CUDA, ("Mul",))])
    problem: str = ""
    fails_to_load: Exception | None = None
    fails_to_run: Exception | None = None


def recorded_gpu(monkeypatch: pytest.MonkeyPatch) -> Gpu:
    """Puts it in onnxruntime's place for one test."""
    recorded = Gpu()

    class Session(onnxruntime.InferenceSession):  # type: ignore[misc]
        def __init__(self, content: bytes, options: Any, providers: list[Any], **settings: Any):
            override = os.environ["NVIDIA_TF32_OVERRIDE"]
            recorded.sessions.append(
                {"options": options, "providers": providers, "override": override, **settings}
            )
            if recorded.fails_to_load:
                raise recorded.fails_to_load
            super().__init__(content, options, providers=[CPU], **settings)

        def get_providers(self) -> list[str]:
            return recorded.providers

        def get_provider_graph_assignment_info(self) -> list[Part]:
            assert super().get_provider_graph_assignment_info(), "the session was not told to record it"
            return recorded.parts

        def run(self, names: Any, feed: dict[str, np.ndarray], *rest: Any) -> Any:
            recorded.sizes.extend(len(each) for each in feed.values())
            if recorded.fails_to_run:
                raise recorded.fails_to_run
            return super().run(names, feed, *rest)

    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
    monkeypatch.setattr(cuda, "start", lambda: os.environ.__setitem__("NVIDIA_TF32_OVERRIDE", "0"))
    monkeypatch.setattr(cuda, "problem", lambda: recorded.problem)
    monkeypatch.setattr(cuda, "device_name", lambda: "NVIDIA L4")
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "1")
    return recorded
