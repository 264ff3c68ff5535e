"""A small catalogue on disk, with formats, rates and names as real ones have, and a file that is broken."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from band.rate import RATE_HZ
from band.song import song

BROKEN_NAME = "broken/not really audio.mp3"
BROKEN_BYTES = b"<html><body>404 Not Found</body></html>\n" * 40  # what a failed download leaves behind


@dataclass(frozen=True, slots=True)
class Spec:
    """One file: `name` is its path below the catalogue; `subtype` is soundfile's name of the encoding."""

    name: str
    seconds: float
    sample_rate: int = RATE_HZ
    channels: int = 2
    subtype: str | None = None  # soundfile's default for the extension: 16 bit, or lossy


KINDS = (  # name, sample rate, channels, subtype
    ("pop/first light.wav", 44_100, 2, "PCM_16"),
    ("pop/Überraschung.flac", 44_100, 2, "PCM_16"),
    ("radio/late show.mp3", 44_100, 2, None),
    ("studio/session 24 bit.wav", 48_000, 2, "PCM_24"),
    ("世界/夜の歌.ogg", 48_000, 2, None),
    ("archive/mono tape.mp3", 48_000, 1, None),
    ("archive/demo (mono).flac", 44_100, 1, "PCM_24"),
)
CODECS = tuple(dict.fromkeys(Path(name).suffix[1:] for name, *_ in KINDS))


def draw_specs(
    tracks: int, shortest_s: float, longest_s: float, seed: int, codecs: Collection[str] = ()
) -> list[Spec]:
    """`tracks` files that cycle through KINDS, of random lengths between the two; names never repeat.

    `codecs` are file extensions without the dot, and restrict the kinds to theirs; empty takes all kinds.
    """
    rng = np.random.default_rng(seed)
    chosen = [kind for kind in KINDS if not codecs or Path(kind[0]).suffix[1:] in codecs]
    if not chosen:
        raise ValueError(f"codecs {', '.join(codecs)}: expected some of {', '.join(CODECS)}")

    specs = []
    for number in range(tracks):
        name, rate, channels, subtype = chosen[number % len(chosen)]
        if cycle := number // len(chosen):
            path = Path(name)
            name = str(path.with_stem(f"{path.stem} {cycle + 1}"))
        specs.append(Spec(name, float(rng.uniform(shortest_s, longest_s)), rate, channels, subtype))
    return specs


def write_catalogue(folder: Path, seed: int, specs: list[Spec]) -> list[Path]:
    """Writes song `seed + k` as the k-th file; the paths in order."""
    return [write_track(folder, seed + number, spec) for number, spec in enumerate(specs)]


def write_track(folder: Path, seed: int, spec: Spec) -> Path:
    """Writes the mix of song `seed` as `spec` says; its path."""
    mix = resample(song(seed, spec.seconds)["mix"], spec.sample_rate)
    path = folder / spec.name
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = mix if spec.channels == 2 else mix.mean(0, keepdims=True)
    soundfile.write(path, np.clip(samples.T, -1, 1), spec.sample_rate, subtype=spec.subtype)
    return path


def write_broken(folder: Path) -> Path:
    """Writes a web page under the name of an MP3, which no decoder can read; its path."""
    path = folder / BROKEN_NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(BROKEN_BYTES)
    return path


def resample(mix: np.ndarray, sample_rate: int) -> np.ndarray:
    """(channels, samples) at RATE_HZ -> (channels, samples) at `sample_rate` Hz, by one FFT of all.

    Exact below both Nyquist frequencies. The length is rounded to whole samples, which changes the pitch by
    less than one part in the number of samples.
    """
    if sample_rate == RATE_HZ:
        return mix
    length = round(mix.shape[1] * sample_rate / RATE_HZ)
    spectrum = np.fft.rfft(mix, axis=1)
    resampled: np.ndarray = np.fft.irfft(spectrum, length, axis=1) * (length / mix.shape[1])
    return resampled.astype(np.float32)
