"""What a GPU's session is given, and what is said where it cannot run: recorded, without a GPU."""

import ctypes
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from separation.contract import HTDEMUCS
from separation.errors import DeviceError, ModelError, UsageError
from separation.models.engines import cuda
from separation.models.graph import Graph
from tests.recorded_gpu import CPU, CUDA, Gpu, Part, recorded_gpu
from tests.separation.models.test_graph import graph_file, load

MISSING = "libcudnn.so.9: cannot open shared object file: No such file or directory"


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Gpu:
    return recorded_gpu(monkeypatch)


@pytest.mark.parametrize(("precision", "tf32"), [("fp32", "0"), ("fp16", "1")])
def test_a_session_is_opened_with_the_options_of_its_precision(
    gpu: Gpu, tmp_path: Path, precision: str, tf32: str
) -> None:
    graph = load(graph_file(tmp_path / "a.onnx"), provider="cuda", precision=precision)
    assert (graph.provider, graph.device) == (CUDA, "NVIDIA L4")
    (opened,) = gpu.sessions
    expected = {
        "use_tf32": tf32,
        "arena_extend_strategy": "kSameAsRequested",
        "cudnn_conv_algo_search": "HEURISTIC",
    }
    assert opened["providers"] == [(CUDA, expected), CPU]
    assert not opened["enable_fallback"]
    assert opened["override"] == "0"
    assert not opened["options"].enable_mem_pattern
    assert opened["options"].use_deterministic_compute


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_every_run_has_the_same_number_of_segments(gpu: Gpu, tmp_path: Path, batch: int) -> None:
    graph = load(graph_file(tmp_path / "a.onnx"), provider="cuda", batch=batch)
    segments = np.random.default_rng(0).standard_normal((5, 2, HTDEMUCS.segment), dtype=np.float32)
    for count in (5, 1, 4):
        assert np.array_equal(graph(segments[:count]), 2 * segments[:count, None])
    assert set(gpu.sizes) == {batch}
    assert len(gpu.sizes) == 1 + sum(-(-count // batch) for count in (5, 1, 4))  # the first is at load


def test_a_graph_of_a_fixed_size_keeps_it(gpu: Gpu, tmp_path: Path) -> None:
    path = graph_file(tmp_path / "a.onnx", [1, 2, HTDEMUCS.segment])
    segments = np.ones((3, 2, HTDEMUCS.segment), np.float32)
    assert np.array_equal(load(path, provider="cuda", batch=2)(segments), 2 * segments[:, None])
    assert set(gpu.sizes) == {1}


@pytest.mark.parametrize("asked", ["cuda", "auto"])
def test_what_a_gpu_misses_is_said_when_the_graph_is_opened(
    gpu: Gpu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    monkeypatch.setattr(cuda, "is_given", lambda: True)

    def refused(words: str, error: type[Exception] = DeviceError) -> None:
        with pytest.raises(error, match=words):
            load(graph_file(tmp_path / "a.onnx"), provider=asked)

    gpu.providers = [CPU]  # which is all that onnxruntime says of a library that does not load
    gpu.problem = "libcublasLt.so.13: cannot open shared object file"
    refused("would run on CPUExecutionProvider, not on the GPU: libcublasLt.so.13: cannot open")
    gpu.providers, gpu.problem = [CUDA, CPU], ""
    gpu.fails_to_load = RuntimeError("out of memory")
    refused("onnxruntime cannot load it: out of memory", ModelError)
    gpu.problem = MISSING
    refused(f"does not start on the GPU: {MISSING}")
    gpu.fails_to_load, gpu.fails_to_run = None, RuntimeError("CUDNN_STATUS_NOT_INITIALIZED")
    refused(f"fails at an inference: {MISSING}")
    gpu.problem = ""
    refused("fails at an inference: CUDNN_STATUS_NOT_INITIALIZED")
    assert all(each["providers"][0][0] == CUDA for each in gpu.sessions)  # and no second try on a CPU


def test_a_graph_that_the_cpu_would_share_is_refused(gpu: Gpu, tmp_path: Path) -> None:
    gpu.parts += [Part(CPU, ("MatMulInteger",)), Part(CPU, ("Range", "MatMulInteger"))]
    with pytest.raises(ModelError, match="the CPU would run 2 MatMulInteger, 1 Range"):
        load(graph_file(tmp_path / "a.onnx"), provider="cuda")
    with pytest.raises(UsageError, match="int8 models are for CPUs"):
        load(graph_file(tmp_path / "a.onnx"), provider="cuda", precision="int8")


def test_auto_is_a_cpu_where_there_is_no_gpu(
    gpu: Gpu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(cuda, "is_given", lambda: False)
    monkeypatch.setattr(cuda, "start", lambda: opened.append("cuda"))
    gpu.providers = [CPU]
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")
    assert load(graph_file(tmp_path / "a.onnx"), precision="int8").provider == CPU
    assert (opened, gpu.sessions[0]["providers"]) == ([], [CPU])
    monkeypatch.setattr(cuda, "is_given", lambda: True)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CPU])  # the extra cpu beside a GPU
    assert load(graph_file(tmp_path / "a.onnx")).provider == CPU


@pytest.mark.parametrize(
    ("files", "driver", "visible", "expected"),
    [
        (["dev/nvidia0", "dev/nvidiactl"], True, None, True),
        (["dev/nvidia0"], False, None, True),  # and is told that the driver is missing
        (["dev/nvidia3"], True, "GPU-8d1f0b", True),
        (["dev/nvidia0"], True, "MIG-2f0c9a", True),
        (["dev/nvidia0"], True, "", False),  # a worker of Ray without a GPU
        (["dev/nvidia0"], True, "-1,0", False),
        (["dev/nvidia0"], True, "NoDevFiles", False),
        (["dev/nvidiactl", "dev/nvidia-uvm"], True, None, False),  # the driver, and no device
        (["proc/driver/nvidia/gpus/0000:01:00.0"], True, None, True),  # not used since the machine started
        (["proc/driver/nvidia/gpus/0000:01:00.0"], False, None, False),  # a container without it
        (["dev/dxg"], True, None, True),  # Windows' Linux
        (["dev/dxg"], False, None, False),  # on a GPU of another maker
        ([], True, None, False),
    ],
)
def test_a_gpu_is_told_by_its_device_or_by_the_kernels_list(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    files: list[str],
    driver: bool,
    visible: str | None,
    expected: bool,
) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    def open_library(name: str) -> Any:
        if not driver:
            raise OSError(f"{name}: cannot open shared object file")
        return Library()

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert cuda.is_given(tmp_path, open_library) == expected


class Library:
    """libcudart and libcuda: every function gives `code`; calls are recorded."""

    def __init__(self, code: int = 0):
        self.code, self.calls = code, list[tuple[str, int]]()
        self.cudaGetErrorString: Callable[[int], bytes] = _Named(b"no CUDA-capable device is detected")

    def cudaSetDeviceFlags(self, flags: int) -> int:
        self.calls.append(("cudaSetDeviceFlags", flags))
        return self.code

    def cuInit(self, flags: int) -> int:
        return self.code

    def cuDeviceGet(self, device: Any, index: int) -> int:
        return index

    def cuDeviceGetName(self, name: Any, size: int, device: Any) -> int:
        ctypes.memmove(name, b"NVIDIA A100-SXM4-40GB MIG 1g.5gb\0", 33)
        return self.code


class _Named:
    restype: Any = None

    def __init__(self, text: bytes):
        self._text = text

    def __call__(self, code: int) -> bytes:
        return self._text


@pytest.fixture
def for_gpus(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """A GPU build whose preloading notes NVIDIA_TF32_OVERRIDE, and prints as the real one does."""
    seen: list[str | None] = []

    def preload() -> None:
        seen.append(os.environ.get("NVIDIA_TF32_OVERRIDE"))
        print("Failed to load libcublas.so.13")

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
    monkeypatch.setattr(onnxruntime, "preload_dlls", preload)
    monkeypatch.setattr(onnxruntime, "cuda_version", "13.0")
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "1")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return seen


def test_before_the_first_session_tf32_is_off_and_waiting_threads_sleep(
    for_gpus: list[str | None], capsys: pytest.CaptureFixture[str]
) -> None:
    library, opened = Library(), list[str]()
    cuda.start(lambda name: opened.append(name) or library)
    assert for_gpus == ["0"]  # before the libraries are loaded, which read it
    assert opened == ["libcudart.so.13"]
    assert library.calls == [("cudaSetDeviceFlags", 4)]  # cudaDeviceScheduleBlockingSync
    assert capsys.readouterr().out == ""


def test_what_keeps_cuda_from_starting_is_named(
    for_gpus: list[str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def without(*missing: str, code: int = 0) -> Callable[[str], Any]:
        def open_library(name: str) -> Any:
            if any(part in name for part in missing):
                raise OSError(f"{name}: cannot open shared object file")
            return Library(code)

        return open_library

    with pytest.raises(DeviceError, match=r"CUDA is missing: libcudart.so.13: cannot .*stemfleet\[gpu\]"):
        cuda.start(without("libcudart"))
    with pytest.raises(DeviceError, match=r"driver is missing: libcuda\.so\.1: cannot open"):
        cuda.start(without("libcuda.so", code=35))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    with pytest.raises(
        DeviceError, match=r"no CUDA-capable device .*error 100\); CUDA_VISIBLE_DEVICES is '7'"
    ):
        cuda.start(without(code=100))
    assert cuda.problem(without()) == ""
    assert "libcudnn.so.9: cannot open" in cuda.problem(without("libcudnn"))
    assert "libonnxruntime_providers_cuda.so: cannot" in cuda.problem(without("providers_cuda", "libcudnn"))
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CPU])
    with pytest.raises(DeviceError, match=r"is one for CPUs: pip uninstall .*stemfleet\[gpu\]"):
        cuda.start(without())


def test_the_installed_runtime_says_why_it_cannot_use_a_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real libraries, of the extra cpu or gpu, without a device."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    with pytest.raises(DeviceError, match=r"for CPUs|CUDA is missing|cannot be used"):
        Graph(graph_file(tmp_path / "a.onnx"), "drums", HTDEMUCS, ("drums",), provider="cuda")


def test_the_name_of_the_gpu_is_the_drivers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under MIG and in containers CUDA_VISIBLE_DEVICES holds what nvidia-smi does not take."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-2f0c9a")
    assert cuda.device_name(lambda name: Library()) == "NVIDIA A100-SXM4-40GB MIG 1g.5gb"
    with pytest.raises(DeviceError, match="CUDA error 3"):
        cuda.device_name(lambda name: Library(code=3))
