"""`python -m export roformer`: a model folder from MSST's files, whole tracks, and what is refused."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from export.__main__ import main
from export.msst.config import read_config
from export.msst.request import from_origin
from export.roformer.sizes import BSSizes, sizes_of
from separation.contract import msst_contract
from separation.errors import ModelError
from separation.models.bag import Licence, WeightedRow
from separation.models.bag_json import read_bag
from tests.export.msst_networks import assert_says, check_whole_tracks
from tests.export.roformer.networks import BS, MEL, Network
from tests.stores import STORE

SNR_DB = 95  # both are float32: each is 105 dB and more from float64
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("network", [MEL, BS], ids=["mel", "bs"])
def test_whole_tracks_are_those_of_demix(network: Network, folders: dict[Network, Path]) -> None:
    check_whole_tracks(network, folders[network] / "models", 3, SNR_DB)


def test_the_folder_says_what_it_holds(folders: dict[Network, Path]) -> None:
    bag = read_bag(folders[BS] / "models", STORE)
    assert bag.contracts == {"roformer_9001": msst_contract(9_001, 4, normalize=False)}
    assert bag.stems == {stem: (WeightedRow("model", stem),) for stem in ("vocals", "drums")}
    graph = bag.graphs["model"]
    assert (graph.rows, graph.precision, graph.snr_db) == (("vocals", "drums"), "fp32", None)
    assert (graph.source, graph.licence) == ("model.ckpt", Licence())
    request = from_origin(graph.origin, trust=False)
    assert (request.family, request.type) == ("roformer", None)
    assert request.checkpoint == folders[BS] / "checkpoints/model.ckpt"
    (mel,) = read_bag(folders[MEL] / "models", STORE).graphs
    assert mel == "vocals"  # a single row names its graph


def test_verify_finds_the_checkpoint_again(
    folders: dict[Network, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(folders[BS] / "models")]) == 0
    assert "falls short" not in capsys.readouterr().out
    other = replace(BS, seed=1).write(tmp_path / "other")
    shutil.copytree(folders[BS] / "models", tmp_path / "models")
    content = json.loads((tmp_path / "models/bag.json").read_text())
    content["graphs"]["model"]["origin"] = other.origin
    (tmp_path / "models/bag.json").write_text(json.dumps(content))
    assert main(["verify", str(tmp_path / "models")]) == 1
    assert capsys.readouterr().out.count("falls short") == 2


def words(folder: Path) -> list[str]:
    return ["roformer", "--config", str(folder / "model.yaml"), "--checkpoint", str(folder / "model.ckpt")]


def test_one_stem_in_fp16(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With its licence, MSST's type, and what fp16 costs."""
    BS.write(tmp_path)
    said = ["--licence", "MIT", "--precision", "fp16", "--type", "bs_roformer", "--stems", "drums"]
    assert main([*words(tmp_path), *said, "--out", str(tmp_path / "out")]) == 0
    assert "licence of the weights: MIT" in capsys.readouterr().out
    bag = read_bag(tmp_path / "out", STORE)
    (graph,) = bag.graphs.values()
    assert (list(bag.graphs), graph.rows, graph.licence) == (["drums"], ("drums",), Licence("MIT"))
    assert graph.precision == "fp16" and graph.snr_db is not None and 35 < graph.snr_db < 90
    assert from_origin(graph.origin, trust=False).type == "bs_roformer"
    assert main([*words(tmp_path), "--stems", "other", "--out", str(tmp_path / "none")]) == 2
    assert "has no other; it has vocals, drums" in capsys.readouterr().err


