"""Specialists on a GPU beside PyTorch: float32, float16 and compiled, in batches.

Every call takes its segments from the host's memory and brings the stem back there, PyTorch's too. TF32 is
off on both, as it is in our sessions. PyTorch's float16 is `torch.autocast`: weights stay float32, sums and
the STFT too, which is how one would run demucs in half precision.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import torch
from torch import nn

from export.interleave import time_interleaved
from export.parity import compare
from separation.models.specialist import Specialist

BATCHES = (1, 4, 8, 16)
EAGER = "PyTorch fp32"
Run = Callable[[np.ndarray], np.ndarray]  # segments (batch, 2, SEGMENT) -> stem (batch, 2, SEGMENT)


def bench_gpu(
    model: nn.Module,
    row: int,
    specialists: Mapping[str, Specialist],
    segment: np.ndarray,
    rounds: int,
    device: str = "cuda",
    batches: Sequence[int] = BATCHES,
) -> str:
    """A Markdown table per batch size: `specialists` by name beside row `row` of `model`.

    A batch holds `segment`, (1, 2, SEGMENT), as often as its size says.
    """
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    model = model.eval().to(device)
    runs: dict[str, Run] = {
        EAGER: _torch(model, row, device, half=False),
        "PyTorch fp16": _torch(model, row, device, half=True),
        "PyTorch fp16, compiled": _torch(torch.compile(model), row, device, half=True),
        **specialists,
    }
    name = torch.cuda.get_device_name() if device == "cuda" else device
    return "\n".join(_table(runs, np.repeat(segment, batch, axis=0), rounds, name) for batch in batches)


def _torch(model: Callable[[torch.Tensor], torch.Tensor], row: int, device: str, half: bool) -> Run:
    def run(segments: np.ndarray) -> np.ndarray:
        with torch.no_grad(), torch.autocast(device, torch.float16, enabled=half):
            stems: np.ndarray = model(torch.from_numpy(segments).to(device))[:, row].float().cpu().numpy()
            return stems

    return run


def _table(runs: dict[str, Run], segments: np.ndarray, rounds: int, device: str) -> str:
    timed = {name: partial(run, segments) for name, run in runs.items()}
    seconds, stems = time_interleaved(timed, rounds)
    count = len(segments)
    eager = statistics.median(seconds[EAGER])
    lines = []
    for name in runs:
        median, parity = statistics.median(seconds[name]), compare(stems[EAGER], stems[name])
        spread = f"{1e3 * min(seconds[name]) / count:.1f} to {1e3 * max(seconds[name]) / count:.1f}"
        cells = [name, f"{1e3 * median / count:.1f}; {spread}", f"{eager / median:.2f}"]
        lines.append(f"| {' | '.join(cells)} | {parity.snr_db:.1f} | {parity.max_over_peak:.1e} |")
    header = (
        f"| {device}, batch {count} | ms per chunk (median; min to max) | x {EAGER} | SNR dB | max/peak |"
    )
    return "\n".join([header, "|---|---|---|---|---|", *lines, ""])
