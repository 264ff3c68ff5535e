import io

import numpy as np
import pytest
import soundfile

from separation.audio import wav
from tests.sounds import RATE

# (2, 8) samples and the files that demucs 4.1.0 makes of them:
# demucs.audio.encode_wav(torch.tensor(SAMPLES), path, 44100, bits_per_sample=16 | 24)
SAMPLES = np.float32(
    [
        [0.0, 1.0, -1.0, 1.5, -1.5, 0.5, -0.3, 1e-5],
        [0.1, -0.1, 0.99999, 3.1e-5, -3.1e-5, 0.7, -0.00001, 0.25],
    ]
)
DEMUCS = {
    16: "524946464400000057415645666d7420100000000100020044ac000010b102000400100064617461200000000000cc0c"
    "ff7f34f30180fe7fff7f01000180ffffff3f98599ad900000000ff1f",
    24: "524946465400000057415645666d7420100000000100020044ac000098090400060018006461746130000000000000cc"
    "cc0cffff7f3433f3010080abff7fffff7f040100010080fcfeffffff3f9999599a99d9adffff530000ffff1f",
}
# The same with as_float=True, of samples within +-1: demucs clamps floats, this project does not.
DEMUCS_FLOAT = (
    "524946464000000057415645666d7420100000000300020044ac00002062050008002000666163740400000002000000"
    "646174611000000000000000cdcccc3d0000803fcdccccbd"
)


@pytest.mark.parametrize("bits", [16, 24])
def test_files_equal_demucs_s_byte_for_byte(bits: int) -> None:
    assert (wav.header(8, bits, False, RATE) + wav.pcm(SAMPLES, bits, False)).hex() == DEMUCS[bits]


def test_a_float_file_equals_demucs_s() -> None:
    assert (wav.header(2, 32, True, RATE) + wav.pcm(SAMPLES[:, :2], 32, True)).hex() == DEMUCS_FLOAT


def test_floats_beyond_one_survive() -> None:
    data = wav.header(8, 32, True, RATE) + wav.pcm(SAMPLES, 32, True)
    samples, _ = soundfile.read(io.BytesIO(data), dtype="float32")
    np.testing.assert_array_equal(samples.T, SAMPLES)


@pytest.mark.parametrize(("bits", "is_float", "extra"), [(16, False, 36), (24, False, 36), (32, True, 48)])
def test_rf64_begins_where_a_riff_header_ends(bits: int, is_float: bool, extra: int) -> None:
    frame_bytes = 2 * bits // 8
    last = (0xFFFF_FFFF - extra) // frame_bytes
    assert wav.header(last, bits, is_float, RATE)[:4] == b"RIFF"
    assert wav.header(last + 1, bits, is_float, RATE)[:4] == b"RF64"


@pytest.mark.parametrize(("bits", "is_float"), [(16, False), (24, False), (32, True)])
def test_others_read_a_file_beyond_4_gib(bits: int, is_float: bool, tmp_path) -> None:
    frames = 3 * 2**30 // (bits // 8) + 12_345  # 6 GiB and a little
    head = wav.header(frames, bits, is_float, RATE)
    path = tmp_path / "long.wav"
    tail = wav.pcm(SAMPLES[:, :2], bits, is_float)
    with path.open("wb") as file:  # a sparse file: the silence takes no room
        file.write(head)
        file.truncate(len(head) + frames * 2 * bits // 8)
        file.seek(-len(tail), io.SEEK_END)
        file.write(tail)
    assert int.from_bytes(head[20:28], "little") == path.stat().st_size - 8
    with soundfile.SoundFile(path) as sound:
        assert (sound.format, sound.frames, sound.samplerate, sound.channels) == ("RF64", frames, RATE, 2)
        sound.seek(frames - 2)
        np.testing.assert_allclose(sound.read().T, SAMPLES[:, :2], atol=2**-14)
