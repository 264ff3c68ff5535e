"""Every kind of bag against `demucs.apply.apply_model` on whole tracks: in memory, and through the job.

Hot random weights in demucs's own files, the five bags of `tests.checkpoints`; four of them are long tests,
and so are tracks of half a minute.
"""

import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from demucs.apply import BagOfModels, apply_model

from export.parity import compare
from jobs.pipeline.output.tables import read_table
from separation.contract import HTDEMUCS
from separation.models.bag import Bag, RestOfMix
from separation.models.bag_json import read_bag, write_bag
from separation.models.graph import Graph, open_graph
from separation.models.graph_files import fetch
from separation.options import Options
from separation.overlap_add import StitchedStem
from separation.separator import collect, separate
from tests.checkpoints import exported, opened_by_demucs, with_long
from tests.integration.conftest import Run
from tests.integration.test_parity import music
from tests.stores import STORE

SNR_DB = 100
ODD = 12_345  # samples more than whole seconds


@dataclass(frozen=True)
class Sides:
    """A bag's folder and its graphs, and its checkpoints as demucs opens them."""

    folder: Path
    bag: Bag
    demucs: BagOfModels
    graphs: dict[str, Graph]
    references: dict[int, dict[str, np.ndarray]] = field(default_factory=dict)  # by length

    def reference(self, length: int) -> dict[str, np.ndarray]:
        """The stems of `music(length)` as `Separator.separate_tensor` in demucs/api.py gives them."""
        if length not in self.references:
            wav = torch.from_numpy(music(length))
            ref = wav.mean(0)
            mean, std = ref.mean(), ref.std() + 1e-8
            with torch.no_grad():
                out = apply_model(self.demucs, ((wav - mean) / std)[None], shifts=0)[0]
            stems = (out * std + mean).numpy()
            self.references[length] = dict(zip(self.demucs.sources, stems, strict=True))
        return self.references[length]


def open_graphs(bag: Bag) -> dict[str, Graph]:
    return {name: open_graph(bag, name, fetch(bag, name, Path(bag.uri), STORE), "cpu") for name in bag.graphs}


def separate_by(bag: Bag, graphs: dict[str, Graph], mix: np.ndarray) -> dict[str, StitchedStem]:
    return separate(mix, bag, graphs, bag.stems, Options().grid_rules(bag.contracts))


