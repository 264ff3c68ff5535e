"""Which HTDemucs models the modules in this folder compute; all others are refused, with the reason."""

import inspect
from typing import Any

from demucs.htdemucs import HTDemucs

from separation.contract import CHANNELS, SAMPLE_RATE, SEGMENT
from separation.errors import ModelError

EXPECTED: dict[str, Any] = {  # constructor arguments that the modules here rely on
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


def constructor_arguments(model: HTDemucs) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and keyword arguments that the model was built with, as demucs records them."""
    untyped: Any = model  # for mypy every attribute that a Module does not declare is a tensor or a module
    args, kwargs = untyped._init_args_kwargs
    return args, kwargs


def check_supported(uri: str, model: Any, sources: int) -> None:
    """Raises a ModelError unless `model`, from the checkpoint at `uri`, is one that this folder computes.

    `sources` is the number of stems that the bag's weights are for. The error names what differs.
    """
    if type(model) is not HTDemucs:
        raise ModelError(uri, f"is a {type(model).__name__}, expected an HTDemucs")
    args, kwargs = constructor_arguments(model)
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
