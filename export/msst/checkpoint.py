"""A checkpoint of MSST -> the weights by name. Nothing in it is run.

`.safetensors` holds weights alone. Any other file is a pickle: it is opened as one that may hold nothing but
tensors and plain values, unless the user trusts it.
"""

import hashlib
import io
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import Tensor

from separation.errors import ModelError

WRAPPERS = ("state", "state_dict", "model_state_dict")  # keys of the weights in a training checkpoint


def load_weights(path: Path, trust: bool) -> tuple[dict[str, Tensor], str]:
    """The weights in float32, and the file's sha256."""
    where = str(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ModelError(where, "not found; --checkpoint is the file of the model's weights") from None
    except OSError as error:
        raise ModelError(where, str(error)) from None
    weights: Any = _safetensors(where, content) if path.suffix == ".safetensors" else None
    if weights is None:
        weights = _unpickled(where, content, trust)
        for key in WRAPPERS:
            if isinstance(weights, dict) and key in weights:
                weights = weights[key]
    if not isinstance(weights, dict) or not weights:
        raise ModelError(where, f"holds {_kind(weights)}; expected weights by name")
    for name, value in weights.items():
        if not isinstance(name, str) or not isinstance(value, Tensor) or not value.is_floating_point():
            raise ModelError(where, f"{name!r} is {_kind(value)}; expected weights by name")
    return {name: value.float() for name, value in weights.items()}, hashlib.sha256(content).hexdigest()


def _safetensors(where: str, content: bytes) -> dict[str, Tensor]:
    try:
        return load_safetensors(content)
    except (SafetensorError, ValueError) as error:
        raise ModelError(where, f"not a safetensors file: {error}") from None


def _unpickled(where: str, content: bytes, trust: bool) -> Any:
    try:
        return torch.load(io.BytesIO(content), "cpu", weights_only=True)
    except Exception as refused:  # a pickle can raise anything
        if not trust:
            reason = " ".join(str(refused).split(".")[0].split())[:200]
            raise ModelError(
                where,
                f"holds more than weights, or none at all ({reason}); --trust-checkpoint opens it, and such "
                "a pickle can run any code (.safetensors needs no trust)",
            ) from None
    try:
        return torch.load(io.BytesIO(content), "cpu", weights_only=False)
    except Exception as error:
        raise ModelError(where, f"not a checkpoint: {type(error).__name__}: {error}") from None


def _kind(value: Any) -> str:
    return f"{value.dtype} weights" if isinstance(value, Tensor) else f"a {type(value).__name__}"
