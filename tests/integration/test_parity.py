"""Whole tracks: ours against demucs's `apply_model` on the same hot checkpoints."""

import itertools
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import soundfile
import torch
from demucs.apply import BagOfModels, apply_model

from export.htdemucs.origin import from_origin
from export.parity import compare
from separation.audio import limits
from separation.audio.mixes import read_mix
from separation.contract import HTDEMUCS
from separation.grid import GridRule, draw_shifts
from separation.models.bag_json import read_bag
from separation.models.graph import open_graph
from separation.models.graph_files import fetch
from separation.overlap_add import StitchedStem
from separation.separator import collect, separate
from tests.bags import FOUR_STEMS
from tests.integration.conftest import SMALL
from tests.sounds import DECODERS
from tests.stores import STORE

SNR_DB = 100


class Sides:
    """Both sides of the comparison on one bag."""

    def __init__(self, folder: Path):
        self.bag = bag = read_bag(folder, STORE)
        self.graphs = {
            name: open_graph(bag, name, fetch(bag, name, folder, STORE), "cpu") for name in bag.graphs
        }
        self.models = {stem: from_origin(SMALL, False).random.model(stem) for stem in FOUR_STEMS}

    def reference(
        self, mix: np.ndarray, stems: tuple[str, ...], overlap: float, shifts: tuple[int, ...]
    ) -> np.ndarray:
        """As `Separator.separate_tensor` in demucs/api.py; its random offsets replaced by `shifts`."""
        rows = [[float(row == FOUR_STEMS.index(stem)) for row in range(4)] for stem in stems]
        bag = BagOfModels([self.models[stem] for stem in stems], rows)
        wav = torch.from_numpy(mix)
        ref = wav.mean(0)
        mean, std = ref.mean(), ref.std() + 1e-8
        offsets = itertools.cycle(HTDEMUCS.max_shift - shift for shift in shifts)
        with mock.patch("demucs.apply.random.randint", lambda low, high: next(offsets)):
            count = 0 if shifts == (0,) else len(shifts)
            out = apply_model(bag, ((wav - mean) / std)[None], shifts=count, overlap=overlap)
        return (out[0] * std + mean).numpy()

    def compare(
        self,
        mix: np.ndarray,
        stems: tuple[str, ...] = ("vocals",),
        overlap: float = 0.25,
        shifts: tuple[int, ...] = (0,),
    ) -> None:
        reference = self.reference(mix, stems, overlap, shifts)
        ours = self.separate(mix, stems, overlap, shifts)
        for stem in stems:
            parity = compare(reference[FOUR_STEMS.index(stem)], collect(ours[stem]))
            assert parity.snr_db >= SNR_DB, (stem, parity)

    def separate(
        self,
        mix: np.ndarray,
        stems: tuple[str, ...] = FOUR_STEMS,
        overlap: float = 0.25,
        shifts: tuple[int, ...] = (0,),
    ) -> dict[str, StitchedStem]:
        rule = GridRule(HTDEMUCS.segment, HTDEMUCS.stride_for(overlap), shifts)
        return separate(mix, self.bag, self.graphs, stems, {"htdemucs": rule})


@pytest.fixture(scope="module")
def sides(small_models: str) -> Sides:
    return Sides(Path(small_models))


def music(length: int, channels: int = 2) -> np.ndarray:
    rng = np.random.default_rng(length)
    time = np.arange(length) / HTDEMUCS.sample_rate
    tones = sum(np.sin(2 * np.pi * f * time) * np.exp(-3 * (time % 0.5)) for f in (110, 277, 660, 2217))
    noise = rng.standard_normal((channels, length)) * np.exp(-30 * (time % 0.25))
    return (0.05 * tones + 0.1 * noise + 0.01).astype(np.float32)


@pytest.mark.parametrize(
    "length",
    [
        2,
        3 * HTDEMUCS.sample_rate,
        HTDEMUCS.segment - 1,
        HTDEMUCS.segment,
        HTDEMUCS.segment + 1,
        2 * HTDEMUCS.stride,
    ],
)
def test_lengths(sides: Sides, length: int) -> None:
    sides.compare(music(length))


@pytest.mark.parametrize("seconds", [13, pytest.param(30, marks=pytest.mark.long)])
def test_all_stems_of_an_odd_length(sides: Sides, seconds: int) -> None:
    sides.compare(music(seconds * HTDEMUCS.sample_rate + 12_345), stems=FOUR_STEMS)


@pytest.mark.parametrize("overlap", [0, 0.1, 0.5, 0.75])
def test_overlaps(sides: Sides, overlap: float) -> None:
    sides.compare(music(9 * HTDEMUCS.sample_rate + 1), overlap=overlap)


def test_recorded_shifts(sides: Sides) -> None:
    sides.compare(music(10 * HTDEMUCS.sample_rate + 1), shifts=draw_shifts(2, 4, HTDEMUCS.max_shift))


def test_one_shift_is_not_none(sides: Sides) -> None:
    sides.compare(music(9 * HTDEMUCS.sample_rate), shifts=draw_shifts(1, 4, HTDEMUCS.max_shift))


@pytest.mark.parametrize(("rate", "channels"), [(44_100, 1), (48_000, 2), (48_000, 1)])
def test_files_of_other_kinds(sides: Sides, tmp_path: Path, rate: int, channels: int) -> None:
    path = tmp_path / "track.wav"
    soundfile.write(path, music(9 * HTDEMUCS.sample_rate, channels).T, rate, subtype="FLOAT")
    mix, _ = read_mix(str(path), limits.DEFAULTS, DECODERS, STORE, sample_rate=HTDEMUCS.sample_rate)
    assert mix.shape[0] == 2
    sides.compare(mix)


def test_silence_and_a_single_sample(sides: Sides) -> None:
    """demucs divides by (nearly) nothing here; ours must stay finite, and silence silent."""
    silent = sides.separate(np.zeros((2, HTDEMUCS.segment + 1), np.float32))
    assert not any(collect(stem).any() for stem in silent.values())
    single = sides.separate(np.full((2, 1), 0.5, np.float32))
    assert all(np.isfinite(collect(stem)).all() for stem in single.values())
