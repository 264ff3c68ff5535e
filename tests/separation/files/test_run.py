"""`python -m separation` over several tracks: one that the output refuses stops no other."""

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from separation import __main__ as command
from separation.contract import HTDEMUCS
from tests.bags import write_gain_bag


def write(path: Path) -> str:
    tone = 0.5 * np.sin(np.arange(HTDEMUCS.sample_rate // 20) / 9)
    soundfile.write(path, np.stack([tone, tone], 1), HTDEMUCS.sample_rate, format="WAV")
    return str(path)


def test_a_name_that_the_output_refuses_stops_no_other_track(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = write_gain_bag(tmp_path / "models")
    long, taken = "n" * 250 + ".wav", "taken.wav"
    tracks = [write(tmp_path / name) for name in (long, taken, "good.wav")]
    latin = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.wav")
    os.rename(write(tmp_path / "latin.wav"), latin)
    (tmp_path / "out").mkdir()
    (tmp_path / f"out/{taken}").touch()  # where the folder of its stems should be
    options = ["--stems", "drums", "--filename", "{track_id}/{track_id}-{stem}.{ext}"]
    where = ["--models", str(models), "--out", str(tmp_path / "out")]
    assert command.main([*tracks, latin, *where, *options]) == 1
    refused = [line for line in capsys.readouterr().err.splitlines() if "bad_key" in line]
    assert [long in refused[0], taken in refused[1], len(refused)] == [True, True, 2]
    assert "a name of 264 bytes" in refused[0] and "taken.wav, which is a file" in refused[1]
    assert (tmp_path / "out/good.wav/good.wav-drums.wav").exists()
    assert os.path.exists(os.fsencode(tmp_path) + b"/out/caf\xe9.wav/caf\xe9.wav-drums.wav")


@pytest.fixture
def where(tmp_path: Path) -> list[str]:
    """The options of `main`: a bag of small graphs and an output, which may hold tracks."""
    (tmp_path / "out").mkdir()
    models = write_gain_bag(tmp_path / "models")
    return ["--models", str(models), "--out", str(tmp_path / "out"), "--stems", "drums,bass"]


NEXT_TO_TRACKS = ["--filename", "{track_id}_{stem}.{ext}"]


@pytest.mark.parametrize(
    "spelled", ["as it is", "by a link", "by its folder's link", "file://", "a hard link"]
)
def test_a_stem_never_overwrites_a_track_of_the_list(
    tmp_path: Path, where: list[str], capsys: pytest.CaptureFixture[str], spelled: str
) -> None:
    song, taken = write(tmp_path / "out/song.wav"), write(tmp_path / "out/song.wav_drums.wav")
    before = Path(taken).read_bytes()
    named = taken
    if spelled == "by a link":
        (tmp_path / "other.wav").symlink_to(taken)
        named = str(tmp_path / "other.wav")
    if spelled == "by its folder's link":
        (tmp_path / "link").symlink_to(tmp_path / "out")
        named = str(tmp_path / "link/song.wav_drums.wav")
    if spelled == "file://":
        named = f"file://{taken}"
    if spelled == "a hard link":
        (tmp_path / "hard.wav").hardlink_to(taken)
        named = str(tmp_path / "hard.wav")
    assert command.main([song, named, *where, *NEXT_TO_TRACKS]) == 2
    said = capsys.readouterr().err
    assert f"the drums of {song}, would overwrite the track {named}" in said
    assert Path(taken).read_bytes() == before
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["song.wav", "song.wav_drums.wav"]


def test_two_tracks_never_have_one_stem(
    tmp_path: Path, where: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = write(tmp_path / "song"), write(tmp_path / "song_no")
    options = ["--two-stems", "drums", *NEXT_TO_TRACKS]
    assert command.main([first, second, *where[:-2], *options]) == 2
    assert f"song_no_drums.wav would be a stem of {first} and of {second}" in capsys.readouterr().err
    assert not list((tmp_path / "out").iterdir())


def test_an_address_that_no_store_has_is_an_error_of_its_track_alone(
    tmp_path: Path, where: list[str]
) -> None:
    assert command.main(["gopher://host/song.wav", write(tmp_path / "good.wav"), *where]) == 1
    assert (tmp_path / "out/good.wav/drums.wav").exists()
