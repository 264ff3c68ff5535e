"""The HTDemucs that is trained, and initial weights with which it already reproduces its input.

Fresh weights of HTDemucs first have to learn to rebuild a sound at all. These start as masks of ones
instead: of the spectrogram's 32 channels, 16 carry the normalised input unchanged from the first encoder
layer over the skip connection into the value half of the last decoder layer's GLU. What remains to be learnt
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

from export.htdemucs.arguments import SOURCES
from export.htdemucs.layers import DemucsModule
from export.htdemucs.supported import constructor_arguments

LAYER_STRIDE = 4  # bins that a frequency layer combines
PATCH = 4 * LAYER_STRIDE  # numbers in a patch: bins x (re, im) x (left, right)


@dataclass(frozen=True, slots=True)
class Sizes:
    """Arguments of HTDemucs that a bag may choose; `channels` is at least 32, for the masks to start from."""

    channels: int = 32
    growth: int = 1
    bottom_channels: int = 96
    t_layers: int = 2
    t_heads: int = 4
    t_hidden_scale: float = 2.0
    dconv_comp: int = 4


def build(sizes: Sizes, seed: int, masks: bool = True) -> HTDemucs:
    """A new model in training mode, drawn from `seed`; `masks`: with the initial weights described above."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        model: HTDemucs = HTDemucs(
            list(SOURCES), dconv_mode=3, dconv_init=0.1, segment=Fraction(39, 5), **asdict(sizes)
        )
        for module in model.crosstransformer.modules():
            if isinstance(module, LayerScale):
                module.scale.fill_(0.1)  # demucs's 1e-4 is for long trainings
        if masks:
            _start_as_masks(model)
    model.train()
    return model


def only(model: HTDemucs, stem: str) -> HTDemucs:
    """A copy of `model` in training mode that computes the row of `stem` alone."""
    (_, *args), kwargs = constructor_arguments(model)
    specialist: HTDemucs = HTDemucs([stem], *args, **kwargs)
    specialist.load_state_dict(_weights_of(model, SOURCES.index(stem)))
    specialist.train()
    return specialist


def with_row(model: HTDemucs, specialist: HTDemucs) -> HTDemucs:
    """A copy of `model` in eval mode with the weights of `specialist`, which `only` made of it.

    The rows of the other stems keep the weights they have in `model`.
    """
    whole, trained = deepcopy(model), specialist.state_dict()
    for name, weight in _weights_of(whole, SOURCES.index(*specialist.sources)).items():
        weight.copy_(trained[name])
    return whole.eval()


def _weights_of(model: HTDemucs, row: int) -> dict[str, Tensor]:
    """Views of all weights by name; of the last transposed convolutions only the part that makes `row`."""
    weights: dict[str, Tensor] = model.state_dict()
    for branch in ("decoder", "tdecoder"):
        for kind, axis in (("weight", 1), ("bias", 0)):
            name = f"{branch}.{len(model.decoder) - 1}.conv_tr.{kind}"
            weights[name] = weights[name].unflatten(axis, (len(SOURCES), -1)).select(axis, row)
    return weights


def _start_as_masks(model: DemucsModule) -> None:
    first, last, before = model.encoder[0], model.decoder[-1], model.decoder[-2]
    v = torch.arange(PATCH)
    bin_, channel = v // 4, v % 4

    # Row i of the kernel's 8 reads bin 4i - 2: taps 2 to 5 are the patch itself.
    first.conv.weight[: 2 * PATCH] = 0
    first.conv.bias[: 2 * PATCH] = 0
    first.conv.weight[v, channel, bin_ + 2, 0] = 1
    first.conv.weight[v + PATCH, channel, bin_ + 2, 0] = -1

    values, gates = first.rewrite.weight.chunk(2)
    values[:PATCH] = 0
    values[v, v] = 2  # over the closed half of a gate at sigmoid(0)
    values[v, v + PATCH] = -2
    gates[:PATCH] = 0
    first.rewrite.bias.chunk(2)[0][:PATCH] = 0
    first.rewrite.bias.chunk(2)[1][:PATCH] = 0
    model.freq_emb.embedding.weight[:, :PATCH] = 0

    before.conv_tr.weight[:, :PATCH] = 0  # nothing is added to the skip's first 16 channels
    before.conv_tr.bias[:PATCH] = 0

    values, gates = last.rewrite.weight.chunk(2)
    copies = values.shape[0] // PATCH
    values[: copies * PATCH] = 0
    gates[:] *= 0.3
    last.rewrite.bias.zero_()
    last.conv_tr.weight[:] *= 0.1
    last.conv_tr.bias.zero_()
    for copy in range(copies):
        values[copy * PATCH + v, v, 1, 1] = 2
        for source in range(len(SOURCES)):
            share = 1 / len(SOURCES) / copies * (2.0 if (source + copy) % 2 else 1.0) * 2 / 3 * 2
            last.conv_tr.weight[copy * PATCH + v, 4 * source + channel, bin_ + 2, 0] = share
    model.tdecoder[-1].conv_tr.weight.mul_(0.1)
    model.tdecoder[-1].conv_tr.bias.zero_()
