"""NVIDIA GPUs for onnxruntime: what has to be set before CUDA starts, the provider's options, what is wrong.

Nothing here has a fallback: a missing library, driver or device is a `DeviceError` that names it. By itself
onnxruntime would run the graph on the CPU, ten times slower, or fail at the first inference.
"""

import ctypes
import io
import os
import re
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import onnxruntime

from separation.errors import DeviceError

CUDA = "CUDAExecutionProvider"
CUDNN = "libcudnn.so.9"  # which onnxruntime opens at the first inference, not with the session
DRIVER = "libcuda.so.1"
BLOCKING_SYNC = 4  # cudaDeviceScheduleBlockingSync
NAME_BYTES = 256  # of a device
INSTALL = "pip install 'stemfleet[gpu]'"
LoadLibrary = Callable[[str], Any]  # as ctypes.CDLL: raises OSError, which names what is missing


def options(precision: str) -> dict[str, str]:
    """The provider's options for a graph of that precision.

    TF32 keeps 10 bits of the mantissa, so a float32 graph is to run without it. Of a float16 graph the same
    option would also forbid tensor cores to the float16 convolutions.
    """
    return {
        "use_tf32": "1" if precision == "fp16" else "0",
        "arena_extend_strategy": "kSameAsRequested",  # doubling would take memory from other sessions
        "cudnn_conv_algo_search": "HEURISTIC",  # choosing by timing would let the bits differ between runs
    }


def is_given(root: Path = Path("/"), load: LoadLibrary = ctypes.CDLL) -> bool:
    """Whether this process may use an NVIDIA GPU; CUDA itself is not asked, since it may fail.

    By its device file; where that is missing, because nobody has used the GPU since the machine started or
    because the system is Windows' Linux, by the kernel's list and the driver's library. A container that is
    not given the GPU sees that list, and has no such library.

    CUDA_VISIBLE_DEVICES hides all GPUs if its first entry is no index or UUID of one: Ray sets it empty for
    actors and tasks without a GPU.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and not re.match(r"\s*(\d|GPU-|MIG-)", visible):
        return False
    if any((root / "dev").glob("nvidia[0-9]*")):
        return True
    listed = any((root / "proc/driver/nvidia/gpus").glob("*")) or (root / "dev/dxg").exists()
    try:
        return listed and load(DRIVER) is not None
    except OSError:
        return False


def start(load: LoadLibrary = ctypes.CDLL) -> None:
    """Prepares this process for its first session on a GPU; may be called again.

    - NVIDIA_TF32_OVERRIDE=0: cuDNN takes TF32 for float32 convolutions, unasked, if it has no other engine.
    - CUDA's and cuDNN's libraries come from Python packages, if installed.
    - Threads that wait for the GPU sleep. By CUDA's default they spin as long as there are no more contexts
      than CPUs: four actors would take four cores from the decoders.
    """
    if CUDA not in onnxruntime.get_available_providers():
        raise DeviceError(
            f"the installed onnxruntime {onnxruntime.__version__} is one for CPUs: "
            f"pip uninstall onnxruntime, then {INSTALL}"
        )
    os.environ["NVIDIA_TF32_OVERRIDE"] = "0"
    with redirect_stdout(io.StringIO()):  # it prints what it misses; `problem` asks again, by name
        onnxruntime.preload_dlls()
    try:
        runtime = load(runtime_name())
    except OSError as error:
        raise DeviceError(f"CUDA is missing: {error}; {INSTALL} brings it") from None
    if code := runtime.cudaSetDeviceFlags(BLOCKING_SYNC):  # the first call: it starts CUDA
        runtime.cudaGetErrorString.restype = ctypes.c_char_p
        said = (runtime.cudaGetErrorString(code) or b"unknown").decode(errors="replace")
        raise DeviceError(f"the GPU cannot be used: {said} (CUDA error {code}){_hint(load)}")


def runtime_name() -> str:
    """The file of CUDA's runtime that the installed onnxruntime is made for."""
    return f"libcudart.so.{onnxruntime.cuda_version.partition('.')[0]}"


def _hint(load: LoadLibrary) -> str:
    """What is known about why CUDA does not start."""
    try:
        load(DRIVER)
    except OSError as error:
        return f"; NVIDIA's driver is missing: {error}"
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return "" if visible is None else f"; CUDA_VISIBLE_DEVICES is {visible!r}"


def problem(load: LoadLibrary = ctypes.CDLL) -> str:
    """What the CUDA provider misses of its libraries; empty if it finds all."""
    folder = Path(onnxruntime.__file__).parent / "capi"
    for library in (str(folder / "libonnxruntime_providers_cuda.so"), CUDNN):
        try:
            load(library)
        except OSError as error:
            return f"{error}; {INSTALL} brings CUDA and cuDNN"
    return ""


def device_name(load: LoadLibrary = ctypes.CDLL) -> str:
    """The name of this process's first GPU, as nvidia-smi has it: "NVIDIA L4".

    From the driver, which knows what CUDA_VISIBLE_DEVICES selects, by index, by UUID or a slice (MIG) of a
    GPU; nvidia-smi does not, and containers often lack it. Raises `DeviceError` if the driver does not say.
    """
    device, name = ctypes.c_int(), ctypes.create_string_buffer(NAME_BYTES)
    try:
        driver = load(DRIVER)
    except OSError as error:
        raise DeviceError(f"NVIDIA's driver is missing: {error}") from None
    code = (
        driver.cuInit(0)
        or driver.cuDeviceGet(ctypes.byref(device), 0)
        or driver.cuDeviceGetName(name, NAME_BYTES, device)
    )
    if code:
        raise DeviceError(f"NVIDIA's driver gives no name of the GPU (CUDA error {code})")
    return name.value.decode(errors="replace")
