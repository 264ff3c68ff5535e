"""The models of a bag, one at a time, each with the rows of its output that are exported."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from demucs.htdemucs import HTDemucs

from export.htdemucs.graph import HTDemucsModule, segment_of, to_onnx
from export.htdemucs.listing import Listing
from export.htdemucs.supported import check_supported
from export.model_folder import contract_name
from export.parity import BARS, Bar, torch_rows
from separation.contract import HTDEMUCS, Contract, htdemucs_contract
from separation.errors import ModelError, UsageError
from separation.models.bag import Licence


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A loaded model, the name of the file or seed that it came from, and its sha256."""

    model: HTDemucs
    source: str
    sha256: str
    licence: Licence


@dataclass(frozen=True, slots=True)
class BagModel:
    """An `export.model_folder.ExportableModel`.

    name     of its graph
    weights  by row that is exported, in the network's order: the row's weight in the stem of the same name
    """

    name: str
    weights: dict[str, float]
    checkpoint: Checkpoint

    @property
    def model(self) -> HTDemucs:
        return self.checkpoint.model

    @property
    def sources(self) -> tuple[str, ...]:
        """All rows of the network, exported or not."""
        return tuple(self.model.sources)

    @property
    def contract(self) -> Contract:
        return contract_of(self.model)

    @property
    def contract_name(self) -> str:
        """`htdemucs`, or with another segment `htdemucs_10s`."""
        contract = self.contract
        return "htdemucs" if contract == HTDEMUCS else contract_name("htdemucs", contract)

    @property
    def bars(self) -> Mapping[str, Bar]:
        return BARS

    def to_onnx(self, precision: str) -> bytes:
        """The graph of these rows in `precision`."""
        rows = [self.sources.index(row) for row in self.weights]
        return to_onnx(HTDemucsModule(self.model, rows, precision))

    def run(self, segments: np.ndarray, rows: Sequence[str]) -> np.ndarray:
        """What demucs itself computes: float32 (n, 2, segment) -> (n, rows, 2, segment)."""
        return torch_rows(self.model, [self.sources.index(row) for row in rows], segments)


def contract_of(model: HTDemucs) -> Contract:
    """The contract of a graph made from `model`."""
    return htdemucs_contract(Fraction(segment_of(model), model.samplerate), model.samplerate)


def bag_models(
    listing: Listing, load: Callable[[str], Checkpoint], stems: Sequence[str] | None
) -> Iterator[BagModel]:
    """The models that `stems` (None: all) are made of, in the listing's order.

    `load` gives the checkpoint of a signature; it is called when the iterator reaches the model, and not at
    all for those that are known to be of no use. Raises `ModelError` for a model that cannot be exported or
    does not fit the others, and `UsageError` for a stem that the bag has not.
    """
    first: tuple[list[str], int] | None = None  # sources and sample rate of the first model
    for signature in listing.models:
        if first is not None and not listing.weights_of(signature, first[0], stems):
            continue
        checkpoint = load(signature)
        model, where = checkpoint.model, checkpoint.source
        if listing.segment is not None and listing.segment <= model.segment:
            model.segment = listing.segment  # as BagOfModels in demucs/apply.py
        check_supported(where, model)
        if first is None and (unknown := [stem for stem in stems or () if stem not in model.sources]):
            has = ", ".join(model.sources)
            raise UsageError(f"{listing.name} has no {', '.join(unknown)}; it has {has}")
        found = (model.sources, model.samplerate)
        first = first or found
        if found != first:
            expected = f"the bag's first model {first[0]} at {first[1]} Hz"
            raise ModelError(where, f"separates {found[0]} at {found[1]} Hz, {expected}")
        if weights := listing.weights_of(signature, model.sources, stems):
            yield BagModel(listing.graph_name(signature, model.sources, weights), weights, checkpoint)
