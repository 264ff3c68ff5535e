"""The stems of an output from those that graphs give: the others are rests of the mix."""

from collections.abc import Mapping

from separation.audio.stem_files import Blocks, MixMinus
from separation.models.bag import Bag, RestOfMix
from separation.options import Options


def stems_to_write(
    bag: Bag, options: Options, inferred: Mapping[str, Blocks], mix: Blocks
) -> dict[str, Blocks]:
    """The stems of `options.outputs`, in their order; `inferred` has those that graphs give."""
    stems: dict[str, Blocks] = {}
    for stem in options.chosen(bag.stems):
        recipe = bag.stems[stem]
        if isinstance(recipe, RestOfMix):
            stems[stem] = MixMinus(mix, [inferred[other] for other in recipe.stems])
        else:
            stems[stem] = inferred[stem]
    if kept := options.two_stems:
        stems[f"no_{kept}"] = MixMinus(mix, [stems[kept]])
    return stems
