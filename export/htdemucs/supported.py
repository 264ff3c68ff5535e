"""Which HTDemucs the rewrite in this folder stands for: everything else is refused by name."""

import inspect
from typing import Any

from demucs.htdemucs import HTDemucs

from separation.contract import CHANNELS, SAMPLE_RATE, SEGMENT
from separation.errors import ModelError

EXPECTED: dict[str, Any] = {  # constructor arguments that the rewrite builds upon
    "audio_channels": CHANNELS,
    "samplerate": SAMPLE_RATE,
    "use_train_segment": True,
    "channels_time": None,
    "nfft": 4096,
    "cac": True,
    "depth": 4,
    "rewrite": True,
    "kernel_size": 8,
    "stride": 4,
    "context": 1,
    "context_enc": 0,
    "dconv_mode": 3,
    "t_emb": "sin",
    "t_norm_in": True,
    "t_norm_in_group": False,
    "t_group_norm": False,
    "t_norm_first": True,
    "t_norm_out": True,
    "t_layer_scale": True,
    "t_gelu": True,
    "t_sin_random_shift": 0,
    "t_sparse_self_attn": False,
    "t_sparse_cross_attn": False,
    "t_cross_first": False,
}
NONZERO = ("freq_emb", "bottom_channels", "t_layers")


def check_supported(uri: str, model: Any, sources: int) -> None:
    """Raises a ModelError that names what in the checkpoint at `uri` is not as the rewrite needs it."""
    if type(model) is not HTDemucs:
        raise ModelError(uri, f"is a {type(model).__name__}, expected an HTDemucs")
    args, kwargs = model._init_args_kwargs
    given = inspect.signature(HTDemucs).bind(*args, **kwargs)
    given.apply_defaults()
    arguments = given.arguments
    length = int(arguments["segment"] * arguments["samplerate"])
    if length != SEGMENT:
        raise ModelError(uri, f"segment is {arguments['segment']} s, {length} samples; expected {SEGMENT}")
    if len(model.sources) != sources:
        raise ModelError(uri, f"separates {model.sources}; the bag's weights are for {sources} sources")
    for name, expected in EXPECTED.items():
        if arguments[name] != expected:
            raise ModelError(uri, f"{name} is {arguments[name]!r}, expected {expected!r}")
    for name in NONZERO:
        if not arguments[name]:
            raise ModelError(uri, f"{name} is {arguments[name]!r}, expected more than 0")
    if arguments["multi_freqs"] or arguments["norm_starts"] < arguments["depth"]:
        raise ModelError(uri, "multi_freqs is set or norm_starts is under depth; expected neither")
