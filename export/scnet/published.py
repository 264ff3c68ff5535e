"""SCNet as it is published, for comparison: `pymss_core.SCNet`, whose output equals MSST's own to the bit.

That package has no masked variant, so its forward pass is here: MSST's scnet_masked.py (0.1.0), on
pymss_core's encoder, separation network and decoder.
"""

from collections.abc import Mapping
from dataclasses import asdict

import torch
from pymss_core.modules.scnet import SCNet
from torch import Tensor, nn
from torch.nn import functional as F

from export.scnet.graph import MASK_CHANNELS
from export.scnet.sizes import PARTS, Sizes


class MaskedSCNet(SCNet):  # type: ignore[misc]  # the package has no types
    """(batch, 2, samples) -> (batch, sources, 2, samples): the network gives masks of the spectrogram."""

    def __init__(self, **sizes: object) -> None:
        super().__init__(**sizes)
        channels, fft = 4 * len(self.sources), self.stft_config["n_fft"]
        self.pos_embed_f = nn.Parameter(0.02 * torch.randn(1, self.dims[0], fft // 2 + 1, 1))
        self.register_buffer("window", torch.hann_window(fft, periodic=True), persistent=False)
        self.mask_layer = nn.Sequential(
            nn.Conv2d(channels, MASK_CHANNELS, kernel_size=3, padding="same"),
            nn.GELU(),
            nn.Conv2d(MASK_CHANNELS, channels, kernel_size=1, padding="same"),
            nn.Tanh(),
        )

    def forward(self, mix: Tensor) -> Tensor:
        batch, channels, samples = mix.shape
        padding = self.hop_length - samples % self.hop_length
        if (samples + padding) // self.hop_length % 2 == 0:
            padding += self.hop_length
        signal = F.pad(mix, (0, padding)).reshape(batch * channels, -1)
        spectrogram = torch.stft(signal, **self.stft_config, window=self.window, return_complex=True)
        parts = torch.view_as_real(spectrogram).permute(0, 3, 1, 2)
        x = parts.reshape(batch, channels * PARTS, *parts.shape[2:]) + self.pos_embed_f
        saved = []
        for layer in self.encoder:
            x, *skip = layer(x)
            saved.append(skip)
        x = self.separation_net(x)
        for fusion, upsample in self.decoder:
            skip, lengths, original_lengths = saved.pop()
            x = upsample(fusion(x, skip), lengths, original_lengths)
        pairs = self.mask_layer(x).reshape(batch, -1, channels, PARTS, *x.shape[2:])
        mask = torch.view_as_complex(pairs.permute(0, 1, 2, 4, 5, 3).contiguous())
        masked = spectrogram.reshape(batch, 1, channels, *spectrogram.shape[1:]) * mask
        stems = torch.istft(masked.flatten(0, 2), **self.stft_config, window=self.window)
        return stems.reshape(batch, -1, channels, samples + padding)[..., :samples]


def published(sizes: Sizes, masked: bool, weights: Mapping[str, Tensor] | None = None) -> nn.Module:
    """The network in eval mode, with these weights; None: PyTorch's own random ones."""
    arguments = {
        name: list(value) if isinstance(value, tuple) else value for name, value in asdict(sizes).items()
    }
    model: nn.Module = (MaskedSCNet if masked else SCNet)(**arguments)
    if weights is not None:
        model.load_state_dict(weights)
    return model.eval()
