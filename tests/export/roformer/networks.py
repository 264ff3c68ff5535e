"""RoFormers with hot random weights, as MSST publishes them: a configuration and a checkpoint.

PyTorch's own random weights say little: the gains of all norms are 1, and attention is nearly a mean.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from export.roformer.published import published
from export.roformer.sizes import BSSizes, MelBandSizes, Sizes
from tests.export.msst_networks import MsstNetwork

NAMES = ("vocals", "drums", "bass", "other")


@dataclass(frozen=True)
class Network(MsstNetwork):
    sizes: Sizes

    family = "roformer"

    @property
    def names(self) -> tuple[str, ...]:
        return NAMES[: self.sizes.num_stems]

    @property
    def model(self) -> nn.Module:
        """The published network, the same each time."""
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(self.seed)
            model = published(self.sizes)
            for name, parameter in model.named_parameters():
                if name.endswith("gamma"):
                    parameter.uniform_(0.5, 1.5)
                elif name.endswith(("to_qkv.weight", "to_gates.weight")):
                    parameter *= 3
                elif "rotary" not in name:
                    parameter *= 1.5
        return model

    def configuration(self, **training: Any) -> dict[str, Any]:
        content = super().configuration(**training)
        content["model"] |= {"attn_dropout": 0, "ff_dropout": 0.1, "flash_attn": True, "dim_freqs_in": 1025}
        content["model"] |= {"multi_stft_hop_size": 147, "multi_stft_normalized": False}
        content["model"]["use_torch_checkpoint"] = False
        return content

    def tagged(self, text: str) -> str:
        return text.replace(
            "model:\n", "model:\n  multi_stft_resolutions_window_sizes: !!python/tuple\n  - 4096\n  - 256\n"
        )


TINY: dict[str, Any] = {
    "dim": 32, "depth": 2, "stereo": True, "dim_head": 8, "heads": 4,
    "stft_n_fft": 512, "stft_hop_length": 110, "stft_win_length": 512,
}  # fmt: skip
MEL = Network(
    MelBandSizes(
        **TINY, num_bands=12, time_transformer_depth=1, freq_transformer_depth=1, mask_estimator_depth=2
    ),
    8_800,
)
BS = Network(
    BSSizes(
        **TINY, num_stems=2, freqs_per_bands=(4, 4, 8, 16, 32, 64, 129), skip_connection=True, zero_dc=False
    ),
    9_001,
)
# Of MSST's configurations config_vocals_mel_band_roformer_kj.yaml and model_bs_roformer_384_8_2_485100.yaml.
KIM = Network(
    MelBandSizes(
        dim=384, depth=6, stereo=True, time_transformer_depth=1, freq_transformer_depth=1,
        stft_hop_length=441, mask_estimator_depth=2,
    ),
    352_800, 2,
)  # fmt: skip
BS_4_STEMS = Network(
    BSSizes(
        dim=384, depth=8, stereo=True, num_stems=4, time_transformer_depth=1, freq_transformer_depth=1,
        stft_hop_length=512,
    ),
    485_100, 2,
)  # fmt: skip


def in_float64(network: Network, segments: np.ndarray, rows: Sequence[int]) -> np.ndarray:
    """These rows of what the published network computes in float64.

    Of a network that has not run yet: it keeps its rotary angles, in float32 if it ran in that.
    """
    with torch.no_grad():
        found: np.ndarray = network.model.double()(torch.from_numpy(segments).double())[:, list(rows)].numpy()
    return found
