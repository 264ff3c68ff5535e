"""Model folders combined: each stem is that of its folder, and graphs stay as they were."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from export.__main__ import main
from separation.contract import HTDEMUCS, htdemucs_contract
from separation.models.bag import Bag, Licence, RestOfMix, WeightedRow
from separation.models.bag_json import read_bag, write_bag
from separation.models.graph_files import sha256_of
from stemfleet import Separator
from tests.bags import GAINS, rows_graph, write_gain_bag, write_one_graph, write_rows_bag
from tests.sounds import noise
from tests.stores import STORE

MIX = noise(HTDEMUCS.sample_rate, HTDEMUCS.segment + 5)
BASS_DRUMS = {"bass": 0.75, "drums": 0.5}


def write_ten_seconds(folder: Path, contract: str = "htdemucs_10s") -> Path:
    """One graph, `voice`, of two rows, whose mean by 1 to 3 is the vocals; another stem is the rest."""
    stems = {
        "vocals": (WeightedRow("voice", "near", 1.0), WeightedRow("voice", "far", 3.0)),
        "karaoke": RestOfMix(("vocals",)),
    }
    ten_seconds = htdemucs_contract(Fraction(10))
    graphs = {"voice": {"near": 0.5, "far": 0.25}}
    return write_rows_bag(folder, graphs, stems, {contract: ten_seconds}, {"voice": contract})


def combined(tmp_path: Path, *parts: str) -> Bag:
    assert main(["combine", *parts, "--out", str(tmp_path / "out")]) == 0
    return read_bag(tmp_path / "out", STORE)


def stems_of(folder: Path) -> dict[str, np.ndarray]:
    return Separator(folder).separate(MIX, HTDEMUCS.sample_rate)


def test_each_stem_is_that_of_its_folder(tmp_path: Path) -> None:
    voice, four = write_ten_seconds(tmp_path / "voice"), write_gain_bag(tmp_path / "four")
    bag = combined(tmp_path, f"vocals={voice}", f"drums,bass={four}", "instrumental=mix-vocals")
    assert list(bag.stems) == ["vocals", "drums", "bass", "instrumental"]
    assert (list(bag.graphs), list(bag.contracts)) == (
        ["voice", "drums", "bass"],
        ["htdemucs_10s", "htdemucs"],
    )
    assert bag.name == "rows+gains"
    found, of_voice, of_four = (stems_of(folder) for folder in (tmp_path / "out", voice, four))
    np.testing.assert_array_equal(found["vocals"], of_voice["vocals"])
    np.testing.assert_array_equal(found["instrumental"], of_voice["karaoke"])
    for stem in ("drums", "bass"):
        np.testing.assert_array_equal(found[stem], of_four[stem])


def test_names_that_meet_get_a_number(tmp_path: Path) -> None:
    """Two graphs `all`, and two contracts `htdemucs` of different segments."""
    one, other = write_one_graph(tmp_path / "one"), write_one_graph(tmp_path / "other", BASS_DRUMS)
    voice = write_ten_seconds(tmp_path / "voice", contract="htdemucs")
    bag = combined(tmp_path, f"other,drums={one}", f"bass={other}", f"vocals={voice}", "--name", "mine")
    assert {name: graph.contract for name, graph in bag.graphs.items()} == {
        "all": "htdemucs", "all_2": "htdemucs", "voice": "htdemucs_2"
    }  # fmt: skip
    assert bag.name == "mine"
    found = stems_of(tmp_path / "out")
    for stem, folder in {"other": one, "drums": one, "bass": other, "vocals": voice}.items():
        np.testing.assert_array_equal(found[stem], stems_of(folder)[stem])


def test_a_graph_keeps_what_is_known_of_it(tmp_path: Path) -> None:
    folder = write_one_graph(tmp_path / "one")
    bag = read_bag(folder, STORE)
    licence = Licence("CC BY 4.0", "name the author", "https://example.org")
    known = replace(bag.graphs["all"], precision="int8", snr_db=48.5, origin="random", licence=licence)
    write_bag(replace(bag, graphs={"all": known}), folder)
    assert combined(tmp_path, f"bass={folder}").graphs == {"all": known}


def test_a_folder_may_be_combined_into_itself_and_stays_if_that_is_refused(tmp_path: Path) -> None:
    write_one_graph(tmp_path / "out")
    other = write_gain_bag(tmp_path / "other")
    combined(tmp_path, f"drums,bass={tmp_path / 'out'}", f"vocals={other}")
    assert list(combined(tmp_path, f"vocals,bass={tmp_path / 'out'}").graphs) == ["vocals", "all"]
    before = {path.name: sha256_of(path) for path in (tmp_path / "out").iterdir()}
    (other / "drums.onnx").write_bytes(b"damaged")
    assert main(["combine", f"drums={other}", "--out", str(tmp_path / "out")]) == 2
    assert {path.name: sha256_of(path) for path in (tmp_path / "out").iterdir()} == before


def test_a_published_graph_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """bag.json of format 1 may name one row of a file that gives four."""
    folder = write_gain_bag(tmp_path / "models")
    bag = read_bag(folder, STORE)
    data = rows_graph(list(GAINS.values())).SerializeToString()
    (folder / "bass.onnx").write_bytes(data)
    entry = bag.graphs["bass"]
    said = (folder / "bag.json").read_text().replace(entry.sha256, sha256_of(folder / "bass.onnx"))
    (folder / "bag.json").write_text(said.replace(f'"bytes": {entry.bytes}', f'"bytes": {len(data)}'))
    assert main(["combine", f"bass={folder}", "--out", str(tmp_path / "out")]) == 2
    assert "bass.onnx: a graph of 4 rows, of which bag.json names bass" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        (["vocals"], "'vocals': expected STEM,STEM=FOLDER or STEM=mix-STEM,STEM"),
        (["vocals="], "'vocals=': expected"),
        (["=@one"], "expected STEM,STEM=FOLDER"),
        (["drums,,bass=@one"], "expected STEM,STEM=FOLDER"),
        (["drums,drums=@one"], "expected STEM,STEM=FOLDER"),
        (["a,b=mix-drums", "drums=@one"], "'a,b=mix-drums': expected"),
        (["guitar=@one"], "one: no stem guitar; it has drums, bass, other, vocals"),
        (["drums=@one", "drums=@voice"], "voice: no stem drums; it has vocals, karaoke"),
        (["vocals=@one", "vocals=@voice"], "vocals stands twice"),
        (["karaoke=@voice"], "no graph gives karaoke; take vocals from there, and write karaoke=mix-vocals"),
        (["instrumental=mix-vocals"], "at least one STEM=FOLDER"),
        (["drums=@one", "x=mix-vocals"], "x is the mix minus vocals, which is taken from no folder"),
        (["drums=@one", "x=mix-drums", "y=mix-x"], "y is the mix minus x"),
        (["drums=@one", "the rest=mix-drums"], "a stem is called 'the rest'"),
        (["drums=@one", "vocals=@slow"], "slow: its models are for 22050 Hz, other folders' 44100 Hz"),
        (["drums=@nowhere"], "nowhere/bag.json: not found"),
        (["drums=s3://key:secret@bucket/m"], "carries a user, a password"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], parts: list[str], words: str
) -> None:
    write_one_graph(tmp_path / "one")
    write_ten_seconds(tmp_path / "voice")
    slow = replace(HTDEMUCS, sample_rate=22_050)
    recipes = {"vocals": (WeightedRow("all", "vocals"),)}
    write_rows_bag(tmp_path / "slow", {"all": {"vocals": 1.0}}, recipes, {"slow": slow}, {"all": "slow"})
    named = [part.replace("@", f"{tmp_path}/") if "://" not in part else part for part in parts]
    try:
        code = main(["combine", *named, "--out", str(tmp_path / "out")])
    except SystemExit as stopped:
        code = stopped.code
    assert code == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
