"""python -m export bench: htdemucs_ft's size beside PyTorch and the published graph; one row, as a specialist
is exported, and four, as htdemucs.

The weights are random and hot: speed does not depend on them, and the error does.
"""

from collections.abc import Sequence

from export.bench.compare import BenchGraph, compare_with_torch
from export.htdemucs import published
from export.htdemucs.arguments import SOURCES
from export.htdemucs.graph import HTDemucsModule, to_onnx
from export.htdemucs.random_bag import RandomBag

STEM = ("vocals",)
GFLOP = 224 + 85  # per chunk: convolutions and linear layers, attention


def bench(threads: Sequence[int], rounds: int) -> str:
    """The report as Markdown: a table per number of threads, and the GPU's tables where there is one."""
    model = RandomBag(hot=True).model(*STEM)

    def exported(precision: str, rows: tuple[str, ...] = STEM) -> bytes:
        return to_onnx(HTDemucsModule(model, [SOURCES.index(row) for row in rows], precision))

    both = {"fp32, onnxruntime": "cpu", "fp32, OpenVINO": "openvino"}
    four = {f"{name}, four rows": provider for name, provider in both.items()}
    graphs = [
        BenchGraph(
            "published recipe", published.to_onnx(model), {"published recipe": "cpu"}, STEM, published=SOURCES
        ),
        BenchGraph("fp32", exported("fp32"), both, STEM, on_gpu=True),
        BenchGraph("fp32, four rows", exported("fp32", SOURCES), four, SOURCES),
        BenchGraph(
            "int8",
            exported("int8"),
            {"int8, onnxruntime": "cpu", "int8, OpenVINO": "openvino"},
            STEM,
            precision="int8",
        ),
        BenchGraph("fp16", exported("fp16"), {}, STEM, on_gpu=True, precision="fp16"),
    ]
    return compare_with_torch(model, SOURCES, graphs, GFLOP, threads, rounds)
