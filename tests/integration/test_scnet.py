"""An SCNet through the job on Ray, in sections of any size: what it gives in memory, and `demix`."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from export.parity import compare, torch_rows
from jobs.pipeline.output.tables import read_table
from separation.models.bag_json import read_bag
from separation.separator import collect
from tests import msst
from tests.export.scnet.networks import SMALL
from tests.integration.conftest import Run
from tests.integration.test_bags import open_graphs, read, separate_by
from tests.integration.test_parity import music
from tests.stores import STORE

CHUNKS = 40


@pytest.mark.long
def test_an_scnet_through_the_job(separate: Run, tmp_path: Path) -> None:
    folder = SMALL.exported(tmp_path / "scnet") / "models"
    bag = read_bag(folder, STORE)
    step, stems = SMALL.segment // SMALL.num_overlap, SMALL.sizes.sources
    mix = music(CHUNKS * step + 1_234)
    (tmp_path / "in").mkdir()
    soundfile.write(tmp_path / "in/a.wav", mix.T, 44_100, "FLOAT")
    model, rows = SMALL.model, range(SMALL.sizes.rows)
    reference = msst.demix(mix, lambda segments: torch_rows(model, rows, segments), SMALL.segment, 4)
    in_memory = separate_by(bag, open_graphs(bag), mix)
    for size in (3, 64):
        out = tmp_path / f"out{size}"
        where = ("--input", str(tmp_path / "in"), "--output", str(out), "--models", str(folder))
        done = separate(*where, "--float32", "--clip-mode", "none", "--chunks-per-section", str(size))
        assert done.returncode == 0, done.stdout + done.stderr
        for row, stem in enumerate(stems):
            found = read(out, "a.wav", stem)
            np.testing.assert_array_equal(found, collect(in_memory[stem]))
            assert compare(reference[row], found).snr_db > 110
        timings = {each["stem"]: each for each in read_table(str(out), "timings", STORE).to_pylist()}
        assert {each["chunks"] for each in timings.values()} == {
            CHUNKS + 1 + 3
        }  # three begin before the track
        assert {each["graph"] for each in timings.values()} == {"model"}
