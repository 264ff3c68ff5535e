"""A demucs model and the row to keep -> an ONNX specialist.

    mix (batch, 2, SEGMENT) -> stem (batch, 2, SEGMENT)

`SpecialistModule` is HTDemucs.forward (demucs/htdemucs.py) for one row; it leaves the model alone. The file
that `to_onnx` makes depends on the weights only: the same checkpoint, the same bytes.
"""

import io
import warnings

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from export.fourier import BINS, FRAMES, Spectrogram, Waveform
from export.half_precision import halve
from export.htdemucs.layers import Decoder, Encoder, mean, variance
from export.htdemucs.transformer import Transformer
from separation.contract import CHANNELS, SEGMENT

OPSET = 17
MICROSOFT = "com.microsoft"  # the domain of onnxruntime's own operations
WORTH_HALVING = 1024  # numbers in an initializer; smaller ones stay float32
PARTS = 2  # real and imaginary


def time_lengths(depth: int) -> list[int]:
    """Samples before each encoder of the time branch and the last's: 343980, 85995, 21499, 5375, 1344."""
    lengths = [SEGMENT]
    for _ in range(depth):
        lengths.append(-(-lengths[-1] // 4))
    return lengths


class SpecialistModule(nn.Module):
    """`row` of `model`'s output, in float32, with the transformer's linear layers in 8 bits (int8), or as
    `halve` writes it (fp16: then the module itself is float32, and only its graph is not).
    """

    def __init__(self, model: nn.Module, row: int, precision: str = "fp32") -> None:
        super().__init__()
        self.precision = precision
        depth = len(model.encoder)
        self.spectrogram, self.waveform = Spectrogram(), Waveform()
        lengths = time_lengths(depth)
        self.encoders = nn.ModuleList(Encoder(layer, FRAMES) for layer in model.encoder)
        self.encoders_t = nn.ModuleList(map(Encoder, model.tencoder, lengths))
        embedding = model.freq_emb.embedding.weight.detach()
        self.frequency_embedding = nn.Parameter(embedding.t()[None, :, :, None].clone())
        self.frequency_scale = model.freq_emb.scale * model.freq_emb_scale
        self.transformer = Transformer(model, BINS // 4**depth, FRAMES, lengths[-1])

        if precision == "int8":
            self.transformer.quantize()

        def decoder(layer: nn.Module, time: int, channels: int) -> Decoder:
            kept = slice(row * channels, (row + 1) * channels) if layer.last else slice(None)
            return Decoder(layer, time, kept)

        self.decoders = nn.ModuleList(decoder(layer, FRAMES, PARTS * CHANNELS) for layer in model.decoder)
        self.decoders_t = nn.ModuleList(
            decoder(layer, time, CHANNELS)
            for layer, time in zip(model.tdecoder, lengths[-2::-1], strict=True)
        )

    def forward(self, mix: Tensor) -> Tensor:
        spectrogram, centre, spread = _level(self.spectrogram(mix), PARTS * CHANNELS * BINS * FRAMES)
        wave, centre_t, spread_t = _level(mix.reshape(-1, CHANNELS, 1, SEGMENT), CHANNELS * SEGMENT)

        x, skips = spectrogram, []
        for index, encoder in enumerate(self.encoders):
            x = encoder(x)
            if index == 0:
                x = x + self.frequency_embedding * self.frequency_scale
            skips.append(x)
        xt, skips_t = wave, []
        for encoder in self.encoders_t:
            xt = encoder(xt)
            skips_t.append(xt)

        x, xt = self.transformer(x, xt)

        for decoder in self.decoders:
            x = decoder(x, skips.pop())
        for decoder in self.decoders_t:
            xt = decoder(xt, skips_t.pop())

        from_spectrogram = self.waveform(x * spread + centre)
        from_wave = (xt * spread_t + centre_t).reshape(-1, CHANNELS, SEGMENT)
        return from_spectrogram + from_wave


def _level(x: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """x of `count` numbers a segment without its mean, over its unbiased deviation; and these two."""
    centre = mean(x, rows_too=True)
    centred = x - centre
    spread = torch.sqrt(variance(centred, rows_too=True) * (count / (count - 1)))
    return centred / (1e-5 + spread), centre, spread


def to_onnx(module: SpecialistModule) -> bytes:
    """The module as a checked ONNX file with a free batch axis."""
    mix = torch.zeros(1, CHANNELS, SEGMENT)
    file = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporter's notices that it is the older of two
        torch.onnx.export(
            module.eval(), (mix,), file, dynamo=False, opset_version=OPSET, do_constant_folding=False,
            input_names=["mix"], output_names=["stem"],
            dynamic_axes={"mix": {0: "batch"}, "stem": {0: "batch"}},
            custom_opsets={MICROSOFT: 1},
        )  # fmt: skip
    graph = onnx.load_model_from_string(file.getvalue())
    for value in (graph.graph.input[0], graph.graph.output[0]):
        for axis, size in zip(value.type.tensor_type.shape.dim, ("batch", CHANNELS, SEGMENT), strict=True):
            axis.Clear()
            setattr(axis, "dim_param" if size == "batch" else "dim_value", size)
    _drop_aliases(graph.graph)
    if module.precision == "fp16":
        halve(graph.graph)
    store_halves(graph.graph)
    onnx.checker.check_model(graph, full_check=False)
    return graph.SerializeToString(deterministic=True)


def _drop_aliases(graph: onnx.GraphProto) -> None:
    """Equal initializers leave the exporter as one and Identity nodes; onnxruntime loses track of those."""
    initializers = {tensor.name for tensor in graph.initializer}
    aliases = {
        node.output[0]: node.input[0]
        for node in graph.node
        if node.op_type == "Identity" and node.input[0] in initializers
    }
    nodes = [node for node in graph.node if node.output[0] not in aliases]
    for node in nodes:
        node.input[:] = [aliases.get(name, name) for name in node.input]
    _replace_nodes(graph, nodes)


def store_halves(graph: onnx.GraphProto) -> None:
    """Stores numbers that are exactly half-precision as such, behind a Cast: half the file, same bits."""
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT or np.prod(tensor.dims) < WORTH_HALVING:
            continue
        values = numpy_helper.to_array(tensor)
        with np.errstate(over="ignore"):
            halves = values.astype(np.float16)
        if np.array_equal(halves.astype(np.float32), values):
            name = tensor.name
            tensor.CopyFrom(numpy_helper.from_array(halves, name + ".half"))
            casts.append(onnx.helper.make_node("Cast", [tensor.name], [name], to=onnx.TensorProto.FLOAT))
    _replace_nodes(graph, [*casts, *graph.node])


def _replace_nodes(graph: onnx.GraphProto, nodes: list[onnx.NodeProto]) -> None:
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)
