"""mix -> stems, in memory, on one screen."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed
from threading import Event

import numpy as np

from separation.contract import OVERLAP
from separation.grid import Section, cut, plan_sections
from separation.level import measure, normalize
from separation.overlap_add import StitchedStem, overlap_add

Segments = np.ndarray  # float32 (batch, channels, SEGMENT)


def separate(
    mix: np.ndarray,
    specialists: Mapping[str, Callable[[Segments], Segments]],
    *,
    overlap: float = OVERLAP,
    shifts: tuple[int, ...] = (0,),
    parallel: int = 1,
    on_chunk: Callable[[str], None] = lambda stem: None,
) -> dict[str, StitchedStem]:
    """Separates `mix`, float32 (channels, samples) at 44.1 kHz, into a stem a specialist.

    Gives what `demucs.apply.apply_model` gives for the same models between demucs's own
    normalisation and its undoing (demucs/api.py). `shifts` are those of `draw_shifts`.
    `parallel` specialists run side by side, each in a thread; `on_chunk` hears the stem's name after each
    chunk, from that thread. The first error stops them all after their chunk. A stem is iterated in blocks.
    """
    level = measure(mix)
    flat = normalize(mix, level)
    whole = mix.shape[1] + max(shifts)  # more chunks than any grid has
    sections = plan_sections(mix.shape[1], whole, overlap, shifts)
    stopped = Event()

    def outputs(stem: str, section: Section) -> Iterator[np.ndarray]:
        for chunk in section.chunks:
            if stopped.is_set():
                raise CancelledError
            yield specialists[stem](cut(flat, chunk)[None])[0]
            on_chunk(stem)

    def stitched(stem: str) -> StitchedStem:
        totals = [overlap_add(section, outputs(stem, section)) for section in sections]
        return StitchedStem(sections, totals.__getitem__, level)

    with ThreadPoolExecutor(parallel) as pool:
        futures = {stem: pool.submit(stitched, stem) for stem in specialists}
        try:
            for future in as_completed(futures.values()):
                future.result()
        except BaseException:
            stopped.set()
            raise
    return {stem: future.result() for stem, future in futures.items()}


def parallel_specialists(threads: int, specialists: int) -> int:
    """How many specialists to run `parallel`, each with its share of `threads`: a session of many threads
    waits for the slowest after every operation."""
    return max(1, min(threads, specialists))


def collect(stem: StitchedStem) -> np.ndarray:
    """All of a stem: float32 (channels, samples)."""
    return np.concatenate(list(stem), axis=1)
