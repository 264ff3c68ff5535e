"""`python -m export scnet`: a model folder from MSST's files, whole tracks, and what is refused."""

import argparse
import json
import pickle
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import save_file

from export.__main__ import main
from export.msst.checkpoint import load_weights
from export.msst.request import from_origin
from separation.contract import Contract, msst_contract
from separation.models.bag import Licence, WeightedRow
from separation.models.bag_json import read_bag
from tests.export.msst_networks import assert_says, check_whole_tracks
from tests.export.scnet.networks import MASKED, SMALL, Network
from tests.stores import STORE

SNR_DB = 110
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("network", [SMALL, MASKED], ids=["plain", "masked"])
def test_whole_tracks_are_those_of_demix(network: Network, folders: dict[Network, Path]) -> None:
    check_whole_tracks(network, folders[network] / "models", 5, SNR_DB)


def test_the_folder_says_what_it_holds(small_folder: Path, masked_folder: Path) -> None:
    bag = read_bag(small_folder / "models", STORE)
    assert bag.contracts == {"scnet_9000": msst_contract(9_000, 4, normalize=False)}
    assert bag.stems == {stem: (WeightedRow("model", stem),) for stem in SMALL.sizes.sources}
    graph = bag.graphs["model"]
    assert (graph.rows, graph.precision, graph.snr_db) == (SMALL.sizes.sources, "fp32", None)
    assert (graph.source, graph.licence) == ("model.ckpt", Licence())
    request = from_origin(graph.origin, trust=False)
    assert (request.type, request.checkpoint) == (None, small_folder / "checkpoints/model.ckpt")
    (contract,) = read_bag(masked_folder / "models", STORE).contracts.values()
    assert contract == Contract(44_100, 2, 9_000, 2_250, 0, "fade", "reflect", "msst")


def test_verify_finds_the_checkpoint_again(
    small_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(small_folder / "models"), "--batches", "2"]) == 0
    assert "falls short" not in capsys.readouterr().out
    other = replace(SMALL, seed=1).write(tmp_path / "other")
    shutil.copytree(small_folder / "models", tmp_path / "models")
    content = json.loads((tmp_path / "models/bag.json").read_text())
    content["graphs"]["model"]["origin"] = other.origin
    (tmp_path / "models/bag.json").write_text(json.dumps(content))
    assert main(["verify", str(tmp_path / "models")]) == 1
    assert capsys.readouterr().out.count("falls short") == 4


def words(folder: Path, checkpoint: str = "model.ckpt") -> list[str]:
    return ["scnet", "--config", str(folder / "model.yaml"), "--checkpoint", str(folder / checkpoint)]


