import os
import pickle
import re
import urllib.request
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
import torch
import yaml
from demucs.hdemucs import HDemucs
from demucs.pretrained import get_model
from demucs.states import get_state
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from export.htdemucs import pretrained
from export.htdemucs.arguments import SOURCES
from export.htdemucs.bag_model import BagModel, contract_of
from export.htdemucs.checkpoints import load_checkpoint, open_bag
from export.htdemucs.random_bag import FORMATS, RandomBag, save_bag, sha256_of_state
from separation.errors import ModelError, UsageError
from separation.models.bag import Licence
from tests.checkpoints import SMALL, opened_by_demucs, write_checkpoints

TINY = replace(SMALL, layers=1, segment=Fraction(1))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """TINY as a bag called tiny, in both of demucs's formats."""
    root = tmp_path_factory.mktemp("bags")
    for each in FORMATS:
        save_bag(TINY, "tiny", root / each, each)
    return {each: root / each for each in FORMATS}


def opened(bag: object, repo: Path | None = None, trust: bool = False) -> list[BagModel]:
    return list(open_bag(str(bag), repo, trust))


def copied(folder: Path, target: Path, **listing: object) -> Path:
    """The bag with another listing."""
    target.mkdir()
    for path in folder.iterdir():
        (target / path.name).symlink_to(path)
    (target / "tiny.yaml").unlink()
    content = yaml.safe_load((folder / "tiny.yaml").read_text())
    (target / "tiny.yaml").write_text(yaml.safe_dump(content | listing))
    return target


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


def test_a_model_that_is_listed_twice_is_opened_once(folders: dict[str, Path], tmp_path: Path) -> None:
    models = ["drums", "bass", "drums"]
    folder = copied(folders["safetensors"], tmp_path / "mean", models=models, weights=None)
    assert [(each.name, each.weights) for each in opened(folder)] == [
        ("tiny_1", dict.fromkeys(SOURCES, 2.0)),
        ("tiny_2", dict.fromkeys(SOURCES, 1.0)),
    ]
    weights = [[1, 0, 0, 0], [0, 1, 1, 1], [0.5, 0, 1, 0]]
    folder = copied(folders["safetensors"], tmp_path / "weighted", models=models, weights=weights)
    assert [(each.name, each.weights) for each in opened(folder)] == [
        ("tiny_1", {"drums": 1.5, "other": 1}),
        ("tiny_2", {"bass": 1, "other": 1, "vocals": 1}),
    ]


