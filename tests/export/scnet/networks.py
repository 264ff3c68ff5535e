"""SCNets with hot random weights, as MSST publishes them: a configuration and a checkpoint.

PyTorch's own random weights say little: the norms do nothing but norm, and the LSTMs hardly reach the output.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import nn

from export.scnet.published import published
from export.scnet.sizes import Sizes
from tests.export.msst_networks import MsstNetwork


@dataclass(frozen=True)
class Network(MsstNetwork):
    sizes: Sizes
    masked: bool = False

    family = "scnet"

    @property
    def names(self) -> tuple[str, ...]:
        return self.sizes.sources

    @property
    def model(self) -> nn.Module:
        """The published network, the same each time."""
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(self.seed)
            model = published(self.sizes, self.masked)
            for module in model.modules():
                if isinstance(module, nn.GroupNorm):
                    module.weight.uniform_(0.5, 1.5)
                    module.bias.uniform_(-0.3, 0.3)
                if isinstance(module, nn.LSTM | nn.Linear):
                    for parameter in module.parameters():
                        parameter *= 2
        return model

    def configuration(self, **training: Any) -> dict[str, Any]:
        return super().configuration(use_amp=True, **training)

    def tagged(self, text: str) -> str:
        return f"{text}augmentations:\n  mixup_probs:\n    !!python/tuple\n    - 0.2\n    - 0.02\n"

    def saved(self) -> object:
        return {"epoch": 1, "state": self.model.state_dict()}


SMALL = Network(
    Sizes(dims=(4, 8, 12), nfft=1024, hop_size=256, win_size=1024, conv_depths=(2, 1, 1), num_dplayer=2),
    9_000,
)
MASKED = replace(SMALL, masked=True, sizes=replace(SMALL.sizes, sources=("vocals", "other")), normalize=True)
# Of MSST's configurations: base is the paper's, large is config_musdb18_scnet_large.yaml.
BASE = Network(Sizes(), 485_100)
LARGE = Network(Sizes(dims=(4, 64, 128, 256), band_SR=(0.225, 0.372, 0.403)), 485_100)


def in_float64(model: nn.Module, segments: np.ndarray, rows: Sequence[int]) -> np.ndarray:
    """These rows of what the network computes in float64, which it takes back by `x.float()` otherwise."""
    model = model.double()
    with mock.patch.object(torch.Tensor, "float", lambda x: x), torch.no_grad():
        found: np.ndarray = model(torch.from_numpy(segments).double())[:, list(rows)].numpy()
    return found
