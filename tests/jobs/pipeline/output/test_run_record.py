"""run.json: what is written is what is read, older ones still load, other settings are named."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jobs.pipeline.job import Job
from jobs.pipeline.output import run_record
from jobs.pipeline.output.run_record import NodePrice, RunRecord, Standing, State
from jobs.pipeline.sizing import JobPlan, Node
from separation.contract import HTDEMUCS
from separation.errors import StorageError, UsageError
from separation.grid import draw_shifts
from separation.models.bag import Licence
from separation.models.bag_json import read_bag
from separation.options import Options
from separation.settings import Settings
from tests.bags import write_gain_bag
from tests.stores import STORE


@pytest.fixture
def job(tmp_path: Path) -> Job:
    plan = JobPlan("cpu", 1, 2, 0.5, 0.0, 2, 1, 1, 16, 40, 2**22)
    bag = read_bag(str(write_gain_bag(tmp_path / "models")), STORE)
    options = Options(stems=("vocals", "drums"), shifts=2)
    return Job("r1", str(tmp_path / "out"), bag, options, plan, str(tmp_path / "cache"), 0, 0.0, STORE)


def test_a_record_is_read_as_written(job: Job) -> None:
    arguments = {"input": "https://me:hush@host/in", "price": 0.5, "seconds": (3.0, 4.0)}
    totals = {"total": 5, "done": 4, "failed": 1, "audio_s": 12.5}
    run_record.write(job, arguments, [Node(2.0, 0.0, 1e9)], 5, Standing(State.DONE, "", totals=totals))
    found = run_record.read(job.output, STORE)
    assert found is not None
    assert (found.input, found.output) == ("https://host/in", job.output)
    assert found.arguments["seconds"] == [3.0, 4.0]
    assert found.settings == Settings.of(job)
    assert found.settings.parse_options() == replace(job.options, overlap=0.25)  # the contract's own
    assert found.settings.outputs == {"vocals", "drums"}
    assert (found.actors, found.catalogue.tracks, found.totals) == (2, 5, totals)
    assert (found.price, found.usd_per_node_hour) == (NodePrice(0.5), 0.5)
    assert found.shifts_samples == {"htdemucs": draw_shifts(2, 0, HTDEMUCS.max_shift)}
    assert found.licences == dict.fromkeys(("drums", "vocals"), Licence())


@pytest.mark.parametrize(
    ("content", "price"),
    [({}, None), ({"price": 1.5}, 1.5), ({"price": {"usd_per_node_hour": 2, "region": "x"}}, 2.0)],
)
def test_an_older_record_says_less(tmp_path: Path, content: dict[str, Any], price: float | None) -> None:
    (tmp_path / "run.json").write_text(json.dumps(content | {"key of a later version": 1}))
    found = run_record.read(str(tmp_path), STORE)
    assert found is not None
    assert found.usd_per_node_hour == price
    assert (found.input, found.output, found.actors, found.settings.outputs) == (None, None, None, set())
    assert found.settings.parse_options() == Options()


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("{", "expected the JSON"),
        ("[]", "expected"),
        ("[" * 100_000, "expected the JSON"),
        ('{"plan": {"actors": []}}', r"\$\.plan"),
    ],
)
def test_a_broken_record_is_named(tmp_path: Path, content: str, named: str) -> None:
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(StorageError, match=rf"run\.json: .*{named}"):
        run_record.read(str(tmp_path), STORE)


def test_an_option_of_another_version_is_named() -> None:
    with pytest.raises(UsageError, match=r"settings\.options.*opus"):
        Settings(options={"format": "opus"}).parse_options()


def test_two_stems_are_a_stem_and_the_rest() -> None:
    record = RunRecord(settings=Settings({"vocals": ""}, "fp32", {"two_stems": "vocals"}))
    assert record.settings.outputs == {"vocals", "no_vocals"}


def test_differences_name_the_option_and_both_values(job: Job) -> None:
    now = Settings.of(job)
    assert now.differences(now) == []
    assert now.differences(Settings.of(replace(job, options=replace(job.options, overlap=0.5)))) == [
        "overlap was 0.25, is 0.5"
    ]
    (model,) = now.differences(replace(now, models=now.models | {"drums": "f" * 64}))
    assert model == f"model of drums was {now.models['drums'][:12]}, is ffffffffffff"
    gpu = Settings.of(replace(job, plan=replace(job.plan, provider="cuda")))
    assert now.differences(gpu) == ['engine was "cpu", is "cuda"']
    assert now.differences(replace(gpu, engine=None)) == []  # the plan has not chosen it yet
    later = replace(now, options=now.options | {"of a later version": True})
    assert later.differences(now) == ["of a later version was true, is null"]


def test_an_option_at_its_default_is_as_one_that_is_not_there(job: Job) -> None:
    now = Settings.of(replace(job, options=Options()))
    older = replace(now, options={})
    assert (older.differences(now), older.digest) == ([], now.digest)
    others = [replace(job, options=replace(job.options, overlap=0.5)), replace(job, options=Options())]
    assert len({Settings.of(each).digest for each in (job, *others)}) == 3


def test_an_older_record_has_its_engine_in_the_plan() -> None:
    record = RunRecord(plan={"provider": "openvino"})
    assert record.made_with.engine == "openvino"
    assert RunRecord().made_with.engine is None
