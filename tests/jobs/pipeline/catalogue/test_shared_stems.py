"""No file is a stem of two tracks."""

import pyarrow as pa
import pytest

from jobs.pipeline import schema
from jobs.pipeline.catalogue.shared_stems import refuse_shared_stems
from separation.errors import UsageError
from separation.options import Options
from tests.bags import FOUR_STEMS


def catalogue(*ids: str) -> pa.Table:
    return pa.Table.from_pylist([{"track_id": each, "uri": f"s3://m/{each}"} for each in ids], schema.LISTED)


def test_one_path_of_two_tracks_is_refused() -> None:
    beside = Options(two_stems="vocals", filename="{track_id}_{stem}.{ext}")
    with pytest.raises(UsageError, match=r"makes 'song_no_vocals.wav' a stem of 'song' and of 'song_no'"):
        refuse_shared_stems(catalogue("song", "other", "song_no"), beside, FOUR_STEMS)


@pytest.mark.parametrize(
    "options",
    [
        Options(two_stems="vocals"),
        Options(two_stems="vocals", filename="{stem}/{track_id}.{ext}"),
        Options(filename="{track_id}_{stem}.{ext}"),
        Options(filename="{track}/{track}/{track_id}-{stem}.{ext}"),
    ],
)
def test_other_paths_are_taken_and_bad_ones_left_to_their_tracks(options: Options) -> None:
    refuse_shared_stems(catalogue("song", "song_no", "no_song", "...wav", "", "a//b"), options, FOUR_STEMS)
    refuse_shared_stems(catalogue(), options, FOUR_STEMS)
