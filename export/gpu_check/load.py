"""What it is worth: speeds, memory, processor time. Nothing here decides whether the check holds."""

import ctypes
import hashlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from export.gpu_check.case import ROW, Case, Setting, run
from export.gpu_check.child import Child, DoesNotHold, Figures
from separation.models.engines import cuda

ROUNDS = 10
SPECIALISTS = 4  # actors of a GPU, each for one stem
ACTORS_S = 6.0  # that they work together
LOADING_S = 15.0  # within which they must have loaded
SETTINGS = {
    "as in a job": Setting(),
    "not deterministic": Setting(deterministic=False),
    "cuDNN tries all": Setting((("cudnn_conv_algo_search", "EXHAUSTIVE"),)),
    "no more workspace": Setting((("cudnn_conv_use_max_workspace", "0"),)),
}


def speed(case: Case, precision: str, batch: str) -> Figures:
    """Milliseconds a chunk in batches of a size, with the copies to the GPU and back; MB of a session."""
    size = int(batch)
    segments = case.segments[:size]
    before = _used_mb()
    graph = case.open(precision, size)
    figures = _per_chunk(case, lambda: graph(segments), size)
    return figures | {"session_mb": round(_used_mb() - before)}


def settings(case: Case, precision: str) -> Figures:
    """Median milliseconds a chunk by setting, one chunk at a time."""
    segments = case.segments[:1]
    found = {}
    for name, setting in SETTINGS.items():
        session = setting.open(case.file(precision), precision)
        found[name] = _per_chunk(case, lambda session=session: run(session, segments), 1)["ms"]  # type: ignore[misc]
        del session
    return found


def changed_batch(case: Case, precision: str) -> Figures:
    """Milliseconds of the first run of one chunk after runs of two, and of the runs after it."""
    session = Setting(batch=None).open(case.file(precision), precision)
    pair, one = case.segments[:2], case.segments[:1]
    _per_chunk(case, lambda: run(session, pair), 2)
    first = 1e3 * _seconds(lambda: run(session, one))
    return {"first_ms": round(first, 1), "later_ms": _per_chunk(case, lambda: run(session, one), 1)["ms"]}


def actors(case: Case, precision: str, how: str) -> Figures:
    """Four processes on the GPU for a while: as a job prepares them, or as CUDA does, with spinning."""
    begin = time.time() + LOADING_S
    children = [
        Child(case.folder, "actor", precision, how, str(begin), str(ACTORS_S)) for _ in range(SPECIALISTS)
    ]
    time.sleep(max(0.0, begin + ACTORS_S / 2 - time.time()))
    busy = _gpu_busy()
    found = [child.result() for child in children]
    if late := max(each["late_s"] for each in found):
        raise DoesNotHold(f"an actor had its session {late:.1f} s too late")
    chunks = sum(each["chunks"] for each in found)
    return {
        "x_realtime": round(chunks / SPECIALISTS * case.chunk_s / ACTORS_S, 1),
        "cpus": round(sum(each["cpu_s"] for each in found) / ACTORS_S, 2),
        "gpu_busy": busy,
    }


def actor(case: Case, precision: str, how: str, begin: str, seconds: str) -> Figures:
    """One of the processes of `actors`: works from the moment `begin`, in Unix time."""
    segments = case.segments[:1]
    session = Setting(prepared=how == "prepared").open(case.file(precision), precision)
    run(session, segments)
    late = time.time() - float(begin)
    time.sleep(max(0.0, -late))
    chunks, cpu, end = 0, time.process_time(), float(begin) + float(seconds)
    while time.time() < end:
        run(session, segments)
        chunks += 1
    return {"chunks": chunks, "cpu_s": time.process_time() - cpu, "late_s": max(0.0, late)}


def benchmark(
    case: Case, form: str, provider: str = "cuda", tracks: str = "12", seconds: str = "60-120"
) -> Figures:
    """jobs.benchmark with four float16 specialists, on Ray on this machine; stems in a format."""
    if not find_spec("ray"):
        raise DoesNotHold("not run: ray is not installed")
    output = case.folder / f"benchmark-{form}"
    command = [sys.executable, "-m", "jobs.benchmark", "--models", _four_specialists(case)]
    command += ["--output", str(output), "--provider", provider, "--format", form, "--price", "1"]
    command += ["--tracks", tracks, "--seconds", seconds, "--codecs", "flac", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DoesNotHold(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "no reason given")
    figures = json.loads(done.stdout.splitlines()[-1])["figures"]
    return {
        "x_realtime": round(figures["x_realtime"]["median"], 1),
        "gpu_busy": figures["gpu_busy"],
        "cpus_busy": round(figures["cpu_utilisation"], 2),
    }


def _four_specialists(case: Case) -> str:
    """A model folder whose four graphs are the case's: they cost what htdemucs_ft's cost."""
    from separation.models.bag import Bag, GraphFile, WeightedRow
    from separation.models.bag_json import write_bag

    folder = case.folder / "bag"
    folder.mkdir(exist_ok=True)
    content = case.file("fp16").read_bytes()
    (folder / "vocals.onnx").write_bytes(content)
    stems = ("drums", "bass", "other", "vocals")
    source = f"{ROW} as {SPECIALISTS} stems"
    graphs = {
        stem: GraphFile(
            file=f"{ROW}.onnx",
            sha256=hashlib.sha256(content).hexdigest(),
            bytes=len(content),
            contract="htdemucs",
            rows=(stem,),
            precision="fp16",
            source=source,
            source_sha256=hashlib.sha256(source.encode()).hexdigest(),
        )
        for stem in stems
    }
    recipes = {stem: (WeightedRow(stem, stem),) for stem in stems}
    write_bag(Bag(str(folder), "gpu-check", {"htdemucs": case.contract}, graphs, recipes), folder)
    return str(folder)


def _per_chunk(case: Case, work: Callable[[], object], chunks: int) -> Figures:
    """Milliseconds a chunk over ROUNDS, and the speed of four such specialists."""
    work()
    seconds = [_seconds(work) / chunks for _ in range(ROUNDS)]
    median = statistics.median(seconds)
    return {
        "ms": round(1e3 * median, 2),
        "least_ms": round(1e3 * min(seconds), 2),
        "most_ms": round(1e3 * max(seconds), 2),
        "x_realtime": round(case.chunk_s / median / SPECIALISTS, 1),
    }


def _seconds(work: Callable[[], object]) -> float:
    clock = time.perf_counter()
    work()
    return time.perf_counter() - clock


def _used_mb() -> float:
    """Of the GPU, by all programs; the first call starts CUDA, so that its context is in all figures."""
    cuda.start()
    runtime: Any = ctypes.CDLL(cuda.runtime_name())
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    runtime.cudaMemGetInfo(ctypes.byref(free), ctypes.byref(total))
    return (total.value - free.value) / 1e6


def _gpu_busy() -> float | None:
    """The share of the last second in which the GPU worked, as nvidia-smi says; None without it."""
    query = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
    try:
        found = subprocess.run(query, capture_output=True, text=True, check=True, timeout=20).stdout
        return max(float(line) for line in found.splitlines()) / 100
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
