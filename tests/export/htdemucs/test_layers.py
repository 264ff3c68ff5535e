import numpy as np
import torch
from demucs.demucs import DConv

from export.htdemucs.layers import ResidualLayer
from export.layers import LONGEST_SUM, mean


def test_mean_over_long_rows_is_exact_to_float32() -> None:
    """In stages; a single sum in order of 343,980 numbers near 1 is off by 1e-5 and more."""
    for time in (7, LONGEST_SUM, LONGEST_SUM + 1, 21_499, 343_980):
        x = torch.rand(2, 3, 4, time, generator=torch.Generator().manual_seed(time)) + 0.5
        assert np.allclose(mean(x)[:, 0, :, 0], x.double().mean((1, 3)), rtol=3e-7)
        assert np.allclose(mean(x, over_frequencies=True).flatten(), x.double().mean((1, 2, 3)), rtol=3e-7)


def test_residual_layer_is_dconvs_for_any_offset_of_the_norms() -> None:
    """The statistics come from the squeezed tensor; a large bias would show a cancellation."""
    torch.manual_seed(0)
    dconv = DConv(32, compress=8, init=0.5).eval()
    with torch.no_grad():
        for layer in dconv.layers:
            layer[3].bias += torch.linspace(-5, 20, 64)
            layer[4].weight.uniform_(0.5, 2)
            layer[4].bias.uniform_(-1, 1)
        x = torch.randn(3, 32, 50)
        expected = dconv(x)
        rows = x.permute(1, 0, 2)[None]  # three samples of demucs's are three rows here
        for layer in dconv.layers:
            rows = ResidualLayer(layer, 50)(rows)
    assert (rows[0].permute(1, 0, 2) - expected).abs().max() < 3e-6 * expected.abs().max()
