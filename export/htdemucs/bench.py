"""python -m export bench: htdemucs_ft's size beside PyTorch and the published graph.

The weights are random and hot: speed does not depend on them, and the error does.
"""

from collections.abc import Sequence

from export.bench import BenchGraph, compare_with_torch
from export.htdemucs import published
from export.htdemucs.graph import SpecialistModule, to_onnx
from export.htdemucs.random_bag import RandomBag
from separation.contract import STEMS

STEM = "vocals"
GFLOP = 224 + 85  # per chunk: convolutions and linear layers, attention


def bench(threads: Sequence[int], rounds: int) -> str:
    """The report as Markdown: a table per number of threads, and the GPU's tables where there is one."""
    model, row = RandomBag(hot=True).model(STEM), STEMS.index(STEM)

    def exported(precision: str) -> bytes:
        return to_onnx(SpecialistModule(model, row, precision))

    graphs = [
        BenchGraph("published recipe", published.to_onnx(model), {"published recipe": "cpu"}),
        BenchGraph(
            "fp32", exported("fp32"), {"fp32, onnxruntime": "cpu", "fp32, OpenVINO": "openvino"}, on_gpu=True
        ),
        BenchGraph("int8", exported("int8"), {"int8, onnxruntime": "cpu", "int8, OpenVINO": "openvino"}),
        BenchGraph("fp16", exported("fp16"), {}, on_gpu=True),
    ]
    return compare_with_torch(model, row, STEM, graphs, GFLOP, threads, rounds)
