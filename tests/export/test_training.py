"""Training that can be cut off, a specialist's loss, and what comes out of the program."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from export.__main__ import main as export_main
from export.htdemucs.arguments import SOURCES
from export.training import train
from export.training.__main__ import main as train_main
from export.training.loss import FLOOR, error_db
from export.training.network import Sizes, build, only, with_row
from export.training.phase import Phase, Schedule, run
from export.training.songs import draw_batch, stored
from export.training.validate import sdr
from separation.contract import HTDEMUCS
from separation.models.bag_json import read_bag
from tests.stores import STORE

RATE = HTDEMUCS.sample_rate
TINY = Sizes(bottom_channels=32, t_layers=1, t_heads=2)
SHORT = Schedule(4, rate=1e-3, long_from=3, batch=2, length=8192, long_length=16_384, warm_up=1)


@pytest.fixture(scope="module")
def songs() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [0.1 * rng.standard_normal((4, 2, RATE)).astype(np.float16) for _ in range(3)]


def phase_of(threads: int = 1) -> Phase:
    return Phase(build(TINY, seed=1), [0, 1, 2, 3], seed=5, schedule=SHORT, device="cpu", threads=threads)


def test_a_run_that_is_cut_off_ends_as_one_that_is_not(songs: list[np.ndarray], tmp_path: Path) -> None:
    whole = phase_of()
    assert run(whole, songs, tmp_path / "whole.pt")

    path, cuts = tmp_path / "cut.pt", 0
    while not run(phase_of(), songs, path, seconds=0):  # a new process a step
        cuts += 1
    assert cuts == SHORT.steps
    expected, found = (torch.load(each) for each in (tmp_path / "whole.pt", path))
    assert found["step"] == expected["step"] == SHORT.steps
    for part in ("model", "average"):
        assert all(torch.equal(found[part][name], tensor) for name, tensor in expected[part].items())
    fresh = build(TINY, seed=1).state_dict()
    assert not all(torch.equal(fresh[name], tensor) for name, tensor in found["model"].items())


def test_threads_change_no_bit(songs: list[np.ndarray]) -> None:
    one, two = phase_of(threads=1), phase_of(threads=2)
    assert [one.advance(songs) for _ in range(4)] == [two.advance(songs) for _ in range(4)]
    for name, tensor in one.model.state_dict().items():
        assert torch.equal(two.model.state_dict()[name], tensor), name


def test_a_specialist_is_its_row_of_the_network() -> None:
    model = build(TINY, seed=1)
    wave = 0.1 * torch.randn(1, 2, 20_000, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = model(wave)
        for row, stem in enumerate(SOURCES):
            torch.testing.assert_close(only(model, stem)(wave)[:, 0], before[:, row], rtol=0, atol=1e-6)
        bass = only(model, "bass")
        for parameter in bass.parameters():
            parameter += 0.01
        after = with_row(model, bass).train()(wave)
        torch.testing.assert_close(after[:, 1], bass(wave)[:, 0], rtol=0, atol=1e-6)
        assert torch.equal(model(wave), before)
    assert (after - before).abs().max() > 1e-3


def test_a_specialist_learns_its_row_alone(songs: list[np.ndarray]) -> None:
    model = build(TINY, seed=1)
    phase = Phase(only(model, "bass"), [1], seed=5, schedule=SHORT, device="cpu")
    losses = [phase.advance(songs) for _ in range(SHORT.steps)]
    assert len(set(losses)) == SHORT.steps
    then = with_row(model, phase.averaged()).state_dict()
    for name, tensor in model.state_dict().items():
        moved = then[name] != tensor
        if name == "decoder.3.conv_tr.weight":  # (channels, 4 stems x 4, 8, 1)
            assert moved.any(3).any(2).any(0).tolist() == [row // 4 == 1 for row in range(16)]
        elif name == "tdecoder.3.conv_tr.bias":  # 4 stems x 2
            assert moved.tolist() == [row // 2 == 1 for row in range(8)]
        else:
            assert moved.any(), name


def test_the_network_starts_as_masks_of_ones() -> None:
    model = build(Sizes(), seed=0).eval()
    wave = 0.1 * torch.randn(1, 2, 30_000, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        stems = model.train()(wave)
    for stem in stems[0]:
        # Some gain of the mix, and little else: without the start it has nothing of the mix in it.
        likeness = torch.nn.functional.cosine_similarity(stem.flatten(), wave.flatten(), dim=0)
        assert likeness > 0.7


def test_the_loss_is_the_error_of_every_second() -> None:
    generator = torch.Generator().manual_seed(0)
    target = torch.randn(1, 2, 2, 2 * RATE, generator=generator)
    mix = target.sum(1)
    level = (mix**2).mean()
    estimate = target.clone()
    estimate[:, 0, :, RATE:] += 0.1 * level.sqrt()
    errors = error_db(estimate, target, mix)
    assert errors.shape == (1, 2, 2)
    expected = 10 * torch.tensor([FLOOR, 0.01 + FLOOR]).log10()
    torch.testing.assert_close(errors[0, 0], expected, atol=0.1, rtol=0)
    assert torch.all(errors[0, 1] < 10 * np.log10(FLOOR) + 0.1)


def test_sdr_counts_the_seconds_in_which_no_stem_rests() -> None:
    stems = np.full((len(SOURCES), 2, 4 * RATE), 0.1, np.float32)
    stems[2] = 0.5
    estimate = stems[2] * 0.9
    estimate[:, : 2 * RATE] = 9.0
    stems[2, :, :RATE] = 0
    stems[0, :, RATE : 2 * RATE] = 0  # another stem's rest: museval leaves this second out too
    assert sdr(stems, 2, estimate) == pytest.approx(20, abs=0.01)
    assert sdr(stems, 2, stems[2] * 0.8) == pytest.approx(13.98, abs=0.01)


def test_a_batch_is_the_steps_own_and_its_songs_are_kept(tmp_path: Path) -> None:
    songs = stored(tmp_path, "train", 2, processes=1)
    assert [song.shape[:2] for song in songs] == [(len(SOURCES), 2)] * 2
    again = stored(tmp_path, "train", 2, processes=1)
    batch, same, next_one = (
        draw_batch(each, np.random.default_rng([0, step]), size=2, length=1000)
        for each, step in ((songs, 7), (again, 7), (songs, 8))
    )
    np.testing.assert_array_equal(batch, same)
    assert (batch != next_one).any()
    assert not list(tmp_path.glob("*.part"))


def test_the_program_leaves_a_bag_that_exports(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a small network, from short crops."""
    monkeypatch.setattr(train, "Sizes", lambda: TINY)
    short = partial(Schedule, length=SHORT.length, long_length=SHORT.long_length)
    monkeypatch.setattr(train, "Schedule", short)
    out, bag, models = tmp_path / "training", tmp_path / "training/band_ft", tmp_path / "models"
    small = ["--songs", "1", "--steps", "1", "--fine-steps", "1", "--validate", "0", "--out", str(out)]
    assert train_main([*small, "--seconds", "0"]) == 2  # stopped in the base model
    assert train_main([*small, "--stems", "bass"]) == 0
    assert not bag.exists()
    assert train_main(small) == 0
    heads = {
        stem: torch.load(out / f"{stem}.pt")["model"]["decoder.3.conv_tr.weight"]
        for stem in ("base", *SOURCES)
    }
    for stem in SOURCES:
        assert not torch.equal(heads[stem], heads["base"])

    more = tmp_path / "more"
    assert train_main([*small[:-1], str(more), "--start", str(bag), "--stems", "drums"]) == 0
    assert not (more / "base.pt").exists()

    def moved(stem: str) -> float:
        first, then = (load_file(folder / f"{stem}.safetensors") for folder in (bag, more / "band_ft"))
        return max(float((then[name].float() - tensor.float()).abs().max()) for name, tensor in first.items())

    assert moved("bass") == 0
    assert 0 < moved("drums") < 0.01  # a step of the rate from where it stood, not a model of its own

    with (bag / "band_ft.yaml").open("a") as listing:
        listing.write("segment: 1\n")  # seconds, as the listing may shorten it: less to trace
    assert export_main([str(bag), "--out", str(models), "--stems", "bass"]) == 0
    assert export_main(["verify", str(models)]) == 0
    assert list(read_bag(models, STORE).stems) == ["bass"]
    assert "falls short" not in capsys.readouterr().out
