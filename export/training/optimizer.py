"""Muon for kernels and matrices, AdamW for everything else, at one learning rate.

Muon (Jordan et al., 2024; torch.optim.Muon) makes a step's singular values equal, here with the size of an
AdamW step (Liu et al., "Muon is Scalable for LLM Training", 2025). It takes matrices, so a kernel is one row
for each of its first axis.
"""

from typing import Any

import torch
from torch import Tensor, nn

LONGEST = 5.0  # of all gradients together, as a norm
DECAY = 1e-3


class Optimizer:
    def __init__(self, model: nn.Module) -> None:
        self.parameters = list(model.parameters())
        rows = {each.weight for each in model.modules() if isinstance(each, nn.Embedding)}
        self.kernels = [each for each in self.parameters if each.dim() > 1 and each not in rows]
        self.matrices = [nn.Parameter(each.detach().flatten(1)) for each in self.kernels]  # the same memory
        rest = [each for each in self.parameters if each.dim() == 1 or each in rows]
        self.steppers: list[torch.optim.Optimizer] = [
            torch.optim.Muon(self.matrices, weight_decay=DECAY, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(rest, betas=(0.9, 0.98), weight_decay=DECAY),
        ]

    def step(self, gradients: list[Tensor], rate: float) -> None:
        """`gradients` in the order of the model's parameters."""
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient
        torch.nn.utils.clip_grad_norm_(self.parameters, LONGEST)
        for kernel, matrix in zip(self.kernels, self.matrices, strict=True):
            matrix.grad = kernel.grad.flatten(1)
        for stepper in self.steppers:
            for group in stepper.param_groups:
                group["lr"] = rate
            stepper.step()

    def state(self) -> list[dict[str, Any]]:
        return [stepper.state_dict() for stepper in self.steppers]

    def load(self, state: list[dict[str, Any]]) -> None:
        for stepper, one in zip(self.steppers, state, strict=True):
            stepper.load_state_dict(one)
