"""Speed and error of exported graphs beside PyTorch and the machine's own matrix product, in one run.

All are timed in alternation in one process, on the same segment and the same number of threads, so that
other load on the machine falls on all of them alike. Loading and memory are measured in a new process without
torch, as an actor is one, that starts from the node's cache of optimized graphs.
"""

import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import nn

from export.bench.gpu import bench_gpu
from export.bench.interleave import time_interleaved
from export.parity import Parity, compare, music_like, torch_rows
from export.versions import versions
from separation.contract import HTDEMUCS
from separation.models.graph import Graph

SIDE = 2048  # of the matrices whose product is the machine's rate
LOAD_AND_RUN = """
import json, sys
from pathlib import Path
import numpy
from separation.contract import HTDEMUCS
from separation.models.graph import Graph
path, rows, published, provider, threads, cache, segments = sys.argv[1:]
rows, published = (tuple(each.split(",")) if each else () for each in (rows, published))
graph = Graph(
    Path(path), "graph", HTDEMUCS, rows, published, provider=provider, threads=int(threads), cache=Path(cache)
)
for _ in range(2):  # memory that a first run has left can be too little for the second
    graph(numpy.load(segments))
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
peak_kib = int(status["VmHWM"].split()[0])  # not getrusage: its peak outlives exec and would be the parent's
print(json.dumps([graph.load_s, peak_kib * 1024 / 1e6]))
"""


@dataclass(frozen=True, slots=True)
class BenchGraph:
    """An exported graph to measure; it gives `rows`, or is a published one with all rows of the model.

    `timed_as` maps each of its lines in the CPU tables to the provider that runs it ("cpu" is onnxruntime,
    and "openvino" is left out where it is not installed); a graph without any gets one line with its error
    alone. `on_gpu`: it is in a GPU's tables as well.
    """

    name: str
    content: bytes
    timed_as: dict[str, str]
    rows: tuple[str, ...]
    published: tuple[str, ...] = ()
    on_gpu: bool = False
    precision: str = "fp32"

    def open(self, folder: Path, provider: str, threads: int = 0, batch: int = 1) -> Graph:
        """The graph from its file in `folder`."""
        return Graph(
            self.path(folder),
            self.name,
            HTDEMUCS,
            self.rows,
            self.published,
            provider=provider,
            threads=threads,
            cache=folder / "optimized",
            batch=batch,
            precision=self.precision,
        )

    def path(self, folder: Path) -> Path:
        return folder / f"{self.name}.onnx"


@dataclass(frozen=True, slots=True)
class Line:
    """One way to run the model: seconds per chunk in every round, error, file size, loading, memory."""

    name: str
    seconds: list[float]
    parity: Parity | None = None
    megabytes: float | None = None
    load_s: float | None = None
    peak_rss_mb: float | None = None


def compare_with_torch(
    model: nn.Module,
    sources: Sequence[str],
    graphs: Sequence[BenchGraph],
    gflop: int,
    threads: Sequence[int],
    rounds: int,
) -> str:
    """Markdown: a table per number of threads, and the GPU's tables where there is one.

    `graphs` compute rows of `model`, whose rows are `sources`; a chunk takes `gflop` billion floating-point
    operations.
    """
    segments = music_like(0)
    with TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "segments.npy", segments)
        for graph in graphs:
            graph.path(folder).write_bytes(graph.content)
        tables = [
            _cpu_table(model, sources, graphs, gflop, segments, folder, count, rounds) for count in threads
        ]
        if torch.cuda.is_available():

            def opened(batch: int) -> dict[str, tuple[Graph, list[int]]]:
                return {
                    f"{graph.name}, onnxruntime": (
                        graph.open(folder, "cuda", batch=batch),
                        _indexes(sources, graph),
                    )
                    for graph in graphs
                    if graph.on_gpu
                }

            tables.append(bench_gpu(model, opened, segments, rounds))
    return "\n".join(tables)


def _indexes(sources: Sequence[str], graph: BenchGraph) -> list[int]:
    return [sources.index(row) for row in graph.rows]


