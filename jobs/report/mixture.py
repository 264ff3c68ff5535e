"""Which stems of a track add up to its mix."""

from collections.abc import Collection

from separation.models.bag import taken_from_mix
from separation.settings import Settings

FOUR = {"drums", "bass", "other", "vocals"}  # of outputs whose record does not say what was written


def stems_of_mix(settings: Settings | None, stems: Collection[str]) -> tuple[str, ...]:
    """Those of `stems` whose sum is the mix, in their order; none if that is not known of any.

    A rest of the mix and what it was taken from are the mix. So are all stems that a model has, if there are
    several and none was left out.
    """
    models = settings.models if settings else {}
    rests = {stem: {*others} for stem, made_of in models.items() if (others := taken_from_mix(made_of))}
    rests |= {stem: {stem.removeprefix("no_")} for stem in stems if stem.startswith("no_")}
    for rest, taken_from in rests.items():
        if {rest, *taken_from} <= set(stems):
            return tuple(stem for stem in stems if stem == rest or stem in taken_from)
    options = settings.options if settings else {}
    if options.get("stems") or options.get("two_stems"):
        return ()
    all_stems = models.keys() - rests.keys() if models else set(stems)
    complete = all_stems <= set(stems) and len(all_stems) > 1 if models else all_stems == FOUR
    return tuple(stem for stem in stems if stem in all_stems) if complete else ()
