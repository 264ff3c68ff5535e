"""onnxruntime, on CPUs and on NVIDIA GPUs."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from separation.errors import ModelError, SeparationError
from separation.models import graph_cache
from separation.models.engines import FLOAT32, SessionSettings, TensorSpec

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"
DTYPES = {"tensor(float)": FLOAT32}
CUDA_OPTIONS = {
    "use_tf32": "0",  # TF32 keeps 10 bits of the mantissa; a float32 graph is to run in float32
    "arena_extend_strategy": "kSameAsRequested",  # doubling would take memory from other sessions; untested
    "cudnn_conv_algo_search": "HEURISTIC",  # choosing by timing would let the bits differ between runs
}


class OnnxRuntimeSession:
    """A `Session`. `wanted` are onnxruntime's names of providers, in order of preference."""

    def __init__(self, graph: bytes, uri: str, wanted: tuple[str, ...], settings: SessionSettings):
        available = onnxruntime.get_available_providers()
        providers = [name for name in wanted if name in available]
        if CUDA in providers:
            onnxruntime.preload_dlls()  # CUDA and cuDNN from Python packages, if installed
        try:
            self._session = _open(graph, providers, settings)
        except SeparationError:  # of the cache
            raise
        except Exception as error:  # onnxruntime's exceptions share no base and do not pickle
            raise ModelError(uri, f"onnxruntime cannot load it: {error}") from None
        self.provider: str = self._session.get_providers()[0]
        self.runs_on_cpu = self.provider == CPU
        self.inputs = [_tensor_spec(each) for each in self._session.get_inputs()]
        self.outputs = [_tensor_spec(each) for each in self._session.get_outputs()]

    def run(self, segments: np.ndarray) -> np.ndarray:
        result: np.ndarray = self._session.run([self.outputs[0].name], {self.inputs[0].name: segments})[0]
        return result


def _open(graph: bytes, providers: list[str], settings: SessionSettings) -> Any:
    """A session of the graph, from the cache if an earlier session on such a machine has optimized it.

    On a CPU the optimized graph is cached in onnxruntime's own format. On GPUs nothing is cached: their
    providers compile at each start.
    """
    if providers != [CPU] or settings.cache is None:
        return _session(graph, providers, _options(providers, settings))
    name = graph_cache.key(graph, engine="onnxruntime", version=onnxruntime.__version__, providers=providers)
    content = graph_cache.read(settings.cache, name)
    if content is None:
        try:
            content = _optimized(graph, providers, settings)
        except Exception:  # no room for the file; what is wrong with the graph itself is raised here again
            return _session(graph, providers, _options(providers, settings))
        graph_cache.write(settings.cache, name, content)
    options = _options(providers, settings, form="ORT")
    return _session(content, providers, options)


def _optimized(graph: bytes, providers: list[str], settings: SessionSettings) -> bytes:
    """The graph in onnxruntime's own format, by way of a file."""
    with tempfile.TemporaryDirectory(prefix="stemfleet-") as folder:
        path = Path(folder) / "graph.ort"
        options = _options(providers, settings)
        options.optimized_model_filepath = str(path)
        options.add_session_config_entry("session.save_model_format", "ORT")
        onnxruntime.InferenceSession(graph, options, providers=providers)
        return path.read_bytes()


def _session(content: bytes, providers: list[str], options: Any) -> Any:
    settings = [CUDA_OPTIONS if name == CUDA else {} for name in providers]
    session = onnxruntime.InferenceSession(content, options, providers=providers, provider_options=settings)
    session._model_bytes = None  # kept for a change of providers, which we never do: 107 MB per actor
    return session


def _options(providers: list[str], settings: SessionSettings, form: str = "ONNX") -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = settings.threads
    options.use_deterministic_compute = True
    options.log_severity_level = 3  # only errors; what matters of the warnings is read from the session
    # Without this entry, onnxruntime recognises its own format by its first bytes. Only our cache may use it:
    # nothing has searched other files of that format for references to further files.
    options.add_session_config_entry("session.load_model_format", form)
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if settings.spinning else "0")
    if providers == [CPU]:
        # One segment at a time, see `Graph`. A known size lets onnxruntime keep its blocked layout between
        # convolutions: saves about 3 % of the time on one core of an EPYC Zen 4.
        options.add_free_dimension_override_by_name("batch", 1)
        # The second run would allocate one new block for all tensors in addition to the first run's arena:
        # a peak of 1,758 MB instead of 1,062 MB, at the same speed.
        options.enable_mem_pattern = False
    return options


def _tensor_spec(value: Any) -> TensorSpec:
    shape = tuple("?" if size is None else size for size in value.shape)
    return TensorSpec(value.name, DTYPES.get(value.type, value.type), shape)
