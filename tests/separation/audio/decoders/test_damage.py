import re

import pytest

from separation.audio.decoders.damage import LOSS_ALLOWED, Damage
from separation.errors import ErrorKind, TrackError
from tests.corpus.case import RATE, mp3, music
from tests.sounds import read

LITTLE = Damage(packets=200, bytes=100_000, bad_packets=1, bad_bytes=900, missing=220)
HOLE = Damage(packets=200, bytes=100_000, bad_packets=1, bad_bytes=3_000, missing=220)
GAP = Damage(packets=200, bytes=100_000, missing=RATE)


def test_a_little_damage_is_left_out_with_a_warning() -> None:
    (warning,) = LITTLE.warnings(6 * RATE, RATE, "mp3", is_lossless=False, uri="song")
    assert warning == (
        "recovered: 1 of 200 packets (0.9% of the bytes) cannot be decoded, "
        "0.00 s (0.1%) are missing and left out"
    )


@pytest.mark.parametrize(("damage", "share"), [(HOLE, "3.0% of the bytes"), (GAP, r"1.00 s \(14.3%\)")])
def test_what_is_too_much_stands_in_the_error(damage: Damage, share: str) -> None:
    with pytest.raises(TrackError, match=share) as caught:
        damage.warnings(6 * RATE, RATE, "mp3", is_lossless=False, uri="song")
    assert caught.value.kind == ErrorKind.CORRUPT


@pytest.mark.parametrize("insert", [False, True], ids=["zeros", "noise between"])
def test_the_share_of_a_damaged_mp3_is_above_what_is_allowed(insert: bool) -> None:
    data = mp3(music(seconds=6))
    half = len(data) // 2
    broken = data[:half] + (b"\xff" * 3_000 + data[half:] if insert else bytes(3_000) + data[half + 3_000 :])
    with pytest.raises(TrackError) as caught:
        read(broken)
    assert caught.value.kind == ErrorKind.CORRUPT
    assert max(float(found) for found in re.findall(r"([\d.]+)%", caught.value.reason)) > 100 * LOSS_ALLOWED
