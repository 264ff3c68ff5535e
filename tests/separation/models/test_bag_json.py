"""bag.json: what both formats say, and what is wrong with it."""

import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from separation.contract import HTDEMUCS, Contract, msst_contract
from separation.errors import ModelError
from separation.models.bag import Bag, Licence, RestOfMix, WeightedRow
from separation.models.bag_json import read_bag, write_bag
from separation.models.graph_files import fetch
from tests.bags import bag_of_stems, graph_file, write_gain_bag
from tests.stores import STORE

Content = dict[str, Any]


def format_1(folder: Path) -> Path:
    return write_gain_bag(folder, {"drums": 0.5})


def format_2(folder: Path) -> Path:
    """A bag with all that the format has; nothing reads its files."""
    folder.mkdir(parents=True, exist_ok=True)
    write_bag(BAG, folder)
    return folder


BAG = Bag(
    uri="",
    name="test",
    contracts={"htdemucs": HTDEMUCS, "other": Contract(44_100, 2, 441_000, 330_750, 22_050, level="none")},
    graphs={
        "four": graph_file(
            "four.onnx",
            b"4",
            "htdemucs",
            ("drums", "bass"),
            origin="random --seed 3",
            licence=Licence("scientific purposes", "MIT code", "https://example.org/327"),
        ),
        "bass": graph_file("bass.onnx", b"b", "htdemucs", ("bass",), snr_db=56.5),
        "vocals": graph_file("vocals.onnx", b"v", "other", ("vocals",)),
    },
    stems={
        "drums": (WeightedRow("four", "drums"),),
        "bass": (WeightedRow("four", "bass", 1.0), WeightedRow("bass", "bass", 3.0)),
        "vocals": (WeightedRow("vocals", "vocals"),),
        "instrumental": RestOfMix(("vocals",)),
    },
)


def change(folder: Path, edit: Callable[[Content], object]) -> Path:
    """`edit` is applied to the content of the folder's bag.json."""
    path = folder / "bag.json"
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))
    return path


def fails(folder: Path, expected: str) -> None:
    """Reading the bag there is a `ModelError` that names the file, and survives pickling."""
    with pytest.raises(ModelError, match=expected) as caught:
        read_bag(folder, STORE)
    assert str(folder / "bag.json") in str(pickle.loads(pickle.dumps(caught.value)))


def test_format_2_is_read_as_it_was_written(tmp_path: Path) -> None:
    format_2(tmp_path)
    expected = replace(BAG, uri=str(tmp_path))
    assert read_bag(tmp_path, STORE) == read_bag(str(tmp_path) + "/", STORE) == expected
    assert pickle.loads(pickle.dumps(expected)) == expected
    assert [path.name for path in tmp_path.iterdir()] == ["bag.json"]
    change(tmp_path, lambda bag: bag | {"comment": "of a later version"})
    assert read_bag(tmp_path, STORE) == expected


def test_format_1_reads_as_htdemucs_with_a_graph_per_stem(tmp_path: Path) -> None:
    bag = read_bag(write_gain_bag(tmp_path), STORE)
    assert list(bag.stems) == list(bag.graphs) == ["drums", "bass", "other", "vocals"]
    assert bag.contracts == {"htdemucs": HTDEMUCS} and bag.sample_rate == 44_100
    assert bag.stems["bass"] == (WeightedRow("bass", "bass"),)
    assert bag.graphs["bass"].rows == ("bass",)
    assert bag.graphs["bass"].licence == Licence("not stated")
    assert bag.fingerprint("bass") == bag.graphs["bass"].sha256
    write_bag(bag, tmp_path)
    again = read_bag(tmp_path, STORE)
    assert (again.stems, again.contracts) == (bag.stems, bag.contracts)


def test_a_bag_says_what_its_stems_need() -> None:
    assert BAG.inferred(["instrumental"]) == ("vocals",)
    assert BAG.inferred(BAG.stems) == ("drums", "bass", "vocals")
    assert BAG.graphs_of(["drums"]) == ("four",) and BAG.graphs_of(["vocals", "bass"]) == (
        "four",
        "bass",
        "vocals",
    )
    assert list(BAG.contracts_of(["vocals"])) == ["other"]
    assert list(BAG.contracts_of(["vocals", "drums"])) == ["htdemucs", "other"]
    assert BAG.contributions("four", ["drums", "bass"]) == {"drums": {0: 1.0}, "bass": {1: 0.25}}
    assert BAG.contributions("bass", ["drums", "bass"]) == {"bass": {0: 0.75}}
    assert BAG.contributions("four", ["drums"]) == {"drums": {0: 1.0}}


