"""The RoFormer of a configuration: an `export.msst.model.Network`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from export.msst.config import Config
from export.msst.state import State
from export.parity import Bar
from export.roformer.graph import RoformerModule, to_onnx
from export.roformer.published import published
from export.roformer.sizes import Sizes, sizes_of
from separation.errors import ModelError
from separation.models.bag_checks import MOST_GRAPH_BYTES

# PyTorch's own float32 is 89 to 116 dB from float64 on hot random weights, and so is a graph's; the norms of
# bands give the last bits of a spectrogram the weight of its loudest numbers.
BARS = {"fp32": Bar(80, 1e-3), "fp16": Bar(30, 1e-1)}


@dataclass(frozen=True, slots=True)
class Roformer:
    """`where` is the configuration, for errors."""

    where: str
    sizes: Sizes

    @property
    def rows(self) -> int:
        return self.sizes.num_stems

    @property
    def bars(self) -> Mapping[str, Bar]:
        return BARS

    def to_onnx(self, state: State, segment: int, rows: Sequence[int], precision: str) -> bytes:
        module = RoformerModule(state, self.sizes, segment, rows, precision)
        size = sum(each.numel() * each.element_size() for each in module.state_dict().values())
        if size > MOST_GRAPH_BYTES:
            raise ModelError(
                self.where,
                f"its weights are {size / 1e9:.1f} GB for {len(rows)} rows, and an ONNX file holds "
                f"{MOST_GRAPH_BYTES / 1e9:.1f}; --stems exports fewer",
            )
        return to_onnx(module)

    def published(self, weights: Mapping[str, Tensor]) -> nn.Module:
        return published(self.sizes, weights)


def network_of(kind: str | None, config: Config) -> Roformer:
    return Roformer(config.where, sizes_of(kind, config))
