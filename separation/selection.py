"""What options choose of a bag: the stems to infer and to write, their graphs, and the grids of those."""

from collections.abc import Mapping
from dataclasses import dataclass

from separation.audio.stem_files import Blocks, MixMinus
from separation.contract import Contract
from separation.grid import GridRule
from separation.models.bag import Bag, RestOfMix
from separation.options import Options


class Selecting:
    """The properties of anything that has a bag and options."""

    __slots__ = ()
    bag: Bag
    options: Options

    @property
    def engine(self) -> str | None:
        """The provider that runs the graphs; None where it is not chosen yet."""
        return None

    @property
    def stems(self) -> tuple[str, ...]:
        """The stems that graphs infer."""
        return self.bag.inferred(self.options.chosen(self.bag.stems))

    @property
    def graphs(self) -> tuple[str, ...]:
        """The graphs of these stems, in the bag's order."""
        return self.bag.graphs_of(self.stems)

    @property
    def contracts(self) -> dict[str, Contract]:
        """The contracts of these stems, by name."""
        return self.bag.contracts_of(self.stems)

    @property
    def grid_rules(self) -> dict[str, GridRule]:
        """How the grids of these contracts are laid, by name."""
        return self.options.grid_rules(self.contracts)

    @property
    def outputs(self) -> tuple[str, ...]:
        """The stems to write."""
        return self.options.outputs(self.bag.stems)

    @property
    def sample_rate(self) -> int:
        """Hz, of mixes and stems."""
        return self.bag.sample_rate

    def lays_the_same_grids(self, overlap: float | None) -> bool:
        """Whether these contracts have the same grids with `overlap` as with that of the options."""
        return all(
            contract.stride_for(overlap) == contract.stride_for(self.options.overlap)
            for contract in self.contracts.values()
        )

    def stems_to_write(self, inferred: Mapping[str, Blocks], mix: Blocks) -> dict[str, Blocks]:
        """The stems of `outputs` in their order: those that graphs gave, and rests of the mix."""
        stems: dict[str, Blocks] = {}
        for stem in self.options.chosen(self.bag.stems):
            recipe = self.bag.stems[stem]
            if isinstance(recipe, RestOfMix):
                stems[stem] = MixMinus(mix, [inferred[other] for other in recipe.stems])
            else:
                stems[stem] = inferred[stem]
        if kept := self.options.two_stems:
            stems[f"no_{kept}"] = MixMinus(mix, [stems[kept]])
        return stems


@dataclass(frozen=True, slots=True)
class Selection(Selecting):
    """Of one bag, by these options."""

    bag: Bag
    options: Options
