"""What two runs into one output must agree on."""

from dataclasses import replace
from pathlib import Path

import pytest

from separation.contract import HTDEMUCS
from separation.models.bag import Bag, WeightedRow
from separation.models.bag_json import read_bag
from separation.options import Options
from separation.selection import Selection
from separation.settings import Settings
from tests.bags import bag_of_stems, write_rows_bag
from tests.stores import STORE

OPTIONS = Options()


def of(bag: Bag, options: Options = OPTIONS) -> Settings:
    return Settings.of(Selection(bag, options))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"level": "none"}, 'level of drums was "track", is "none"'),
        ({"sample_rate": 48_000}, "sample_rate of drums was 44100, is 48000"),
        ({"segment": 200_000}, "segment of drums was 343980, is 200000"),
        ({"max_shift": 0}, "max_shift of drums was 22050, is 0"),
    ],
    ids=str,
)
def test_a_contract_is_one_of_the_settings(change: dict[str, object], said: str) -> None:
    htdemucs, other = (
        of(bag_of_stems(["drums"], contract), Options(overlap=0.5))
        for contract in (HTDEMUCS, replace(HTDEMUCS, **change))  # type: ignore[arg-type]
    )
    assert htdemucs.differences(other) == [said]
    assert htdemucs.digest != other.digest
    assert htdemucs.contracts == {}  # as older outputs have it: their digest stays
    assert htdemucs.differences(htdemucs) == []


def test_a_stride_is_a_setting_unless_an_overlap_takes_its_place() -> None:
    bags = [bag_of_stems(["drums"], replace(HTDEMUCS, stride=stride)) for stride in (200_000, 100_000)]
    first, second = map(of, bags)
    assert first.differences(second) == ["stride of drums was 200000, is 100000"]
    first, second = (of(bag, Options(overlap=0.5)) for bag in bags)
    assert first.differences(second) == []


def test_the_names_of_a_graphs_rows_are_settings(tmp_path: Path) -> None:
    """Corrected names of a model's sources change no byte of its graph."""
    gains: list[dict[str, float]] = [{"vocals": 0.25, "drums": 0.5}, {"drums": 0.25, "vocals": 0.5}]
    recipes = {stem: (WeightedRow("all", stem),) for stem in ("vocals", "drums")}
    first, second = (
        of(read_bag(write_rows_bag(tmp_path / str(number), {"all": each}, recipes), STORE))
        for number, each in enumerate(gains)
    )
    found = first.differences(second)
    assert [line.partition(" was ")[0] for line in found] == ["model of vocals", "model of drums"]
    assert all(len(line) < 100 for line in found)
