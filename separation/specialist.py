"""One ONNX session that has been checked against the contract: segments in, one stem's segments out."""

import hashlib
import os
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from separation.contract import CHANNELS, SEGMENT, STEMS
from separation.errors import ModelError, UsageError, WrongProvider
from separation.protobuf import Malformed, outside_of

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
FALLBACKS = {  # what a provider leaves to others; the session's own first provider is then compared
    "auto": ("CUDAExecutionProvider", "CPUExecutionProvider"),
    "cpu": ("CPUExecutionProvider",),
    "cuda": ("CUDAExecutionProvider", "CPUExecutionProvider"),
    "tensorrt": ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"),
}
CUDA_OPTIONS = {
    "use_tf32": "0",  # TF32 keeps 10 bits of the mantissa; a float32 graph means float32
    "cudnn_conv_algo_search": "HEURISTIC",  # timing the algorithms would let the bits differ from run to run
}


class Specialist:
    """The specialist of `stem` in the graph at `path`.

    The graph is one of ours, mix (batch, 2, SEGMENT) -> stem (batch, 2, SEGMENT), or a published one that
    gives all rows, (1, 2, SEGMENT) -> (1, rows, 2, SEGMENT); `row_stems` then says which row is whose.
    The very bytes that have `sha256` are loaded; without it, whatever is at `path`.
    `threads` of 0 leaves the number to onnxruntime. `spinning` threads wait for work by turning: faster for a
    session alone on its cores, slower where sessions share them.
    """

    provider: str  # as the session reports it
    device: str
    load_s: float

    def __init__(
        self,
        path: Path,
        stem: str,
        row_stems: tuple[str, ...] = STEMS,
        provider: str = "auto",
        threads: int = 0,
        spinning: bool = True,
        sha256: str | None = None,
    ):
        if provider not in FALLBACKS:
            raise UsageError(f"provider {provider!r}; expected one of {', '.join(FALLBACKS)}")
        self.stem = stem
        started = time.perf_counter()
        self._session = _open(read_graph(path, sha256), path, provider, threads, spinning)
        self.provider = self._session.get_providers()[0]
        if provider != "auto" and self.provider != PROVIDERS[provider]:
            raise WrongProvider(stem, PROVIDERS[provider], self.provider)
        self._input, self._output, self._row = _check(str(path), self._session, stem, row_stems)
        fixed = self._session.get_inputs()[0].shape[0] == 1
        self._one_at_a_time = fixed or self.provider == PROVIDERS["cpu"]
        self.device = _device(self.provider)
        self.load_s = time.perf_counter() - started

    def __call__(self, segments: np.ndarray) -> np.ndarray:
        """(n, 2, SEGMENT) float32 -> the stem's (n, 2, SEGMENT) float32.

        A CPU gains nothing from a batch, so it takes one segment at a time: then the bits of a chunk cannot
        depend on the chunks beside it.
        """
        if segments.ndim != 3 or segments.shape[1:] != (CHANNELS, SEGMENT) or segments.dtype != np.float32:
            found = f"{segments.dtype} {segments.shape}"
            raise UsageError(
                f"{self.stem}: segments are {found}; expected float32 (n, {CHANNELS}, {SEGMENT})"
            )
        if not self._one_at_a_time:
            return self._run(segments)
        stems = np.empty_like(segments)
        for index in range(len(segments)):
            stems[index : index + 1] = self._run(segments[index : index + 1])
        return stems

    def _run(self, segments: np.ndarray) -> np.ndarray:
        result: np.ndarray = self._session.run([self._output], {self._input: segments})[0]
        return result if self._row is None else result[:, self._row]


def read_graph(path: Path, sha256: str | None) -> bytes:
    """The file, read once; refused if its hash is another or if it refers to other files."""
    try:
        graph = Path(path).read_bytes()
    except OSError as error:
        raise ModelError(str(path), str(error)) from None
    if sha256 is not None and (found := hashlib.sha256(graph).hexdigest()) != sha256:
        raise ModelError(str(path), f"sha256 is {found}, expected {sha256}")
    try:
        outside = outside_of(graph)
    except Malformed as error:
        raise ModelError(str(path), f"not an ONNX file: {error}") from None
    if outside:
        raise ModelError(str(path), f"holds {outside}, which no hash covers; expected one file")
    return graph


def _open(graph: bytes, path: Path, provider: str, threads: int, spinning: bool) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.use_deterministic_compute = True
    options.log_severity_level = 3  # errors; what matters of the warnings is read back from the session
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spinning else "0")
    # Its own format, told by a mark in the bytes, would not have been looked through.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    available = onnxruntime.get_available_providers()
    wanted = [name for name in FALLBACKS[provider] if name in available]
    if wanted == [PROVIDERS["cpu"]]:
        # One segment at a time, see __call__. Known sizes let onnxruntime keep its blocked layout from
        # convolution to convolution: about 3 % of the time on one core of an EPYC Zen 4.
        options.add_free_dimension_override_by_name("batch", 1)
    if "CUDAExecutionProvider" in wanted:
        onnxruntime.preload_dlls()  # CUDA and cuDNN from their Python packages, where those are installed
    settings = [CUDA_OPTIONS if name == "CUDAExecutionProvider" else {} for name in wanted]
    try:
        return onnxruntime.InferenceSession(graph, options, providers=wanted, provider_options=settings)
    except Exception as error:  # onnxruntime's exceptions share no base and do not pickle
        raise ModelError(str(path), f"onnxruntime refuses it: {error}") from None


def _check(uri: str, session: Any, stem: str, row_stems: tuple[str, ...]) -> tuple[str, str, int | None]:
    """Names of the input and the output, and the stem's row if the graph gives all of them."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    found = ", ".join(f"{value.name} {value.type} {value.shape}" for value in [*inputs, *outputs])
    expected = f"mix float32 (batch, {CHANNELS}, {SEGMENT}) -> stem of the same shape"
    error = ModelError(uri, f"the graph has {found}; expected {expected}")
    if len(inputs) != 1 or len(outputs) != 1:
        raise error
    (mix,), (output,) = inputs, outputs
    if {mix.type, output.type} != {"tensor(float)"} or mix.shape[1:] != [CHANNELS, SEGMENT]:
        raise error
    if output.shape == [1, len(row_stems), CHANNELS, SEGMENT]:
        if stem not in row_stems:
            raise ModelError(uri, f"the graph's rows are {', '.join(row_stems)}; none is {stem}")
        return mix.name, output.name, row_stems.index(stem)
    batch_fits = mix.shape[0] == output.shape[0] and (mix.shape[0] == 1 or not isinstance(mix.shape[0], int))
    named = (mix.name, output.name) == ("mix", "stem")
    if not (named and batch_fits and output.shape[1:] == [CHANNELS, SEGMENT]):
        raise error
    return mix.name, output.name, None


def _device(provider: str) -> str:
    """The name of the processor or GPU, for the cost tables: "AMD EPYC 9R14", "NVIDIA L4"."""
    if provider == PROVIDERS["cpu"]:
        try:
            lines = Path("/proc/cpuinfo").read_text().splitlines()
        except OSError:
            lines = []
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        return names[0] if names else platform.processor() or platform.machine()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0] or "0"
    query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader", f"--id={visible}"]
    try:
        return subprocess.run(query, capture_output=True, text=True, check=True, timeout=20).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return f"gpu {visible}"
