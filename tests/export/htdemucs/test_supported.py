"""Arguments of HTDemucs: with those that are supported ours is demucs's, the others are refused by name."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from demucs.htdemucs import HTDemucs
from demucs.transformer import LayerScale

from export.htdemucs.bag_model import contract_of
from export.htdemucs.graph import HTDemucsModule
from export.htdemucs.supported import check_supported
from export.parity import compare_rows, music_like, torch_rows
from separation.errors import ModelError

SOURCES = ["drums", "bass", "rest"]


def hot(**changed: Any) -> HTDemucs:
    """A small model of one second; every LayerScale is drawn from 0.1 to 0.5, as after training."""
    arguments: dict[str, Any] = {
        "sources": SOURCES, "channels": 8, "dconv_mode": 3, "bottom_channels": 32, "t_layers": 3,
        "t_heads": 2, "segment": Fraction(1),
    }  # fmt: skip
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(1)
        model = HTDemucs(**(arguments | changed))
        for module in model.modules():
            if isinstance(module, LayerScale):
                module.scale.uniform_(0.1, 0.5)
    return model.eval()


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"depth": 1, "segment": Fraction(3, 5)},  # attention over 512 frequencies
        {"depth": 2, "growth": 3, "bottom_channels": 0},
        {"depth": 3},
        {"bottom_channels": 0},
        {"segment": 0.9},
        {"segment": 1, "samplerate": 48_000},
        {"sources": ["one"]},
        {"dconv_mode": 0},
        {"dconv_mode": 1, "dconv_depth": 3, "dconv_comp": 4},
        {"context": 2, "context_enc": 1},
        {"freq_emb": 0},
        {"t_layers": 0},
        {"t_layers": 0, "bottom_channels": 0},
        {"t_cross_first": True, "t_hidden_scale": 2.0, "t_weight_pos_embed": 0.5, "t_max_period": 500.0},
        {"t_norm_in": False},
        {"t_norm_in": False, "t_norm_in_group": True},
        {"t_group_norm": True},
        {"t_norm_out": False, "t_layer_scale": False},
        {"t_gelu": False},
    ],
    ids=str,
)
def test_the_module_computes_what_demucs_computes(changed: dict[str, Any]) -> None:
    model = hot(**changed)
    check_supported("model", model)
    rows = list(range(len(model.sources)))
    segments = music_like(1, contract_of(model))
    with torch.no_grad():
        found = HTDemucsModule(model, rows)(torch.from_numpy(segments)).numpy()
    found = found.reshape(1, len(rows), *segments.shape[1:])
    for parity in compare_rows(torch_rows(model, rows, segments), found):
        assert parity.snr_db > 100, parity
    assert np.abs(found).max() > 1e-3


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"depth": 5, "norm_starts": 5}, "depth is 5; supported: 1 or 2 or 3 or 4"),
        ({"audio_channels": 1}, "audio_channels is 1; supported: 2"),
        ({"nfft": 2048}, "nfft is 2048; supported: 4096"),
        ({"cac": False}, "cac is False; supported: True"),
        ({"t_norm_first": False}, "t_norm_first is False; supported: True"),
        ({"t_emb": "cape"}, "t_emb is 'cape'; supported: 'sin'"),
        ({"use_train_segment": False}, "use_train_segment is False; supported: True"),
        ({"rewrite": False}, "rewrite is False; supported: True"),
        ({"norm_starts": 2}, "norm_starts is 2; supported: 4 \\(depth\\) or more"),
        ({"segment": Fraction(1, 2)}, "segment is 1/2 s; supported: more than 0.5 s"),
        ({"samplerate": 4000}, "samplerate is 4000; supported: 8000 to 192000 Hz"),
        ({"bottom_channels": 30}, "the transformer has 30 channels; supported: multiples of 4"),
        ({"sources": ["drums", "drums"]}, "sources are .*; supported: one or more different names"),
        ({"sources": ["drums", "no/path"]}, "a source is called 'no/path'"),
    ],
    ids=str,
)
def test_other_arguments_are_refused_by_name(changed: dict[str, Any], expected: str) -> None:
    with pytest.raises(ModelError, match=expected):
        check_supported("model", hot(**changed))
