"""A file's name is somebody else's text: a terminal gets it escaped, whatever becomes of the track."""

from pathlib import Path

import pytest
import soundfile

from separation.__main__ import main
from tests.bags import write_gain_bag

NAME = "\x1b[31m\x9b2J\nred\u202e.wav"
ESCAPED = "\\x1b[31m\\x9b2J\\nred\\u202e.wav"


@pytest.mark.parametrize("options", [[], ["-v"]])
def test_names_reach_the_terminal_escaped(
    options: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    models = write_gain_bag(tmp_path / "models")
    good, bad, silent = tmp_path / f"good {NAME}", tmp_path / f"bad {NAME}", tmp_path / f"silent {NAME}"
    soundfile.write(good, [[0.1, 0.2]] * 4_410, 44_100)
    bad.write_bytes(b"no audio")
    soundfile.write(silent, [[0.0, 0.0]] * 4_410, 44_100)
    words = [str(good), str(bad), str(silent), "--models", str(models), "--out", str(tmp_path / "out")]
    assert main([*words, *options]) == 1
    out, err = capfd.readouterr()
    for name in ("good", "bad", "silent"):
        assert f"{name} {ESCAPED}" in out + err
    assert set(out + err) - {"\n"} <= {character for character in out + err if character.isprintable()}
    assert (tmp_path / "out" / good.name / "bass.wav").is_file()
