import pytest

from separation.errors import TrackError, UsageError
from separation.options import Options
from tests.bags import FOUR_STEMS


def test_stems_come_in_the_bags_order() -> None:
    assert Options(stems=("vocals", "drums")).chosen(FOUR_STEMS) == ("drums", "vocals")
    assert Options().outputs(FOUR_STEMS) == FOUR_STEMS


def test_two_stems_run_one_specialist() -> None:
    options = Options(two_stems="bass")
    assert options.chosen(FOUR_STEMS) == ("bass",)
    assert options.outputs(FOUR_STEMS) == ("bass", "no_bass")


def test_a_path_names_track_and_stem() -> None:
    options = Options(filename="{track_id}/{track}-{trackext}-{stem}.{ext}", format="flac")
    assert options.path("a/b c.mp3", "drums") == "a/b c.mp3/b c-mp3-drums.flac"


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"stems": ("bass",), "two_stems": "bass"}, "exclude"),
        ({"bits": "float", "format": "flac"}, "float32"),
        ({"bits": 24, "format": "mp3"}, "int24"),
        ({"filename": "{stem}.{ext}"}, "track_id"),
        ({"filename": "{track_id}/{colour}/{stem}"}, "colour"),
        ({"filename": "../{track_id}/{stem}"}, "below the output"),
        ({"filename": "{track_id}/../{stem}"}, "below the output"),
        ({"filename": "{track_id:.3}/{stem}"}, r"no format of a placeholder, found '\.3'"),
        ({"filename": "{track_id}/{stem!r}"}, "found 'r'"),
        ({"filename": "{track_id}/{stem}/{}"}, "no value"),
        ({"filename": "/{track_id}/{stem}"}, "below the output"),
        ({"shifts": -1}, "shifts"),
        ({"overlap": 1.0}, "overlap"),
    ],
)
def test_contradictions_are_refused(request_: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Options(**request_)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("filename", "track_id", "step"),
    [
        ("{track}/{track}/{track_id}-{stem}.{ext}", "...wav", "'..'"),
        ("{track}/{track_id}-{stem}.{ext}", "below/..wav", "'.'"),
        ("{trackext}/{track_id}-{stem}.{ext}", "no-extension", "''"),
        ("{track_id}/{stem}.{ext}", "../a.wav", "'..'"),
        ("{track_id}/{stem}.{ext}", "/etc/a.wav", "''"),
    ],
)
def test_a_path_stays_below_the_output(filename: str, track_id: str, step: str) -> None:
    with pytest.raises(TrackError, match=f"bad_key: .*step {step} is no folder's name"):
        Options(filename=filename).path(track_id, "drums")


def test_a_stem_that_the_models_lack_is_refused() -> None:
    with pytest.raises(UsageError, match="piano"):
        Options(stems=("piano",)).chosen(FOUR_STEMS)
