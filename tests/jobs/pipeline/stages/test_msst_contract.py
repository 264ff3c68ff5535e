"""A track under MSST's contract through the stages: in one section or many, what `demix` gives."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from jobs.pipeline.arrow import to_table
from jobs.pipeline.driver import finish
from jobs.pipeline.job import Job
from jobs.pipeline.records import ListedTrack
from jobs.pipeline.sizing import JobPlan
from separation.contract import msst_contract
from separation.models.bag import WeightedRow
from separation.models.bag_json import read_bag
from separation.models.graph import open_graph
from separation.models.graph_files import fetch
from separation.options import Options
from separation.separator import collect, separate
from tests import msst
from tests.bags import write_rows_bag
from tests.jobs.pipeline.in_process import InProcess
from tests.stores import STORE

CHUNK, NUM_OVERLAP = 8_000, 4
ROWS = {"drums": 0.5, "vocals": -2.0}


@pytest.mark.parametrize("samples", [CHUNK - 1, 2 * CHUNK, 7 * CHUNK + 1_234])
def test_a_track_in_sections_of_any_size(samples: int, tmp_path: Path) -> None:
    folder = write_rows_bag(
        tmp_path / "models",
        {"both": ROWS},
        {stem: (WeightedRow("both", stem),) for stem in ROWS},
        {"scnet": msst_contract(CHUNK, NUM_OVERLAP, normalize=True)},
        {"both": "scnet"},
    )
    mix = np.random.default_rng(samples).normal(0.05, 0.1, (2, samples)).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", mix.T, 44_100, subtype="FLOAT")
    bag = read_bag(str(folder), STORE)
    graph = open_graph(bag, "both", fetch(bag, "both", folder, STORE), "cpu")
    rules = Options().grid_rules(bag.contracts)
    in_memory = separate(mix, bag, {"both": graph}, bag.stems, rules)
    reference = msst.separate(mix, graph, CHUNK, NUM_OVERLAP, normalize=True)
    for size in (1, 3, 64):
        plan = JobPlan("cpu", 1, 1, 1, 0, 1, 0, 1, size, 8, 2**22)
        out, options = tmp_path / f"out{size}", Options(bits="float", clip_mode="none")
        job = Job("run", str(out), bag, options, plan, str(tmp_path / "cache"), 10**9, 0.0, STORE)
        pipeline = InProcess(job)
        listed = to_table([ListedTrack("a.wav", str(tmp_path / "a.wav"))], ListedTrack)
        sections = list(pipeline.sections(listed))
        assert (len(sections) == 1) == (size == 64)
        if len(sections) > 1:
            finish(pipeline, job, sections)
        for row, stem in enumerate(ROWS):
            found, _ = soundfile.read(out / f"stems/a.wav/{stem}.wav", dtype="float32")
            np.testing.assert_array_equal(found.T, collect(in_memory[stem]))
            np.testing.assert_allclose(found.T, reference[row], atol=2e-6)
