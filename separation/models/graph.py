"""A loaded graph, checked against its contract: segments of the mix in, segments of its rows out."""

import hashlib
import os
import platform
import subprocess
import time
from pathlib import Path

import numpy as np

from separation.contract import Contract
from separation.errors import ModelError, UsageError, WrongProvider
from separation.models.bag import Bag
from separation.models.engines import FLOAT32, Session, SessionSettings
from separation.models.external_data import Malformed, external_reference

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"
ONNXRUNTIME = {  # provider -> onnxruntime's, in order: each runs the operations that those before it cannot
    "auto": (CUDA, CPU),
    "cpu": (CPU,),
    "cuda": (CUDA, CPU),
    "tensorrt": (TENSORRT, CUDA, CPU),
}
OPENVINO = {"openvino": "f32", "openvino-bf16": "bf16"}  # provider -> precision of the arithmetic
PROVIDERS = (*ONNXRUNTIME, *OPENVINO)
ON_GPU = ("cuda", "tensorrt")


class Graph:
    """The graph `name` at `path`, loaded to give `rows`, its output's, in order.

    Its input is float32 (batch, channels, segment) of the `contract`, its output (batch, rows, channels,
    segment); one of a single row may leave that axis out. One of format 1 may also be a published one with
    the rows `published`, of which `rows` are kept.

    If `sha256` is given, the bytes loaded are those that were hashed. `provider` is one of PROVIDERS;
    `threads`, `spinning` and `cache` are those of `SessionSettings`.
    """

    provider: str  # as the session reports it
    device: str  # name of the processor or GPU
    load_s: float  # seconds

    def __init__(
        self,
        path: Path,
        name: str,
        contract: Contract,
        rows: tuple[str, ...],
        published: tuple[str, ...] = (),
        provider: str = "auto",
        threads: int = 0,
        spinning: bool = True,
        sha256: str | None = None,
        cache: Path | None = None,
    ):
        self.name, self.rows = name, rows
        started = time.perf_counter()
        if provider not in PROVIDERS:
            raise UsageError(f"provider {provider!r}; expected one of {', '.join(PROVIDERS)}")
        settings = SessionSettings(threads, spinning, cache)
        self._session = _open(read_graph(path, sha256), path, provider, settings)
        self.provider = self._session.provider
        wanted = _expected(provider)
        if wanted and self.provider != wanted:
            raise WrongProvider(name, wanted, self.provider)
        self._shape = (contract.channels, contract.segment)
        self._kept = _kept_rows(str(path), self._session, self._shape, rows, published)
        self._one_at_a_time = self._session.runs_on_cpu or self._session.inputs[0].shape[0] == 1
        self.device = _device_name(self._session.runs_on_cpu)
        self.load_s = time.perf_counter() - started

    def __call__(self, segments: np.ndarray) -> np.ndarray:
        """Segments of the mix, float32 (n, channels, segment) -> float32 (n, rows, channels, segment).

        A CPU gains nothing from a batch, so it runs one segment at a time: then the bits of a chunk cannot
        depend on the other chunks.
        """
        if segments.ndim != 3 or segments.shape[1:] != self._shape or segments.dtype != np.float32:
            found = f"{segments.dtype} {segments.shape}"
            expected = ", ".join(map(str, ("n", *self._shape)))
            raise UsageError(f"{self.name}: segments are {found}; expected float32 ({expected})")
        if not self._one_at_a_time:
            return self._run(segments)
        outputs = np.empty((len(segments), len(self.rows), *self._shape), np.float32)
        for index in range(len(segments)):
            outputs[index : index + 1] = self._run(segments[index : index + 1])
        return outputs

    def _run(self, segments: np.ndarray) -> np.ndarray:
        output = self._session.run(segments)
        rows = output.reshape(len(segments), -1, *self._shape)
        return rows if self._kept is None else rows[:, self._kept]


def open_graph(
    bag: Bag,
    name: str,
    path: Path,
    provider: str = "auto",
    threads: int = 0,
    spinning: bool = True,
    cache: Path | None = None,
) -> Graph:
    """A graph of a bag from its file at `path`, which `graph_files.fetch` gives."""
    entry = bag.graphs[name]
    return Graph(
        path,
        name,
        bag.contracts[entry.contract],
        entry.rows,
        entry.published,
        provider=provider,
        threads=threads,
        spinning=spinning,
        sha256=entry.sha256,
        cache=cache,
    )


def read_graph(path: Path, sha256: str | None) -> bytes:
    """The file's bytes; ModelError if their hash differs or if the graph refers to other files."""
    try:
        graph = Path(path).read_bytes()
    except OSError as error:
        raise ModelError(str(path), str(error)) from None
    if sha256 is not None and (found := hashlib.sha256(graph).hexdigest()) != sha256:
        raise ModelError(str(path), f"sha256 is {found}, expected {sha256}")
    try:
        reference = external_reference(graph)
    except Malformed as error:
        raise ModelError(str(path), f"not an ONNX file: {error}") from None
    if reference:
        raise ModelError(str(path), f"holds {reference}, which no hash covers; expected one file")
    return graph


def _open(graph: bytes, path: Path, provider: str, settings: SessionSettings) -> Session:
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
    """The provider that the session must report; empty for auto, which accepts any."""
    if provider == "auto":
        return ""
    return f"OpenVINO CPU {OPENVINO[provider]}" if provider in OPENVINO else ONNXRUNTIME[provider][0]


def _kept_rows(
    uri: str,
    session: Session,
    shape: tuple[int, int],
    rows: tuple[str, ...],
    published: tuple[str, ...],
) -> list[int] | None:
    """Which rows of the output to keep, None for all; ModelError for a graph of another shape.

    `shape` is that of a segment, (channels, segment).
    """
    found = ", ".join(map(str, (*session.inputs, *session.outputs)))
    size = ", ".join(map(str, shape))
    error = ModelError(
        uri,
        f"the graph has {found}; expected mix float32 (batch, {size}) -> "
        + (f"(batch, {len(rows)}, {size})" if len(rows) > 1 else "stem of the same shape"),
    )
    if len(session.inputs) != 1 or len(session.outputs) != 1:
        raise error
    (mix,), (output,) = session.inputs, session.outputs
    if {mix.dtype, output.dtype} != {FLOAT32} or mix.shape[1:] != shape:
        raise error
    if published and output.shape == (1, len(published), *shape):
        return [published.index(row) for row in rows]
    batch_fits = mix.shape[0] == output.shape[0] and (mix.shape[0] == 1 or not isinstance(mix.shape[0], int))
    named = (mix.name, output.name) == ("mix", "stem")  # without rows, the shape alone says little
    single = len(rows) == 1 and output.shape[1:] == shape and named
    if not (batch_fits and (single or output.shape[1:] == (len(rows), *shape))):
        raise error
    return None


def _device_name(runs_on_cpu: bool) -> str:
    """The processor's or GPU's name, for the cost tables: "AMD EPYC 9R14", "NVIDIA L4"."""
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