def _cpu_table(
    model: nn.Module,
    sources: Sequence[str],
    graphs: Sequence[BenchGraph],
    gflop: int,
    segments: np.ndarray,
    folder: Path,
    threads: int,
    rounds: int,
) -> str:
    torch.set_num_threads(threads)
    timed = {
        name: (graph, provider)
        for graph in graphs
        for name, provider in graph.timed_as.items()
        if provider != "openvino" or find_spec("openvino")
    }
    opened = {name: graph.open(folder, provider, threads) for name, (graph, provider) in timed.items()}
    run_torch = partial(torch_rows, model, range(len(sources)), segments)
    runs = {name: partial(each, segments) for name, each in opened.items()}
    seconds, stems = time_interleaved({"PyTorch": run_torch, **runs}, rounds)
    reference = stems["PyTorch"]
    lines = [Line("PyTorch", seconds["PyTorch"])]
    for name, (graph, provider) in timed.items():
        parity = compare(reference[:, _indexes(sources, graph)], stems[name])
        cost = _load_and_peak(folder, graph, provider, threads)
        lines.append(Line(name, seconds[name], parity, len(graph.content) / 1e6, *cost))
    device = next(iter(opened.values())).device
    del opened, runs
    for graph in graphs:
        if not graph.timed_as:
            found = graph.open(folder, "cpu", threads)(segments)
            parity = compare(reference[:, _indexes(sources, graph)], found)
            lines.append(Line(f"{graph.name}, for GPUs", [], parity, len(graph.content) / 1e6))
    return report(lines, gflop, _matmul_rate(threads), device, threads)


def _load_and_peak(folder: Path, graph: BenchGraph, provider: str, threads: int) -> tuple[float, float]:
    """Seconds until a new process has its session (median of three), and its peak memory in MB (largest)."""
    rows = [",".join(graph.rows), ",".join(graph.published)]
    paths = [f"{folder}/optimized", f"{folder}/segments.npy"]
    arguments = [str(graph.path(folder)), *rows, provider, str(threads), *paths]
    command = [sys.executable, "-c", LOAD_AND_RUN, *arguments]
    found = [subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(3)]
    load_s, peak_rss_mb = zip(*map(json.loads, found), strict=True)
    return statistics.median(load_s), max(peak_rss_mb)


def _matmul_rate(threads: int) -> float:
    """GFLOP/s of a product of two float32 matrices of side SIDE, the median of five."""
    torch.set_num_threads(threads)
    left, right = torch.rand(2, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    seconds = time_interleaved({"": lambda: left @ right}, 5)[0][""]
    return 2 * SIDE**3 / statistics.median(seconds) / 1e9


def report(lines: list[Line], gflop: int, matmul: float, device: str, threads: int) -> str:
    """One table with its caption, as Markdown; the first line is PyTorch's, `matmul` in GFLOP/s."""
    torch_s = statistics.median(lines[0].seconds)
    table = [
        "| | s per chunk (median; min to max) | x PyTorch | of matmul rate | SNR dB | max/peak | MB "
        "| load s | peak RSS MB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    table += ["| " + " | ".join(_cells(line, gflop, torch_s, matmul)) + " |" for line in lines]
    count = len(lines[0].seconds)
    return "\n".join(
        [
            f"{date.today()}, {device}, {threads} thread{'s' * (threads > 1)}, {', '.join(versions())}.",
            f"{count} interleaved rounds in one process; a matrix product of side {SIDE} runs at "
            f"{matmul:.0f} GFLOP/s; a chunk is {gflop} GFLOP in linear layers, convolutions and attention. "
            "Error against PyTorch, full size, hot random weights. Load time (median of three) and peak "
            "memory are those of a new process that starts from the node's cache of optimized graphs.",
            "",
            *table,
            "",
        ]
    )


def _cells(line: Line, gflop: int, torch_s: float, matmul: float) -> list[str]:
    def cell(value: float | None, form: str) -> str:
        return "" if value is None else format(value, form)

    cells = [line.name, "", "", ""]
    if line.seconds:
        median = statistics.median(line.seconds)
        spread = f"{min(line.seconds):.2f} to {max(line.seconds):.2f}"
        cells[1:] = [f"{median:.2f}; {spread}", f"{torch_s / median:.2f}", f"{gflop / median / matmul:.0%}"]
    return [
        *cells,
        cell(None if line.parity is None else line.parity.snr_db, ".1f"),
        cell(None if line.parity is None else line.parity.max_over_peak, ".1e"),
        cell(line.megabytes, ".1f"),
        cell(line.load_s, ".2f"),
        cell(line.peak_rss_mb, ".0f"),
    ]
