"""Speed and error beside PyTorch, the published graph and the machine's own matrix product, in one run.

All take turns in one process on the same segment and the same number of threads, so that whatever else the
machine does falls on all of them. Loading and memory are those of a process of its own without torch, as an
actor is, that starts from the node's cache of optimized graphs.
"""

import json
import statistics
import subprocess
import sys
from argparse import Namespace
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from demucs.htdemucs import HTDemucs

from export.bench_gpu import bench_gpu
from export.htdemucs import published
from export.htdemucs.graph import SpecialistModule, to_onnx
from export.htdemucs.random_bag import RandomBag
from export.interleave import take_turns
from export.parity import Parity, compare, music_like, torch_stem
from separation.contract import STEMS
from separation.models.specialist import Specialist

GFLOP = 224 + 85  # of a chunk: convolutions and linear layers, attention
PRECISIONS = {"fp32": ("cpu", "openvino"), "int8": ("cpu", "openvino"), "fp16": ()}  # and who is timed
ENGINES = {"cpu": "onnxruntime", "openvino": "OpenVINO"}
RECIPE = "published recipe"
STEM = "vocals"
SIDE = 2048  # of the matrices whose product is the machine's rate
LOAD_AND_RUN = """
import json, sys
from pathlib import Path
import numpy
from separation.models.specialist import Specialist
graph, stem, provider, threads, cache, segments = sys.argv[1:]
specialist = Specialist(Path(graph), stem, provider=provider, threads=int(threads), cache=Path(cache))
for _ in range(2):  # memory that a first run has left can be too little for the second
    specialist(numpy.load(segments))
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
peak_kib = int(status["VmHWM"].split()[0])  # not getrusage: its peak outlives exec and would be the parent's
print(json.dumps([specialist.load_s, peak_kib * 1024 / 1e6]))
"""


@dataclass(frozen=True, slots=True)
class Line:
    """One way to run the specialist: its seconds in every round, and what it costs to have."""

    name: str
    seconds: list[float]
    parity: Parity | None = None
    megabytes: float | None = None
    load_s: float | None = None
    peak_rss_mb: float | None = None


def bench(args: Namespace) -> str:
    """The report as Markdown. The weights are random and hot: speed does not depend on them, error does."""
    model, segments = RandomBag(hot=True).model(STEM), music_like(0)
    with TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "segments.npy", segments)
        (folder / f"{RECIPE}.onnx").write_bytes(published.to_onnx(model))
        for precision in PRECISIONS:
            content = to_onnx(SpecialistModule(model, STEMS.index(STEM), precision))
            (folder / f"{precision}.onnx").write_bytes(content)
        tables = [_bench(model, segments, folder, threads, args.rounds) for threads in args.threads]
        if torch.cuda.is_available():
            ours = {
                f"{precision}, onnxruntime": Specialist(folder / f"{precision}.onnx", STEM, provider="cuda")
                for precision in ("fp32", "fp16")
            }
            tables.append(bench_gpu(model, STEMS.index(STEM), ours, segments, args.rounds))
    return "\n".join(tables)


def _bench(model: HTDemucs, segments: np.ndarray, folder: Path, threads: int, rounds: int) -> str:
    torch.set_num_threads(threads)
    row, cache = STEMS.index(STEM), folder / "optimized"

    def open_graph(graph: str, provider: str) -> Specialist:
        return Specialist(folder / f"{graph}.onnx", STEM, provider=provider, threads=threads, cache=cache)

    timed = {RECIPE: (RECIPE, "cpu")} | {
        f"{precision}, {ENGINES[provider]}": (precision, provider)
        for precision, providers in PRECISIONS.items()
        for provider in providers
    }
    specialists = {name: open_graph(*way) for name, way in timed.items()}
    seconds = take_turns(
        {"PyTorch": lambda: torch_stem(model, row, segments)}
        | {name: lambda each=each: each(segments) for name, each in specialists.items()},
        rounds,
    )
    reference = torch_stem(model, row, segments)
    lines = [Line("PyTorch", seconds["PyTorch"])]
    for name, (graph, provider) in timed.items():
        parity = compare(reference, specialists[name](segments))
        cost = _load_and_peak(folder, graph, provider, threads)
        lines.append(Line(name, seconds[name], parity, _megabytes(folder, graph), *cost))
    device = specialists[RECIPE].device
    del specialists
    for precision in (each for each, providers in PRECISIONS.items() if not providers):
        parity = compare(reference, open_graph(precision, "cpu")(segments))
        lines.append(Line(f"{precision}, for GPUs", [], parity, _megabytes(folder, precision)))
    return report(lines, _matmul_rate(threads), device, threads)


def _megabytes(folder: Path, graph: str) -> float:
    return (folder / f"{graph}.onnx").stat().st_size / 1e6


def _load_and_peak(folder: Path, graph: str, provider: str, threads: int) -> tuple[float, float]:
    """Seconds until a new process has its session (median of three), and the most MB one holds."""
    words = [f"{folder}/{graph}.onnx", STEM, provider, str(threads), f"{folder}/optimized"]
    command = [sys.executable, "-c", LOAD_AND_RUN, *words, f"{folder}/segments.npy"]
    found = [subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(3)]
    load_s, peak_rss_mb = zip(*map(json.loads, found), strict=True)
    return statistics.median(load_s), max(peak_rss_mb)


def _matmul_rate(threads: int) -> float:
    """GFLOP/s of a product of two float32 matrices, the median of five."""
    torch.set_num_threads(threads)
    left, right = torch.rand(2, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    seconds = take_turns({"": lambda: left @ right}, 5)[""]
    return 2 * SIDE**3 / statistics.median(seconds) / 1e9


def report(lines: list[Line], matmul: float, device: str, threads: int) -> str:
    versions = ", ".join(
        f"{name} {version(name)}" for name in ("torch", "onnxruntime", "openvino", "demucs", "numpy")
    )
    torch_s = statistics.median(lines[0].seconds)
    table = [
        "| | s a chunk (median; min to max) | x PyTorch | of matmul rate | SNR dB | max/peak | MB "
        "| load s | peak RSS MB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    table += ["| " + " | ".join(_cells(line, torch_s, matmul)) + " |" for line in lines]
    count = len(lines[0].seconds)
    return "\n".join(
        [
            f"{date.today()}, {device}, {threads} thread{'s' * (threads > 1)}, {versions}.",
            f"{count} interleaved rounds in one process; a matrix product of side {SIDE} runs at "
            f"{matmul:.0f} GFLOP/s; a chunk is {GFLOP} GFLOP in linear layers, convolutions and attention. "
            "Error against PyTorch, full size, hot random weights. Loading is a new process's, median of "
            "three, from the node's cache of optimized graphs, and so is the peak of its memory.",
            "",
            *table,
            "",
        ]
    )


def _cells(line: Line, torch_s: float, matmul: float) -> list[str]:
    def cell(value: float | None, form: str) -> str:
        return "" if value is None else format(value, form)

    cells = [line.name, "", "", ""]
    if line.seconds:
        median = statistics.median(line.seconds)
        spread = f"{min(line.seconds):.2f} to {max(line.seconds):.2f}"
        cells[1:] = [f"{median:.2f}; {spread}", f"{torch_s / median:.2f}", f"{GFLOP / median / matmul:.0%}"]
    return [
        *cells,
        cell(line.parity and line.parity.snr_db, ".1f"),
        cell(line.parity and line.parity.max_over_peak, ".1e"),
        cell(line.megabytes, ".1f"),
        cell(line.load_s, ".2f"),
        cell(line.peak_rss_mb, ".0f"),
    ]
