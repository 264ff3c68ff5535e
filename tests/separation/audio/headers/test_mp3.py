import io

import pytest

from separation.audio.headers.mp3 import mp3_length
from tests.sounds import encoded, noise


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100])
def test_an_mp3_says_how_many_samples_were_encoded(rate: int) -> None:
    mp3 = encoded(noise(rate, 2 * rate + 5), rate, "MP3", "MPEG_LAYER_III")
    assert mp3_length(io.BytesIO(mp3), rate) == (2 * rate + 5, True)
    tagged = b"ID3\x04\0\0" + bytes([0, 0, 2, 5]) + bytes(2 * 128 + 5) + mp3
    assert mp3_length(io.BytesIO(tagged), rate) == (2 * rate + 5, True)
    by_another = mp3.replace(b"LAME", b"GOGO", 1)
    counted = mp3_length(io.BytesIO(by_another), rate)
    assert counted is not None
    assert counted.samples % 576 == 0
    assert 0 < counted.samples - 2 * rate < 3 * 1_152
    assert not counted.is_exact
    without = mp3.replace(b"Xing", b"\0\0\0\0").replace(b"Info", b"\0\0\0\0")
    assert mp3_length(io.BytesIO(without), rate) is None
