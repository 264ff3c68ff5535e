"""What has to hold: each step returns the figures of its line, and raises `DoesNotHold` with the reason."""

import hashlib
import os
from functools import partial

import numpy as np
import onnxruntime

from export.gpu_check.case import ROW, SEGMENTS, Case, Setting, run
from export.gpu_check.child import DoesNotHold, Figures, result_of
from export.versions import versions as installed
from separation.errors import DeviceError
from separation.models.engines import cuda

COMPARED = 2  # segments that PyTorch computes


def versions(case: Case) -> Figures:
    """What is installed, and the GPU, or why there is none."""
    gpu, cause = "", ""
    try:
        cuda.start()
        gpu = cuda.device_name()
    except DeviceError as error:
        cause = str(error)
    providers = onnxruntime.get_available_providers()
    found = {"packages": installed(), "providers": providers, "cpus": os.cpu_count(), "gpu": gpu}
    return found | ({"cause": cause} if cause else {})


def export(case: Case) -> Figures:
    """Writes the case's graphs, segments and PyTorch's row: the only step that needs torch."""
    from export.htdemucs.graph import HTDemucsModule, to_onnx
    from export.htdemucs.random_bag import RandomBag
    from export.parity import music_like, torch_rows

    bag = RandomBag(hot=True)
    model, row = bag.model(ROW), bag.sources.index(ROW)
    megabytes = {}
    for precision in ("fp32", "fp16"):
        content = to_onnx(HTDemucsModule(model, [row], precision))
        case.file(precision).write_bytes(content)
        megabytes[f"{precision}_mb"] = round(len(content) / 1e6, 1)
    segments = np.concatenate([music_like(seed, case.contract) for seed in range(SEGMENTS)])
    np.save(case.folder / "segments.npy", segments)
    expected = [torch_rows(model, [row], segments[[index]]) for index in range(COMPARED)]
    np.save(case.folder / "expected.npy", np.concatenate(expected))
    return megabytes


def missing_device(case: Case) -> Figures:
    """With every GPU hidden by CUDA_VISIBLE_DEVICES: the cause is said, and no CPU takes over."""
    return _refused(case)


def missing_cudnn(case: Case) -> Figures:
    """Without cuDNN: an empty file of its name stands where the loader looks first."""
    empty = case.folder / "no_cudnn" / cuda.CUDNN
    empty.parent.mkdir(exist_ok=True)
    empty.touch()
    where = {"LD_LIBRARY_PATH": str(empty.parent)}
    found = result_of(case.folder, "open_without_cudnn", environment=where)
    if "cudnn" not in found["said"].lower():
        raise DoesNotHold(f"cuDNN is not named: {found['said']}")
    return found


def open_without_cudnn(case: Case) -> Figures:
    """In the process of `missing_cudnn`."""
    onnxruntime.preload_dlls = partial(onnxruntime.preload_dlls, cudnn=False)
    return _refused(case)


def _refused(case: Case) -> Figures:
    try:
        graph = case.open("fp32")
    except DeviceError as error:
        return {"said": str(error)}
    raise DoesNotHold(f"a session opens all the same, on {graph.provider} of {graph.device}")


def placement(case: Case, precision: str) -> Figures:
    """Every node on the GPU; opening a graph refuses any other."""
    graph = case.open(precision)
    return {"device": graph.device, "load_s": round(graph.load_s, 2)}


def parity(case: Case, precision: str) -> Figures:
    """As near to PyTorch on the CPU as `export verify` asks for."""
    graph = case.open(precision)
    return _compared(case, graph(case.segments[:COMPARED]), precision)


def tf32(case: Case, precision: str, option: str, prepared: str) -> Figures:
    """The same for another `use_tf32`, and without NVIDIA_TF32_OVERRIDE; for information."""
    name, _, value = option.partition("=")
    setting = Setting(((name, value),), prepared=prepared == "prepared", batch=COMPARED)
    session = setting.open(case.file(precision), precision)
    return _compared(case, run(session, case.segments[:COMPARED]), precision)


def _compared(case: Case, found: np.ndarray, precision: str) -> Figures:
    from export.parity import BARS, compare

    parity, bar = compare(case.expected, found), BARS[precision]
    if not parity.meets(bar):
        raise DoesNotHold(
            f"{parity.snr_db:.1f} dB and {parity.max_over_peak:.1e} of the peak; expected at least "
            f"{bar.snr_db:g} dB and at most {bar.max_over_peak:g}"
        )
    return {"snr_db": round(parity.snr_db, 1), "max_over_peak": float(f"{parity.max_over_peak:.1e}")}


def bits(case: Case, precision: str) -> Figures:
    """The same bits in two runs, beside other chunks of a batch, and in another process."""
    mine, other = hashes(case, precision), result_of(case.folder, "hashes", precision)
    if mine["first"] != mine["second"]:
        raise DoesNotHold("two runs in one process differ")
    if mine["beside_one"] != mine["beside_another"]:
        raise DoesNotHold("a chunk's bits depend on the other chunk of its batch")
    if mine != other:
        raise DoesNotHold("two processes differ")
    return {"batch_changes_bits": mine["beside_one"] != mine["first"]}


def hashes(case: Case, precision: str) -> Figures:
    """Of the first segment's row: twice alone, then first in batches of two."""
    segments = case.segments
    alone, paired = case.open(precision), case.open(precision, batch=2)
    return {
        "first": _hash(alone(segments[:1])),
        "second": _hash(alone(segments[:1])),
        "beside_one": _hash(paired(segments[[0, 1]])[:1]),
        "beside_another": _hash(paired(segments[[0, 2]])[:1]),
    }


def _hash(rows: np.ndarray) -> str:
    return hashlib.sha256(rows.tobytes()).hexdigest()
