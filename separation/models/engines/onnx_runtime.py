"""onnxruntime, on CPUs and on NVIDIA GPUs."""

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from separation.errors import DeviceError, ModelError, SeparationError
from separation.models import graph_cache
from separation.models.engines import FLOAT32, SessionSettings, TensorSpec, cuda
from separation.models.engines.cuda import CUDA

CPU = "CPUExecutionProvider"
DTYPES = {"tensor(float)": FLOAT32}


def has_gpu() -> bool:
    """Whether the installed onnxruntime is one for GPUs and this process may use one."""
    return CUDA in onnxruntime.get_available_providers() and cuda.is_given()


class OnnxRuntimeSession:
    """A `Session` on the provider CPU or CUDA."""

    def __init__(self, graph: bytes, uri: str, provider: str, settings: SessionSettings):
        self.runs_on_cpu = provider == CPU
        if not self.runs_on_cpu:
            cuda.start()
        try:
            self._session = _open(graph, provider, settings)
        except SeparationError:  # of the cache
            raise
        except Exception as error:  # onnxruntime's exceptions share no base and do not pickle
            if not self.runs_on_cpu and (missing := cuda.problem()):
                raise DeviceError(f"onnxruntime does not start on the GPU: {missing}") from None
            raise ModelError(uri, f"onnxruntime cannot load it: {error}") from None
        self.provider: str = self._session.get_providers()[0]
        if not self.runs_on_cpu:
            self._check_placement(uri)
        self.inputs = [_tensor_spec(each) for each in self._session.get_inputs()]
        self.outputs = [_tensor_spec(each) for each in self._session.get_outputs()]

    def run(self, segments: np.ndarray) -> np.ndarray:
        try:
            result: np.ndarray = self._session.run([self.outputs[0].name], {self.inputs[0].name: segments})[0]
        except Exception as error:
            if self.runs_on_cpu:
                raise
            raise DeviceError(f"the GPU fails at an inference: {cuda.problem() or error}") from None
        return result

    def _check_placement(self, uri: str) -> None:
        """Every node runs on the GPU: one on the CPU has its tensors copied there and back in every run."""
        if self.provider != CUDA:  # it leaves out, without an error, a provider whose library does not load
            why = cuda.problem() or "onnxruntime does not say why"
            raise DeviceError(f"the session would run on {self.provider}, not on the GPU: {why}")
        nodes = Counter[str]()
        for part in self._session.get_provider_graph_assignment_info():
            if part.ep_name != CUDA:
                nodes.update(node.op_type for node in part.get_nodes())
        if nodes:
            kinds = ", ".join(f"{count} {kind}" for kind, count in nodes.most_common())
            raise ModelError(uri, f"the GPU cannot run all of it; the CPU would run {kinds}")


def _open(graph: bytes, provider: str, settings: SessionSettings) -> Any:
    """A session of the graph, from the cache if an earlier session on such a machine has optimized it.

    On a CPU the optimized graph is cached in onnxruntime's own format. On GPUs nothing is cached: their
    provider compiles at each start.
    """
    if provider != CPU or settings.cache is None:
        return _session(graph, provider, settings)
    name = graph_cache.key(graph, engine="onnxruntime", version=onnxruntime.__version__, providers=[provider])
    content = graph_cache.read(settings.cache, name)
    if content is None:
        try:
            content = _optimized(graph, settings)
        except Exception:  # no room for the file; what is wrong with the graph itself is raised here again
            return _session(graph, provider, settings)
        graph_cache.write(settings.cache, name, content)
    return _session(content, provider, settings, form="ORT")


def _optimized(graph: bytes, settings: SessionSettings) -> bytes:
    """The graph in onnxruntime's own format for CPUs, by way of a file."""
    with tempfile.TemporaryDirectory(prefix="stemfleet-") as folder:
        path = Path(folder) / "graph.ort"
        options = _options(CPU, settings)
        options.optimized_model_filepath = str(path)
        options.add_session_config_entry("session.save_model_format", "ORT")
        onnxruntime.InferenceSession(graph, options, providers=[CPU])
        return path.read_bytes()


def _session(content: bytes, provider: str, settings: SessionSettings, form: str = "ONNX") -> Any:
    providers: list[str | tuple[str, dict[str, str]]] = [CPU]
    if provider == CUDA:
        providers = [(CUDA, cuda.options(settings.precision)), CPU]
    session = onnxruntime.InferenceSession(
        content,
        _options(provider, settings, form),
        providers=providers,
        enable_fallback=0,  # of Python's: it would print a failing GPU's error and go on with the CPU
    )
    session._model_bytes = None  # kept for a change of providers, which we never do: 107 MB per actor
    return session


def _options(provider: str, settings: SessionSettings, form: str = "ONNX") -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = settings.threads
    options.use_deterministic_compute = True
    options.log_severity_level = 3  # only errors; what matters of the warnings is read from the session
    # Without this entry, onnxruntime recognises its own format by its first bytes. Only our cache may use it:
    # nothing has searched other files of that format for references to further files.
    options.add_session_config_entry("session.load_model_format", form)
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if settings.spinning else "0")
    # One size for all runs, see `Graph`. On a CPU, a known size lets onnxruntime keep its blocked layout
    # between convolutions: saves about 3 % of the time on one core of an EPYC Zen 4. On a GPU, another size
    # would have cuDNN plan all convolutions anew.
    options.add_free_dimension_override_by_name("batch", 1 if provider == CPU else settings.batch)
    # The second run would allocate one new block for all tensors in addition to the first run's arena. On a
    # CPU: a peak of 1,758 MB instead of 1,062 MB, at the same speed. On a GPU: 1.18 GB instead of 0.75 for a
    # batch of 2, counted with libraries of CUDA that only record.
    options.enable_mem_pattern = False
    if provider == CUDA:
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    return options


def _tensor_spec(value: Any) -> TensorSpec:
    shape = tuple("?" if size is None else size for size in value.shape)
    return TensorSpec(value.name, DTYPES.get(value.type, value.type), shape)
