import json
import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from demucs.htdemucs import HTDemucs

from export.__main__ import main
from export.htdemucs.bag_model import BagModel, Checkpoint
from export.htdemucs.origin import Request, from_origin
from export.htdemucs.random_bag import RandomBag
from export.model_folder import write_model_folder
from separation.errors import ModelError
from separation.models.bag import Bag, Licence
from separation.models.bag_json import read_bag
from separation.models.graph_files import sha256_of
from tests.export.conftest import CONTRACT, SMALL
from tests.stores import STORE

QUICK = replace(SMALL, layers=0, segment=Fraction(1))


def test_the_folder_says_what_it_holds(small_folder: tuple[Path, Bag]) -> None:
    folder, _ = small_folder
    assert json.loads((folder / "bag.json").read_text())["format"] == 2
    bag = read_bag(folder, STORE)
    assert list(bag.stems) == list(bag.graphs) == ["drums", "vocals"]
    assert bag.contracts == {"htdemucs_3s": CONTRACT}
    vocals = bag.graphs["vocals"]
    assert vocals.sha256 == sha256_of(folder / "vocals.onnx")
    assert vocals.bytes == (folder / "vocals.onnx").stat().st_size
    assert (vocals.rows, vocals.precision, vocals.snr_db) == (("vocals",), "fp32", None)
    assert (vocals.source, vocals.licence) == ("random vocals of seed 3", Licence())
    assert sorted(path.name for path in folder.iterdir()) == ["bag.json", "drums.onnx", "vocals.onnx"]


def test_origin_names_the_same_weights_again() -> None:
    request = Request("random", random=SMALL)
    assert from_origin(request.origin, trust=False) == request
    assert Request("random").origin == "random"
    sizes = RandomBag(models=2, sources=("a", "b"), segment=Fraction(5, 2), bottom_channels=0, depth=3)
    assert from_origin(Request("random", random=sizes).origin, trust=False).random == sizes
    named = Request("htdemucs_ft", repo=Path("/a folder/of checkpoints"))
    assert from_origin(named.origin, trust=False) == named


