"""Which HTDemucs models the modules in this folder compute; all others are refused, with the reason."""

import inspect
from typing import Any

from demucs.htdemucs import HTDemucs

from export.htdemucs.graph import segment_of
from separation.contract import CHANNELS
from separation.errors import ModelError
from separation.models.bag_checks import check_names

SUPPORTED: dict[str, tuple[Any, ...]] = {  # constructor arguments that the modules here rely on
    "audio_channels": (CHANNELS,),
    "use_train_segment": (True,),
    "channels_time": (None,),
    "nfft": (4096,),
    "cac": (True,),
    "depth": (1, 2, 3, 4),  # with 5, the branches merge at a single frequency
    "rewrite": (True,),
    "multi_freqs": (None, []),
    "kernel_size": (8,),
    "stride": (4,),
    "t_emb": ("sin",),
    "t_norm_in_group": (False, True),
    "t_group_norm": (False, True),
    "t_norm_first": (True,),
    "t_norm_out": (True, False),
    "t_sin_random_shift": (0,),
    "t_sparse_self_attn": (False,),
    "t_sparse_cross_attn": (False,),
}
SAMPLE_RATES = range(8_000, 192_001)  # Hz, as bag.json may hold
POSITIONS = 4  # the transformer's channels are a multiple: sine and cosine of time and of frequency


def constructor_arguments(model: HTDemucs) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and keyword arguments that the model was built with, as demucs records them."""
    untyped: Any = model  # for mypy every attribute that a Module does not declare is a tensor or a module
    args, kwargs = untyped._init_args_kwargs
    return args, kwargs


def check_supported(uri: str, model: Any) -> None:
    """Raises a ModelError unless `model`, from the checkpoint at `uri`, is one that this folder computes.

    The error names what differs, and what is supported.
    """
    if type(model) is not HTDemucs:
        raise ModelError(uri, f"is a {type(model).__name__}; supported: HTDemucs")
    args, kwargs = constructor_arguments(model)
    given = inspect.signature(HTDemucs).bind(*args, **kwargs)
    given.apply_defaults()
    arguments = given.arguments
    for name, values in SUPPORTED.items():
        if arguments[name] not in values:
            listed = " or ".join(map(repr, values))
            raise ModelError(uri, f"{name} is {arguments[name]!r}; supported: {listed}")
    if arguments["norm_starts"] < arguments["depth"]:
        raise ModelError(
            uri, f"norm_starts is {arguments['norm_starts']}; supported: {arguments['depth']} (depth) or more"
        )
    rate, segment = model.samplerate, segment_of(model)
    if rate not in SAMPLE_RATES:
        raise ModelError(uri, f"samplerate is {rate}; supported: {SAMPLE_RATES[0]} to {SAMPLE_RATES[-1]} Hz")
    if segment <= rate // 2:
        raise ModelError(uri, f"segment is {model.segment} s; supported: more than 0.5 s, the longest shift")
    if model.crosstransformer is not None:
        channels = model.bottom_channels or model.encoder[-1].conv.weight.shape[0]
        if channels % POSITIONS:
            raise ModelError(uri, f"the transformer has {channels} channels; supported: multiples of 4")
    sources = list(model.sources)
    check_names(uri, "a source", sources)
    if not sources or len(set(sources)) != len(sources):
        raise ModelError(uri, f"sources are {sources}; supported: one or more different names")