def test_a_fingerprint_is_of_all_that_decides_a_stem() -> None:
    shares = {**BAG.stems, "bass": (WeightedRow("four", "bass", 1.0), WeightedRow("bass", "bass", 2.0))}
    assert replace(BAG, stems=shares).fingerprint("bass") != BAG.fingerprint("bass")
    rows = {**BAG.stems, "drums": (WeightedRow("four", "bass"),)}
    assert replace(BAG, stems=rows).fingerprint("drums") != BAG.fingerprint("drums")
    assert bag_of_stems(["drums"]).fingerprint("drums") == bag_of_stems(["drums"]).graphs["drums"].sha256
    four = BAG.graphs["four"]
    named = replace(BAG, graphs={**BAG.graphs, "four": replace(four, rows=four.rows[::-1])})
    assert named.fingerprint("drums") != BAG.fingerprint("drums")  # the same bytes, other names


def put(*keys: str, value: object) -> Callable[[Content], object]:
    def edit(content: Content) -> None:
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = value

    return edit


@pytest.mark.parametrize(
    ("keys", "value", "expected"),
    [
        (["format"], 3, "format is 3, expected 2"),
        (["format"], True, "format is True"),
        (["name"], 5, r"Expected `str`, got `int` - at `\$.name`"),
        (["contracts"], {}, "contracts is empty"),
        (["contracts", "htdemucs", "segment"], "long", r"Expected `int`, got `str`"),
        (["contracts", "htdemucs", "segment"], 0, "contract htdemucs: segment is 0"),
        (["contracts", "htdemucs", "segment"], 2**40, "segment is 1099511627776, expected 1 to"),
        (["contracts", "htdemucs", "stride"], 0, "stride is 0, expected 1 to 343980"),
        (["contracts", "htdemucs", "stride"], 343_981, "stride is 343981"),
        (["contracts", "htdemucs", "max_shift"], 343_980, "max_shift is 343980"),
        (["contracts", "htdemucs", "channels"], 1, "channels is 1, expected 2"),
        (["contracts", "htdemucs", "sample_rate"], 48_000, r"sample rates of \[44100, 48000\] Hz"),
        (["contracts", "htdemucs", "sample_rate"], 1, "sample_rate is 1, expected 8000 to"),
        (["contracts", "htdemucs", "window"], "hann", "Invalid enum value 'hann'"),
        (["contracts", "a b"], {}, "missing required field `sample_rate`"),
        (["graphs"], {}, "graphs is empty"),
        (["graphs", "four", "contract"], "mdx", "graph four: contract is 'mdx', expected one of"),
        (["graphs", "four", "precision"], "fp8", "graph four: precision is 'fp8'"),
        (["graphs", "four", "rows"], [], r"graph four: rows are \[\]"),
        (["graphs", "four", "rows"], ["drums", "drums"], "expected different names"),
        (["graphs", "four", "rows"], ["drums"], "graph four has the rows drums; none is 'bass'"),
        (["graphs", "four", "published"], ["a"], "published is of format 1 alone"),
        (["graphs", "four", "file"], "../x", "graph four: file '../x' leaves the folder"),
        (["graphs", "four", "sha256"], "0", "64 hexadecimal digits"),
        (["graphs", "four", "bytes"], 0, "bytes is 0"),
        (["stems"], {}, "stems is empty"),
        (["stems", "../drums"], [["four", "drums", 1]], "a stem is called '../drums'"),
        (["stems", "drums"], [], "its weights sum to 0"),
        (["stems", "drums"], [["four", "drums", 0]], "its weights sum to 0"),
        (["stems", "drums"], [["four", "drums", -1]], "a weight is -1.0"),
        (["stems", "drums"], [["four", "drums", float("nan")]], "a weight is nan"),
        (["stems", "drums"], [["four", "drums"]], "Expected `array` of length 3"),
        (["stems", "drums"], [["five", "drums", 1]], "graph 'five' is none of"),
        (["stems", "drums"], [["four", "drums", 1], ["four", "drums", 1]], "stands twice"),
        (["stems", "drums"], [["four", "drums", 1], ["vocals", "vocals", 1]], "expected one"),
        (["stems", "instrumental"], {"mix_plus": ["vocals"]}, r"found the keys \['mix_plus'\]"),
        (["stems", "instrumental"], {"mix_minus": []}, "expected different stems"),
        (["stems", "instrumental"], {"mix_minus": ["piano"]}, "mix_minus names 'piano'"),
        (["stems", "instrumental"], {"mix_minus": ["instrumental"]}, "mix_minus names 'instrumental'"),
    ],
)
def test_a_wrong_format_2_says_what_is_wrong(
    tmp_path: Path, keys: list[str], value: object, expected: str
) -> None:
    change(format_2(tmp_path), put(*keys, value=value))
    fails(tmp_path, expected)


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"sample_rate": 48_000}, "sample_rate is 48000, expected 44100"),
        ({"segment": 343_979}, "segment is 343979, expected 343980"),
        ({"stride": None}, "stride is None, expected 257985"),
        ({"precision": "fp8"}, "precision is 'fp8'"),
        ({"stems": []}, "expected a list of names"),
        ({"stems": ["drums", "drums"]}, "twice"),
        ({"stems": ["../../drums"]}, "a stem is called '../../drums'"),
        ({"stems": ["drums", "bass"]}, "expected one for each"),
        ({"specialists": {}}, "expected one for each"),
        ({"specialists": {"drums": {}}}, "specialist drums: file is None"),
    ],
)
def test_a_wrong_format_1_says_what_is_wrong(tmp_path: Path, wrong: Content, expected: str) -> None:
    change(format_1(tmp_path), lambda content: content.update(wrong))
    fails(tmp_path, expected)


