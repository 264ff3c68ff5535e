"""OpenVINO, on CPUs: one sixth faster there than onnxruntime (docs/benchmarks.md)."""

import io
from typing import Any

import numpy as np
import openvino

from separation.errors import ModelError, UsageError
from separation.models import graph_cache
from separation.models.engines import FLOAT32, SessionSettings, TensorSpec

CPU = "CPU"
ANY_SIZE = "?"
GROUP = 128  # activations per scale with int8 weights: the fastest of 32, 128, 512 and 2048; 64 dB
AMX = "amx_bf16"  # the instruction set's name in Linux's processor flags


class OpenVinoSession:
    """A `Session`. `precision` of the arithmetic is "f32" or "bf16", which needs a processor with AMX."""

    runs_on_cpu = True

    def __init__(self, graph: bytes, uri: str, precision: str, settings: SessionSettings):
        if precision == "bf16" and AMX not in graph_cache.processor().split():
            raise UsageError("openvino-bf16 needs a processor with AMX; without it, f32 is faster")
        core = openvino.Core()
        try:
            compiled = _compile(core, graph, precision, settings)
        except RuntimeError as error:
            raise ModelError(uri, f"OpenVINO cannot load it: {error}") from None
        devices = ",".join(compiled.get_property("EXECUTION_DEVICES"))
        arithmetic = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        self.provider = f"OpenVINO {devices} {arithmetic}"
        self.inputs = [_tensor_spec(each) for each in compiled.inputs]
        self.outputs = [_tensor_spec(each) for each in compiled.outputs]
        self._request = compiled.create_infer_request()

    def run(self, segments: np.ndarray) -> np.ndarray:
        self._request.infer({0: openvino.Tensor(np.ascontiguousarray(segments), shared_memory=True)})
        result: np.ndarray = self._request.get_output_tensor(0).data.copy()  # the next run overwrites it
        return result


def _compile(core: Any, graph: bytes, precision: str, settings: SessionSettings) -> Any:
    """The compiled graph, from the cache if an earlier session on such a machine has exported it."""
    configuration = {
        "INFERENCE_PRECISION_HINT": precision,
        "NUM_STREAMS": 1,
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": GROUP,
        "ENABLE_CPU_PINNING": False,  # all sessions of a node would be pinned to the same cores
    }
    if settings.threads:
        configuration["INFERENCE_NUM_THREADS"] = settings.threads
    name = graph_cache.key(
        graph, engine="openvino", version=openvino.__version__, configuration=configuration
    )
    content = graph_cache.read(settings.cache, name) if settings.cache else None
    if content is not None:
        return core.import_model(content, CPU, configuration)
    model = core.read_model(io.BytesIO(graph))
    shapes = {each: each.partial_shape for each in model.inputs}
    for shape in shapes.values():
        if shape.rank.is_static and len(shape) and shape[0].is_dynamic:
            shape[0] = 1  # one segment at a time, see `Graph`
    model.reshape(shapes)
    compiled = core.compile_model(model, CPU, configuration)
    if settings.cache:
        exported = io.BytesIO()
        compiled.export_model(exported)
        graph_cache.write(settings.cache, name, exported.getvalue())
    return compiled


def _tensor_spec(value: Any) -> TensorSpec:
    sizes = [ANY_SIZE if size.is_dynamic else size.get_length() for size in value.partial_shape]
    dtype = value.element_type.get_type_name()
    return TensorSpec(value.any_name, FLOAT32 if dtype == "f32" else dtype, tuple(sizes))
