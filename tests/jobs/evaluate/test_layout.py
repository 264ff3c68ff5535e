"""References and estimates find each other, in MUSDB18-HQ's folders and in a job's output."""

from pathlib import Path

import pytest

from jobs.evaluate import scoring
from jobs.evaluate.layout import BASELINE, MISSING, find_tracks, match, pair
from jobs.evaluate.run import named, wanted_stems
from separation.contract import STEMS
from separation.errors import UsageError
from tests.outputs import finished_rows, write_record, write_tables
from tests.stores import STORE

HQ = ("mixture", *STEMS)


def write(root: Path, *files: str) -> Path:
    for file in files:
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def test_folders_as_musdb18_hq_has_them(tmp_path: Path) -> None:
    write(tmp_path, *(f"{track}/{name}.wav" for track in ("test/A - B", "train/C. - D") for name in HQ))
    write(tmp_path, "test/A - B/notes.txt", "test/A - B/guitar.wav", "README.wav")
    write(tmp_path, "test/A - B/._drums.wav", ".Trash-1000/files/C - D/drums.wav", "@eaDir/drums.wav")
    found = find_tracks(str(tmp_path), STORE)
    assert set(found) == {"test/A - B", "train/C. - D"}
    assert found["test/A - B"].files == {name: f"{tmp_path}/test/A - B/{name}.wav" for name in HQ}
    assert set(find_tracks(f"{tmp_path}/test/", STORE)) == {"A - B"}


def test_a_stem_twice_and_no_stem_at_all(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"drums\.wav.*beside.*drums\.flac"):
        find_tracks(str(write(tmp_path / "two", "a/drums.wav", "a/drums.flac")), STORE)
    with pytest.raises(UsageError, match="no track"):
        find_tracks(str(write(tmp_path / "none", "a/song.wav")), STORE)


def test_an_output_moved_elsewhere(tmp_path: Path) -> None:
    rows = [row | {"clip_factor": 0.5} if row["status"] == "ok" else row for row in finished_rows(12)]
    options = {"stems": ["drums", "bass"], "format": "flac", "filename": "{stem}/{track_id}.{ext}"}
    write_record(tmp_path, settings={"options": options})
    rows[2]["track_id"] = "test/A - B/mixture.wav"
    write_tables(tmp_path, "r1", rows)
    found = find_tracks(str(tmp_path), STORE)
    assert len(found) == 12
    track = found["test/A - B"]
    assert track.gain == 2.0
    assert track.files["drums"] == f"{tmp_path}/stems/drums/test/A - B/mixture.wav.flac"
    assert set(track.files) == {"drums", "bass", "mixture"}
    (failed,) = [track for track in found.values() if track.error]
    assert not failed.files and "was not separated: " in str(failed.error)


@pytest.mark.parametrize(
    ("references", "estimates", "found"),
    [
        (["test/A - B", "test/C"], ["A - B", "E"], {"test/A - B": "A - B"}),
        (["A - B"], ["test/A - B"], {"A - B": "test/A - B"}),
        (["test/A", "train/A"], ["train/A", "test/A"], {"test/A": "test/A", "train/A": "train/A"}),
        (["test/A"], ["train/A", "test/AA"], {}),
    ],
)
def test_names_that_mean_one_track(
    references: list[str], estimates: list[str], found: dict[str, str]
) -> None:
    assert match(references, estimates) == found


@pytest.mark.parametrize(
    ("references", "estimates"), [(["A"], ["test/A", "train/A"]), (["test/A", "train/A"], ["A"])]
)
def test_names_that_could_mean_two_tracks(references: list[str], estimates: list[str]) -> None:
    with pytest.raises(UsageError, match="could be"):
        match(references, estimates)


def test_every_reference_is_asked_for_in_every_set(tmp_path: Path) -> None:
    write(tmp_path / "true", *(f"{track}/{name}.wav" for track in "ab" for name in HQ))
    write(tmp_path / "guess", "a/drums.wav", "c/drums.wav")
    references, estimates = (
        find_tracks(str(tmp_path / "true"), STORE),
        find_tracks(str(tmp_path / "guess"), STORE),
    )
    pairs, counts = pair(references, {"guess": estimates}, baseline=True)
    assert counts == {"guess": 1}
    by_track = {each.track_id: each.estimates for each in pairs}
    assert by_track["b"]["guess"].error == MISSING.error
    assert by_track["a"][BASELINE].files["bass"] == f"{tmp_path}/true/a/mixture.wav"
    assert scoring.pairs_table(pairs).to_pylist()[0]["estimates"][0]["name"] == "guess"


def test_names_of_estimates() -> None:
    given = ["fp32=s3://b/one", "s3://b/int8/", "s3://b/rate=1/x"]
    assert named(given, baseline=True) == {"fp32": "s3://b/one", "int8": "s3://b/int8/", "x": given[2]}
    for twice, baseline in ((["a/x", "b/x"], False), (["mix=a"], True)):
        with pytest.raises(UsageError, match="two estimates are called"):
            named(twice, baseline)
    assert wanted_stems("") == STEMS
    with pytest.raises(UsageError, match="guitar"):
        wanted_stems("vocals,guitar")
