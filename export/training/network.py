"""The HTDemucs that is trained, and weights to start from with which it already passes its input on.

Fresh weights of HTDemucs first have to learn to rebuild a sound at all. These start as masks of ones
instead: of the spectrogram's 32 channels, 16 carry the normalised input unchanged from the first encoder
layer over the skip connection into the value half of the last decoder layer's GLU. What is left to learn
is its other half, the gate, which is a mask for every bin.

    bins 4i..4i+3 x (re, im) x (left, right) = 16 numbers --conv--> +v and -v --GELU--> gelu(v) - gelu(-v) = v
"""

from copy import deepcopy
from dataclasses import asdict, dataclass
from fractions import Fraction

import torch
from demucs.htdemucs import HTDemucs
from demucs.transformer import LayerScale
from torch import Tensor

from separation.contract import STEMS

STRIDE = 4  # bins a frequency layer takes together
NUMBERS = 4 * STRIDE  # of a patch: bins x (re, im) x (left, right)


@dataclass(frozen=True, slots=True)
class Sizes:
    """Arguments of HTDemucs that the bag leaves free; `channels` is at least 32 for the masks' start."""

    channels: int = 32
    growth: int = 1
    bottom_channels: int = 96
    t_layers: int = 2
    t_heads: int = 4
    t_hidden_scale: float = 2.0
    dconv_comp: int = 4


def build(sizes: Sizes, seed: int, masks: bool = True) -> HTDemucs:
    """A new model in training mode; the same seed gives the same weights."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        model = HTDemucs(list(STEMS), dconv_mode=3, dconv_init=0.1, segment=Fraction(39, 5), **asdict(sizes))
        for module in model.crosstransformer.modules():
            if isinstance(module, LayerScale):
                module.scale.fill_(0.1)  # demucs's 1e-4 is for long trainings
        if masks:
            _start_as_masks(model)
    return model.train()


def only(model: HTDemucs, stem: str) -> HTDemucs:
    """A copy of `model` in training mode that computes the row of `stem` alone."""
    (_, *args), kwargs = model._init_args_kwargs
    specialist = HTDemucs([stem], *args, **kwargs)
    specialist.load_state_dict(_weights_of(model, STEMS.index(stem)))
    return specialist.train()


def with_row(model: HTDemucs, specialist: HTDemucs) -> HTDemucs:
    """A copy of `model` in eval mode with the weights of `specialist`, which is `only` some stem of it; the
    other stems' rows stay."""
    whole, trained = deepcopy(model), specialist.state_dict()
    for name, weight in _weights_of(whole, STEMS.index(*specialist.sources)).items():
        weight.copy_(trained[name])
    return whole.eval()


def _weights_of(model: HTDemucs, row: int) -> dict[str, Tensor]:
    """Views of all weights, but of the last transposed convolutions only of what makes `row`."""
    weights: dict[str, Tensor] = model.state_dict()
    for branch in ("decoder", "tdecoder"):
        for kind, axis in (("weight", 1), ("bias", 0)):
            name = f"{branch}.{len(model.decoder) - 1}.conv_tr.{kind}"
            weights[name] = weights[name].unflatten(axis, (len(STEMS), -1)).select(axis, row)
    return weights


def _start_as_masks(model: HTDemucs) -> None:
    first, last, before = model.encoder[0], model.decoder[-1], model.decoder[-2]
    v = torch.arange(NUMBERS)
    bin_, channel = v // 4, v % 4

    # Row i of the kernel's 8 reads bin 4i - 2: taps 2 to 5 are the patch itself.
    first.conv.weight[: 2 * NUMBERS] = 0
    first.conv.bias[: 2 * NUMBERS] = 0
    first.conv.weight[v, channel, bin_ + 2, 0] = 1
    first.conv.weight[v + NUMBERS, channel, bin_ + 2, 0] = -1

    values, gates = first.rewrite.weight.chunk(2)
    values[:NUMBERS] = 0
    values[v, v] = 2  # over the closed half of a gate at sigmoid(0)
    values[v, v + NUMBERS] = -2
    gates[:NUMBERS] = 0
    first.rewrite.bias.chunk(2)[0][:NUMBERS] = 0
    first.rewrite.bias.chunk(2)[1][:NUMBERS] = 0
    model.freq_emb.embedding.weight[:, :NUMBERS] = 0

    before.conv_tr.weight[:, :NUMBERS] = 0  # nothing is added to the skip's first 16 channels
    before.conv_tr.bias[:NUMBERS] = 0

    values, gates = last.rewrite.weight.chunk(2)
    copies = values.shape[0] // NUMBERS
    values[: copies * NUMBERS] = 0
    gates[:] *= 0.3
    last.rewrite.bias.zero_()
    last.conv_tr.weight[:] *= 0.1
    last.conv_tr.bias.zero_()
    for copy in range(copies):
        values[copy * NUMBERS + v, v, 1, 1] = 2
        for source in range(len(STEMS)):
            share = 1 / len(STEMS) / copies * (2.0 if (source + copy) % 2 else 1.0) * 2 / 3 * 2
            last.conv_tr.weight[copy * NUMBERS + v, 4 * source + channel, bin_ + 2, 0] = share
    model.tdecoder[-1].conv_tr.weight.mul_(0.1)
    model.tdecoder[-1].conv_tr.bias.zero_()
