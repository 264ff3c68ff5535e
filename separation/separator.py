"""The whole path of a track in memory: mix -> normalized chunks -> specialists -> stitched stems."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed
from threading import Event

import numpy as np

from separation.contract import OVERLAP
from separation.grid import Section, cut, is_silent, plan_sections
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
    skip_silence: bool = False,
    on_chunk: Callable[[str], None] = lambda stem: None,
) -> dict[str, StitchedStem]:
    """Separates `mix`, float32 (channels, samples) at 44.1 kHz, into one stem per specialist.

    The result is that of `demucs.apply.apply_model` for the same models, with the normalisation before and
    after it as in demucs/api.py. `shifts` come from `draw_shifts`. Up to `parallel` specialists run at the
    same time, each in a thread, which calls `on_chunk` with the stem's name after each chunk. The first
    error stops the others after their current chunk.

    No specialist sees a silent track, whose stems are silent. With `skip_silence` none sees a chunk of
    digital silence either: its stems are silent, which changes the samples around it.
    """
    level = measure(mix)
    may_skip = skip_silence or level.is_silent
    normalized = normalize(mix, level)
    sections = plan_sections(mix.shape[1], None, overlap, shifts)  # one for each shift
    stopped = Event()

    def outputs(stem: str, section: Section) -> Iterator[np.ndarray]:
        for chunk in section.chunks:
            if stopped.is_set():
                raise CancelledError
            segment = cut(normalized, chunk)
            skipped = may_skip and is_silent(mix, chunk)
            yield segment if skipped else specialists[stem](segment[None])[0]
            on_chunk(stem)

    def stitch(stem: str) -> StitchedStem:
        totals = [overlap_add(section, outputs(stem, section)) for section in sections]
        return StitchedStem(sections, totals.__getitem__, level)

    with ThreadPoolExecutor(parallel) as pool:
        futures = {stem: pool.submit(stitch, stem) for stem in specialists}
        try:
            for future in as_completed(futures.values()):
                future.result()
        except BaseException:
            stopped.set()
            raise
    return {stem: future.result() for stem, future in futures.items()}


def parallel_specialists(threads: int, specialists: int) -> int:
    """How many specialists to run in parallel, each with its share of `threads`.

    One session with many threads is slower: after every operation it waits for the slowest thread.
    """
    return max(1, min(threads, specialists))


def collect(stem: StitchedStem) -> np.ndarray:
    """All of a stem: float32 (channels, samples)."""
    return np.concatenate(list(stem), axis=1)
