import pickle
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
from safetensors.torch import load_file, save_file

from export.htdemucs.checkpoints import OFFICIAL_SHA256, load_checkpoint, open_bag
from export.htdemucs.graph import SpecialistModule, to_onnx
from export.htdemucs.random_bag import FORMATS, RandomBag, save_bag, sha256_of_state
from export.htdemucs.specialist_model import SpecialistModel
from separation.contract import STEMS
from separation.errors import ModelError
from tests.export.conftest import SMALL

TINY = replace(SMALL, layers=1)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """TINY as a bag called tiny, in both of demucs's formats."""
    root = tmp_path_factory.mktemp("bags")
    for each in FORMATS:
        save_bag(TINY, "tiny", root / each, each)
    return {each: root / each for each in FORMATS}


def opened(bag: object, repo: Path | None = None, trust: bool = False) -> list[SpecialistModel]:
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


def test_both_formats_give_the_same_graph(folders: dict[str, Path]) -> None:
    graphs = []
    for each in FORMATS:
        bass = opened(folders[each], trust=True)[1]
        assert sha256_of_state(bass.model) == sha256_of_state(TINY.model("bass"))
        assert (bass.stem, bass.row) == ("bass", 1)
        graphs.append(to_onnx(SpecialistModule(bass.model, bass.row)))
    assert graphs[0] == graphs[1]


def test_demucs_itself_opens_what_random_saves(folders: dict[str, Path]) -> None:
    bag = get_model("tiny", repo=folders["th"])
    assert [list(model.sources) for model in bag.models] == [list(STEMS)] * 4
    expected = TINY.model("vocals").state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in bag.models[3].state_dict().items())


def test_the_stem_comes_from_the_weights_not_from_the_place(folders: dict[str, Path], tmp_path: Path) -> None:
    weights = [[0, 0, 0, 1], [0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0]]
    folder = copied(folders["safetensors"], tmp_path / "bag", weights=weights)
    assert [(each.stem, each.row, each.source) for each in opened(folder)] == [
        ("vocals", 3, "drums.safetensors"),
        ("other", 2, "bass.safetensors"),
        ("drums", 0, "other.safetensors"),
        ("bass", 1, "vocals.safetensors"),
    ]


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        (None, "weights are None"),
        ([[1, 0, 0, 0]] * 3, "expected one row for each"),
        ([[0.5, 0.5, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], "a single 1 and zeros"),
        ([[1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], r"source 0 .*\['drums', 'bass'\]"),
        ([[1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 1, 0]], r"source 4 .*\[\]"),
    ],
)
def test_bags_that_are_not_of_specialists(
    folders: dict[str, Path], tmp_path: Path, weights: object, expected: str
) -> None:
    folder = copied(folders["safetensors"], tmp_path / "bag", weights=weights)
    with pytest.raises(ModelError, match=expected):
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
    with pytest.raises(ModelError, match=r"pathlib.os.mkdir, expected a demucs.htdemucs.HTDemucs"):
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


def saved(folder: Path, klass: type, **kwargs: object) -> Path:
    """A bag of one trusted pickle."""
    model = klass(**kwargs)
    package = {"klass": klass, "args": (), "kwargs": kwargs, "state": get_state(model, None, half=True)}
    torch.save(package, folder / "one.th")
    count = len(kwargs["sources"])
    weights = [[float(row == column) for column in range(count)] for row in range(count)]
    (folder / "one.yaml").write_text(yaml.safe_dump({"models": ["one"] * count, "weights": weights}))
    return folder


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"segment": Fraction(10)}, r"441000 samples; expected 343980"),
        ({"samplerate": 48_000}, "374400 samples"),
        ({"samplerate": 22_050, "segment": Fraction(78, 5)}, "samplerate is 22050, expected 44100"),
        ({"audio_channels": 1}, "audio_channels is 1, expected 2"),
        ({"t_norm_out": False}, "t_norm_out is False, expected True"),
        ({"bottom_channels": 0}, "bottom_channels is 0"),
        ({"sources": ["piano"]}, "1 sources|expected"),
    ],
)
def test_other_architectures_are_refused_by_name(
    tmp_path: Path, changed: dict[str, object], expected: str
) -> None:
    sources = list(changed.pop("sources", STEMS))
    model = TINY.model("drums")
    kwargs = model._init_args_kwargs[1] | {"sources": sources} | changed
    folder = saved(tmp_path, type(model), **kwargs)
    if sources == ["piano"]:
        assert [each.stem for each in opened(folder, trust=True)] == ["piano"]
        return
    with pytest.raises(ModelError, match=expected):
        opened(folder, trust=True)


def test_an_hdemucs_is_refused(tmp_path: Path) -> None:
    folder = saved(tmp_path, HDemucs, sources=list(STEMS), channels=4)
    with pytest.raises(ModelError, match=r"HDemucs.*expected a demucs.htdemucs.HTDemucs"):
        opened(folder, trust=True)


def test_what_is_missing_is_named(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="found none"):
        opened(tmp_path)
    folder = copied(folders["safetensors"], tmp_path / "bag", models=["drums", "bass", "other", "f7e0c4bc"])
    with pytest.raises(ModelError, match=r"f7e0c4bc-ba3fe64a\.th with sha256 ba3fe64ae8ef66ac"):
        opened(folder)
    with pytest.raises(ModelError, match=r"neither a folder nor a bag .*htdemucs_ft"):
        opened("htdemucs_fine")
    with pytest.raises(ModelError, match="no checkpoint of f7e0c4bc"):
        opened("htdemucs_ft", repo=tmp_path)


def test_offline_the_four_files_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No server answers at a closed port, whichever network the test runs in."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(urllib.request, "_opener", None)  # made at first use, with the proxies of that moment
    for scheme in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(scheme, "http://127.0.0.1:9")
    with pytest.raises(ModelError) as caught:
        opened("htdemucs_ft")
    for signature, sha256 in OFFICIAL_SHA256.items():
        assert f"{signature}-{sha256[:8]}.th  sha256 {sha256}" in str(caught.value)
    assert "--repo" in str(caught.value)


def test_random_weights_are_reproducible_half_precision_and_hot() -> None:
    hot, again, cold = TINY.model("bass"), TINY.model("bass"), replace(TINY, hot=False).model("bass")
    for name, tensor in hot.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name])
        assert torch.equal(tensor, tensor.half().float())
    assert hot.crosstransformer.layers[0].gamma_1.scale.min() >= 0.1
    assert cold.crosstransformer.layers[0].gamma_1.scale.max() < 1e-3
    assert not torch.equal(hot.encoder[0].conv.weight, TINY.model("drums").encoder[0].conv.weight)
    assert RandomBag() == RandomBag(channels=48, bottom_channels=512, layers=5, heads=8)
