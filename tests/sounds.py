"""Test signals, and the audio files that libsndfile and ffmpeg encode from them."""

import io
import tempfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import soundfile

from separation.audio.decoder_process.pool import DecoderPool
from separation.audio.reading import open_audio
from separation.contract import HTDEMUCS

URI = "s3://catalogue/song"
RATE = HTDEMUCS.sample_rate  # Hz
DECODERS = DecoderPool()  # of this process of the tests


def noise(rate: int, samples: int, channels: int = 2) -> np.ndarray:
    """White noise float32 (samples, channels), quiet enough that no codec clips it."""
    return np.random.default_rng(samples).uniform(-0.5, 0.5, (samples, channels)).astype(np.float32)


def tone(rate: int, samples: int) -> np.ndarray:
    """A chirp, float32 (samples, 2): no two excerpts of it are alike, so a shift is always visible."""
    t = np.arange(samples) / rate
    return (
        np.stack([np.sin(3_000 * t + 900 * t**2), np.sin(2_000 * t + 500 * t**2)], 1).astype(np.float32) / 3
    )


def encoded(
    samples: np.ndarray, rate: int, format: str = "WAV", subtype: str = "PCM_16", **more: object
) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=format, subtype=subtype, **more)
    return file.getvalue()


def muxed(samples: np.ndarray, rate: int, format: str, codec: str, **options: str) -> bytes:
    """`samples` encoded by ffmpeg, like most compressed files of catalogues."""
    with (
        tempfile.TemporaryDirectory() as folder,
        av.open(f"{folder}/song", "w", format=format, options=options) as container,
    ):
        stream = container.add_stream(codec, rate=rate)
        stream.codec_context.layout = "stereo"
        stream.codec_context.bit_rate = 256_000
        depths = [known.name for known in stream.codec_context.codec.audio_formats]
        stream.codec_context.format = next(name for name in ("fltp", "s16p", "s16") if name in depths)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.T), format="fltp", layout="stereo")
        frame.rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        frame_size = stream.codec_context.frame_size or None
        resampler = av.AudioResampler(stream.codec_context.format, "stereo", rate, frame_size)
        for piece in [*resampler.resample(frame), *resampler.resample(None), None]:
            container.mux(stream.encode(piece))
        container.close()
        return Path(folder, "song").read_bytes()


def read(data: bytes, start: int = 0, stop: int | None = None, sample_rate: int = RATE) -> np.ndarray:
    blocks = list(open_audio(io.BytesIO(data), URI, sample_rate=sample_rate).blocks(start, stop))
    for block in blocks:
        assert block.dtype == np.float32
    return np.concatenate([np.zeros((2, 0), np.float32), *blocks], axis=1)


def write_track(path: Path, seconds: float, rate: int = RATE, channels: int = 2, seed: int = 0) -> None:
    """A file of noise, by the format that its name says."""
    samples = np.random.default_rng(seed).standard_normal((int(seconds * rate), channels))
    soundfile.write(path, np.float32(0.1) * samples.astype(np.float32), rate)
