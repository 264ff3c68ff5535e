"""Weights of a checkpoint, of whichever family."""

from collections.abc import Mapping

import torch
from torch import Tensor

from separation.errors import ModelError


def check_finite(where: str, weights: Mapping[str, Tensor]) -> None:
    """Raises `ModelError` for weights that are no numbers, as of a training run that diverged."""
    for name, values in weights.items():
        if not torch.isfinite(values).all():
            raise ModelError(where, f"{name} holds values that are no numbers")
