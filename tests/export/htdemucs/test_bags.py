"""Every kind of bag against demucs itself: `apply_model` on the checkpoints that demucs writes and reads."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from demucs.apply import apply_model

from export.__main__ import main
from export.htdemucs.export_bag import export
from export.htdemucs.origin import Request
from export.parity import compare, music_like
from separation.errors import ModelError
from separation.models.bag import Bag
from separation.models.bag_json import read_bag
from separation.models.graph import open_graph
from tests.checkpoints import SIX, exported, opened_by_demucs, with_long, write_checkpoints
from tests.export.conftest import ENGINES
from tests.stores import STORE

FOUR = SIX[:4]
SHORT = {"unequal": Fraction(2)}  # seconds of a segment: three models are less to run
MEAN = tuple((f"mean_of_three_{model}", 1.0) for model in (1, 2, 3))
# By stem: its graphs and their weights.
STEMS = {
    "like_htdemucs": dict.fromkeys(FOUR, (("like_htdemucs", 1.0),)),
    "like_htdemucs_6s": dict.fromkeys(SIX, (("like_htdemucs_6s", 1.0),)),
    "mean_of_three": dict.fromkeys(FOUR, MEAN),
    "unequal": {
        "drums": (("unequal_1", 1.0),),
        "bass": (("unequal_1", 1.0), ("unequal_2", 0.5)),
        "other": (("unequal_3", 3.0),),
        "vocals": (("unequal_3", 0.25),),
    },
    "ten_seconds": dict.fromkeys(("speech", "music"), (("ten_seconds", 1.0),)),
}


def stems_of(bag: Bag, segments: np.ndarray, engine: str) -> dict[str, np.ndarray]:
    """The stems of segments, (n, 2, segment) each: the graphs' rows by their shares."""
    stems = {stem: np.zeros_like(segments) for stem in bag.stems}
    for name, entry in bag.graphs.items():
        graph = open_graph(bag, name, Path(bag.uri) / entry.file, engine, threads=1)
        rows = graph(segments)
        for stem, shares in bag.contributions(name, bag.stems).items():
            for row, share in shares.items():
                stems[stem] += np.float32(share) * rows[:, row]
    return stems


@pytest.mark.parametrize("name", with_long("like_htdemucs_6s", "unequal"))
def test_each_stem_is_what_demucs_makes_of_the_bag(
    name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = exported(name, tmp_path_factory, SHORT.get(name))
    bag = read_bag(folder / "models", STORE)
    found = {stem: tuple((row.graph, row.weight) for row in bag.rows(stem)) for stem in bag.stems}
    assert found == STEMS[name]
    assert list(bag.contracts) == [
        {"ten_seconds": "htdemucs_10s", "unequal": "htdemucs_2s"}.get(name, "htdemucs")
    ]

    (contract,) = bag.contracts.values()
    segments = music_like(1, contract)
    demucs = opened_by_demucs(name, folder / "checkpoints")
    expected = apply_model(demucs, torch.from_numpy(segments), shifts=0, split=False).numpy()
    for engine in ENGINES:
        stems = stems_of(bag, segments, engine)
        for row, stem in enumerate(demucs.sources):
            parity = compare(expected[:, row], stems[stem])
            assert parity.snr_db > 100, (engine, stem, parity)


def test_stems_name_the_rows_that_are_exported(tmp_path: Path) -> None:
    """A stem of one graph alone is a specialist's; models that no stem needs are left out."""
    checkpoints = write_checkpoints("unequal", tmp_path / "checkpoints", Fraction(1))
    request = Request(str(checkpoints), trust=True)

    def rows_of(*stems: str) -> dict[str, tuple[str, ...]]:
        return {model.name: tuple(model.weights) for model in request.models(stems)}

    assert rows_of("vocals") == {"vocals": ("vocals",)}
    assert rows_of("bass", "other") == {
        "unequal_1": ("bass",), "unequal_2": ("bass",), "other": ("other",)
    }  # fmt: skip


@pytest.mark.parametrize("precision", ["int8", "fp16"])
def test_other_precisions_state_their_worst_row(
    precision: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["random", "--hot", "--models", "1", "--sources", "a,b,c", "--segment", "1"]
    small = ["--channels", "8", "--bottom-channels", "0", "--layers", "1", "--heads", "2"]
    assert main([*words, *small, "--precision", precision, "--out", str(tmp_path)]) == 0
    (graph,) = read_bag(tmp_path, STORE).graphs.values()
    assert graph.rows == ("a", "b", "c") and graph.precision == precision
    capsys.readouterr()
    assert main(["verify", str(tmp_path)]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()[2:]]
    assert [line[:4] for line in lines] == [["random", row, precision, "cpu"] for row in "abc"]
    assert graph.snr_db == min(float(line[5]) for line in lines)


def test_models_of_one_stem_share_a_segment(tmp_path: Path) -> None:
    for name, segment in (("like_htdemucs", Fraction(1)), ("mean_of_three", Fraction(2))):
        write_checkpoints(name, tmp_path / name, segment)
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    for number, name in enumerate(("like_htdemucs", "mean_of_three")):
        found = next((tmp_path / name).glob("model_1-*.th"))
        (mixed / f"{'ab'[number]}{found.name[7:]}").symlink_to(found)
    request = Request(str(mixed), trust=True)
    (mixed / "mixed.yaml").write_text("models: [a, b]")
    with pytest.raises(ModelError, match=r"drums is a mean .*mixed_1 has the contract htdemucs_1s.*_2s"):
        export(request, tmp_path / "models", None, "fp32")
    (mixed / "mixed.yaml").write_text("{models: [a, b], weights: [[1, 1, 0, 0], [0, 0, 1, 1]]}")
    found = [
        (model.name, model.contract_name, model.contract.segment)
        for model in request.models(["drums", "vocals"])
    ]
    assert found == [("drums", "htdemucs_1s", 44_100), ("vocals", "htdemucs_2s", 88_200)]