def test_verify_passes_and_fails_by_its_exit_code(
    small_folder: tuple[Path, Bag], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = small_folder
    assert main(["verify", str(folder), "--provider", "openvino", "--batches", "2"]) == 0
    text = capsys.readouterr().out
    assert "falls short" not in text
    lines = [line.split()[:5] for line in text.splitlines()[2:]]
    sessions = [["openvino", "1"], ["onnxruntime", "2"]]
    assert lines == [[stem, stem, "fp32", *session] for stem in ("drums", "vocals") for session in sessions]

    swapped = tmp_path / "swapped"
    shutil.copytree(folder, swapped)
    content = json.loads((swapped / "bag.json").read_text())
    drums, vocals = content["graphs"]["drums"], content["graphs"]["vocals"]
    for key in ("file", "sha256", "bytes"):
        drums[key], vocals[key] = vocals[key], drums[key]
    (swapped / "bag.json").write_text(json.dumps(content))
    assert main(["verify", str(swapped)]) == 1
    assert capsys.readouterr().out.count("falls short") == 2


def test_a_precision_states_what_it_costs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """bag.json has the SNR that `verify` finds again; a folder that falls short of its bar is refused."""
    words = ["random", "--hot", "--channels", "8", "--bottom-channels", "32", "--layers", "1", "--heads", "2"]
    words += ["--segment", "1"]
    assert main([*words, "--stems", "bass", "--precision", "int8", "--out", str(tmp_path)]) == 0
    stated = read_bag(tmp_path, STORE).graphs["bass"].snr_db
    assert stated is not None and stated > 35
    capsys.readouterr()
    assert main(["verify", str(tmp_path)]) == 0
    assert f"{stated:.1f}" in capsys.readouterr().out
    content = json.loads((tmp_path / "bag.json").read_text())
    content["graphs"]["bass"]["precision"] = "fp32"
    (tmp_path / "bag.json").write_text(json.dumps(content))
    assert main(["verify", str(tmp_path)]) == 1


def checkpoint(model: HTDemucs) -> Checkpoint:
    return Checkpoint(model, "test.th", "0" * 64, Licence())


def test_an_export_that_fails_leaves_the_folder_as_it_was(tmp_path: Path) -> None:
    """Its second model is refused, here for its segment; a new folder is not left behind."""
    models = [
        BagModel(name, {"drums": 1.0}, checkpoint(replace(QUICK, segment=Fraction(seconds)).model("drums")))
        for seconds, name in ((1, "first"), (2, "second"))
    ]
    out, content = tmp_path / "models", {"first.onnx": b"an older graph", "bag.json": b"of that"}
    for exists in (False, True):
        if exists:
            out.mkdir()
            for name, data in content.items():
                (out / name).write_bytes(data)
        with pytest.raises(ModelError, match="a mean of models with other segments"):
            write_model_folder(models, "bag", "random", out, "fp32")
        assert {path.name: path.read_bytes() for path in out.glob("*")} == (content if exists else {})
        assert out.exists() == exists


def test_a_model_that_overflows_in_half_precision_is_not_exported(tmp_path: Path) -> None:
    model = QUICK.model("drums")
    with torch.no_grad():
        model.encoder[0].conv.weight *= 1e6
    found = BagModel("drums", {"drums": 1.0}, checkpoint(model))
    with pytest.raises(ModelError, match=r"test\.th: drums computes NaN or infinite samples in fp16"):
        write_model_folder([found], "bag", "random", tmp_path / "models", "fp16")


def test_verify_misses_a_graph_that_its_checkpoints_do_not_give(
    small_folder: tuple[Path, Bag], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(small_folder[0], tmp_path, dirs_exist_ok=True)
    text = (tmp_path / "bag.json").read_text()
    vocals = small_folder[1].graphs["vocals"]
    text = text.replace('"vocals": {', '"other": {').replace('"vocals",', '"other",', 1)
    (tmp_path / "bag.json").write_text(text.replace(vocals.source_sha256, "0" * 64))
    assert main(["verify", str(tmp_path)]) == 1
    assert "other: no model of its checkpoints gives it" in capsys.readouterr().out


def test_the_licence_is_what_the_options_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--channels", "8", "--bottom-channels", "0", "--layers", "0", "--segment", "1", "--models", "1"]
    url = "https://example.org/weights"
    said = ["--licence", "CC BY 4.0", "--licence-terms", "name the author", "--licence-url", url]
    assert main(["random", *small, *said, "--out", str(tmp_path)]) == 0
    (graph,) = read_bag(tmp_path, STORE).graphs.values()
    assert graph.licence == Licence("CC BY 4.0", "name the author", url)
    assert f"licence of the weights: CC BY 4.0; name the author; {url}" in capsys.readouterr().out


def test_refusals_exit_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(tmp_path)]) == 2
    assert "bag.json: not found" in capsys.readouterr().err
    assert main(["verify", str(tmp_path), "--batches", "4", "0"]) == 2
    assert "--batches: 0 is less than 1" in capsys.readouterr().err
    assert main(["no_such_bag", "--out", str(tmp_path)]) == 2
    assert main(["htdemucs_ft", "--hot", "--out", str(tmp_path)]) == 2
    small = ["--channels", "8", "--bottom-channels", "32", "--layers", "1", "--heads", "2"]
    assert main(["mdx_extra", "--out", str(tmp_path)]) == 2
    assert "not HTDemucs; supported: htdemucs, htdemucs_6s, htdemucs_ft" in capsys.readouterr().err
    assert main(["random", *small, "--segment", "1/0", "--out", str(tmp_path)]) == 2
    assert "--segment: '1/0' is not a number of seconds" in capsys.readouterr().err
    assert main(["random", *small, "--stems", "bass,piano", "--out", str(tmp_path)]) == 2
    assert "no piano; it has" in capsys.readouterr().err
    assert RandomBag(channels=8) != RandomBag()
