"""A model folder beside PyTorch: how far every row is from the checkpoint it was exported from."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import onnxruntime

from export.model_folder import TEST_SEGMENT_SEED, ExportableModel
from export.parity import Bar, Parity, compare_rows, music_like
from separation.models.bag import Bag
from separation.models.graph import ON_GPU, open_graph
from separation.models.graph_files import fetch
from separation.store.objects import Store


def verify(
    bag: Bag,
    models: Iterable[ExportableModel],
    store: Store,
    provider: str = "cpu",
    batches: Sequence[int] = (),
) -> bool:
    """Whether every row of `bag` meets its model's bar; prints one line per row and batch.

    `models` are what the bag was exported from, in any order; those without a graph in the bag are skipped.
    """
    graph, row = (2 + max(map(len, names)) for names in (["graph", *bag.graphs], ["row", *bag.stems]))
    print(f"{'graph':<{graph}}{'row':<{row}}{'precision':<10}{'session':<12} batch  SNR dB  max/peak     MB")
    all_meet, missing = True, set(bag.graphs)
    said: set[tuple[str, Bar]] = set()
    for model in models:
        for name in _graphs_of(model, bag, missing):
            missing.remove(name)
            entry = bag.graphs[name]
            bar = model.bars[entry.precision]
            if (entry.precision, bar) not in said:
                said.add((entry.precision, bar))
                least, most = f"{bar.snr_db:g} dB", f"{bar.max_over_peak:g} of the peak"
                print(f"{entry.precision}: at least {least}, at most {most}")
            rows = (
                (session, batch, *each)
                for session, batch, parities in _parities(bag, name, model, provider, batches, store)
                for each in zip(entry.rows, parities, strict=True)
            )
            for session, batch, given, parity in rows:
                meets = parity.meets(bar)
                all_meet = all_meet and meets
                print(
                    f"{name:<{graph}}{given:<{row}}{entry.precision:<10}{session:<12} {batch:5} "
                    f"{parity.snr_db:7.1f} {parity.max_over_peak:9.1e} {entry.bytes / 1e6:6.1f}"
                    f"{'' if meets else '  falls short'}",
                    flush=True,
                )
    for name in sorted(missing):
        print(f"{name}: no model of its checkpoints gives it", flush=True)
    return all_meet and not missing


def _graphs_of(model: ExportableModel, bag: Bag, names: Collection[str]) -> list[str]:
    """The graphs of `names` that were made of the model, by its checkpoint and rows: in a combined bag they
    may have other names. Of another checkpoint it is the graph of the model's name."""
    made = (model.checkpoint.sha256, tuple(model.weights))
    found = [
        name
        for name, entry in bag.graphs.items()
        if name in names and (entry.source_sha256, entry.rows) == made
    ]
    return found or [model.name] * (model.name in names)


def _parities(
    bag: Bag, name: str, model: ExportableModel, provider: str, batches: Sequence[int], store: Store
) -> Iterator[tuple[str, int, list[Parity]]]:
    """Session name, batch size and parity by row: the graph as actors run it, one segment at a time, then the
    worst segment of each batch, on the GPU if that is the provider, on onnxruntime's CPU otherwise."""
    entry = bag.graphs[name]
    path = fetch(bag, name, Path(bag.uri), store)
    contract = bag.contracts[entry.contract]
    segments = [music_like(TEST_SEGMENT_SEED + index, contract) for index in range(max((1, *batches)))]
    expected = [model.run(segment, entry.rows) for segment in segments]
    graph = open_graph(bag, name, path, provider)
    yield provider, 1, compare_rows(expected[0], graph(segments[0]))
    del graph
    if not batches:
        return
    on_gpu = provider in ON_GPU
    on_cpu = None if on_gpu else _open_batched(path)
    for batch in batches:
        run = on_cpu or open_graph(bag, name, path, provider, batch=batch)
        stems = run(np.concatenate(segments[:batch])).reshape(batch, *expected[0].shape[1:])
        each = [compare_rows(expected[index], stems[index : index + 1]) for index in range(batch)]
        worst = [
            Parity(min(p.snr_db for p in row), max(p.max_over_peak for p in row))
            for row in zip(*each, strict=True)
        ]
        yield provider if on_gpu else "onnxruntime", batch, worst


def _open_batched(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """The graph with its batch axis free; on a CPU `Graph` takes one segment at a time."""
    options = onnxruntime.SessionOptions()
    options.enable_mem_pattern = False  # a pattern holds for one batch size only
    session = onnxruntime.InferenceSession(path.read_bytes(), options, ["CPUExecutionProvider"])
    return lambda segments: session.run(None, {"mix": segments})[0]
