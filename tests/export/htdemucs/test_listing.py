"""A bag's yaml: which models it names, with which weights and segment."""

from dataclasses import replace
from pathlib import Path

import pytest

from export.htdemucs.arguments import SOURCES
from export.htdemucs.checkpoints import open_bag
from export.htdemucs.random_bag import save_bag
from separation.errors import ModelError, UsageError
from tests.export.htdemucs.tiny import TINY, copied, opened


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