def test_one_stem_of_a_safetensors_file_in_fp16(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The row that MSST keeps of a network trained for one target, with its licence and what fp16 costs."""
    MASKED.write(tmp_path, target_instrument="vocals")
    save_file(MASKED.model.state_dict(), tmp_path / "model.safetensors")
    said = ["--licence", "MIT", "--precision", "fp16", "--type", "scnet_masked"]
    assert main([*words(tmp_path, "model.safetensors"), *said, "--out", str(tmp_path / "out")]) == 0
    assert "licence of the weights: MIT" in capsys.readouterr().out
    bag = read_bag(tmp_path / "out", STORE)
    (graph,) = bag.graphs.values()
    assert (list(bag.graphs), graph.rows, graph.licence) == (["vocals"], ("vocals",), Licence("MIT"))
    assert graph.precision == "fp16" and graph.snr_db is not None and 60 < graph.snr_db < 110
    assert main(["verify", str(tmp_path / "out")]) == 0
    assert main([*words(tmp_path), "--stems", "other", "--out", str(tmp_path / "none")]) == 2
    assert "has no other; it has vocals" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("section", "key", "value", "expected"),
    [
        ("model", "num_dplayer", 3, "model.num_dplayer is 3; supported: an even number"),
        ("model", "hop_size", 513, "model.hop_size is 513; supported: 1 to half of nfft, 512"),
        ("model", "win_size", 512, "model.win_size is 512; supported: nfft, 1024"),
        ("model", "dims", [4, "8"], r"model.dims is \[4, '8'\], expected a list of int"),
        ("model", "dims", [2, 8, 12], r"model.dims is \[2, 8, 12\]; supported: 4 first"),
        ("model", "band_kernel", [3, 2, 16], "model.band_kernel is .*; supported: the stride"),
        ("model", "n_fft", 1024, "model.n_fft is not an argument of SCNet"),
        ("model", "dims", [4, 8, 16], r"has the shape .*; by the configuration"),
        ("model", "sources", ["a", "b"], "the network has 2 rows, training.instruments are drums, bass"),
        ("training", "instruments", [], r"training.instruments are \[\], expected different names"),
        ("training", "target_instrument", "piano", "training.target_instrument is 'piano', expected one of"),
        ("inference", "num_overlap", 0, "inference.num_overlap is 0, expected 1 to 9000"),
        ("audio", "chunk_size", 9e3, "audio.chunk_size is 9000.0, expected 1 to"),
        ("audio", "num_channels", 1, "audio.num_channels is 1, expected 2"),
    ],
)
def test_a_configuration_is_refused_by_name(
    small_folder: Path,
    section: str,
    key: str,
    value: Any,
    expected: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    content = SMALL.configuration()
    content[section][key] = value
    (tmp_path / "model.yaml").write_text(yaml.safe_dump(content))
    shutil.copy(small_folder / "checkpoints/model.ckpt", tmp_path)
    assert main([*words(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert_says(capsys.readouterr().err, expected)


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("run",)


def test_a_checkpoint_is_refused_by_name(
    small_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = small_folder / "checkpoints"
    shutil.copy(files / "model.yaml", tmp_path)
    state = torch.load(files / "model.ckpt", weights_only=True)["state"]
    plain = {name: value for name, value in state.items() if name != "encoder.1.globalconv.bias"}
    nan = {**state, "encoder.1.globalconv.bias": state["encoder.1.globalconv.bias"] * float("nan")}
    contents = {
        "has no weight encoder.1.globalconv.bias": plain,
        "extra.weight are no weights of the configuration's model": {**state, "extra.weight": torch.zeros(1)},
        "encoder.1.globalconv.bias holds values that are no numbers": nan,
        "has no weight pos_embed_f": state,
        "'epoch' is a int; expected weights by name": {"epoch": 1},
        "holds a list; expected weights by name": [1],
    }
    for expected, content in contents.items():
        torch.save(content, tmp_path / "model.ckpt")
        kind = ["--type", "scnet_masked"] if "pos_embed" in expected else []
        assert main([*words(tmp_path), *kind, "--out", str(tmp_path / "out")]) == 2
        assert_says(capsys.readouterr().err, expected)
    assert main([*words(tmp_path, "gone.ckpt"), "--out", str(tmp_path / "out")]) == 2
    assert "gone.ckpt: not found" in capsys.readouterr().err
    assert main([*words(tmp_path, "model.yaml"), "--out", str(tmp_path / "out")]) == 2
    (tmp_path / "bad.safetensors").write_bytes(b"no")
    assert main([*words(tmp_path, "bad.safetensors"), "--out", str(tmp_path / "out")]) == 2
    assert "not a safetensors file" in capsys.readouterr().err

    (tmp_path / "evil.ckpt").write_bytes(pickle.dumps(Evil()))
    torch.save({"state": state, "args": argparse.Namespace(lr=0.1)}, tmp_path / "args.ckpt")
    for name in ("evil.ckpt", "args.ckpt"):
        assert main([*words(tmp_path, name), "--out", str(tmp_path / "out")]) == 2
        said = capsys.readouterr()
        assert "--trust-checkpoint opens it" in said.err and "run" not in said.out
    assert not (tmp_path / "out/bag.json").exists()
    trusted, sha256 = load_weights(tmp_path / "args.ckpt", trust=True)
    assert len(sha256) == 64 and set(trusted) == set(state)
    assert all(torch.equal(trusted[name], value) for name, value in state.items())
