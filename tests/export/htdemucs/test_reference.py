"""The timed demucs is demucs: the same samples as `apply_model` over the whole bag."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from demucs.apply import BagOfModels, apply_model

from export.htdemucs import reference
from export.htdemucs.origin import from_origin
from tests.stores import STORE

SMALL = "random --channels 8 --bottom-channels 64 --layers 1 --segment 1"


@pytest.mark.parametrize("origin", [SMALL, f"{SMALL} --models 2"], ids=["specialists", "mean"])
def test_one_stem_is_the_bags_row(origin: str, tmp_path: Path) -> None:
    mix = 0.1 * np.random.default_rng(0).standard_normal((2, 66_150)).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", mix.T, 44_100, subtype="FLOAT")
    spec = {
        "tracks": [["a.wav", str(tmp_path / "a.wav")]],
        "origin": origin,
        "trust": False,
        "stems": ["bass"],
        "overlap": 0.25,
        "threads": 1,
        "device": "cpu",
        "out": str(tmp_path / "out"),
    }
    timed = reference.run(reference.ReferenceRun(**spec), STORE)
    assert timed["audio_s"] == 1.5
    assert timed["work_s"] > 0
    assert [path.name for path in (tmp_path / "out/a.wav").iterdir()] == ["bass.wav"]

    random = from_origin(origin, trust=False).random
    models = [random.model(signature) for signature in random.listing.models]
    bag = BagOfModels(models, None if random.models else np.eye(4).tolist())
    wav = torch.from_numpy(mix)
    ref = wav.mean(0)
    stems = apply_model(bag, ((wav - ref.mean()) / (ref.std() + 1e-8))[None], shifts=0)[0]
    expected = (stems[1] * (ref.std() + 1e-8) + ref.mean()).numpy()
    found = soundfile.read(tmp_path / "out/a.wav/bass.wav", dtype="float32")[0].T
    np.testing.assert_allclose(found, expected, atol=1e-6)