REFUSED: list[tuple[Network, str, str, Any, str]] = [
    (BS, "model", "linear_transformer_depth", 1, "depth is 1; supported: 0, no linear attention"),
    (BS, "model", "use_pope", True, "model.use_pope is True; supported: false, rotary positions"),
    (MEL, "model", "sage_attention", True, "sage_attention is True; supported: false, attention in"),
    (BS, "model", "stereo", False, "model.stereo is False; supported: true, two channels"),
    (BS, "model", "use_shared_bias", True, "use_shared_bias is not an argument of BSRoformer; it has dim"),
    (MEL, "model", "time_conformer_depth", 1, "time_conformer_depth is not an argument of MelBand"),
    (BS, "model", "stft_hop_length", 257, "stft_hop_length is 257; supported: 1 to half of stft_n_fft, 256"),
    (BS, "model", "stft_win_length", 256, "model.stft_win_length is 256; supported: stft_n_fft, 512"),
    (BS, "model", "stft_n_fft", 500, "model.stft_n_fft is 500; supported: a power of 2 from 64 up"),
    (BS, "model", "freqs_per_bands", [4, 252], r"is \[4, 252\]; supported: a sum of 257 bins"),
    (MEL, "model", "num_bands", 200, "model.num_bands is 200; supported: few enough for a bin in each"),
    (MEL, "model", "freqs_per_bands", [4, 253], "both of num_bands and freqs_per_bands; --type says"),
    (MEL, "model", "dim_head", 7, "model.dim_head is 7; supported: an even number above 0"),
    (BS, "model", "mask_estimator_depth", 0, "model.mask_estimator_depth is 0; supported: 1 or more"),
    (BS, "model", "dim", "32", "model.dim is '32', expected int"),
    (BS, "model", "dim", None, "model.dim is None, expected int"),
    (BS, "model", "dim", 40, "has the shape .*; by the configuration"),
    (MEL, "model", "mask_estimator_depth", 1, "to_freqs.0.0.2.weight has the shape"),
    (BS, "model", "num_stems", 3, "the network has 3 rows, training.instruments are vocals, drums"),
    (BS, "model", "depth", 1, "layers.1.*are no weights of the configuration's model"),
    (MEL, "audio", "chunk_size", 8_801, "chunk_size is 8801; supported: a multiple of model.stft_hop_length"),
    (BS, "audio", "chunk_size", 512, "chunk_size is 512; supported: more than model.stft_n_fft, 512"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("network", "section", "key", "value", "expected"),
    REFUSED,
    ids=[f"{key}-{value}" for _, _, key, value, _ in REFUSED],
)
def test_a_configuration_is_refused_by_name(
    network: Network,
    section: str,
    key: str,
    value: Any,
    expected: str,
    folders: dict[Network, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    content = network.configuration()
    content[section][key] = value
    (tmp_path / "model.yaml").write_text(yaml.safe_dump(content))
    shutil.copy(folders[network] / "checkpoints/model.ckpt", tmp_path)
    assert main([*words(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert_says(capsys.readouterr().err, expected)
    assert not (tmp_path / "out").exists()


def test_a_type_is_asked_for_where_the_configuration_does_not_tell(folders: dict[Network, Path]) -> None:
    config = read_config(folders[BS] / "checkpoints/model.yaml")
    model = {name: value for name, value in config.model.items() if name != "freqs_per_bands"}
    untold = replace(config, model={**model, "stft_n_fft": 2048, "stft_win_length": 2048})
    with pytest.raises(ModelError, match="has neither of num_bands and freqs_per_bands; --type says which"):
        sizes_of(None, untold)
    sizes = sizes_of("bs_roformer", untold)
    assert isinstance(sizes, BSSizes) and len(sizes.freqs_per_bands) == 62
    as_mel = replace(untold, contract=msst_contract(8_800, 4, normalize=False))
    assert len(sizes_of("mel_band_roformer", as_mel).bands) == 60


def test_weights_that_are_no_numbers_are_refused(
    folders: dict[Network, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(folders[BS] / "checkpoints/model.yaml", tmp_path)
    state = dict(BS.model.state_dict())
    state["final_norm.gamma"] = state["final_norm.gamma"] * float("nan")
    torch.save({"state_dict": state}, tmp_path / "model.ckpt")
    assert main([*words(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert_says(capsys.readouterr().err, "final_norm.gamma holds values that are no numbers")
