"""One session that has been checked against the contract: segments in, one stem's segments out."""

import hashlib
import os
import platform
import subprocess
import time
from pathlib import Path

import numpy as np

from separation.contract import CHANNELS, SEGMENT, STEMS
from separation.errors import ModelError, UsageError, WrongProvider
from separation.models.engines import FLOAT32, Session, Settings
from separation.models.external_data import Malformed, outside_of

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"
ONNXRUNTIME = {  # what onnxruntime is asked for, and may leave what it cannot do to the next
    "auto": (CUDA, CPU),
    "cpu": (CPU,),
    "cuda": (CUDA, CPU),
    "tensorrt": (TENSORRT, CUDA, CPU),
}
OPENVINO = {"openvino": "f32", "openvino-bf16": "bf16"}  # its arithmetic
PROVIDERS = (*ONNXRUNTIME, *OPENVINO)
ON_GPU = ("cuda", "tensorrt")


class Specialist:
    """The specialist of `stem` in the graph at `path`.

    The graph is one of ours, mix (batch, 2, SEGMENT) -> stem (batch, 2, SEGMENT), or a published one that
    gives all rows, (1, 2, SEGMENT) -> (1, rows, 2, SEGMENT); `row_stems` then says which row is whose.
    The very bytes that have `sha256` are loaded; without it, whatever is at `path`.
    `provider` is one of PROVIDERS; the rest is of `Settings`.
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
        cache: Path | None = None,
    ):
        self.stem = stem
        started = time.perf_counter()
        if provider not in PROVIDERS:
            raise UsageError(f"provider {provider!r}; expected one of {', '.join(PROVIDERS)}")
        self._session = _open(read_graph(path, sha256), path, provider, Settings(threads, spinning, cache))
        self.provider = self._session.provider
        wanted = _expected(provider)
        if wanted and self.provider != wanted:
            raise WrongProvider(stem, wanted, self.provider)
        self._row = _check(str(path), self._session, stem, row_stems)
        self._one_at_a_time = self._session.runs_on_cpu or self._session.inputs[0].shape[0] == 1
        self.device = _device(self._session.runs_on_cpu)
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
        result = self._session.run(segments)
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


def _open(graph: bytes, path: Path, provider: str, settings: Settings) -> Session:
    try:
        if provider in OPENVINO:
            from separation.models.engines.open_vino import OpenVinoSession

            return OpenVinoSession(graph, str(path), OPENVINO[provider], settings)
        from separation.models.engines.onnx_runtime import OnnxRuntimeSession

        return OnnxRuntimeSession(graph, str(path), ONNXRUNTIME[provider], settings)
    except ModuleNotFoundError as error:
        extra = "openvino" if provider in OPENVINO else "cpu"
        raise UsageError(
            f"provider {provider} needs {error.name}: pip install 'stemfleet[{extra}]'"
        ) from None


def _expected(provider: str) -> str:
    """What the session must report; empty for auto, which takes what there is."""
    if provider == "auto":
        return ""
    return f"OpenVINO CPU {OPENVINO[provider]}" if provider in OPENVINO else ONNXRUNTIME[provider][0]


def _check(uri: str, session: Session, stem: str, row_stems: tuple[str, ...]) -> int | None:
    """The stem's row if the graph gives all of them."""
    found = ", ".join(map(str, (*session.inputs, *session.outputs)))
    expected = f"mix float32 (batch, {CHANNELS}, {SEGMENT}) -> stem of the same shape"
    error = ModelError(uri, f"the graph has {found}; expected {expected}")
    if len(session.inputs) != 1 or len(session.outputs) != 1:
        raise error
    (mix,), (output,) = session.inputs, session.outputs
    if {mix.kind, output.kind} != {FLOAT32} or mix.shape[1:] != (CHANNELS, SEGMENT):
        raise error
    if output.shape == (1, len(row_stems), CHANNELS, SEGMENT):
        if stem not in row_stems:
            raise ModelError(uri, f"the graph's rows are {', '.join(row_stems)}; none is {stem}")
        return row_stems.index(stem)
    batch_fits = mix.shape[0] == output.shape[0] and (mix.shape[0] == 1 or not isinstance(mix.shape[0], int))
    named = (mix.name, output.name) == ("mix", "stem")
    if not (named and batch_fits and output.shape[1:] == (CHANNELS, SEGMENT)):
        raise error
    return None


def _device(runs_on_cpu: bool) -> str:
    """The name of the processor or GPU, for the cost tables: "AMD EPYC 9R14", "NVIDIA L4"."""
    if runs_on_cpu:
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
