"""References and estimates find each other, in MUSDB18-HQ's folders and in a job's output."""

from pathlib import Path

import pytest

from jobs.evaluate import scoring
from jobs.evaluate.layout import BASELINE, MISSING, Pair, TrackStems, choose_stems, find_tracks, match, pair
from jobs.evaluate.run import named
from separation.errors import UsageError
from tests.outputs import finished_rows, write_record, write_tables
from tests.stores import STORE

FOUR = ("drums", "bass", "other", "vocals")
HQ = ("mixture", *FOUR)


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
    files = {name: f"{tmp_path}/test/A - B/{name}.wav" for name in HQ}
    assert found["train/C. - D"].files.keys() == files.keys()
    assert found["test/A - B"].files == files | {"guitar": f"{tmp_path}/test/A - B/guitar.wav"}
    assert set(find_tracks(f"{tmp_path}/test/", STORE)) == {"A - B"}


def test_folders_as_python_m_separation_writes_them(tmp_path: Path) -> None:
    """Of the argument 'test/*/mixture.wav', and of one track alone."""
    write(tmp_path / "all", *(f"A - {at}/mixture.wav/drums.wav" for at in "BC"), "stemfleet.json")
    assert set(find_tracks(f"{tmp_path}/all", STORE)) == {"A - B", "A - C"}
    write(tmp_path / "A - D", "mixture.wav/drums.wav", "stemfleet.json")
    assert set(find_tracks(str(tmp_path), STORE)) == {"all/A - B", "all/A - C", "A - D"}


def test_a_stem_twice_and_no_stem_at_all(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"drums\.wav.*beside.*drums\.flac"):
        find_tracks(str(write(tmp_path / "two", "a/drums.wav", "a/drums.flac")), STORE)
    with pytest.raises(UsageError, match="no track"):
        find_tracks(str(write(tmp_path / "none", "a/song.txt")), STORE)


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


SIX = (*FOUR, "guitar", "piano")


def one_pair(reference: tuple[str, ...], **estimates: tuple[str, ...]) -> list[Pair]:
    sides = {
        name: TrackStems(dict.fromkeys((*stems, "mixture"), "a.wav")) for name, stems in estimates.items()
    }
    return [Pair("a", TrackStems(dict.fromkeys((*reversed(reference), "mixture"), "a.wav")), sides)]


def test_all_stems_are_scored_where_both_sides_have_the_same() -> None:
    assert choose_stems(one_pair(SIX, mine=SIX)) == SIX
    assert choose_stems(one_pair(("voice", "rest"), mine=("rest", "voice"))) == ("rest", "voice")
    assert choose_stems(one_pair(SIX, mine=SIX), ("piano", "bass")) == ("piano", "bass")


def test_other_stems_are_said_and_not_guessed() -> None:
    with pytest.raises(UsageError) as caught:
        choose_stems(one_pair(FOUR, six=SIX, two=("vocals", "no_vocals")))
    assert str(caught.value) == (
        "reference and estimates have different stems: six has guitar, piano, which the reference has not; "
        "two lacks drums, bass, other and has no_vocals, which the reference has not; "
        "--stems vocals scores those in common"
    )
    with pytest.raises(UsageError, match="none in common"):
        choose_stems(one_pair(FOUR, mine=("speech",)))
    assert choose_stems(one_pair(FOUR, six=SIX, two=("vocals", "no_vocals")), ("vocals",)) == ("vocals",)


@pytest.mark.parametrize(("wanted", "side"), [("guitar", "the reference"), ("drums", "mine")])
def test_a_stem_asked_for_is_on_every_side(wanted: str, side: str) -> None:
    pairs = one_pair(FOUR, mine=("vocals", "guitar"))
    with pytest.raises(UsageError, match=f"--stems: {side} has no {wanted}; it has "):
        choose_stems(pairs, ("vocals", wanted))


def test_one_track_without_a_stem_is_for_its_score_to_say() -> None:
    whole, gap = one_pair(FOUR, mine=FOUR), one_pair(FOUR[1:], mine=FOUR[:2])
    assert choose_stems([*whole, *gap]) == FOUR
    lost = [
        Pair("a", whole[0].reference, {"mine": MISSING, BASELINE: TrackStems({}, error="has no mixture")})
    ]
    assert choose_stems(lost) == FOUR


def test_a_reference_without_stems() -> None:
    with pytest.raises(UsageError, match="the reference has no stems"):
        choose_stems(one_pair((), mine=FOUR))


def test_an_output_of_six_stems_and_of_two(tmp_path: Path) -> None:
    cases = (
        ("six", {"models": dict.fromkeys(SIX, "0" * 64)}, set(SIX)),
        (
            "two",
            {"models": {"vocals": "0" * 64}, "options": {"two_stems": "vocals"}},
            {"vocals", "no_vocals"},
        ),
    )
    for name, settings, stems in cases:
        write_record(tmp_path / name, settings=settings)
        write_tables(tmp_path / name, "r1", finished_rows(2))
        for track in find_tracks(str(tmp_path / name), STORE).values():
            assert set(track.files) == stems | {"mixture"}
