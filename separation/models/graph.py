"""A loaded graph, checked against its contract: segments of the mix in, segments of its rows out."""

import hashlib
import platform
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from separation.contract import Contract
from separation.errors import ModelError, UsageError, WrongProvider
from separation.models.bag import Bag
from separation.models.engines import FLOAT32, Session, SessionSettings
from separation.models.external_data import Malformed, external_reference

ONNXRUNTIME = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}  # provider -> onnxruntime's
OPENVINO = {"openvino": "f32", "openvino-bf16": "bf16"}  # provider -> precision of the arithmetic
PROVIDERS = ("auto", *ONNXRUNTIME, *OPENVINO)
ON_GPU = ("cuda",)


class Graph:
    """The graph `name` at `path`, loaded to give `rows`, its output's, in order.

    Its input is float32 (batch, channels, segment) of the `contract`, its output (batch, rows, channels,
    segment); one of a single row may leave that axis out. One of format 1 may also be a published one with
    the rows `published`, of which `rows` are kept.

    If `sha256` is given, the bytes loaded are those that were hashed. `provider` is one of PROVIDERS; `auto`
    is a GPU where this process has one and onnxruntime is the one for GPUs, a CPU otherwise. `threads`,
    `spinning`, `cache`, `batch` and `precision` are those of `SessionSettings`.

    Every run has the same number of segments. On a GPU it is `batch`: another number would have cuDNN plan
    all convolutions anew, an estimated 0.2 to 1 s, and might change the bits. A CPU gains nothing from a
    batch, so it runs one segment at a time: then the bits of a chunk cannot depend on the other chunks.

    A GPU runs once here, on silence, so that what it misses is said before the first track. Raises
    `DeviceError` for that, `ModelError` for a graph that is not what bag.json says, `UsageError` for one that
    is not made for the provider.
    """

    provider: str  # as the session reports it
    device: str  # name of the processor or GPU
    load_s: float  # seconds, with the run on silence

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
        batch: int = 1,
        precision: str = "fp32",
    ):
        self.name, self.rows = name, rows
        started = time.perf_counter()
        provider = resolve(provider)
        check_precision(provider, [precision])
        on_gpu = provider in ON_GPU
        settings = SessionSettings(threads, spinning, cache, batch if on_gpu else 1, precision)
        self._session = _open(read_graph(path, sha256), path, provider, settings)
        self.provider = self._session.provider
        if self.provider != (wanted := _expected(provider)):
            raise WrongProvider(name, wanted, self.provider)
        self._shape = (contract.channels, contract.segment)
        self._kept = _kept_rows(str(path), self._session, self._shape, settings.batch, rows, published)
        self._batch = 1 if self._session.inputs[0].shape[0] == 1 else settings.batch
        if on_gpu:
            self._run(np.zeros((self._batch, *self._shape), np.float32))
        self.device = _gpu_name() if on_gpu else _processor_name()
        self.load_s = time.perf_counter() - started

    def __call__(self, segments: np.ndarray) -> np.ndarray:
        """Segments of the mix, float32 (n, channels, segment) -> float32 (n, rows, channels, segment).

        The last run is filled up with silence if n is no multiple of the batch.
        """
        if segments.ndim != 3 or segments.shape[1:] != self._shape or segments.dtype != np.float32:
            found = f"{segments.dtype} {segments.shape}"
            expected = ", ".join(map(str, ("n", *self._shape)))
            raise UsageError(f"{self.name}: segments are {found}; expected float32 ({expected})")
        outputs = np.empty((len(segments), len(self.rows), *self._shape), np.float32)
        for first in range(0, len(segments), self._batch):
            part = segments[first : first + self._batch]
            count = len(part)
            if missing := self._batch - count:
                part = np.concatenate([part, np.zeros((missing, *self._shape), np.float32)])
            outputs[first : first + count] = self._run(part)[:count]
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
    batch: int = 1,
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
        batch=batch,
        precision=entry.precision,
    )


def resolve(provider: str) -> str:
    """The provider that runs a graph in this process: `auto` becomes one of the others.

    A GPU that is there and does not work is no reason for a CPU, which would be ten times slower: then `auto`
    fails as `cuda` does.
    """
    if provider not in PROVIDERS:
        raise UsageError(f"provider {provider!r}; expected one of {', '.join(PROVIDERS)}")
    if provider != "auto":
        return provider
    try:
        from separation.models.engines.onnx_runtime import has_gpu
    except ModuleNotFoundError as error:
        raise _not_installed("auto", error) from None
    return "cuda" if has_gpu() else "cpu"


def check_precision(provider: str, precisions: Iterable[str]) -> None:
    """Refuses int8 graphs on a GPU: CUDA has no kernels for their products, and leaves them to the CPU."""
    if provider in ON_GPU and "int8" in precisions:
        raise UsageError(
            "int8 models are for CPUs (--provider cpu or openvino); on a GPU, fp16 models are the fastest"
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
        raise _not_installed(provider, error) from None


def _not_installed(provider: str, error: ModuleNotFoundError) -> UsageError:
    extra = "openvino" if provider in OPENVINO else "gpu" if provider in ON_GPU else "cpu"
    return UsageError(f"provider {provider} needs {error.name}: pip install 'stemfleet[{extra}]'")


def _expected(provider: str) -> str:
    """What the session must report as its provider."""
    return f"OpenVINO CPU {OPENVINO[provider]}" if provider in OPENVINO else ONNXRUNTIME[provider]


def _kept_rows(
    uri: str,
    session: Session,
    shape: tuple[int, int],
    batch: int,
    rows: tuple[str, ...],
    published: tuple[str, ...],
) -> list[int] | None:
    """Which rows of the output to keep, None for all; ModelError for a graph of another shape.

    `shape` is that of a segment, (channels, segment); a session that was opened for `batch` of them reports
    that number where the file leaves it open.
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
    sizes = mix.shape[0], output.shape[0]
    batch_fits = sizes[0] == sizes[1] and (sizes[0] in (1, batch) or not isinstance(sizes[0], int))
    named = (mix.name, output.name) == ("mix", "stem")  # without rows, the shape alone says little
    single = len(rows) == 1 and output.shape[1:] == shape and named
    if not (batch_fits and (single or output.shape[1:] == (len(rows), *shape))):
        raise error
    return None


def _processor_name() -> str:
    """The processor's name, for the cost tables: "AMD EPYC 9R14"."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _gpu_name() -> str:
    from separation.models.engines.cuda import device_name

    return device_name()
