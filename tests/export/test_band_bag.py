"""The demonstration bag as it lies in the repo: whole, small, exported from its own checkpoints."""

from pathlib import Path

import numpy as np
import pytest

import band
from band.song import song, split
from export.__main__ import main
from export.htdemucs.origin import BAND, BAND_CHECKPOINTS, from_origin
from export.training.validate import sdr
from separation.contract import STEMS
from separation.models.bag import fetch, read_bag, sha256_of
from separation.models.specialist import Specialist
from separation.separator import collect, separate
from tests.stores import STORE

MODELS = Path(band.__file__).with_name("bag")
MOST = 12_000_000  # bytes of the four graphs, and of the four checkpoints


def test_the_files_are_small_and_those_that_bag_json_names() -> None:
    bag = read_bag(MODELS, STORE)
    assert (bag.name, bag.stems, bag.origin) == (BAND, STEMS, BAND)
    for stem, kept in bag.specialists.items():
        assert sha256_of(MODELS / kept.file) == kept.sha256
        assert sha256_of(BAND_CHECKPOINTS / f"{stem}.safetensors") == kept.source_sha256
    for folder, pattern in ((MODELS, "*.onnx"), (BAND_CHECKPOINTS, "*.safetensors")):
        sizes = [path.stat().st_size for path in folder.glob(pattern)]
        assert len(sizes) == len(STEMS)
        assert sum(sizes) <= MOST


def test_the_graphs_compute_the_checkpoints(capsys: pytest.CaptureFixture[str]) -> None:
    assert from_origin(read_bag(MODELS, STORE).origin, trust=False).bag == BAND
    assert main(["verify", str(MODELS)]) == 0
    assert "falls short" not in capsys.readouterr().out


def test_every_stem_is_nearer_to_its_own_than_the_mix_and_to_no_other() -> None:
    bag = read_bag(MODELS, STORE)
    specialists = {stem: Specialist(fetch(bag, stem, MODELS, STORE), stem, provider="cpu") for stem in STEMS}
    sounds = song(split("test")[0], 5.8)
    stems = separate(sounds["mix"], specialists)
    true = np.stack([sounds[stem] for stem in STEMS])
    for row, stem in enumerate(STEMS):
        found = np.asarray(collect(stems[stem]))
        scores = [sdr(true, other, found) for other in range(len(STEMS))]
        assert scores[row] > sdr(true, row, sounds["mix"]) + 3
        assert scores[row] == max(scores)
