"""Stems -> audio files: the same samples give the same bytes, whatever the sizes of the blocks."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import soundfile

from separation.audio import ogg_serial, wav
from separation.blocks import BLOCK, BlockBuffer
from separation.contract import CHANNELS
from separation.errors import UsageError

ClipMode = Literal["rescale", "clamp", "none"]
MP3_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)  # Hz: MPEG 1, 2 and 2.5
MOST_FLAC_RATE = 655_350  # Hz
MOST_VORBIS_RATE = 200_000  # Hz; libsndfile 1.2.2 crashes above it


@dataclass(frozen=True, slots=True)
class Encoding:
    """A file format and its sample depth: `bits` is 16, 24 or "float" (wav), 16 or 24 (flac).

    mp3 is 320 kb/s, as demucs's default (160 below 32 kHz and 64 below 16 kHz, the most that MP3 has there);
    ogg is Vorbis at libsndfile's default quality. Both need `bits` 16.
    """

    format: Literal["wav", "flac", "mp3", "ogg"] = "wav"
    bits: Literal[16, 24, "float"] = 16

    def __post_init__(self) -> None:
        depths = {"wav": (16, 24, "float"), "flac": (16, 24), "mp3": (16,), "ogg": (16,)}
        if self.format not in depths:
            raise UsageError(f"format must be one of {', '.join(depths)}, not {self.format}")
        if self.bits not in depths[self.format]:
            known = ", ".join(str(bits) for bits in depths[self.format])
            raise UsageError(f"{self.format} can be written with depth {known}, not {self.bits}")

    @property
    def extension(self) -> str:
        return self.format

    def check_rate(self, sample_rate: int) -> None:
        """Raises `UsageError` if a file of this format cannot have `sample_rate`, in Hz."""
        if self.format == "mp3":
            held, known = sample_rate in MP3_RATES, ", ".join(map(str, MP3_RATES))
        elif self.format == "ogg":
            held, known = sample_rate <= MOST_VORBIS_RATE, f"up to {MOST_VORBIS_RATE}"
        elif self.format == "flac":
            held = sample_rate <= 65_535 or (sample_rate % 10 == 0 and sample_rate <= MOST_FLAC_RATE)
            known = f"up to 65535, or multiples of 10 up to {MOST_FLAC_RATE}"
        else:
            return
        if not held:
            raise UsageError(
                f"{self.format} cannot hold the models' {sample_rate} Hz; its rates are {known} Hz"
            )


@dataclass(frozen=True, slots=True)
class Written:
    """Size and hash of a written file."""

    bytes: int
    sha256: str


def write_audio(
    path: Path | str, blocks: Iterable[np.ndarray], frames: int, encoding: Encoding, sample_rate: int
) -> Written:
    """Writes blocks float32 (2, n) at `sample_rate` Hz, `frames` samples per channel in total, to a file.

    Raises `UsageError` if the format cannot have the rate.
    """
    encoding.check_rate(sample_rate)
    path = Path(path)
    fixed = _reblocked(blocks, frames, path)
    if encoding.format == "wav":
        bits, is_float = (32, True) if encoding.bits == "float" else (encoding.bits, False)
        with path.open("wb") as file:
            file.write(wav.header(frames, bits, is_float, sample_rate))
            for block in fixed:
                file.write(wav.pcm(block, bits, is_float))
    else:
        _write_compressed(path, fixed, encoding, sample_rate)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return Written(file.tell(), digest)


def clip_divisor(peak: float, mode: ClipMode) -> float:
    """The number that all stems of a track are divided by; `peak` is their largest |sample|.

    It is one number per track, so that the stems keep their relative levels and still add up to the mix.
    demucs's `rescale` (`prevent_clip` in demucs/audio.py) divides each stem by a number of its own.
    """
    return max(1.01 * peak, 1.0) if mode == "rescale" else 1.0


def clip(block: np.ndarray, mode: ClipMode, divisor: float) -> np.ndarray:
    """Limits a block of a stem to +-1 as `mode` says; `clamp` limits to 0.99, as in demucs."""
    if mode == "clamp":
        return np.asarray(np.clip(block, -0.99, 0.99))
    return np.asarray(block / np.float32(divisor), dtype=np.float32)


def _reblocked(blocks: Iterable[np.ndarray], frames: int, path: Path) -> Iterator[np.ndarray]:
    fixed, seen = BlockBuffer(BLOCK), 0
    for block in blocks:
        seen += block.shape[1]
        yield from fixed.add(block)
    yield from fixed.flush()
    if seen != frames:
        raise ValueError(f"{path}: got {seen} samples, expected {frames}")


def _write_compressed(path: Path, blocks: Iterable[np.ndarray], encoding: Encoding, sample_rate: int) -> None:
    settings: dict[str, dict[str, Any]] = {
        "flac": {"format": "FLAC", "subtype": f"PCM_{encoding.bits}"},
        "ogg": {"format": "OGG", "subtype": "VORBIS"},
        "mp3": {
            "format": "MP3",
            "subtype": "MPEG_LAYER_III",
            "bitrate_mode": "CONSTANT",
            "compression_level": 0.0,  # on libsndfile's scale of 0 to 1: the most, 320 kb/s
        },
    }
    with soundfile.SoundFile(path, "w", sample_rate, CHANNELS, **settings[encoding.format]) as file:
        for block in blocks:
            if encoding.format == "flac":
                bits = int(encoding.bits)
                # libsndfile takes the upper 24 of 32 bits
                integers = wav.to_int(block, bits) << (32 - bits)
                file.write(np.ascontiguousarray(integers.T))
            else:
                file.write(np.ascontiguousarray(block.T, dtype=np.float32))
    if encoding.format == "ogg":
        ogg_serial.fix_serial(path)