@pytest.fixture(scope="module", params=with_long("like_htdemucs_6s"))
def sides(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Sides:
    folder = exported(request.param, tmp_path_factory)
    bag = read_bag(folder / "models", STORE)
    demucs = opened_by_demucs(request.param, folder / "checkpoints")
    return Sides(folder / "models", bag, demucs, open_graphs(bag))


@pytest.mark.parametrize("length", [3 * HTDEMUCS.sample_rate, "segment - 1", "segment + 1"])
def test_whole_tracks(sides: Sides, length: int | str) -> None:
    if isinstance(length, str):
        (contract,) = sides.bag.contracts.values()
        length = contract.segment + (1 if length.endswith("+ 1") else -1)
    reference, ours = sides.reference(length), separate_by(sides.bag, sides.graphs, music(length))
    assert list(ours) == list(reference)
    for stem, samples in reference.items():
        assert compare(samples, collect(ours[stem])).snr_db >= SNR_DB, stem


@pytest.mark.parametrize("seconds", [13, pytest.param(30, marks=pytest.mark.long)])
def test_through_the_job(sides: Sides, separate: Run, tmp_path: Path, seconds: int) -> None:
    length = seconds * HTDEMUCS.sample_rate + ODD
    mix = music(length)
    (tmp_path / "in").mkdir()
    soundfile.write(tmp_path / "in/a.wav", mix.T, HTDEMUCS.sample_rate, "FLOAT")
    where = (
        "--input",
        str(tmp_path / "in"),
        "--output",
        str(tmp_path / "out"),
        "--models",
        str(sides.folder),
    )
    done = separate(*where, "--float32", "--clip-mode", "none", "--chunks-per-section", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    in_memory = separate_by(sides.bag, sides.graphs, mix)
    for stem, samples in sides.reference(length).items():
        for found in (read(tmp_path / "out", "a.wav", stem), collect(in_memory[stem])):
            assert compare(samples, found).snr_db >= SNR_DB, stem

    rows = {row["stem"]: row for row in read_table(str(tmp_path / "out"), "timings", STORE).to_pylist()}
    assert list(rows) == list(sides.bag.stems)
    chunks = len(Options().grid_rules(sides.bag.contracts).popitem()[1].chunks(length))
    for stem, row in rows.items():
        graphs = sides.bag.graphs_of([stem])
        assert row["graph"] == "+".join(graphs)
        assert row["chunks"] == row["batches"] == chunks * len(graphs)
    sharing = [rows[stem]["infer_s"] for stem in rows if len(sides.bag.graphs) == 1]
    assert sharing == pytest.approx(sharing[:1] * len(sharing))  # one graph's seconds in equal parts


def read(output: Path, track: str, stem: str) -> np.ndarray:
    samples: np.ndarray = soundfile.read(output / f"stems/{track}/{stem}.wav", dtype="float32")[0].T
    return samples


def alone(bag: Bag, stem: str) -> Bag:
    """The bag with that stem, its graphs and its contract only."""
    graphs = {name: bag.graphs[name] for name in bag.graphs_of([stem])}
    return replace(bag, contracts=bag.contracts_of([stem]), graphs=graphs, stems={stem: bag.stems[stem]})


@pytest.fixture(scope="module")
def two_families(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A bag of one stem each from a model of 7.8 s and one of 10 s."""
    folder = tmp_path_factory.mktemp("families")
    bag = Bag(str(folder), "two", {}, {}, {})
    for name, stem in {"like_htdemucs": "vocals", "ten_seconds": "speech"}.items():
        one = alone(read_bag(exported(name, tmp_path_factory) / "models", STORE), stem)
        for file in one.graphs.values():
            shutil.copy(Path(one.uri) / file.file, folder)
        bag = replace(
            bag,
            contracts={**bag.contracts, **one.contracts},
            graphs={**bag.graphs, **one.graphs},
            stems={**bag.stems, **one.stems},
        )
    write_bag(bag, folder)
    return str(folder)


@pytest.mark.parametrize("chunks", [2, 1000])
@pytest.mark.parametrize("models", ["two_contracts", pytest.param("two_families", marks=pytest.mark.long)])
def test_stems_of_two_contracts_are_those_of_each_model_alone(
    request: pytest.FixtureRequest, models: str, separate: Run, tmp_path: Path, chunks: int
) -> None:
    folder = request.getfixturevalue(models)
    bag = read_bag(folder, STORE)
    assert len(bag.contracts) == 2
    mix = music(19 * HTDEMUCS.sample_rate + 1)
    (tmp_path / "in").mkdir()
    soundfile.write(tmp_path / "in/a.wav", mix.T, HTDEMUCS.sample_rate, "FLOAT")
    where = ("--input", str(tmp_path / "in"), "--output", str(tmp_path / "out"), "--models", folder)
    done = separate(*where, "--float32", "--clip-mode", "none", "--chunks-per-section", str(chunks))
    assert done.returncode == 0, done.stdout + done.stderr
    for stem in bag.stems:
        one = alone(bag, stem)
        expected = collect(separate_by(one, open_graphs(one), mix)[stem])
        np.testing.assert_array_equal(read(tmp_path / "out", "a.wav", stem), expected)
    assert not [path for path in (tmp_path / "out/parts").rglob("*") if path.is_file()]


def test_a_rest_of_the_mix_is_written_and_not_inferred(
    two_contracts: str, separate: Run, tmp_path: Path
) -> None:
    models = tmp_path / "models"
    shutil.copytree(two_contracts, models)
    bag = replace(read_bag(models, STORE), uri=str(models))
    write_bag(replace(bag, stems={**bag.stems, "instrumental": RestOfMix(("vocals",))}), models)
    mix = music(5 * HTDEMUCS.sample_rate)
    (tmp_path / "in").mkdir()
    soundfile.write(tmp_path / "in/a.wav", mix.T, HTDEMUCS.sample_rate, "FLOAT")
    where = ("--input", str(tmp_path / "in"), "--output", str(tmp_path / "out"), "--models", str(models))
    done = separate(*where, "--float32", "--clip-mode", "none", "--stems", "instrumental")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [path.name for path in (tmp_path / "out/stems/a.wav").iterdir()] == ["instrumental.wav"]
    vocals = collect(separate_by(bag, open_graphs(bag), mix)["vocals"])
    np.testing.assert_array_equal(read(tmp_path / "out", "a.wav", "instrumental"), mix - vocals)
    rows = read_table(str(tmp_path / "out"), "timings", STORE).to_pylist()
    assert [(row["stem"], row["graph"], row["infer_s"]) for row in rows] == [("instrumental", None, None)]
