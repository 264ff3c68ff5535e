"""`python -m separation` when the store of one track does not answer."""

from pathlib import Path

import pytest

from separation.__main__ import main
from tests.bags import write_gain_bag
from tests.sounds import encoded, noise
from tests.web import says, web_server


def test_the_other_tracks_go_on_and_the_end_is_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    models = write_gain_bag(tmp_path / "models")
    for name in ("first.wav", "last.wav"):
        (tmp_path / name).write_bytes(encoded(noise(44_100, 4_410), 44_100))
    with web_server({"/busy.wav": says(400)}) as web:
        tracks = [str(tmp_path / "first.wav"), f"{web}/busy.wav", str(tmp_path / "last.wav")]
        options = ["--models", str(models), "--out", str(tmp_path / "out"), "--source-patience", "0", "-q"]
        assert main([*tracks, *options]) == 2
    assert f"error: {web}/busy.wav: the server answers 400 Bad Request\n" in capsys.readouterr().err
    assert {path.name for path in (tmp_path / "out").glob("*.wav")} == {"first.wav", "last.wav"}