def format_1_with(folder: Path, key: str, value: object) -> None:
    """A bag whose entry of the drums says so."""
    change(format_1(folder), put("specialists", "drums", key, value=value))


@pytest.mark.parametrize("name", ["../drums.onnx", "/etc/passwd", "a/b.onnx", "..", "", "a\\b.onnx"])
def test_no_file_outside_the_folder(tmp_path: Path, name: str) -> None:
    format_1_with(tmp_path, "file", name)
    fails(tmp_path, "leaves the folder")


@pytest.mark.parametrize("name", ["d" * 300, "é" * 128, "drums\0.onnx", "drums\n.onnx", "\ud800.onnx"])
def test_no_file_name_that_no_disk_takes(tmp_path: Path, name: str) -> None:
    format_1_with(tmp_path, "file", name)
    fails(tmp_path, "expected a name of at most 255 bytes")


@pytest.mark.parametrize("content", ["[" * 100_000, '{"a":' * 100_000, "9" * 5_000])
def test_a_bag_json_that_python_cannot_read(tmp_path: Path, content: str) -> None:
    (tmp_path / "bag.json").write_text(content)
    with pytest.raises(ModelError, match=r"bag\.json: not JSON: "):
        read_bag(tmp_path, STORE)


@pytest.mark.parametrize(("size", "expected"), [(0, "bytes is 0"), (2**31, "expected at most 2147483647")])
def test_no_size_that_no_graph_has(tmp_path: Path, size: int, expected: str) -> None:
    format_1_with(tmp_path, "bytes", size)
    fails(tmp_path, expected)


def test_a_huge_bag_json_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "bag.json").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(ModelError, match="1099511627776 bytes, expected at most 1000000"):
        read_bag(tmp_path, STORE)


def test_a_hash_cannot_be_a_path(tmp_path: Path) -> None:
    """The hash is the file's name in the cache."""
    format_1_with(tmp_path, "sha256", "../" * 21 + "a")
    fails(tmp_path, "64 hexadecimal digits")


def test_missing_and_broken_bags(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not found"):
        read_bag(tmp_path, STORE)
    (tmp_path / "bag.json").write_text("{")
    with pytest.raises(ModelError, match="not JSON"):
        read_bag(tmp_path, STORE)
    (tmp_path / "bag.json").write_text("[]")
    with pytest.raises(ModelError, match="expected a JSON object, found list"):
        read_bag(tmp_path, STORE)


def test_demo_is_the_demonstration_model_and_a_folder_by_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = read_bag("demo", STORE)
    assert found.name == "band_ft" and len(found.stems) == 4
    assert all(fetch(found, stem, tmp_path, STORE).is_file() for stem in found.stems)
    with pytest.raises(ModelError, match="not found"):
        read_bag("./demo", STORE)
    format_2(tmp_path / "demo")
    assert read_bag("demo", STORE) == found
    folder: str | Path
    for folder in ("./demo", "demo/", tmp_path / "demo", Path("demo"), str(tmp_path / "demo")):
        assert read_bag(folder, STORE).name == "test"


def test_contracts_of_msst_are_read_as_they_were_written(tmp_path: Path) -> None:
    format_2(tmp_path)
    contracts = {"htdemucs": HTDEMUCS, "other": msst_contract(485_100, 4, normalize=True)}
    write_bag(replace(BAG, contracts=contracts), tmp_path)
    assert read_bag(tmp_path, STORE).contracts == contracts
    assert contracts["other"] == Contract(44_100, 2, 485_100, 121_275, 0, "fade", "reflect", "msst")
    change(tmp_path, put("contracts", "other", "max_shift", value=1))
    fails(tmp_path, "contract other: max_shift is 1, expected 0")
