"""Speed and error beside PyTorch, the published graph and the machine's own matrix product, in one run.

All take turns in one process on the same segment and the same number of threads, so that whatever else the
machine does falls on all of them.
"""

import statistics
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from export import published
from export.graph import SpecialistModule, to_onnx
from export.parity import Parity, compare, music_like, torch_stem
from export.random_bag import RandomBag
from separation.contract import STEMS
from separation.specialist import Specialist

GFLOP = 224 + 85  # of a chunk: convolutions and linear layers, attention
PRECISIONS = ("fp32", "int8")
SIDE = 2048  # of the matrices whose product is the machine's rate
LOAD_AND_RUN = """
import sys
from export.parity import music_like
from separation.specialist import Specialist
Specialist(sys.argv[1], sys.argv[2], provider="cpu", threads=int(sys.argv[3]))(music_like(0))
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(status["VmHWM"].split()[0])  # not getrusage: its peak outlives exec and would be the parent's
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
    torch.set_num_threads(args.threads)
    stem = "vocals"
    row, model, segments = STEMS.index(stem), RandomBag(hot=True).model(stem), music_like(0)
    with TemporaryDirectory() as name:
        paths = {each: Path(name) / f"{each}.onnx" for each in ("published recipe", *PRECISIONS)}
        paths["published recipe"].write_bytes(published.to_onnx(model))
        for precision in PRECISIONS:
            paths[precision].write_bytes(to_onnx(SpecialistModule(model, row, precision)))
        specialists = {
            each: Specialist(path, stem, provider="cpu", threads=args.threads) for each, path in paths.items()
        }
        reference = torch_stem(model, row, segments)
        seconds = _take_turns(
            {"PyTorch": lambda: torch_stem(model, row, segments)}
            | {each: lambda each=each: specialists[each](segments) for each in paths},
            args.rounds,
        )
        lines = [Line("PyTorch", seconds["PyTorch"])] + [
            Line(
                each,
                seconds[each],
                compare(reference, specialists[each](segments)),
                path.stat().st_size / 1e6,
                specialists[each].load_s,
                _peak_rss_mb(path, stem, args.threads),
            )
            for each, path in paths.items()
        ]
    return report(lines, _matmul_rate(args.threads), specialists["fp32"].device, args.threads)


def _take_turns(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of every way in every round; one round before them warms up and does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds + 1):
        for name, run in ways.items():
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    return {name: each[1:] for name, each in seconds.items()}


def _matmul_rate(threads: int) -> float:
    """GFLOP/s of a product of two float32 matrices, the median of five."""
    torch.set_num_threads(threads)
    left, right = torch.rand(2, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    seconds = _take_turns({"": lambda: left @ right}, 5)[""]
    return 2 * SIDE**3 / statistics.median(seconds) / 1e9


def _peak_rss_mb(path: Path, stem: str, threads: int) -> float:
    """Of a process of its own that loads the graph and runs a segment."""
    words = [sys.executable, "-c", LOAD_AND_RUN, str(path), stem, str(threads)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return int(done.stdout) * 1024 / 1e6  # VmHWM is in units of 1024 bytes


def report(lines: list[Line], matmul: float, device: str, threads: int) -> str:
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "onnxruntime", "demucs", "numpy"))
    torch_s = statistics.median(lines[0].seconds)
    table = [
        "| | s a chunk (median; min to max) | x PyTorch | of matmul rate | SNR dB | max/peak | MB "
        "| load s | peak RSS MB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for line in lines:
        median = statistics.median(line.seconds)
        cells = [
            line.name,
            f"{median:.2f}; {min(line.seconds):.2f} to {max(line.seconds):.2f}",
            f"{torch_s / median:.2f}",
            f"{GFLOP / median / matmul:.0%}",
        ]
        if line.parity is None:
            cells += [""] * 5
        else:
            cells += [
                f"{line.parity.snr_db:.1f}",
                f"{line.parity.max_over_peak:.1e}",
                f"{line.megabytes:.1f}",
                f"{line.load_s:.2f}",
                f"{line.peak_rss_mb:.0f}",
            ]
        table.append("| " + " | ".join(cells) + " |")
    count = len(lines[0].seconds)
    return "\n".join(
        [
            f"{date.today()}, {device}, {threads} thread{'s' * (threads > 1)}, {versions}.",
            f"{count} interleaved rounds in one process; a matrix product of side {SIDE} runs at "
            f"{matmul:.0f} GFLOP/s; a chunk is {GFLOP} GFLOP in linear layers, convolutions and attention. "
            "Error against PyTorch, full size, hot random weights.",
            "",
            *table,
            "",
        ]
    )
