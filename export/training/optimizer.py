"""Muon for kernels and matrices, AdamW for everything else, at one learning rate.

Muon (Jordan et al., 2024; torch.optim.Muon) makes a step's singular values equal, here with the size of an
AdamW step (Liu et al., "Muon is Scalable for LLM Training", 2025). It takes matrices, so a kernel becomes a
matrix with one row per output channel (the first axis).
"""

from typing import Any

import torch
from torch import Tensor, nn

LARGEST_NORM = 5.0  # of all gradients together
DECAY = 1e-3  # weight decay


class Optimizer:
    """Steps all parameters of `model` in place."""

    def __init__(self, model: nn.Module) -> None:
        self.parameters = list(model.parameters())
        embeddings = {each.weight for each in model.modules() if isinstance(each, nn.Embedding)}
        self.kernels = [each for each in self.parameters if each.dim() > 1 and each not in embeddings]
        self.matrices = [nn.Parameter(each.detach().flatten(1)) for each in self.kernels]  # the same memory
        rest = [each for each in self.parameters if each.dim() == 1 or each in embeddings]
        self.steppers: list[torch.optim.Optimizer] = [
            torch.optim.Muon(self.matrices, weight_decay=DECAY, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(rest, betas=(0.9, 0.98), weight_decay=DECAY),
        ]

    def step(self, gradients: list[Tensor], rate: float) -> None:
        """One step along `gradients`, in the order of the model's parameters, at learning rate `rate`."""
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient
        torch.nn.utils.clip_grad_norm_(self.parameters, LARGEST_NORM)
        for kernel, matrix in zip(self.kernels, self.matrices, strict=True):
            assert kernel.grad is not None  # set above
            matrix.grad = kernel.grad.flatten(1)
        for stepper in self.steppers:
            for group in stepper.param_groups:
                group["lr"] = rate
            stepper.step()

    def state(self) -> list[dict[str, Any]]:
        """What `load` needs to continue: one state of torch's per optimizer."""
        return [stepper.state_dict() for stepper in self.steppers]

    def load(self, state: list[dict[str, Any]]) -> None:
        """Continues from what `state` returned."""
        for stepper, one in zip(self.steppers, state, strict=True):
            stepper.load_state_dict(one)
