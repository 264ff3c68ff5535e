"""Sections for few tracks: the same stems, and pools that are busy until the end."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from jobs.pipeline.arrow import to_table
from jobs.pipeline.driver import finish
from jobs.pipeline.job import Job
from jobs.pipeline.job_request import JobRequest
from jobs.pipeline.records import ListedTrack
from jobs.pipeline.sizing import JobPlan, Node, Workload, plan_job
from scripts.makespan import Catalogue, Cluster, makespan
from separation.audio.limits import DEFAULTS
from separation.contract import HTDEMUCS
from separation.models.bag_json import read_bag
from separation.options import Options
from tests.bags import write_gain_bag
from tests.jobs.pipeline.in_process import InProcess
from tests.stores import STORE

GB = 1e9
CHUNK_BYTES = 4 * HTDEMUCS.channels * HTDEMUCS.segment
STRIDE_S = HTDEMUCS.stride / HTDEMUCS.sample_rate
SIXTEEN_CORES = [Node(16, 0, 16 * GB)]
FOUR_GPUS = [Node(4, 1, 4 * GB)] * 4
RequestOf = Callable[..., JobRequest]


@pytest.fixture
def request_of(tmp_path: Path) -> RequestOf:
    bag = read_bag(str(write_gain_bag(tmp_path / "models")), STORE)

    def request(options: Options, **overrides: int) -> JobRequest:
        cache, output = str(tmp_path / "cache"), str(tmp_path / "out")
        return JobRequest(output, bag, options, "cpu", overrides, None, cache, 10**9, 0.0, DEFAULTS, STORE)

    return request


def sections_per_track(request: JobRequest, tracks: int) -> int:
    return request.for_tracks(request.job(SIXTEEN_CORES), tracks).plan.sections_per_track


def test_sections_follow_the_tracks_that_are_left(request_of: RequestOf) -> None:
    assert sections_per_track(request_of(Options()), 12) == 14
    assert sections_per_track(request_of(Options(overlap=0.9)), 12) == 14
    assert sections_per_track(request_of(Options(), chunks_per_section=30), 12) == 1
    # Three grids are three times as many sections already.
    assert sections_per_track(request_of(Options(shifts=3)), 12) == 5


@pytest.mark.parametrize(("overlap", "sections"), [(0.5, 2), (0.6, 3)])
def test_the_stems_of_short_sections_have_the_same_bits(
    request_of: RequestOf, tmp_path: Path, overlap: float, sections: int
) -> None:
    source = tmp_path / "song.wav"
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (5 * HTDEMUCS.stride + 1, 2))
    soundfile.write(source, samples, HTDEMUCS.sample_rate)
    request = request_of(Options(overlap=overlap))
    whole = request.job(SIXTEEN_CORES)
    short = replace(request.for_tracks(whole, 12), output=str(tmp_path / "short"))
    assert [count(job, samples.shape[0]) for job in (whole, short)] == [1, sections]
    for job in (whole, short):
        pipeline = InProcess(job)
        sections = list(pipeline.sections(to_table([ListedTrack("a", str(source))], ListedTrack)))
        if len(sections) > 1:
            finish(pipeline, job, sections)
    stems = sorted((tmp_path / "out/stems/a").iterdir())
    assert len(stems) == 4
    for stem in stems:
        assert stem.read_bytes() == (tmp_path / "short/stems/a" / stem.name).read_bytes()


def count(job: Job, length: int) -> int:
    return len(job.sections(length))


def today(nodes: list[Node]) -> JobPlan:
    """The plan of before short sections: four sessions of four threads, or one of each graph on a GPU."""
    if nodes is SIXTEEN_CORES:
        return JobPlan("cpu", 1, 1, 3.5, 0.0, 4, 4, 1, 64, 90, CHUNK_BYTES)
    return JobPlan("cuda", 4, 4, 0.25, 0.25, 1, 0, 2, 64, 90, CHUNK_BYTES)


def ratio(plan: JobPlan, nodes: list[Node], tracks: int, packed: bool = False) -> float:
    """The time of `tracks` tracks of 4 minutes as a multiple of work over cores, or over GPUs.

    Of htdemucs_ft; 16 cores at 5 x realtime, an L4 at 19 (both estimated). A core is as fast in a session of
    four threads as in one of its own, which favours the plan of before.
    """
    cluster = Cluster.of(plan, len(nodes), sum(int(node.gpus) for node in nodes))
    x_realtime = 5.0 if nodes is SIXTEEN_CORES else 19.0
    catalogue = Catalogue(tracks, 42, STRIDE_S, 4, 4, STRIDE_S * cluster.at_once / 4 / x_realtime)
    return makespan(catalogue, plan, cluster, packed) / catalogue.ideal_s(cluster)


@pytest.mark.parametrize(
    ("nodes", "packed", "before"),
    [(SIXTEEN_CORES, False, 1.25), (FOUR_GPUS, False, 1.08), (FOUR_GPUS, True, 2.07)],
)
def test_an_album_takes_at_most_a_quarter_more_than_work_over_cores(
    nodes: list[Node], packed: bool, before: float
) -> None:
    plan = plan_job(nodes, Workload(4, 4, CHUNK_BYTES), "auto", {})
    assert ratio(today(nodes), nodes, 12, packed) == pytest.approx(before, abs=0.01)
    assert ratio(plan.for_tracks(4, 12), nodes, 12, packed) < 1.18
    if packed or nodes is SIXTEEN_CORES:  # the same pools with whole tracks
        assert ratio(plan, nodes, 12, packed) > 2


@pytest.mark.parametrize(("nodes", "packed"), [(SIXTEEN_CORES, False), (FOUR_GPUS, False), (FOUR_GPUS, True)])
def test_a_large_catalogue_loses_nothing(nodes: list[Node], packed: bool) -> None:
    """Its sections are as before; on CPUs, the 16 sessions fill and empty for three more tracks' time."""
    plan = plan_job(nodes, Workload(4, 4, CHUNK_BYTES), "auto", {})
    assert plan.for_tracks(4, 2000) == plan
    of_2000 = ratio(plan, nodes, 2000, packed)
    assert of_2000 < 1.01
    assert of_2000 / ratio(today(nodes), nodes, 2000, packed) < 1.005


def test_a_lone_inference_has_no_more_than_its_slot() -> None:
    """The model's own arithmetic: one track of one chunk through four pools, and what the tasks take."""
    plan = JobPlan("cpu", 1, 1, 1.0, 0.0, 1, 4, 1, 64, 90, CHUNK_BYTES)
    catalogue = Catalogue(tracks=1, chunks=1, stride_s=5.0, graphs=4, stems=4, chunk_s=10.0)
    assert catalogue.ideal_s(Cluster(1, 4, 0.0)) == 10
    decode_s, write_s = 2 * 5 / 200, 4 * 5 * 44_100 * 8 / 250e6 / 2  # probe and cut; a file of 16 bits
    expected = decode_s + 4 * (10 + 0.013) + 5 / 120 + 0.013 + write_s
    assert makespan(catalogue, plan, Cluster.of(plan, 1, 0)) == pytest.approx(expected)
    assert makespan(replace(catalogue, tracks=4), plan, Cluster(1, 1, 0.013)) > 4 * 4 * 10
