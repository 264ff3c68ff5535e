"""A bag of seeded random weights, for tests and timing: the full architecture or a small one of its class."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
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

from export.htdemucs.arguments import SOURCES
from export.htdemucs.bag_model import BagModel, Checkpoint, bag_models
from export.htdemucs.checkpoints import HTDEMUCS
from export.htdemucs.listing import Listing
from export.htdemucs.supported import constructor_arguments
from separation.models.bag import Licence

FORMATS = ("th", "safetensors")


@dataclass(frozen=True, slots=True)
class RandomBag:
    """Weights drawn from `seed`; the defaults are htdemucs_ft's sizes.

    `models` of all sources are averaged; 0: a specialist for each source. Of `segment`, seconds, only the
    shape of the graphs depends.

    Fresh weights hide errors: LayerScale begins at 1e-4 in the transformer and 1e-3 in DConv, so that
    attention hardly reaches the output. `hot` draws every LayerScale from 0.1 to 0.5. Up to 1, the network
    amplifies rounding so much that PyTorch's float32 itself is 107 dB from float64 (0.1 to 0.5: 123 dB).
    """

    seed: int = 0
    hot: bool = False
    models: int = 0
    sources: tuple[str, ...] = SOURCES
    segment: Fraction = Fraction(39, 5)
    channels: int = 48
    bottom_channels: int = 512
    depth: int = 4
    layers: int = 5
    heads: int = 8

    @property
    def listing(self) -> Listing:
        """The yaml that `save_bag` writes; the signatures of specialists are their stems."""
        if self.models:
            signatures = [f"model_{1 + index}" for index in range(self.models)]
            return Listing("random", "random", dict.fromkeys(signatures, (None,)))
        weights = {stem: (tuple(float(source == stem) for source in self.sources),) for stem in self.sources}
        return Listing("random", "random", weights)

    def model(self, signature: str) -> HTDemucs:
        """A model in eval mode, its numbers rounded to half precision as demucs stores them.

        `signature` is one of the listing's: a stem for its specialist.
        """
        signatures = [*self.listing.models]
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(len(signatures) * self.seed + signatures.index(signature))
            model: HTDemucs = HTDemucs(
                list(self.sources),
                channels=self.channels,
                depth=self.depth,
                dconv_mode=3,
                bottom_channels=self.bottom_channels,
                t_layers=self.layers,
                t_heads=self.heads,
                segment=self.segment,
            )
            if self.hot:
                for module in model.modules():
                    if isinstance(module, LayerScale):
                        module.scale.uniform_(0.1, 0.5)
            for parameter in model.parameters():
                parameter.copy_(parameter.half())
        model.eval()
        return model

    def bag_models(
        self, stems: Sequence[str] | None = None, licence: Licence | None = None
    ) -> Iterator[BagModel]:
        """The models that `stems` (None: all) need; `licence` is what is said of the weights."""

        def load(signature: str) -> Checkpoint:
            model = self.model(signature)
            source = f"random {signature} of seed {self.seed}"
            return Checkpoint(model, source, sha256_of_state(model), licence or Licence())

        return bag_models(self.listing, load, stems)


def sha256_of_state(model: HTDemucs) -> str:
    """Over the names and bytes of all weights, in the order of the model's state."""
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def save_bag(bag: RandomBag, name: str, folder: Path, checkpoint_format: str) -> None:
    """Writes the bag as demucs does, in one of FORMATS."""
    listed = bag.listing.models
    models = {signature: bag.model(signature) for signature in listed}
    weights = None if bag.models else [list(row or ()) for (row,) in listed.values()]
    save_models(models, weights, name, folder, checkpoint_format)


def save_models(
    models: Mapping[str, HTDemucs],
    weights: Sequence[Sequence[float]] | None,
    name: str,
    folder: Path,
    checkpoint_format: str,
) -> None:
    """Writes each signature of `models` in half precision, and the `<name>.yaml` that lists them.

    `weights` are those of the yaml, a row for each model; None: a plain mean. `checkpoint_format` is `th`, as
    demucs's states.py writes it, or `safetensors`, as its tools/export_hf.py.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for signature, model in models.items():
        args, kwargs = constructor_arguments(model)
        state = get_state(model, None, half=True)
        if checkpoint_format == "th":
            package = {"klass": HTDemucs, "args": args, "kwargs": kwargs, "state": state, "training_args": {}}
            save_with_checksum(package, folder / f"{signature}.th")
        else:
            metadata = {"klass": HTDEMUCS, "args": _json(args), "kwargs": _json(kwargs)}
            save_file(state, folder / f"{signature}.safetensors", metadata=metadata)
    content: dict[str, Any] = {"models": list(models)}
    if weights is not None:
        content["weights"] = [list(row) for row in weights]
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(content))


def _json(value: Any) -> str:
    def default(other: Any) -> Any:
        if isinstance(other, Fraction):
            return {"_type": "fraction", "numerator": other.numerator, "denominator": other.denominator}
        raise TypeError(f"{type(other).__name__} in a model's arguments")

    return json.dumps(value, default=default)
