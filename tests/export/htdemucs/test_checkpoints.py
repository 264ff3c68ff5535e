"""Checkpoints as demucs writes them: what they hold, and what opens them."""

import pickle
import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from demucs.hdemucs import HDemucs
from demucs.pretrained import get_model
from demucs.states import get_state
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from export.htdemucs import pretrained
from export.htdemucs.arguments import SOURCES
from export.htdemucs.bag_model import contract_of
from export.htdemucs.checkpoints import load_checkpoint, open_bag
from export.htdemucs.random_bag import FORMATS, RandomBag, sha256_of_state
from separation.errors import ModelError
from separation.models.bag import Licence
from tests.checkpoints import opened_by_demucs, write_checkpoints
from tests.export.htdemucs.tiny import TINY, copied, opened


@pytest.mark.parametrize("form", FORMATS)
def test_a_format_gives_the_model_that_was_saved(folders: dict[str, Path], form: str) -> None:
    bass, saved = opened(folders[form], trust=True)[1], TINY.model("bass")
    assert sha256_of_state(bass.model) == sha256_of_state(saved)
    assert str(bass.model) == str(saved)  # all its layers and their sizes
    assert (bass.name, bass.weights, bass.contract) == ("bass", {"bass": 1.0}, contract_of(saved))


def test_demucs_itself_opens_what_random_saves(folders: dict[str, Path], tmp_path: Path) -> None:
    bag = get_model("tiny", repo=folders["th"])
    assert [list(model.sources) for model in bag.models] == [list(SOURCES)] * 4
    expected = TINY.model("vocals").state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in bag.models[3].state_dict().items())
    mean = opened_by_demucs("mean_of_three", write_checkpoints("mean_of_three", tmp_path, Fraction(1)))
    assert mean.weights == [[1.0] * 4] * 3


def test_the_stem_comes_from_the_weights_not_from_the_place(folders: dict[str, Path], tmp_path: Path) -> None:
    weights = [[0, 0, 0, 1], [0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0]]
    folder = copied(folders["safetensors"], tmp_path / "bag", weights=weights)
    assert [(each.name, each.weights, each.checkpoint.source) for each in opened(folder)] == [
        ("vocals", {"vocals": 1}, "drums.safetensors"),
        ("other", {"other": 1}, "bass.safetensors"),
        ("drums", {"drums": 1}, "other.safetensors"),
        ("bass", {"bass": 1}, "vocals.safetensors"),
    ]


def test_an_unknown_pickle_is_not_opened(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="--trust-checkpoint"):
        opened(folders["th"])
    mark = tmp_path / "mark"

    class Trap:
        def __reduce__(self):
            return (Path.touch, (mark,))

    path = tmp_path / "drums.th"
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ModelError, match="can run any code"):
        load_checkpoint(path, trust=False)
    assert not mark.exists()


def test_a_safetensors_file_cannot_name_another_class(folders: dict[str, Path], tmp_path: Path) -> None:
    """demucs imports and calls whatever the metadata names."""
    mark = tmp_path / "mark"
    path = tmp_path / "drums.safetensors"
    metadata = {"klass": "pathlib.os.mkdir", "args": f'["{mark}"]', "kwargs": "{}"}
    save_file(load_file(folders["safetensors"] / "drums.safetensors"), path, metadata=metadata)
    with pytest.raises(ModelError, match=r"pathlib.os.mkdir; supported: demucs.htdemucs.HTDemucs"):
        load_checkpoint(path, trust=False)
    assert not mark.exists()


def test_a_damaged_checkpoint_is_refused_by_its_name(folders: dict[str, Path], tmp_path: Path) -> None:
    whole = next(folders["th"].glob("drums-*.th"))
    part = tmp_path / whole.name
    part.write_bytes(whole.read_bytes()[:-1])
    with pytest.raises(ModelError, match="damaged or incomplete"):
        load_checkpoint(part, trust=True)
    part = tmp_path / "drums.safetensors"
    part.write_bytes((folders["safetensors"] / "drums.safetensors").read_bytes()[:-1])
    with pytest.raises(ModelError, match="not a demucs checkpoint"):
        load_checkpoint(part, trust=False)


