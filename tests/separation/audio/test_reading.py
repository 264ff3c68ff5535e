import io
from collections.abc import Callable

import numpy as np
import pytest
import soundfile

from separation.audio.reading import open_audio
from separation.errors import TrackError
from tests.corpus import dsd
from tests.corpus.matroska import CLUSTER, element, laced_alac
from tests.sounds import RATE, URI, encoded, muxed, noise, read, tone

EXACT = [
    ("WAV", "PCM_16"),
    ("WAV", "PCM_U8"),
    ("WAV", "PCM_24"),
    ("WAV", "FLOAT"),
    ("WAV", "DOUBLE"),
    ("WAV", "ULAW"),
    ("WAVEX", "PCM_24"),
    ("RF64", "PCM_16"),
    ("W64", "PCM_32"),
    ("AIFF", "PCM_16"),
    ("AIFF", "FLOAT"),
    ("AU", "PCM_16"),
    ("CAF", "PCM_24"),
    ("FLAC", "PCM_16"),
    ("FLAC", "PCM_24"),
]
LOSSY = [("mp3", "libmp3lame"), ("adts", "aac"), ("mp4", "aac"), ("ogg", "libopus"), ("webm", "libopus")]
LOSSLESS = [("mp4", "alac"), ("wv", "wavpack"), ("tta", "tta"), ("matroska", "flac")]


