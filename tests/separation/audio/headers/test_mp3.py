import io

from separation.audio.headers.mp3 import mp3_frames
from tests.sounds import encoded, noise


def test_an_mp3_counts_its_frames() -> None:
    mp3 = encoded(noise(44_100, 44_100), 44_100, "MP3", "MPEG_LAYER_III")
    count = mp3_frames(io.BytesIO(mp3))
    assert count is not None
    assert 44_100 <= count * 1_152 < 44_100 + 3 * 1_152
    tagged = b"ID3\x04\0\0" + bytes([0, 0, 2, 5]) + bytes(2 * 128 + 5) + mp3
    assert mp3_frames(io.BytesIO(tagged)) == count
    without = mp3.replace(b"Xing", b"\0\0\0\0").replace(b"Info", b"\0\0\0\0")
    assert mp3_frames(io.BytesIO(without)) is None
