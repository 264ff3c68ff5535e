"""mix -> stems, in memory, on one screen."""

from collections.abc import Callable, Mapping

import numpy as np

from separation.chunks import cut, plan_sections
from separation.contract import OVERLAP
from separation.level import flatten, measure
from separation.stitch import StitchedStem, overlap_add

Segments = np.ndarray  # float32 (batch, channels, SEGMENT)


def separate(
    mix: np.ndarray,
    specialists: Mapping[str, Callable[[Segments], Segments]],
    *,
    overlap: float = OVERLAP,
    shifts: tuple[int, ...] = (0,),
    on_chunk: Callable[[str], None] = lambda stem: None,
) -> dict[str, StitchedStem]:
    """Separates `mix`, float32 (channels, samples) at 44.1 kHz, into a stem a specialist.

    Gives what `demucs.apply.apply_model` gives for the same models between demucs's own
    normalisation and its undoing (demucs/api.py). `shifts` are those of `draw_shifts`.
    `on_chunk` hears the stem's name after each chunk. A stem is iterated in blocks.
    """
    level = measure(mix)
    flat = flatten(mix, level)
    whole = mix.shape[1] + max(shifts)  # more chunks than any grid has
    sections = plan_sections(mix.shape[1], whole, overlap, shifts)
    stems = {}
    for stem, specialist in specialists.items():
        totals = []
        for section in sections:
            outputs = []
            for chunk in section.chunks:
                outputs.append(specialist(cut(flat, chunk)[None])[0])
                on_chunk(stem)
            totals.append(overlap_add(section, outputs))
        stems[stem] = StitchedStem(sections, totals.__getitem__, level)
    return stems


def collect(stem: StitchedStem) -> np.ndarray:
    """All of a stem: float32 (channels, samples)."""
    return np.concatenate(list(stem), axis=1)
