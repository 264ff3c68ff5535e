"""Graphs on a GPU beside PyTorch: float32, float16 and compiled, in batches.

Every call takes its segments from the host's memory and brings its output back there, PyTorch's too. TF32 is
off on both, as it is in our sessions, which are opened anew for every size of a batch. PyTorch's float16 is
`torch.autocast`: weights stay float32, sums and the STFT too, which is how one would run demucs in half
precision.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import torch
from torch import nn

from export.bench.interleave import time_interleaved
from export.parity import compare
from separation.models.graph import Graph

BATCHES = (1, 4, 8, 16)
EAGER = "PyTorch fp32"
Run = Callable[[np.ndarray], np.ndarray]  # (batch, channels, segment) -> (batch, rows, channels, segment)


def bench_gpu(
    model: nn.Module,
    open_graphs: Callable[[int], Mapping[str, tuple[Graph, Sequence[int]]]],
    segment: np.ndarray,
    rounds: int,
    device: str = "cuda",
    batches: Sequence[int] = BATCHES,
) -> str:
    """A Markdown table per batch size.

    `open_graphs` gives the graphs for batches of a size, by name, each with the rows of `model` that it has.
    A batch holds `segment`, (1, channels, segment), as often as its size says.
    """
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    model = model.eval().to(device)
    in_torch: dict[str, Run] = {
        EAGER: _torch(model, device, half=False),
        "PyTorch fp16": _torch(model, device, half=True),
        "PyTorch fp16, compiled": _torch(torch.compile(model), device, half=True),
    }
    name = torch.cuda.get_device_name() if device == "cuda" else device
    tables = []
    for batch in batches:
        graphs = open_graphs(batch)
        runs = in_torch | {ours: graph for ours, (graph, _) in graphs.items()}
        rows = {ours: list(found) for ours, (_, found) in graphs.items()}
        tables.append(_table(runs, rows, np.repeat(segment, batch, axis=0), rounds, name))
    return "\n".join(tables)


def _torch(model: Callable[[torch.Tensor], torch.Tensor], device: str, half: bool) -> Run:
    def run(segments: np.ndarray) -> np.ndarray:
        with torch.no_grad(), torch.autocast(device, torch.float16, enabled=half):
            stems: np.ndarray = model(torch.from_numpy(segments).to(device)).float().cpu().numpy()
            return stems

    return run


def _table(
    runs: dict[str, Run], rows: dict[str, list[int]], segments: np.ndarray, rounds: int, device: str
) -> str:
    timed = {name: partial(run, segments) for name, run in runs.items()}
    seconds, stems = time_interleaved(timed, rounds)
    count = len(segments)
    eager = statistics.median(seconds[EAGER])
    lines = []
    for name in runs:
        expected = stems[EAGER][:, rows[name]] if name in rows else stems[EAGER]
        median, parity = statistics.median(seconds[name]), compare(expected, stems[name])
        spread = f"{1e3 * min(seconds[name]) / count:.1f} to {1e3 * max(seconds[name]) / count:.1f}"
        cells = [name, f"{1e3 * median / count:.1f}; {spread}", f"{eager / median:.2f}"]
        lines.append(f"| {' | '.join(cells)} | {parity.snr_db:.1f} | {parity.max_over_peak:.1e} |")
    header = (
        f"| {device}, batch {count} | ms per chunk (median; min to max) | x {EAGER} | SNR dB | max/peak |"
    )
    return "\n".join([header, "|---|---|---|---|---|", *lines, ""])
