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
    DemucsComparison,
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
    assert "compare" not in as_json(benchmark_summary())


def test_a_summary_from_before_some_keys_still_loads() -> None:
    spread = {"median": 1.0, "min": 1.0, "max": 1.0}
    content: dict[str, Any] = json.loads(json.dumps(as_json(benchmark_summary())))
    content["compare"] = {"x_realtime": spread, "load_s": spread, "ratio": spread, "snr_db": {"vocals": 99.0}}
    content["key of a later version"] = 1
    del content["last_run"], content["figures"]["core_s_per_audio_s"]
    found = parse(json.dumps(content).encode())
    assert isinstance(found.compare, DemucsComparison)
    assert "own core-seconds" not in dict(summary_tables(found)[0].rows)
    assert summary_tables(found)[-1].title == "beside demucs"
