"""Where a track's outputs go on a local disk, and what happens where two tracks want one path."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from jobs.pipeline.arrow import to_table
from jobs.pipeline.driver import finish
from jobs.pipeline.job import Job
from jobs.pipeline.records import ListedTrack, Track
from jobs.pipeline.sizing import JobPlan
from separation.contract import HTDEMUCS
from separation.models.bag_json import read_bag
from separation.options import Options
from tests.bags import write_gain_bag
from tests.jobs.pipeline.in_process import InProcess
from tests.stores import STORE


@pytest.fixture
def job(tmp_path: Path) -> Job:
    bag = read_bag(str(write_gain_bag(tmp_path / "models")), STORE)
    plan = JobPlan("cpu", 1, 1, 1, 0, 1, 0, 1, 8, 8, 2**22)
    return Job("run", str(tmp_path / "out"), bag, Options(), plan, str(tmp_path / "cache"), 10**9, 1.0, STORE)


def separate(track_ids: list[str], job: Job, source: Path) -> list[Track]:
    """The pipeline over `source` under these ids, without Ray."""
    soundfile.write(source, np.random.default_rng(0).uniform(-0.5, 0.5, (4_410, 2)), 44_100)
    listed = to_table([ListedTrack(track_id, str(source)) for track_id in track_ids], ListedTrack)
    return [finished.track for finished in InProcess(job).sections(listed)]


def kinds(tracks: list[Track]) -> list[str | None]:
    return [track.failure.error_kind if track.failure else None for track in tracks]


def test_a_name_longer_than_a_disk_takes_is_a_bad_key(job: Job, tmp_path: Path) -> None:
    fits, long, wide = "n" * 251 + ".wav", "n" * 252 + ".wav", "é" * 126 + ".wav"
    tracks = separate([fits, long, wide], job, tmp_path / "song.wav")
    assert kinds(tracks) == [None, "bad_key", "bad_key"]
    assert (tmp_path / "out/stems" / fits / "drums.wav").exists()


def test_a_name_that_leads_out_of_the_output_is_a_bad_key(job: Job, tmp_path: Path) -> None:
    template = Options(filename="{track}/{track}/{track_id}-{stem}.{ext}")
    tracks = separate(["...wav", "b.wav"], replace(job, options=template), tmp_path / "song.wav")
    assert kinds(tracks) == ["bad_key", None]
    assert [path.name for path in (tmp_path / "out/stems").iterdir()] == ["b"]
    assert not (tmp_path / "out/...wav-drums.wav").exists()


def test_a_link_of_a_folder_leads_no_stem_out_of_the_output(job: Job, tmp_path: Path) -> None:
    """It may lead to the catalogue: the drums of `a` would overwrite the source `music/drums.wav`."""
    (tmp_path / "music").mkdir()
    (tmp_path / "music/drums.wav").write_bytes(b"a source")
    (tmp_path / "out/stems").mkdir(parents=True)
    (tmp_path / "out/stems/a").symlink_to(tmp_path / "music")
    (tmp_path / "out/stems/inside").mkdir()
    (tmp_path / "out/stems/b").symlink_to("inside")
    tracks = separate(["a", "a/deeper", "b", "c"], job, tmp_path / "song.wav")
    assert kinds(tracks) == ["bad_key", "bad_key", None, None]
    assert tracks[0].failure and tracks[0].failure.error.endswith(f"by a link, to {tmp_path}/music")
    assert (tmp_path / "music/drums.wav").read_bytes() == b"a source"
    (tmp_path / "disk").mkdir()
    (tmp_path / "linked").symlink_to(tmp_path / "disk")  # the output itself may be one
    assert kinds(separate(["c"], replace(job, output=str(tmp_path / "linked")), tmp_path / "song.wav")) == [
        None
    ]


def test_long_tracks_whose_ids_are_paths_of_each_others_parts(job: Job, tmp_path: Path) -> None:
    one_chunk = replace(job, plan=replace(job.plan, chunks_per_section=1))
    ids, source = ["a", "a/drums/0.npy", "a/drums"], tmp_path / "song.wav"
    soundfile.write(source, np.random.default_rng(0).uniform(-0.5, 0.5, (HTDEMUCS.stride + 1, 2)), 44_100)
    listed = to_table([ListedTrack(track_id, str(source)) for track_id in ids], ListedTrack)
    pipeline = InProcess(one_chunk)
    sections = list(pipeline.sections(listed))
    assert len(sections) == 6
    for track_id in ids:
        mine = [each for each in sections if each.track.track_id == track_id]
        finished = finish(pipeline, one_chunk, mine)
        assert finished.track.status == "ok"
        assert (tmp_path / "out/stems" / track_id / "drums.wav").exists()
    assert not [path for path in (tmp_path / "out/parts").rglob("*") if path.is_file()]


def test_a_finish_whose_result_is_lost_is_done_again(job: Job, tmp_path: Path) -> None:
    """As Ray repeats it where the node dies after the work and before the driver has its result."""
    one_chunk, source = replace(job, plan=replace(job.plan, chunks_per_section=1)), tmp_path / "song.wav"
    soundfile.write(source, np.random.default_rng(0).uniform(-0.5, 0.5, (HTDEMUCS.stride + 1, 2)), 44_100)
    pipeline = InProcess(one_chunk)
    sections = list(pipeline.sections(to_table([ListedTrack("a", str(source))], ListedTrack)))
    lost, stem = pipeline.finish(sections), tmp_path / "out/stems/a/drums.wav"
    before = stem.read_bytes()
    again = finish(pipeline, one_chunk, sections)
    assert again.track.status == lost.track.status == "ok"
    assert stem.read_bytes() == before
    assert not [path for path in (tmp_path / "out/parts").rglob("*") if path.is_file()]


def test_a_track_below_another_tracks_stem_is_a_bad_key(job: Job, tmp_path: Path) -> None:
    tracks = separate(["a", "a/drums.wav", "b"], job, tmp_path / "song.wav")
    assert [track.status for track in tracks] == ["ok", "error", "ok"]
    assert kinds(tracks) == [None, "bad_key", None]


def test_parts_of_another_division_are_neither_read_nor_left(job: Job, tmp_path: Path) -> None:
    """A run was killed between the sections of a track; the next one cuts it into others."""
    source, length = tmp_path / "song.wav", 4 * HTDEMUCS.stride + 1
    soundfile.write(source, np.random.default_rng(0).uniform(-0.5, 0.5, (length, 2)), 44_100)
    listed = to_table([ListedTrack("a", str(source))], ListedTrack)
    killed = replace(job, plan=replace(job.plan, chunks_per_section=1))
    again = replace(job, plan=replace(job.plan, chunks_per_section=2))
    mine = list(InProcess(again).sections(listed))
    late = list(InProcess(killed).sections(listed))  # its last writes come after this run's
    assert late[2].section.index == mine[-1].section.index
    finish(InProcess(again), again, mine)
    whole = replace(job, output=str(tmp_path / "whole"))
    assert len(list(InProcess(whole).sections(listed))) == 1
    for stem in ("drums.wav", "vocals.wav"):
        expected = (tmp_path / "whole/stems/a" / stem).read_bytes()
        assert (tmp_path / "out/stems/a" / stem).read_bytes() == expected
    assert not [path for path in (tmp_path / "out/parts").rglob("*") if path.is_file()]
