"""`python -m separation` over several tracks: one that the output refuses stops no other."""

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from separation import __main__ as command
from separation.contract import SAMPLE_RATE
from tests.bags import write_gain_bag


def write(path: Path) -> str:
    tone = 0.5 * np.sin(np.arange(SAMPLE_RATE // 20) / 9)
    soundfile.write(path, np.stack([tone, tone], 1), SAMPLE_RATE)
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
