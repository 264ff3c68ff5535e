"""One model's training: steps that can be cut off anywhere and go on as if they had not been."""

import copy
import math
import os
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from demucs.htdemucs import HTDemucs

from export.training.loss import error_db
from export.training.songs import draw_batch
from separation.contract import SAMPLE_RATE, SEGMENT


@dataclass(frozen=True, slots=True)
class Schedule:
    """`steps` of `batch` crops of `length` samples; from step `long_from` crops of `long_length` instead."""

    steps: int
    rate: float  # the highest learning rate
    long_from: int
    batch: int = 2
    length: int = 131_072
    long_batch: int = 1
    long_length: int = SEGMENT
    warm_up: int = 20

    def rate_at(self, step: int) -> float:
        """Linear from 0, then half a cosine down to a hundredth."""
        if step < self.warm_up:
            return self.rate * (step + 1) / self.warm_up
        done = min(1, (step - self.warm_up) / max(1, self.steps - self.warm_up))
        return self.rate * (0.01 + 0.99 * (0.5 + 0.5 * math.cos(math.pi * done)))


class Phase:
    """`rows` of the model's output are in the loss: all of them, or a specialist's one."""

    def __init__(self, model: HTDemucs, rows: list[int], seed: int, schedule: Schedule, device: str) -> None:
        self.model, self.rows, self.seed, self.schedule, self.device = model, rows, seed, schedule, device
        self.optimizer = torch.optim.AdamW(model.parameters(), schedule.rate, (0.9, 0.98), weight_decay=1e-3)
        self.average = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        self.step = self.begun = 0  # steps taken, and taken before this process

    def advance(self, songs: list[np.ndarray]) -> float:
        """One step; the mean loss in dB. On a CPU the items go through one by one: its caches are small."""
        plan = self.schedule
        long = self.step >= plan.long_from
        size, length = (plan.long_batch, plan.long_length) if long else (plan.batch, plan.length)
        rng = np.random.default_rng([self.seed, self.step])
        stems = torch.from_numpy(draw_batch(songs, rng, size, length))
        together = 1 if self.device == "cpu" else size
        total = 0.0
        for part in stems.to(self.device).split(together):
            mix = part.sum(1)
            errors = error_db(self.model(mix)[:, self.rows], part[:, self.rows], mix)
            loss = errors.mean() * (len(part) / size)
            loss.backward()
            total += float(loss.detach())
        for group in self.optimizer.param_groups:
            group["lr"] = plan.rate_at(self.step)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        keep = min(0.995, self.step / (10 + self.step))
        with torch.no_grad():
            for name, tensor in self.model.state_dict().items():
                self.average[name].lerp_(tensor, 1 - keep)
        return total

    def averaged(self) -> HTDemucs:
        """A copy of the model on the CPU with the average of its weights, in eval mode."""
        model = copy.deepcopy(self.model)
        model.load_state_dict(self.average)
        model.segment = Fraction(SEGMENT, SAMPLE_RATE)  # demucs sets it to each crop's in training
        return model.cpu().eval()

    def state(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "model": self.model.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
        }

    def load(self, state: dict[str, Any]) -> None:
        self.step = self.begun = state["step"]
        self.model.load_state_dict(state["model"])
        self.average = state["average"]
        self.optimizer.load_state_dict(state["optimizer"])


def save(content: Any, path: Path) -> None:
    """Whole or not at all: under another name first."""
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def run(
    phase: Phase, songs: list[np.ndarray], path: Path, every_s: float = 60, seconds: float = math.inf
) -> bool:
    """Takes the phase to its last step from where `path` left it; False where `seconds` ended first."""
    if path.exists():
        phase.load(torch.load(path, phase.device, weights_only=True))
    begun = saved = time.monotonic()
    losses: list[float] = []
    while phase.step < phase.schedule.steps:
        losses.append(phase.advance(songs))
        now = time.monotonic()
        out_of_time = now - begun > seconds
        if now - saved > every_s or phase.step == phase.schedule.steps or out_of_time:
            save(phase.state(), path)
            pace = len(losses) / (now - saved)
            print(
                f"{path.stem} step {phase.step}/{phase.schedule.steps}  {pace:.2f} steps/s  "
                f"error {np.mean(losses):.2f} dB of the mix",
                flush=True,
            )
            saved, losses = now, []
        if out_of_time:
            return False
    return True
