"""One track at a time on this machine, without Ray: the sessions of a bag, and mixes separated with them.

`python -m separation` writes the result to files, `stemfleet.Separator` returns it as arrays.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from separation.audio.stem_files import Blocks
from separation.blocks import reblock
from separation.models.bag import Bag
from separation.models.bag_json import read_bag
from separation.models.graph import Graph, open_graph, resolve
from separation.models.graph_files import fetch
from separation.options import Options
from separation.selection import Selection
from separation.separator import parallel_graphs, separate
from separation.store.objects import Store


def load(
    bag: Bag, names: Sequence[str], provider: str, threads: int, cache: Path, store: Store
) -> dict[str, Graph]:
    """A session per graph; those that run in parallel share the CPU `threads`."""
    each = threads // parallel_graphs(threads, len(names))
    return {
        name: open_graph(
            bag,
            name,
            fetch(bag, name, cache / "models", store),
            provider=provider,
            threads=each,
            cache=cache / "optimized",
        )
        for name in names
    }


class LocalSeparator:
    """The graphs that `options` need of the models at `models`, a folder, an fsspec URI or "demo".

    Their sessions are opened by `load`, or by the first mix: what can be refused before is, without them.
    """

    selection: Selection
    stems: tuple[str, ...]  # what `separate` returns, in this order
    sample_rate: int  # Hz, of mixes and stems
    engine: str  # the provider that runs the graphs

    def __init__(
        self, models: str | Path, options: Options, provider: str, threads: int, cache: Path, store: Store
    ):
        bag = read_bag(models, store)
        options.encoding.check_rate(bag.sample_rate)
        self.selection = selection = Selection(bag, options)
        self._rules = selection.grid_rules
        self._parallel = parallel_graphs(threads, len(selection.graphs))
        self.stems = selection.outputs
        self.sample_rate = selection.sample_rate
        self.engine = resolve(provider)
        self._open = partial(load, bag, selection.graphs, self.engine, threads, cache, store)
        self._graphs: dict[str, Graph] = {}

    def load(self) -> Mapping[str, Graph]:
        """The sessions, by the name of their graph."""
        self._graphs = self._graphs or self._open()
        return self._graphs

    def chunks(self, samples: int) -> int:
        """How many chunks the graphs infer together for a mix of that length."""
        chunks = {
            contract: sum(len(rule.chunks(samples, shift)) for shift in rule.shifts)
            for contract, rule in self._rules.items()
        }
        return sum(chunks[self.selection.bag.graphs[graph].contract] for graph in self.selection.graphs)

    def separate(
        self, mix: np.ndarray, on_chunk: Callable[[str], None] = lambda graph: None
    ) -> dict[str, Blocks]:
        """`mix`, float32 (2, samples) at `sample_rate`, as one iterable of blocks (2, n) per stem of `stems`.

        `on_chunk` is called with a graph's name after each of its chunks, from its thread.
        """
        stitched = separate(
            mix,
            self.selection.bag,
            self.load(),
            self.selection.stems,
            self._rules,
            parallel=self._parallel,
            skip_silence=self.selection.options.skip_silence,
            on_chunk=on_chunk,
        )
        return self.selection.stems_to_write(stitched, list(reblock([mix])))