def test_a_signature_is_all_before_the_last_dash(folders: dict[str, Path], tmp_path: Path) -> None:
    """As in demucs: `my` is not found in `my-vocals-<checksum>.th`, nor is `*` a pattern."""
    (whole,) = folders["th"].glob("vocals-*.th")
    other = whole.name.replace("vocals-", "my-vocals-")
    for signature in ("my", "*"):
        folder = copied(folders["th"], tmp_path / f"bag {signature == '*'}", models=[signature], weights=None)
        (folder / other).symlink_to(whole)
        with pytest.raises(ModelError, match=f"no checkpoint of {re.escape(signature)}"):
            opened(folder, trust=True)
    folder = copied(folders["th"], tmp_path / "stray", models=["vocals"], weights=None)
    (folder / whole.name.replace("vocals-", "vocals-old-")).symlink_to(whole)
    assert [each.checkpoint.source for each in opened(folder, trust=True)] == [whole.name]
    (folder / "vocals.th").symlink_to(whole)
    with pytest.raises(ModelError, match="two checkpoints of vocals"):
        opened(folder, trust=True)


def test_weights_that_are_no_numbers_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    source, path = folders["safetensors"] / "drums.safetensors", tmp_path / "drums.safetensors"
    weights = load_file(source)
    weights["decoder.0.conv_tr.bias"][0] = torch.nan
    with safe_open(source, framework="pt") as file:
        save_file(weights, path, metadata=file.metadata())
    with pytest.raises(ModelError, match=r"decoder\.0\.conv_tr\.bias holds values that are no numbers"):
        load_checkpoint(path, trust=False)


def test_a_file_without_its_class_is_told_so(folders: dict[str, Path], tmp_path: Path) -> None:
    weights, path = load_file(folders["safetensors"] / "drums.safetensors"), tmp_path / "drums.safetensors"
    save_file(weights, path)
    with pytest.raises(ModelError, match="holds weights without their class; supported: demucs"):
        load_checkpoint(path, trust=False)
    for content, said in (
        (weights, "weights without their class"),
        (TINY.model("bass"), "a whole HTDemucs"),
    ):
        torch.save(content, tmp_path / "drums.th")
        with pytest.raises(ModelError, match=f"holds {said}; .*as demucs saves it"):
            load_checkpoint(tmp_path / "drums.th", trust=True)


def saved(folder: Path, klass: type, **kwargs: object) -> Path:
    """A bag of one trusted pickle."""
    model = klass(**kwargs)
    package = {"klass": klass, "args": (), "kwargs": kwargs, "state": get_state(model, None, half=True)}
    torch.save(package, folder / "one.th")
    (folder / "one.yaml").write_text("models: [one]")
    return folder


def test_an_hdemucs_is_refused(tmp_path: Path) -> None:
    folder = saved(tmp_path, HDemucs, sources=list(SOURCES), channels=4)
    with pytest.raises(ModelError, match=r"HDemucs.*supported: demucs.htdemucs.HTDemucs"):
        opened(folder, trust=True)


def test_a_licence_is_stated_or_known_or_not(folders: dict[str, Path]) -> None:
    (bass,) = open_bag(str(folders["safetensors"]), None, False, ["bass"])
    assert bass.checkpoint.licence == Licence() and bass.checkpoint.licence.weights == "not stated"
    said = Licence("CC0", "", "https://example.org")
    (bass,) = open_bag(str(folders["safetensors"]), None, False, ["bass"], said)
    assert bass.checkpoint.licence == said
    assert pretrained.is_official(pretrained.SHA256["f7e0c4bc"])
    assert pretrained.is_official("8726e21a" + 56 * "0") and not pretrained.is_official(64 * "0")


def test_random_weights_are_reproducible_half_precision_and_hot() -> None:
    hot, again, cold = TINY.model("bass"), TINY.model("bass"), replace(TINY, hot=False).model("bass")
    for name, tensor in hot.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name])
        assert torch.equal(tensor, tensor.half().float())
    assert hot.crosstransformer.layers[0].gamma_1.scale.min() >= 0.1
    assert cold.crosstransformer.layers[0].gamma_1.scale.max() < 1e-3
    assert not torch.equal(hot.encoder[0].conv.weight, TINY.model("drums").encoder[0].conv.weight)
    assert RandomBag() == RandomBag(channels=48, bottom_channels=512, layers=5, heads=8)
