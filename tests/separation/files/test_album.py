"""An album through `python -m separation`: done once, skipped then, and never mixed with other settings."""

import json
import shutil
from pathlib import Path

import pytest
import soundfile

from separation.__main__ import main
from tests.bags import write_gain_bag
from tests.sounds import noise

RATE = 44_100


@pytest.fixture
def album(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twelve songs in three folders: one is broken, two have one name."""
    monkeypatch.chdir(tmp_path)
    write_gain_bag(tmp_path / "models")
    for disc in (1, 2, 3):
        for number in range(4):
            name = "intro" if (disc, number) in ((1, 0), (3, 0)) else f"{disc}{number}"
            path = tmp_path / f"album/cd{disc}/{name}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, noise(RATE, RATE // 10 + 4 * disc + number), RATE)
    (tmp_path / "album/cd2/22.wav").write_bytes(b"RIFF, and no more")
    return tmp_path / "album"


def separate(*arguments: str, out: str = "out") -> int:
    return main([*arguments, "--models", "models", "--out", out, "--stems", "drums,bass"])


def stems(out: str = "out") -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in Path(out).glob("**/*.wav/*.wav")}


def test_an_album_twice(album: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert separate("album") == 1
    said = capsys.readouterr()
    assert said.err.count("\n") == 1
    assert said.err.startswith("error: ") and "album/cd2/22.wav: " in said.err
    first, *lines, last = said.out.splitlines()
    assert first == "12 tracks; 0 done before, 12 left"
    assert sum("peak" in line for line in lines) == 22
    assert sum(" x realtime" in line for line in lines) == 11
    assert last.startswith("11 tracks done, 1 failed; 0:00:01 of audio in 0:0")
    assert last.endswith(f" x realtime; stems: {album.parent}/out")
    made = stems()
    assert len(made) == 22 and {"cd1/intro.wav/drums.wav", "cd3/intro.wav/drums.wav"} < made.keys()

    for path in Path("out").glob("**/*.wav/*.wav"):
        path.write_bytes(b"not written again")
    assert separate("album") == 1
    said = capsys.readouterr()
    assert said.err.count("\n") == 1 and "album/cd2/22.wav: " in said.err
    first, last = said.out.splitlines()
    assert first == "12 tracks; 11 done before, 1 left"
    assert last.startswith("0 tracks done, 11 done before, 1 failed; in 0:00:0")
    assert set(stems().values()) == {b"not written again"}

    assert separate("album", "--force", "-q") == 1
    assert stems() == made
    (album / "cd2/22.wav").unlink()
    assert separate("album") == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("nothing to do: 11 tracks, all done before")


def test_what_is_gone_or_new_is_done(album: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert separate("album/cd1", "album/cd3") == 0
    made = stems()
    Path("out/13.wav/bass.wav").unlink()
    soundfile.write(album / "cd3/new.wav", noise(RATE, 4_410), RATE)
    capsys.readouterr()
    assert separate("album/cd1", "album/cd3") == 0
    assert "9 tracks; 7 done before, 2 left" in capsys.readouterr().out
    assert made.items() < stems().items()


def test_other_settings_are_said_and_not_mixed(album: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert separate("album/cd1", "-q") == 0
    made = stems()
    capsys.readouterr()
    where = ["--models", "models", "--out", "out"]
    assert main(["album/cd3", *where, "--stems", "drums,bass", "--int24"]) == 2
    assert capsys.readouterr() == (
        "",
        f"error: {album.parent}/out holds stems of other settings: bits was 16, is 24. "
        "Choose another --out, or --force to do its tracks again\n",
    )
    assert main(["album/cd3", *where, "--stems", "drums,bass", "--int24", "--force"]) == 2
    assert "3 are not in this catalogue, 11.wav among them" in capsys.readouterr().err
    assert stems() == made
    assert main(["album/cd1", *where, "--stems", "drums,bass", "--int24", "--force", "-q"]) == 0
    assert soundfile.info("out/11.wav/drums.wav").subtype == "PCM_24"
    assert separate("album/cd3") == 2  # now it is the other way round
    assert separate("album/cd3", out="other") == 0


def test_the_models_and_the_engine_are_settings_too(album: Path, capsys: pytest.CaptureFixture[str]) -> None:
    song, rest = "album/cd1/11.wav", ["--models", "models", "--out", "out", "--stems", "drums,bass"]
    assert main([song, *rest]) == 0
    write_gain_bag(Path("models"), {"drums": 0.75, "bass": 0.25})
    assert main([song, *rest]) == 2
    write_gain_bag(Path("models"))
    capsys.readouterr()
    assert main([song, *rest, "--provider", "openvino"]) == 2
    assert 'engine was "cpu", is "openvino"' in capsys.readouterr().err
    assert main([song, *rest, "--provider", "cpu"]) == 0


def test_a_name_stands_for_one_file(album: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Else the second song would be taken for done."""
    assert separate("album/cd1/intro.wav") == 0
    made = stems()
    assert separate("album/cd3/intro.wav") == 2
    assert f"has the stems of {album}/cd1/intro.wav as intro.wav, which" in capsys.readouterr().err
    assert stems() == made
    assert separate("album/cd3/intro.wav", "--force") == 0
    assert stems() != made


def test_stems_that_the_record_lacks_are_made_again(album: Path) -> None:
    """As those of a run that was killed between the stems and the record, or of an earlier version."""
    assert separate("album/cd1") == 0
    made, record = stems(), Path("out/stemfleet.json")
    content = json.loads(record.read_text())
    assert set(content["tracks"]) == {"intro.wav", "11.wav", "12.wav", "13.wav"}
    del content["tracks"]["12.wav"]
    record.write_text(json.dumps(content))
    Path("out/12.wav/drums.wav").write_bytes(b"older")
    assert separate("album/cd1") == 0
    assert stems() == made


def test_a_forced_run_takes_no_failed_track_for_done(album: Path) -> None:
    assert separate("album/cd1") == 0
    shutil.rmtree("out/13.wav")
    Path("out/13.wav").touch()  # so that the last track is an error
    assert separate("album/cd1", "--force") == 1
    left = json.loads(Path("out/stemfleet.json").read_text())["tracks"]
    assert set(left) == {"intro.wav", "11.wav", "12.wav"}


@pytest.mark.parametrize("content", ["{", "[]", '{"tracks": 1}'])
def test_a_broken_record_is_named(album: Path, capsys: pytest.CaptureFixture[str], content: str) -> None:
    Path("out").mkdir()
    Path("out/stemfleet.json").write_text(content)
    assert separate("album") == 2
    assert "out/stemfleet.json: expected the JSON that" in capsys.readouterr().err
    assert Path("out/stemfleet.json").read_text() == content
