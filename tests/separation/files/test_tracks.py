"""Which tracks the arguments of `python -m separation` name, and what their ids are."""

from pathlib import Path

import pytest

from separation.errors import UsageError
from separation.files.tracks import find_tracks
from tests.stores import STORE


@pytest.fixture
def music(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two discs with a track of one name, litter, a cover, and the stems of an earlier run."""
    names = ("cd1/01.wav", "cd1/02.flac", "cd2/01.wav", "cd2/deep/03.MP3", "cd1/._01.wav", "cd1/cover.jpg")
    for name in (*names, "stems/cd1/01.wav/drums.wav"):
        path = tmp_path / "music" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "music"


def ids(*arguments: str, output: str = "music/stems") -> list[str]:
    return [track.track_id for track in find_tracks(arguments, output, STORE).tracks]


@pytest.mark.parametrize("folder", ["music", "music/", "{}", "file://{}", "link"])
def test_a_folder_s_tracks_are_paths_below_it(music: Path, folder: str) -> None:
    (music.parent / "link").symlink_to(music)
    found = find_tracks([folder.format(music)], "music/stems", STORE)
    assert [track.track_id for track in found.tracks] == [
        *("cd1/01.wav", "cd1/02.flac", "cd2/01.wav", "cd2/deep/03.MP3")
    ]
    of_system = "1 file of the system (._x, trash, snapshots)"
    assert found.describe() == (
        f"4 tracks; left out: 1 file without an audio name, {of_system}, 1 file of the output"
    )


def test_tracks_of_one_name_are_kept_apart_by_their_folders(music: Path) -> None:
    """And only those: another track's id does not depend on what else is named."""
    assert ids("music/cd1/01.wav") == ["01.wav"]
    assert ids("music/cd1/01.wav", "music/cd2/01.wav", "music/cd1/02.flac") == [
        *("cd1/01.wav", "cd2/01.wav", "02.flac")
    ]
    assert ids("music/cd1", "music/cd2") == ["cd1/01.wav", "02.flac", "cd2/01.wav", "deep/03.MP3"]
    (music / "cd1/cd2").mkdir()
    (music / "cd1/cd2/01.wav").touch()  # whose id is what a folder more makes of another track's
    assert ids("music/cd1", "music/cd2/01.wav", output="out") == [
        *("cd1/01.wav", "02.flac", "cd1/cd2/01.wav", "music/cd2/01.wav")
    ]


def test_a_file_that_is_named_twice_is_one_track(music: Path) -> None:
    assert ids("music/cd1/01.wav", "music/cd1", str(music / "cd1/../cd1/01.wav")) == ["01.wav", "02.flac"]


def test_a_glob_is_for_stores_without_a_shell(music: Path) -> None:
    assert ids("music/*/01.wav") == ["cd1/01.wav", "cd2/01.wav"]
    (music / "[live]").mkdir()
    (music / "[live]/04.wav").touch()
    assert ids("music/[live]") == ["04.wav"]


def test_a_file_is_taken_whatever_its_name_and_wherever_it_is(music: Path) -> None:
    named = ["music/cd1/cover.jpg", "music/stems/cd1/01.wav/drums.wav", "gone [1].wav", "gopher://host/song"]
    assert ids(*named) == ["cover.jpg", "drums.wav", "gone [1].wav", "song"]
    assert ids("https://host/album/song.wav?x=[1]*") == ["song.wav?x=[1]*"]


@pytest.mark.parametrize(
    ("arguments", "output", "said"),
    [
        (["music/stems"], "music/stems", "lies within the output music/stems, .* choose an --out "),
        (["music/cd1"], "music", "lies within the output music"),
        (["music/cd1/", "empty"], "out", r"empty: no tracks \(1 file without an audio name, "),
        (["music/*.ogg"], "out", r"music/\*\.ogg: no tracks$"),
    ],
)
def test_a_folder_without_tracks_is_refused(
    music: Path, arguments: list[str], output: str, said: str
) -> None:
    (music.parent / "empty").mkdir()
    with pytest.raises(UsageError, match=said):
        ids(*arguments, output=output)


def test_a_bucket_s_folder(bucket: str) -> None:
    for name in ("album/a.wav", "album/b/c.flac", "album/notes.txt", "album/stems/a.wav/drums.wav"):
        STORE.put_bytes(b"x", f"{bucket}/{name}")
    out = f"{bucket}/album/stems"
    for folder in (f"{bucket}/album", f"{bucket}/album/"):
        assert ids(folder, output=out) == ["a.wav", "b/c.flac"]
    assert ids(f"{bucket}/album/gone.wav", output=out) == ["gone.wav"]  # no request asks whether it is there
    assert ids(f"{bucket}/album/*.wav", output=out) == ["a.wav"]
