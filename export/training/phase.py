"""One model's training: it can be cut off at any step and resumes with the same results."""

import copy
import math
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from demucs.htdemucs import HTDemucs
from torch import Tensor

from export.training.loss import error_db
from export.training.optimizer import Optimizer
from export.training.songs import draw_batch
from separation.contract import HTDEMUCS
from separation.store.disk.atomic_write import atomic_write


@dataclass(frozen=True, slots=True)
class Schedule:
    """`steps` steps of `batch` crops of `length` samples each.

    From step `long_from` on `long_batch` crops of `long_length` samples instead. `warm_up` is in steps.
    """

    steps: int
    rate: float  # the highest learning rate
    long_from: int
    batch: int = 2
    length: int = 131_072
    long_batch: int = 2
    long_length: int = HTDEMUCS.segment
    warm_up: int = 20

    def rate_at(self, step: int) -> float:
        """The learning rate: linear from 0, then half a cosine down to a hundredth of `rate`."""
        if step < self.warm_up:
            return self.rate * (step + 1) / self.warm_up
        done = min(1, (step - self.warm_up) / max(1, self.steps - self.warm_up))
        return self.rate * (0.01 + 0.99 * (0.5 + 0.5 * math.cos(math.pi * done)))


class Phase:
    """Trains the outputs of `model` to be the stems `rows`: all of them, or the one of a specialist.

    On a CPU every item of a batch has a thread of its own, up to `threads` at a time: threads that share one
    item's operations would wait for each other after each of them.
    """

    def __init__(
        self, model: HTDemucs, rows: list[int], seed: int, schedule: Schedule, device: str, threads: int = 1
    ) -> None:
        self.model, self.rows, self.seed, self.schedule, self.device = model, rows, seed, schedule, device
        self.pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
        self.reader, self.ahead = ThreadPoolExecutor(1), dict[int, Future[Tensor]]()
        self.optimizer = Optimizer(model)
        self.average = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        self.step = self.begun = 0  # steps taken, and taken before this process

    def advance(self, songs: list[np.ndarray]) -> float:
        """Takes one step on `songs`, (4, 2, samples) each; returns the mean loss in dB.

        The next step's batch is read meanwhile.
        """
        batch = self.ahead.pop(self.step, None) or self.reader.submit(self.batch, songs, self.step)
        if self.step + 1 < self.schedule.steps:
            self.ahead[self.step + 1] = self.reader.submit(self.batch, songs, self.step + 1)
        stems = batch.result().to(self.device)
        parts = stems.split(1 if self.device == "cpu" else len(stems))
        losses, gradients = zip(*self.pool.map(self.gradient, parts), strict=True)
        means = [torch.stack(shares).mean(0) for shares in zip(*gradients, strict=True)]
        self.optimizer.step(means, self.schedule.rate_at(self.step))
        self.step += 1
        keep = min(0.995, self.step / (10 + self.step))
        with torch.no_grad():
            for name, tensor in self.model.state_dict().items():
                self.average[name].lerp_(tensor, 1 - keep)
        return float(sum(losses) / len(losses))

    def batch(self, songs: list[np.ndarray], step: int) -> Tensor:
        """The stems of step `step`: float32 (batch, 4, 2, length), drawn from the seed and the step alone."""
        plan = self.schedule
        long = step >= plan.long_from
        size, length = (plan.long_batch, plan.long_length) if long else (plan.batch, plan.length)
        return torch.from_numpy(draw_batch(songs, np.random.default_rng([self.seed, step]), size, length))

    def gradient(self, stems: Tensor) -> tuple[float, tuple[Tensor, ...]]:
        """Loss in dB and the gradient of every parameter, for items of a batch, (items, 4, 2, length)."""
        mix = stems.sum(1)
        loss = error_db(self.model(mix), stems[:, self.rows], mix).mean()
        return float(loss.detach()), torch.autograd.grad(loss, list(self.model.parameters()))

    def averaged(self) -> HTDemucs:
        """A copy of the model on the CPU, in eval mode, with the running average of its weights."""
        model = copy.deepcopy(self.model)
        model.load_state_dict(self.average)
        # In training demucs sets it to each crop's.
        model.segment = Fraction(HTDEMUCS.segment, HTDEMUCS.sample_rate)
        model.cpu().eval()
        return model

    def state(self) -> dict[str, Any]:
        """What `load` needs to continue; for torch.save."""
        return {
            "step": self.step,
            "model": self.model.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Continues from what `state` returned."""
        self.step = self.begun = state["step"]
        self.model.load_state_dict(state["model"])
        self.average = state["average"]
        self.optimizer.load(state["optimizer"])


def save(content: Any, path: Path) -> None:
    """Whole or not at all."""
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        torch.save(content, file)


def run(
    phase: Phase, songs: list[np.ndarray], path: Path, every_s: float = 60, seconds: float = math.inf
) -> bool:
    """Trains from the state in `path`, if there is one, to the last step; whether it got there.

    Saves to `path` every `every_s` seconds and at the end, and stops after `seconds`.
    """
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
