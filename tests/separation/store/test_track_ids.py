import pytest

from separation.errors import ErrorKind, TrackError
from separation.store.track_ids import check_output_uris, check_track_id
from tests.keys import BAD, GOOD


@pytest.mark.parametrize("track_id", GOOD)
def test_an_id_that_is_a_path_is_one(track_id: str) -> None:
    check_track_id(f"s3://music/{track_id}", track_id)


@pytest.mark.parametrize("track_id", ["", "/", *BAD])
def test_an_id_that_is_none_is_a_bad_key(track_id: str) -> None:
    with pytest.raises(TrackError) as caught:
        check_track_id(f"s3://music/{track_id}", track_id)
    assert caught.value.kind == ErrorKind.BAD_KEY
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("output", "fits"),
    [
        (f"s3://bucket/{'é' * 512}", True),
        (f"s3://bucket/{'é' * 512}.", False),
        (f"/out/{'n' * 255}", True),
        (f"/out/{'é' * 128}", False),
        (f"file:///out/{'n' * 256}", False),
        (f"/out{'/dir' * 1_020}", False),
        (f"memory://out/{'n' * 5_000}", True),
        (f"/out/caf\udce9{'n' * 251}", True),
        (f"/out/caf\udce9{'n' * 252}", False),
        ("s3://bucket/caf\udce9", False),
    ],
)
def test_a_place_is_no_longer_than_its_store_takes(output: str, fits: bool) -> None:
    if fits:
        check_output_uris("s3://music/x", [output])
        return
    with pytest.raises(TrackError, match=r"bytes|not UTF-8") as caught:
        check_output_uris("s3://music/x", [output])
    assert caught.value.kind == ErrorKind.BAD_KEY
