"""The SCNet of a configuration: an `export.msst.model.Network`."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from export.msst.config import Config
from export.msst.state import State
from export.parity import BARS, Bar
from export.scnet.graph import SCNetModule, to_onnx
from export.scnet.published import published
from export.scnet.sizes import Sizes, sizes_of

MASKED = "mask_layer.0.weight"  # a weight of the masked variant alone


@dataclass(frozen=True, slots=True)
class SCNetwork:
    """`kind` is MSST's type, or None: the weights tell whether the network is masked."""

    kind: str | None
    sizes: Sizes

    @property
    def rows(self) -> int:
        return self.sizes.rows

    @property
    def bars(self) -> Mapping[str, Bar]:
        return BARS

    def to_onnx(self, state: State, segment: int, rows: Sequence[int], precision: str) -> bytes:
        return to_onnx(SCNetModule(state, self.sizes, segment, rows, self._masked(state), precision))

    def published(self, weights: Mapping[str, Tensor]) -> nn.Module:
        return published(self.sizes, self._masked(weights), weights)

    def _masked(self, weights: Container[str]) -> bool:
        return MASKED in weights if self.kind is None else self.kind == "scnet_masked"


def network_of(kind: str | None, config: Config) -> SCNetwork:
    return SCNetwork(kind, sizes_of(config.where, config.model))