def test_models_that_no_stem_needs_are_not_opened(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = copied(folders["safetensors"], tmp_path / "bag")
    (folder / "other.safetensors").unlink()
    assert [each.name for each in open_bag(str(folder), None, False, ["bass", "vocals"])] == [
        "bass",
        "vocals",
    ]
    with pytest.raises(ModelError, match="no checkpoint of other"):
        list(open_bag(str(folder), None, False, ["other"]))
    with pytest.raises(UsageError, match="tiny has no piano; it has drums, bass, other, vocals"):
        list(open_bag(str(folder), None, False, ["bass", "piano"]))


def test_the_yaml_shortens_segments_as_demucs_does(folders: dict[str, Path], tmp_path: Path) -> None:
    """Of an HTDemucs it takes no longer one."""
    for segment, expected in ((0.75, 33_075), (2, 44_100)):
        folder = copied(folders["safetensors"], tmp_path / str(segment), segment=segment)
        assert {each.contract.segment for each in opened(folder)} == {expected}


@pytest.mark.parametrize(
    ("listing", "expected"),
    [
        ({"weights": [[1, 0, 0, 0]] * 3}, "expected one row for each"),
        ({"weights": [[1, 0, 0, 0], [0, 1, 0], [0, 0, 1, 0], [0, 0, 0, 1]]}, "bass has 3 weights"),
        ({"weights": [[1, 1, 1]] * 4}, "drums has 3 weights; expected one for each of"),
        ({"weights": [[1, 0, 0, 0]] * 4}, "source 1 has the weight 0"),
        ({"weights": [[1, 1, 1, -1]] * 4}, "expected a list of numbers from 0 up"),
        ({"weights": [[1, 1, 1, ".nan"]] * 4}, "expected a list of numbers from 0 up"),
        ({"models": []}, r"models is \[\], expected a list of signatures"),
        ({"models": "955717e8"}, "models is '955717e8', expected a list"),
        ({"segment": "long"}, "segment is 'long'"),
    ],
)
def test_a_yaml_that_demucs_could_not_use(
    folders: dict[str, Path], tmp_path: Path, listing: dict[str, object], expected: str
) -> None:
    folder = copied(folders["safetensors"], tmp_path / "bag", **listing)
    with pytest.raises(ModelError, match=expected):
        opened(folder)


@pytest.mark.parametrize("text", ["", "- drums", "drums"])
def test_a_yaml_without_models_is_no_bag(text: str, tmp_path: Path) -> None:
    (tmp_path / "bag.yaml").write_text(text)
    with pytest.raises(ModelError, match=r"bag\.yaml: models is None, expected a list of signatures"):
        opened(tmp_path)


def test_a_checkpoint_alone_is_no_bag(folders: dict[str, Path]) -> None:
    path = folders["safetensors"] / "drums.safetensors"
    with pytest.raises(ModelError, match=r"is a file; expected a folder .*models: \[drums\]"):
        opened(path)


def test_the_models_of_a_bag_separate_the_same(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = copied(folders["safetensors"], tmp_path / "bag", models=["drums", "odd"], weights=None)
    save_bag(replace(TINY, sources=("drums", "rest")), "odd", tmp_path / "odd", "safetensors")
    (folder / "odd.safetensors").symlink_to(tmp_path / "odd/rest.safetensors")
    with pytest.raises(ModelError, match=r"separates \['drums', 'rest'\].*first model \['drums', 'bass'"):
        opened(folder)


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


def test_what_is_missing_is_named(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="found none"):
        opened(tmp_path)
    folder = copied(folders["safetensors"], tmp_path / "bag", models=["drums", "bass", "other", "f7e0c4bc"])
    with pytest.raises(ModelError, match=r"f7e0c4bc-ba3fe64a\.th  sha256 ba3fe64ae8ef66ac"):
        opened(folder)
    with pytest.raises(ModelError, match=r"neither a folder nor a bag .*htdemucs_6s, htdemucs_ft"):
        opened("htdemucs_fine")
    with pytest.raises(
        ModelError, match=r"no checkpoint of 5c90dfd2.*5c90dfd2-34c22ccb\.th  sha256 34c22ccb"
    ):
        opened("htdemucs_6s", repo=tmp_path)


@pytest.mark.parametrize("name", ["mdx_extra", "hdemucs_mmi", "repro_mdx_a"])
def test_other_bags_of_demucs_are_refused_before_a_download(name: str, tmp_path: Path) -> None:
    for repo in (None, tmp_path):
        with pytest.raises(ModelError, match="not HTDemucs; supported: htdemucs, htdemucs_6s, htdemucs_ft"):
            opened(name, repo)


@pytest.mark.parametrize("name", pretrained.NAMES)
def test_offline_the_files_are_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No server answers at a closed port, whichever network the test runs in."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(urllib.request, "_opener", None)  # made at first use, with the proxies of that moment
    for scheme in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(scheme, "http://127.0.0.1:9")
    with pytest.raises(ModelError) as caught:
        opened(name)
    files = {
        "htdemucs": ["955717e8-8726e21a.th  sha256 8726e21a..."],
        "htdemucs_6s": ["5c90dfd2-34c22ccb.th  sha256 34c22ccb..."],
        "htdemucs_ft": [
            f"{signature}-{sha256[:8]}.th  sha256 {sha256}" for signature, sha256 in pretrained.SHA256.items()
        ],
    }
    for file in files[name]:
        assert file in str(caught.value)
    assert "--repo" in str(caught.value)


@pytest.fixture
def downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint in torch's cache as if demucs's list named it for htdemucs: no test asks its server."""
    save_bag(replace(TINY, models=1), "one", tmp_path / "saved", "th")
    (saved,) = (tmp_path / "saved").glob("*.th")
    name = saved.name.replace("model_1", "955717e8")
    cached = tmp_path / "hub/checkpoints" / name
    cached.parent.mkdir(parents=True)
    saved.rename(cached)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setitem(pretrained.URLS, "955717e8", f"https://127.0.0.1:9/{name}")
    return cached


def test_a_download_is_opened_by_its_eight_digits(downloaded: Path, tmp_path: Path) -> None:
    (model,) = opened("htdemucs")
    assert (model.name, model.weights) == ("htdemucs", dict.fromkeys(SOURCES, 1.0))
    digits = downloaded.stem.rpartition("-")[2]
    assert model.checkpoint.sha256.startswith(digits) and len(model.checkpoint.sha256) == 64
    assert "scientific purposes" in model.checkpoint.licence.weights

    with pytest.raises(ModelError, match="--trust-checkpoint"):  # the same file out of any other folder
        opened("htdemucs", repo=downloaded.parent)
    downloaded.write_bytes(downloaded.read_bytes()[:-1])
    with pytest.raises(ModelError, match=r"127\.0\.0\.1:9"):  # fetched again
        opened("htdemucs")


@pytest.mark.parametrize("which", ["file", "folder"])
def test_a_cache_that_everybody_can_write_to_is_not_a_download(downloaded: Path, which: str) -> None:
    path = downloaded if which == "file" else downloaded.parent
    os.chmod(path, path.stat().st_mode | 0o002)
    with pytest.raises(ModelError, match="--trust-checkpoint"):
        opened("htdemucs")


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
