"""The demonstration bag as it lies in the repo: whole, small, exported from its own checkpoints."""

from pathlib import Path

import numpy as np
import pytest

import band
from band.song import song, split
from export.__main__ import main
from export.htdemucs.arguments import SOURCES
from export.htdemucs.export_bag import export
from export.htdemucs.origin import BAND, BAND_CHECKPOINTS, Request
from export.training.validate import sdr
from separation.grid import GridRule
from separation.models.bag_json import read_bag
from separation.models.graph import open_graph
from separation.models.graph_files import sha256_of
from separation.separator import collect, separate
from tests.stores import STORE

MODELS = Path(band.__file__).with_name("bag")
MOST = 12_000_000  # bytes of the four graphs, and of the four checkpoints


def test_the_files_are_small_and_those_that_bag_json_names() -> None:
    bag = read_bag(MODELS, STORE)
    assert (bag.name, tuple(bag.stems)) == (BAND, SOURCES)
    for stem, kept in bag.graphs.items():
        assert (kept.rows, kept.origin) == ((stem,), BAND)
        assert sha256_of(MODELS / kept.file) == kept.sha256
        assert sha256_of(BAND_CHECKPOINTS / f"{stem}.safetensors") == kept.source_sha256
    for folder, pattern in ((MODELS, "*.onnx"), (BAND_CHECKPOINTS, "*.safetensors")):
        sizes = [path.stat().st_size for path in folder.glob(pattern)]
        assert len(sizes) == len(SOURCES)
        assert sum(sizes) <= MOST


def test_an_export_today_gives_the_same_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exported = export(Request(BAND), tmp_path, ["bass"], "fp32").graphs["bass"]
    assert exported == read_bag(MODELS, STORE).graphs["bass"]
    assert exported.licence.weights == "MIT"
    assert "licence of the weights: MIT" in capsys.readouterr().out


@pytest.mark.long
def test_the_graphs_compute_the_checkpoints(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(MODELS)]) == 0
    assert "falls short" not in capsys.readouterr().out


def test_every_stem_is_nearer_to_its_own_than_the_mix_and_to_no_other() -> None:
    bag = read_bag(MODELS, STORE)
    graphs = {name: open_graph(bag, name, MODELS / bag.graphs[name].file, "cpu") for name in bag.graphs}
    rules = {name: GridRule(each.segment, each.stride) for name, each in bag.contracts.items()}
    sounds = song(split("test")[0], 5.8)
    stems = separate(sounds["mix"], bag, graphs, bag.stems, rules)
    true = np.stack([sounds[stem] for stem in SOURCES])
    for row, stem in enumerate(SOURCES):
        found = np.asarray(collect(stems[stem]))
        scores = [sdr(true, other, found) for other in range(len(SOURCES))]
        assert scores[row] > sdr(true, row, sounds["mix"]) + 3
        assert scores[row] == max(scores)
