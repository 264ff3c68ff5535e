import json
import shutil
from pathlib import Path

import pytest

from export.__main__ import main
from export.htdemucs.origin import Request, from_origin
from export.htdemucs.random_bag import RandomBag
from separation.contract import SEGMENT, STRIDE
from separation.models.bag import Bag, read_bag, sha256_of
from tests.export.conftest import SMALL
from tests.stores import STORE


def test_the_folder_says_what_it_holds(small_folder: tuple[Path, Bag]) -> None:
    folder, _ = small_folder
    content = json.loads((folder / "bag.json").read_text())
    assert (content["stems"], content["sample_rate"], content["segment"], content["stride"]) == (
        ["drums", "vocals"], 44_100, SEGMENT, STRIDE,
    )  # fmt: skip
    vocals = read_bag(folder, STORE).specialists["vocals"]
    assert vocals.sha256 == sha256_of(folder / "vocals.onnx")
    assert vocals.bytes == (folder / "vocals.onnx").stat().st_size
    assert sorted(path.name for path in folder.iterdir()) == ["bag.json", "drums.onnx", "vocals.onnx"]


def test_origin_names_the_same_weights_again() -> None:
    request = Request("random", random=SMALL)
    assert from_origin(request.origin, trust=False) == request
    assert Request("random").origin == "random"
    named = Request("htdemucs_ft", repo=Path("/a folder/of checkpoints"))
    assert from_origin(named.origin, trust=False) == named


def test_verify_passes_and_fails_by_its_exit_code(
    small_folder: tuple[Path, Bag], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = small_folder
    assert main(["verify", str(folder)]) == 0
    assert "falls short" not in capsys.readouterr().out
    assert main(["verify", str(folder), "--provider", "openvino", "--batches", "1", "2"]) == 0
    lines = [line.split()[:3] for line in capsys.readouterr().out.splitlines()[2:]]
    sessions = [["openvino", "1"], ["onnxruntime", "1"], ["onnxruntime", "2"]]
    assert lines == [[stem, *session] for stem in ("drums", "vocals") for session in sessions]

    swapped = tmp_path / "swapped"
    shutil.copytree(folder, swapped)
    content = json.loads((swapped / "bag.json").read_text())
    files = content["specialists"]
    files["drums"], files["vocals"] = files["vocals"], files["drums"]
    (swapped / "bag.json").write_text(json.dumps(content))
    assert main(["verify", str(swapped)]) == 1
    assert capsys.readouterr().out.count("falls short") == 2


def test_a_precision_states_what_it_costs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """bag.json has the SNR that `verify` finds again; a folder that falls short of its bar is refused."""
    words = ["random", "--hot", "--channels", "8", "--bottom-channels", "32", "--layers", "1", "--heads", "2"]
    assert main([*words, "--stems", "bass", "--precision", "int8", "--out", str(tmp_path)]) == 0
    stated = read_bag(tmp_path, STORE).specialists["bass"].snr_db
    assert stated is not None and stated > 35
    capsys.readouterr()
    assert main(["verify", str(tmp_path)]) == 0
    assert f"{stated:.1f}" in capsys.readouterr().out
    content = json.loads((tmp_path / "bag.json").read_text())
    (tmp_path / "bag.json").write_text(json.dumps(content | {"precision": "fp32"}))
    assert main(["verify", str(tmp_path)]) == 1


def test_refusals_exit_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(tmp_path)]) == 2
    assert "bag.json: not found" in capsys.readouterr().err
    assert main(["verify", str(tmp_path), "--batches", "4", "0"]) == 2
    assert "--batches: 0 is less than 1" in capsys.readouterr().err
    assert main(["no_such_bag", "--out", str(tmp_path)]) == 2
    assert main(["htdemucs_ft", "--hot", "--out", str(tmp_path)]) == 2
    small = ["--channels", "8", "--bottom-channels", "32", "--layers", "1", "--heads", "2"]
    assert main(["random", *small, "--stems", "piano", "--out", str(tmp_path)]) == 2
    assert "piano" in capsys.readouterr().err
    assert RandomBag(channels=8) != RandomBag()
