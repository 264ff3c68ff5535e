"""Files with several audio streams, as films in two languages have."""

import io
import tempfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from separation.audio.reading import open_audio
from separation.errors import ErrorKind, TrackError
from tests.sounds import RATE, URI, muxed, read, tone


def two_streams(form: str, codec: str, rate: int) -> bytes:
    """Four seconds: a chirp in the first stream, and in the second the same backwards."""
    with tempfile.TemporaryDirectory() as folder:
        with av.open(f"{folder}/song", "w", format=form) as container:
            streams = [container.add_stream(codec, rate=rate) for _ in range(2)]
            for stream in streams:
                stream.codec_context.layout = "stereo"
                stream.codec_context.bit_rate = 256_000
            for stream, samples in zip(
                streams, (tone(rate, 4 * rate), tone(rate, 4 * rate)[::-1]), strict=True
            ):
                frame = av.AudioFrame.from_ndarray(
                    np.ascontiguousarray(samples.T), format="fltp", layout="stereo"
                )
                frame.rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
                size = stream.codec_context.frame_size or 4_096
                resampler = av.AudioResampler(stream.codec_context.format, "stereo", rate, size)
                for piece in [*resampler.resample(frame), *resampler.resample(None), None]:
                    container.mux(stream.encode(piece))
        return Path(folder, "song").read_bytes()


FORMS = [
    *[("matroska", "flac", RATE), ("webm", "libopus", 48_000), ("mp4", "aac", RATE), ("mov", "alac", RATE)],
    *[("asf", "wmav2", RATE), ("ogg", "libopus", 48_000)],
]


@pytest.mark.parametrize(("form", "codec", "rate"), FORMS)
def test_only_the_first_stream_is_read_and_that_is_said(form: str, codec: str, rate: int) -> None:
    data = two_streams(form, codec, rate)
    reader = open_audio(io.BytesIO(data), URI, sample_rate=rate)
    mix = np.concatenate(list(reader.blocks()), 1)
    alone = muxed(tone(rate, 4 * rate), rate, form, codec)
    np.testing.assert_allclose(mix, read(alone, sample_rate=rate), atol=1e-4)
    assert reader.warnings == ["streams: 2 audio streams, of which the first was separated"]
    assert open_audio(io.BytesIO(alone), URI, sample_rate=rate).warnings == []


@pytest.mark.parametrize(("form", "codec", "rate"), FORMS)
def test_a_file_of_two_streams_that_broke_off_is_truncated(form: str, codec: str, rate: int) -> None:
    data = two_streams(form, codec, rate)
    with pytest.raises(TrackError) as caught:
        read(data[: len(data) * 2 // 3])
    assert caught.value.kind == ErrorKind.TRUNCATED