def assert_ranges_have_the_bits_of_the_whole(data: bytes) -> None:
    whole = read(data)
    end = whole.shape[1]
    for start, stop in [
        (0, 1),
        (end // 3, end // 3 + 777),
        (end // 2, None),
        (end - 1, end),
        (end - 2, end + 9),
    ]:
        assert np.array_equal(read(data, start, stop), whole[:, start:stop]), (start, stop)


@pytest.mark.parametrize(("format", "subtype"), EXACT)
@pytest.mark.parametrize("channels", [1, 2])
def test_an_exact_format_gives_its_samples_and_any_range_of_them(
    format: str, subtype: str, channels: int
) -> None:
    data = encoded(noise(RATE, 150_001, channels), RATE, format, subtype)
    expected, _ = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    mix = read(data)
    assert mix.shape == (2, 150_001)
    np.testing.assert_array_equal(mix[0], expected[:, 0])
    np.testing.assert_array_equal(mix[1], expected[:, -1])
    assert_ranges_have_the_bits_of_the_whole(data)


@pytest.mark.parametrize(("format", "subtype"), [("WAV", "PCM_16"), ("FLAC", "PCM_24"), ("AIFF", "PCM_16")])
@pytest.mark.parametrize("rate", [8_000, 22_050, 44_099, 48_000, 96_000, 192_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_another_rate_keeps_the_duration_and_any_range(
    format: str, subtype: str, rate: int, channels: int
) -> None:
    samples = 11 * rate + 7
    data = encoded(noise(rate, samples, channels), rate, format, subtype)
    assert read(data).shape[1] == pytest.approx(samples * RATE / rate, abs=1)
    assert_ranges_have_the_bits_of_the_whole(data)


def test_a_48_khz_tone_is_the_same_tone_at_44_1_khz() -> None:
    data = encoded(tone(48_000, 5 * 48_000), 48_000, subtype="FLOAT")
    expected = tone(RATE, 5 * RATE).T
    inner = slice(500, -500)
    np.testing.assert_allclose(read(data)[:, inner], expected[:, inner], atol=1e-5)


@pytest.mark.parametrize("sample_rate", [16_000, 48_000, 96_000])
def test_the_mix_has_the_rate_asked_for(sample_rate: int) -> None:
    data = encoded(tone(RATE, 12 * RATE), RATE, subtype="FLOAT")
    mix = read(data, sample_rate=sample_rate)
    inner = slice(sample_rate // 50, -sample_rate // 50)
    np.testing.assert_allclose(mix[:, inner], tone(sample_rate, 12 * sample_rate).T[:, inner], atol=2e-5)
    seam = 10 * sample_rate
    np.testing.assert_array_equal(read(data, seam - 1, seam + 1, sample_rate), mix[:, seam - 1 : seam + 1])


def test_a_file_of_the_rate_asked_for_is_not_resampled() -> None:
    samples = noise(48_000, 20_001)
    mix = read(encoded(samples, 48_000, subtype="FLOAT"), sample_rate=48_000)
    np.testing.assert_array_equal(mix, samples.T)


@pytest.mark.parametrize("samples", [1, 2, 44_099, 44_100, 44_101, 65_536, 65_537])
@pytest.mark.parametrize("format", ["WAV", "FLAC"])
def test_odd_lengths(samples: int, format: str) -> None:
    assert read(encoded(noise(RATE, samples), RATE, format)).shape == (2, samples)


@pytest.mark.parametrize(("format", "codec"), LOSSY)
def test_a_lossy_file_starts_where_its_source_did_and_any_range_has_its_bits(format: str, codec: str) -> None:
    rate = 48_000 if codec == "libopus" else RATE
    data = muxed(tone(rate, 3 * rate), rate, format, codec)
    mix, source = read(data), tone(RATE, 3 * RATE).T
    delay = 1_024 if format == "adts" else 0  # ADTS has nowhere to say how long the encoder's delay is
    mix = mix[:, delay:]
    assert mix.shape[1] == pytest.approx(3 * RATE, abs=2_048)
    middle = slice(RATE, 2 * RATE)
    assert np.abs(mix[:, middle] - source[:, middle]).max() < 0.05
    assert_ranges_have_the_bits_of_the_whole(data)


@pytest.mark.parametrize(("format", "codec"), LOSSLESS)
def test_a_lossless_file_behind_ffmpeg_gives_its_samples(format: str, codec: str) -> None:
    source = tone(RATE, RATE)
    data = muxed(source, RATE, format, codec)
    np.testing.assert_allclose(read(data), source.T, atol=1 / 32_767)
    assert_ranges_have_the_bits_of_the_whole(data)


def test_packets_that_share_a_block_and_its_timestamp_are_all_there() -> None:
    source = tone(RATE, 3 * RATE)
    data = laced_alac(source, RATE)
    np.testing.assert_allclose(read(data), source.T, atol=1 / 32_767)
    second = data.index(CLUSTER, data.index(CLUSTER) + 1)
    third = data.index(CLUSTER, second + 1)
    with pytest.raises(TrackError, match=r"0\.74 s \([\d.]+%\) are missing"):
        read(data[:second] + element("ec", bytes(third - second - 9)) + data[third:])  # a void


@pytest.mark.parametrize("subtype", ["MS_ADPCM", "IMA_ADPCM"])
def test_a_compressed_wav_is_not_entered_in_its_middle(subtype: str) -> None:
    data = encoded(tone(RATE, 100_000), RATE, "WAV", subtype)
    mix = read(data)
    assert mix.shape[1] == pytest.approx(100_000, abs=2_048)  # whole packets
    assert np.abs(mix[:, 1_000:100_000] - tone(RATE, 100_000).T[:, 1_000:]).max() < 0.05
    assert_ranges_have_the_bits_of_the_whole(data)


def test_mp3_without_gaps_has_the_source_s_length() -> None:
    data = encoded(tone(RATE, 100_001), RATE, "MP3", "MPEG_LAYER_III")
    assert read(data).shape == (2, 100_001)
    assert open_audio(io.BytesIO(data), URI, sample_rate=RATE).codec == "mp3float"


def test_a_vbr_mp3_without_its_length_is_read_to_its_end() -> None:
    samples = np.concatenate([tone(RATE, 200_000) / 1_000, noise(RATE, 200_000)])
    data = encoded(samples, RATE, "MP3", "MPEG_LAYER_III", bitrate_mode="VARIABLE")
    assert b"Xing" in data
    blind = data.replace(b"Xing", b"\0\0\0\0")
    assert read(blind).shape[1] == pytest.approx(400_000, abs=2 * 1_152 + 1_105)
    assert_ranges_have_the_bits_of_the_whole(blind)
    np.testing.assert_array_equal(read(b"ID3\x04\0\0\0\0\0\x0a" + bytes(10) + blind), read(blind))


@pytest.mark.parametrize(
    ("format", "subtype"), [("MP3", "MPEG_LAYER_III"), ("OGG", "VORBIS")], ids=["mp3", "chained ogg"]
)
def test_joined_streams_are_read_to_the_end_of_the_last(format: str, subtype: str) -> None:
    data = encoded(tone(RATE, 100_000), RATE, format, subtype)
    assert read(data + data).shape[1] == pytest.approx(200_000, abs=4_000)


def test_an_mp3_that_changes_between_mono_and_stereo() -> None:
    source = tone(RATE, 2 * RATE)
    mono, stereo = (encoded(audio, RATE, "MP3", "MPEG_LAYER_III") for audio in (source[:, :1], source))
    for first, second in ((mono, stereo), (stereo, mono)):
        mix = read(first + second)
        inner = slice(RATE // 2, RATE)
        np.testing.assert_array_equal(mix[:, inner], read(first)[:, inner])
        padding = 551  # samples, that the encoder added behind the second
        np.testing.assert_array_equal(mix[:, -40_000 - padding : -padding], read(second)[:, -40_000:])
        assert_ranges_have_the_bits_of_the_whole(first + second)


@pytest.mark.parametrize("tail", [b"TAG" + bytes(125), b"APETAGEX" + bytes(9_000), bytes(5_000)])
def test_a_tag_behind_an_mp3_harms_nothing(tail: bytes) -> None:
    data = encoded(tone(RATE, 300_000), RATE, "MP3", "MPEG_LAYER_III")
    np.testing.assert_array_equal(read(data + tail)[:, :299_000], read(data)[:, :299_000])


@pytest.mark.parametrize("rate", [32_000, 44_100, 48_000])
@pytest.mark.parametrize("form", ["ac3", "spdif"])
def test_ac3_in_the_samples_of_a_file_is_decoded(form: str, rate: int) -> None:
    """Its frames one behind the other, or in the bursts that a player sends to a receiver."""
    stream = muxed(tone(rate, rate), rate, form, "ac3")
    samples = np.frombuffer(stream + bytes(-len(stream) % 4), "<i2").reshape(-1, 2)
    np.testing.assert_array_equal(read(encoded(samples, rate)), read(stream))


@pytest.mark.parametrize("write", [dsd.dsf, dsd.dff])
def test_dsd_is_decoded(write: Callable[[np.ndarray], bytes]) -> None:
    source = tone(RATE, 20_000)
    data = write(source)
    reader = open_audio(io.BytesIO(data), URI, sample_rate=RATE)
    assert (reader.sample_rate_hz, reader.duration_s) == (352_800, pytest.approx(20_000 / 44_100, abs=0.02))
    mix = read(data)
    assert mix.shape == (2, 20_000)
    filtered = mix[:, 1_001:19_001]  # a sample late: the decoder's filter, and each sample held for 64 bits
    assert np.abs(filtered - source[1_000:19_000].T).max() < 0.02
    assert_ranges_have_the_bits_of_the_whole(data)


def test_a_reader_tells_what_the_source_is() -> None:
    reader = open_audio(io.BytesIO(encoded(noise(48_000, 24_000, 1), 48_000, "FLAC")), URI, sample_rate=RATE)
    assert (reader.sample_rate_hz, reader.channels, reader.codec) == (48_000, 1, "flac pcm_16")
    assert reader.duration_s == 0.5


def test_a_reader_can_be_read_again() -> None:
    for data in (
        encoded(noise(48_000, 9_000), 48_000),
        encoded(tone(44_100, 9_000), 44_100, "OGG", "VORBIS"),
    ):
        reader = open_audio(io.BytesIO(data), URI, sample_rate=RATE)
        first, second = list(reader.blocks()), list(reader.blocks())
        np.testing.assert_array_equal(np.concatenate(first, 1), np.concatenate(second, 1))


@pytest.mark.parametrize("size", [b"\0\0\0\0", b"\xff\xff\xff\xff"])
def test_a_streamed_wav_is_read_to_its_end(size: bytes) -> None:
    data = encoded(noise(RATE, 70_000), RATE)
    at = data.index(b"data") + 4
    np.testing.assert_array_equal(read(data[:at] + size + data[at + 4 :]), read(data))


def test_a_streamed_flac_is_read_to_its_end() -> None:
    data = encoded(noise(RATE, 70_000), RATE, "FLAC")
    streamed = bytearray(data)
    streamed[21] &= 0xF0
    streamed[22:26] = bytes(4)
    np.testing.assert_array_equal(read(bytes(streamed)), read(data))


def test_a_flac_behind_an_id3_tag_is_read() -> None:
    data = encoded(noise(RATE, 7_000), RATE, "FLAC")
    np.testing.assert_array_equal(read(b"ID3\x04\0\0\0\0\0\x0a" + bytes(10) + data), read(data))


def test_five_channels_and_a_subwoofer_are_mixed_as_itu_has_it() -> None:
    """FL FR FC LFE BL BR, one level each: centre and surround at -3 dB, no LFE, divided by the gains' sum."""
    levels = np.array([0.5, 0.25, 0.125, 1.0, 0.0625, -0.25])
    data = encoded(np.tile(levels, (1_000, 1)).astype(np.float32), RATE, subtype="FLOAT")
    reader = open_audio(io.BytesIO(data), URI, sample_rate=RATE)
    (mix,) = reader.blocks()
    left, right = (0.5 + (0.125 + 0.0625) / 2**0.5), (0.25 + (0.125 - 0.25) / 2**0.5)
    expected = np.array([left, right]) / (1 + 2**0.5)
    np.testing.assert_allclose(mix, np.tile(expected[:, None], 1_000), rtol=1e-6)
    assert reader.warnings == ["downmix: 6 channels (FL FR FC LFE BL BR) mixed to stereo"]


def test_a_declared_layout_is_used() -> None:
    """WAVE_FORMAT_EXTENSIBLE with the channel masks of FL FR BL BR and of FL FR FC BC."""
    data = encoded(noise(RATE, 1_000, 4), RATE, "WAVEX", "PCM_16")
    for mask, names in ((0x33, "FL FR BL BR"), (0x107, "FL FR FC BC")):
        masked = data[:40] + mask.to_bytes(4, "little") + data[44:]
        assert names in open_audio(io.BytesIO(masked), URI, sample_rate=RATE).warnings[0]


@pytest.mark.parametrize("channels", [3, 6, 16])
@pytest.mark.parametrize("format", ["WAV", "W64"])
def test_a_range_of_a_downmix_has_the_bits_of_the_whole(channels: int, format: str) -> None:
    data = encoded(noise(48_000, 150_001, channels), 48_000, format)
    assert_ranges_have_the_bits_of_the_whole(data)
