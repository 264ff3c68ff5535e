"""A bag of seeded random weights, for tests and timing: the full architecture or a small one of its class."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
import yaml
from demucs.htdemucs import HTDemucs
from demucs.states import get_state, save_with_checksum
from demucs.transformer import LayerScale
from safetensors.torch import save_file

from export.htdemucs.checkpoints import HTDEMUCS
from export.htdemucs.specialist_model import SpecialistModel
from export.htdemucs.supported import constructor_arguments
from separation.contract import STEMS

FORMATS = ("th", "safetensors")


@dataclass(frozen=True, slots=True)
class RandomBag:
    """Weights drawn from `seed`; the defaults are htdemucs_ft's sizes.

    Fresh weights hide errors: LayerScale begins at 1e-4 in the transformer and 1e-3 in DConv, so that
    attention hardly reaches the output. `hot` draws every LayerScale from 0.1 to 0.5. Up to 1, the network
    amplifies rounding so much that PyTorch's float32 itself is 107 dB from float64 (0.1 to 0.5: 123 dB).
    """

    seed: int = 0
    hot: bool = False
    channels: int = 48
    bottom_channels: int = 512
    layers: int = 5
    heads: int = 8

    def model(self, stem: str) -> HTDemucs:
        """The stem's model in eval mode, its numbers rounded to half precision as demucs stores them."""
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(len(STEMS) * self.seed + STEMS.index(stem))
            model: HTDemucs = HTDemucs(
                list(STEMS),
                channels=self.channels,
                dconv_mode=3,
                bottom_channels=self.bottom_channels,
                t_layers=self.layers,
                t_heads=self.heads,
                segment=Fraction(39, 5),
            )
            if self.hot:
                for module in model.modules():
                    if isinstance(module, LayerScale):
                        module.scale.uniform_(0.1, 0.5)
            for parameter in model.parameters():
                parameter.copy_(parameter.half())
        model.eval()
        return model

    def specialists(self) -> Iterator[SpecialistModel]:
        """A specialist for each of STEMS, in their order."""
        for row, stem in enumerate(STEMS):
            model = self.model(stem)
            yield SpecialistModel(
                stem, row, model, f"random {stem} of seed {self.seed}", sha256_of_state(model)
            )


def sha256_of_state(model: HTDemucs) -> str:
    """Over the names and bytes of all weights, in the order of the model's state."""
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def save_bag(bag: RandomBag, name: str, folder: Path, checkpoint_format: str) -> None:
    """Writes the bag as demucs does, in one of FORMATS."""
    save_models({each.stem: each.model for each in bag.specialists()}, name, folder, checkpoint_format)


def save_models(models: dict[str, HTDemucs], name: str, folder: Path, checkpoint_format: str) -> None:
    """Writes one checkpoint per stem of STEMS, in half precision, and the `<name>.yaml` that lists them.

    `checkpoint_format` is `th`, as demucs's states.py writes it, or `safetensors`, as its tools/export_hf.py.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for stem in STEMS:
        model = models[stem]
        args, kwargs = constructor_arguments(model)
        state = get_state(model, None, half=True)
        if checkpoint_format == "th":
            package = {"klass": HTDemucs, "args": args, "kwargs": kwargs, "state": state, "training_args": {}}
            save_with_checksum(package, folder / f"{stem}.th")
        else:
            metadata = {"klass": HTDEMUCS, "args": _json(args), "kwargs": _json(kwargs)}
            save_file(state, folder / f"{stem}.safetensors", metadata=metadata)
    weights = [[float(row == column) for column in range(len(STEMS))] for row in range(len(STEMS))]
    (folder / f"{name}.yaml").write_text(yaml.safe_dump({"models": list(STEMS), "weights": weights}))


def _json(value: Any) -> str:
    def default(other: Any) -> Any:
        if isinstance(other, Fraction):
            return {"_type": "fraction", "numerator": other.numerator, "denominator": other.denominator}
        raise TypeError(f"{type(other).__name__} in a model's arguments")

    return json.dumps(value, default=default)
