"""The whole path of a track in memory: mix -> normalized chunks -> graphs -> stitched stems."""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed
from functools import reduce
from threading import Event

import numpy as np

from separation.grid import GridRule, Section, cut, is_silent, plan_sections
from separation.level import measure, normalize
from separation.models.bag import Bag
from separation.overlap_add import StitchedStem, WeightedSum

Segments = np.ndarray  # float32 (batch, channels, segment)
Rows = np.ndarray  # float32 (batch, rows, channels, segment)
Shares = Mapping[int, float]  # index of a graph's row -> its share of a stem


def separate(
    mix: np.ndarray,
    bag: Bag,
    graphs: Mapping[str, Callable[[Segments], Rows]],
    stems: Iterable[str],
    rules: Mapping[str, GridRule],
    *,
    parallel: int = 1,
    skip_silence: bool = False,
    on_chunk: Callable[[str], None] = lambda graph: None,
) -> dict[str, StitchedStem]:
    """Separates `mix`, float32 (channels, samples) at the bag's sample rate, into its inferred `stems`.

    `graphs` has every graph of these stems, `rules` the rule of every contract of theirs, from
    `Options.grid_rules`. The result is that of `demucs.apply.apply_model` for the same models, with the
    normalisation before and after it as in demucs/api.py. Up to `parallel` graphs run at the same time, each
    in a thread, which calls `on_chunk` with the graph's name after each chunk. The first error stops the
    others after their current chunk.

    No graph sees a silent track, whose stems are silent. With `skip_silence` none sees a chunk of digital
    silence either: its stems are silent, which changes the samples around it.
    """
    stems = tuple(stems)
    level = measure(mix)
    may_skip = skip_silence or level.is_silent
    normalized = {name: normalize(mix, level, bag.contracts[name].level) for name in rules}
    sections = plan_sections(mix.shape[1], rules)
    stopped = Event()

    def run(graph: str) -> dict[tuple[str, int], np.ndarray]:
        """The weighted sums that the graph adds to its stems, by stem and index of a section."""
        contract = bag.graphs[graph].contract
        shares = bag.contributions(graph, stems)
        sums: dict[tuple[str, int], np.ndarray] = {}
        for section in of_contract(sections, contract):
            totals = {stem: WeightedSum(section) for stem in shares}
            for chunk in section.chunks:
                if stopped.is_set():
                    raise CancelledError
                segment = cut(normalized[contract], chunk)
                if may_skip and is_silent(mix, chunk):
                    rows = np.broadcast_to(segment, (len(bag.graphs[graph].rows), *segment.shape))
                else:
                    rows = graphs[graph](segment[None])[0]
                for stem, total in totals.items():
                    total.add(chunk, weighted(rows, shares[stem]))
                on_chunk(graph)
            sums |= {(stem, section.index): total.sum for stem, total in totals.items()}
        return sums

    names = bag.graphs_of(stems)
    with ThreadPoolExecutor(parallel) as pool:
        futures = {graph: pool.submit(run, graph) for graph in names}
        try:
            for future in as_completed(futures.values()):
                future.result()
        except BaseException:
            stopped.set()
            raise
    parts = [futures[graph].result() for graph in names]

    def stitch(stem: str) -> StitchedStem:
        contract = bag.contract_name(stem)
        own = of_contract(sections, contract)
        sums = {
            section.index: reduce(
                np.add, (part[key] for part in parts if (key := (stem, section.index)) in part)
            )
            for section in own
        }
        return StitchedStem(own, sums.__getitem__, level, bag.contracts[contract].level)

    return {stem: stitch(stem) for stem in stems}


def of_contract(sections: Iterable[Section], contract: str) -> list[Section]:
    """Those of a track's sections whose grid is the contract's."""
    return [section for section in sections if section.contract == contract]


def weighted(rows: np.ndarray, shares: Shares) -> np.ndarray:
    """What a graph adds to a stem: float32 (rows, channels, segment) -> (channels, segment).

    A row that is all of the stem is returned as it is.
    """
    if list(shares.values()) == [1.0]:
        (index,) = shares
        row: np.ndarray = rows[index]
        return row
    mean: np.ndarray = reduce(np.add, (rows[row] * np.float32(share) for row, share in shares.items()))
    return mean


def parallel_graphs(threads: int, graphs: int) -> int:
    """How many graphs to run in parallel, each with its share of `threads`.

    One session with many threads is slower: after every operation it waits for the slowest thread.
    """
    return max(1, min(threads, graphs))


def collect(stem: StitchedStem) -> np.ndarray:
    """All of a stem: float32 (channels, samples)."""
    return np.concatenate(list(stem), axis=1)
