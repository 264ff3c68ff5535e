"""A stored summary: what is written is what is read, older ones still load, broken ones are named."""

import json
import math
from pathlib import Path
from typing import Any

import msgspec
import pytest

from jobs.benchmark import result
from jobs.pipeline.cost.summary import (
    AllStemsComparison,
    BagGraph,
    DemucsComparison,
    ModelsComparison,
    Spread,
    Sweep,
    as_json,
    find_last,
    parse,
)
from jobs.pipeline.cost.summary_tables import summary_tables
from separation.errors import UsageError
from tests.outputs import benchmark_summary
from tests.stores import STORE

SPREAD = Spread(1.0, 0.5, 2.0)
OTHER = ModelsComparison(
    models="s3://m/ft",
    name="ft\nfoo",
    stems=["vocals"],
    graphs=["v1", "v2"],
    ratio=Spread(0.26, 0.25, 0.27),
    core_ratio=Spread(0.24, 0.23, 0.25),
    x_realtime=Spread(0.125, 0.125, 0.125),
    core_s_per_audio_s=Spread(16.0, 15.0, 17.0),
)


def test_the_last_benchmark_is_found(tmp_path: Path) -> None:
    assert find_last(str(tmp_path), STORE) is None
    for name in ("20260101T000000-z", "20260102T000000-a"):
        uri = result.write(str(tmp_path), benchmark_summary(name), [], STORE)
    found = find_last(str(tmp_path), STORE)
    assert found == find_last(uri, STORE) == benchmark_summary("20260102T000000-a")


@pytest.mark.parametrize("content", ["{", "[]", '{"figures": {}}'])
def test_what_is_no_summary_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(UsageError, match="not a benchmark"):
        find_last(str(path), STORE)
    with pytest.raises(UsageError, match="not found"):
        find_last(str(tmp_path / "absent.json"), STORE)


def test_a_wrong_value_is_named_by_its_key() -> None:
    content = as_json(benchmark_summary())
    content["figures"] = as_json(benchmark_summary())["figures"] | {"wall_s": {"median": "fast"}}
    with pytest.raises(ValueError, match=r"\$\.figures\.wall_s\.median"):
        parse(json.dumps(content).encode())


@pytest.mark.parametrize(
    "compare",
    [
        DemucsComparison(SPREAD, SPREAD, SPREAD, {"vocals": math.inf}),
        AllStemsComparison(SPREAD, SPREAD),
    ],
)
def test_comparison_and_sweep_are_read_as_written(compare: DemucsComparison | AllStemsComparison) -> None:
    summary = msgspec.structs.replace(
        benchmark_summary(), compare=compare, sweep=Sweep({"": SPREAD}, recommended="")
    )
    content = as_json(summary)
    assert next(iter(content["compare"])) == "with"
    assert parse(json.dumps(content).encode()) == summary
    assert not {"compare", "compare_models"} & as_json(benchmark_summary()).keys()


def test_two_model_folders_stand_side_by_side_beside_another_comparison() -> None:
    summary = msgspec.structs.replace(
        benchmark_summary(),
        models_name="htdemucs",
        graphs={"vocals": BagGraph("ab", 1.5), "drums": BagGraph("cd", None)},
        compare=AllStemsComparison(SPREAD, SPREAD),
        compare_models=OTHER,
    )
    assert parse(json.dumps(as_json(summary)).encode()) == summary
    whole, table = summary_tables(summary)[-2:]
    assert "all stems" in whole.title
    assert table.title == "htdemucs beside ft\\nfoo"
    assert table.columns == ("", "htdemucs", "ft\\nfoo")
    assert table.rows == [
        ("folder", "models/", "s3://m/ft"),
        ("stems", "vocals", "vocals"),
        ("graphs", "vocals", "v1, v2"),
        ("x realtime", "0.500 (0.400 to 0.600)", "0.125"),
        ("own core-seconds per second of audio", "4.000", "16.000 (15.000 to 17.000)"),
        ("seconds of work, ratio", "0.260 (0.250 to 0.270)", ""),
        ("own core-seconds, ratio", "0.240 (0.230 to 0.250)", ""),
    ]
    namesakes = msgspec.structs.replace(summary, models_name=OTHER.name)
    assert summary_tables(namesakes)[-1].title == "models/ beside s3://m/ft"


def test_a_summary_from_before_some_keys_still_loads() -> None:
    spread = {"median": 1.0, "min": 1.0, "max": 1.0}
    content: dict[str, Any] = json.loads(json.dumps(as_json(benchmark_summary())))
    content["compare"] = {"x_realtime": spread, "load_s": spread, "ratio": spread, "snr_db": {"vocals": 99.0}}
    content["key of a later version"] = 1
    content["openings"][0]["stem"] = content["openings"][0].pop("graph")
    del content["last_run"], content["figures"]["core_s_per_audio_s"]
    del content["models_name"], content["graphs"]
    found = parse(json.dumps(content).encode())
    assert isinstance(found.compare, DemucsComparison)
    assert [opening.graph for opening in found.openings] == ["vocals"]
    assert (found.models_name, found.graphs) == ("", {})
    assert "own core-seconds" not in dict(summary_tables(found)[0].rows)
    assert summary_tables(found)[-1].title == "beside demucs"
