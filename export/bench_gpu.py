"""The specialist on a GPU beside PyTorch: float32, float16 and compiled, in batches.

A call takes its segments from the host's memory and brings the stem back there, on both sides. TF32 is off on
both, as it is in our sessions. PyTorch's float16 is `torch.autocast`: weights stay float32, sums and the
STFT too, which is how one would run demucs in half precision.
"""

import statistics
from collections.abc import Callable, Sequence

import numpy as np
import torch
from demucs.htdemucs import HTDemucs

from export.interleave import take_turns
from export.parity import compare
from separation.models.specialist import Specialist

BATCHES = (1, 4, 8, 16)
EAGER = "PyTorch fp32"
Way = Callable[[np.ndarray], np.ndarray]


def bench_gpu(
    model: HTDemucs,
    row: int,
    specialists: dict[str, Specialist],
    segment: np.ndarray,
    rounds: int,
    device: str = "cuda",
    batches: Sequence[int] = BATCHES,
) -> str:
    """A Markdown table for each batch, with `segment` (1, 2, SEGMENT) in every place of it."""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    model = model.eval().to(device)
    ways: dict[str, Way] = {
        EAGER: _torch(model, row, device, half=False),
        "PyTorch fp16": _torch(model, row, device, half=True),
        "PyTorch fp16, compiled": _torch(torch.compile(model), row, device, half=True),
        **specialists,
    }
    name = torch.cuda.get_device_name() if device == "cuda" else device
    return "\n".join(_table(ways, np.repeat(segment, batch, axis=0), rounds, name) for batch in batches)


def _torch(model: Callable[[torch.Tensor], torch.Tensor], row: int, device: str, half: bool) -> Way:
    def run(segments: np.ndarray) -> np.ndarray:
        with torch.no_grad(), torch.autocast(device, torch.float16, enabled=half):
            stems: np.ndarray = model(torch.from_numpy(segments).to(device))[:, row].float().cpu().numpy()
            return stems

    return run


def _table(ways: dict[str, Way], segments: np.ndarray, rounds: int, device: str) -> str:
    seconds = take_turns({name: lambda way=way: way(segments) for name, way in ways.items()}, rounds)
    reference, count = ways[EAGER](segments), len(segments)
    eager = statistics.median(seconds[EAGER])
    rows = []
    for name, way in ways.items():
        median, parity = statistics.median(seconds[name]), compare(reference, way(segments))
        spread = f"{1e3 * min(seconds[name]) / count:.1f} to {1e3 * max(seconds[name]) / count:.1f}"
        cells = [name, f"{1e3 * median / count:.1f}; {spread}", f"{eager / median:.2f}"]
        rows.append(f"| {' | '.join(cells)} | {parity.snr_db:.1f} | {parity.max_over_peak:.1e} |")
    head = [f"| {device}, batch {count} | ms a chunk (median; min to max) | x {EAGER} | SNR dB | max/peak |"]
    return "\n".join([*head, "|---|---|---|---|---|", *rows, ""])
