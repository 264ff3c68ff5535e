"""A few tracks to see and hear: the stems' waveforms, and a short clip of each at a lively place."""

import contextlib
import io
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

from jobs.report.tally import Sampled
from separation.audio.reading import open_audio
from separation.blocks import reblock
from separation.contract import SAMPLE_RATE, STEMS
from separation.errors import StorageError, TrackError
from separation.store.objects import download

CLIP_S = 10
HOPS_A_SECOND = 10
HOP = SAMPLE_RATE // HOPS_A_SECOND  # samples that a waveform and the search for a lively place see as one
COLUMNS = 320  # of a waveform
FADE = SAMPLE_RATE // 50  # samples: a clip must not click
SILENCE = 1e-4  # -80 dB of full scale
MP3_LEVEL = 0.5  # of libsndfile's scale from best to smallest; 10 s are about 150 kB

MIX = "mix"


@dataclass(frozen=True, slots=True)
class Voice:
    """The mix or a stem. `envelope` is the largest |sample| in each column of the waveform."""

    name: str
    envelope: np.ndarray
    clip: bytes  # MP3


@dataclass(frozen=True, slots=True)
class Heard:
    """All voices of a track, cut at the same place. `notes` say what is missing and why."""

    track: Sampled
    voices: list[Voice]
    notes: list[str]
    clip_start_s: float = 0.0
    clip_s: float = 0.0

    @property
    def peak(self) -> float:
        """Of all voices: the waveforms of a track are drawn to one scale."""
        return max((float(voice.envelope.max(initial=0.0)) for voice in self.voices), default=0.0)


def listen(track: Sampled) -> Heard:
    """Reads the track's stems; one that cannot be read is a note.

    What is shown as the mix is the sum of the stems: the catalogue need not be readable from here.
    """
    missing: dict[str, list[str]] = {}  # reason -> stems
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stemfleet-")))
        files: dict[str, BinaryIO] = {}
        for number, (stem, uri) in enumerate(track.stems.items()):
            target = folder / str(number)
            try:
                download(uri, target)
                file = stack.enter_context(target.open("rb"))
                open_audio(file, uri)
                files[stem] = file
            except (OSError, StorageError, TrackError) as error:
                missing.setdefault(_reason(error), []).append(stem)
        notes = [f"{', '.join(stems)}: {reason}" for reason, stems in missing.items()]
        if not track.stems:
            notes.append("the timings name no stems of this track")
        mixes = add_up(files)
        if files and not mixes:
            notes.append("no mix: it is shown as the sum of the stems, which are not all here")
        if not files:
            return Heard(track, [], notes)
        try:
            return _listen(track, files, mixes, notes)
        except TrackError as error:
            return Heard(track, [], [*notes, _reason(error)])


def add_up(stems: Collection[str]) -> bool:
    """Whether the mix is the sum of these: all specialists' stems, or `vocals` and `no_vocals`."""
    return set(STEMS) <= set(stems) or any(f"no_{stem}" in stems for stem in stems)


def _listen(track: Sampled, files: dict[str, BinaryIO], mixes: bool, notes: list[str]) -> Heard:
    names = [*([MIX] if mixes else []), *files]
    peaks, powers = _measure(track, files, mixes)
    hops = min(CLIP_S * HOPS_A_SECOND, peaks.shape[1])
    start = lively(powers[1:] if mixes else powers, hops) * HOP
    blocks = list(_voices(track, files, mixes, start, start + hops * HOP))
    clips = np.concatenate(blocks, axis=2)
    return Heard(
        track,
        [
            Voice(name, envelope(peak), encode(clip))
            for name, peak, clip in zip(names, peaks, clips, strict=True)
        ],
        notes,
        start / SAMPLE_RATE,
        clips.shape[2] / SAMPLE_RATE,
    )


def _measure(track: Sampled, files: dict[str, BinaryIO], mixes: bool) -> tuple[np.ndarray, np.ndarray]:
    """Each voice's peak and mean power a hop: (voices, hops) both."""
    peaks, powers = [], []
    for block in _voices(track, files, mixes):
        peaks.append(np.abs(block).max(axis=(1, 2)))
        powers.append(np.square(block).mean(axis=(1, 2)))
    return np.stack(peaks, axis=1), np.stack(powers, axis=1)


def _voices(
    track: Sampled, files: dict[str, BinaryIO], mixes: bool, start: int = 0, stop: int | None = None
) -> Iterator[np.ndarray]:
    """The track in hops (voices, 2, HOP), at the level at which it was separated."""
    readers = [open_audio(file, track.stems[stem]) for stem, file in files.items()]
    for parts in zip(*(reblock(reader.blocks(start, stop), HOP) for reader in readers), strict=False):
        shortest = min(part.shape[1] for part in parts)  # lossy stems may end some samples apart
        stems = np.stack([part[:, :shortest] for part in parts]) / np.float32(track.clip_factor)
        yield np.concatenate([stems.sum(axis=0, keepdims=True), stems]) if mixes else stems


def lively(powers: np.ndarray, hops: int) -> int:
    """The first hop of the `hops` in which the stems, each by its own measure, play most.

    A stem's measure is its loudest such stretch, so that a quiet bass counts as much as loud drums.
    """
    sums = np.cumsum(np.pad(powers, ((0, 0), (1, 0))), axis=1, dtype=np.float64)
    levels = np.sqrt(np.maximum(sums[:, hops:] - sums[:, :-hops], 0) / hops)
    loudest = levels.max(axis=1, keepdims=True)
    return int((levels / np.maximum(loudest, SILENCE)).sum(axis=0).argmax())


def envelope(peaks: np.ndarray) -> np.ndarray:
    """Peaks of hops -> the peaks of at most COLUMNS columns."""
    starts = np.linspace(0, len(peaks), min(COLUMNS, len(peaks)), endpoint=False).astype(int)
    return np.asarray(np.maximum.reduceat(peaks, starts))


def encode(clip: np.ndarray) -> bytes:
    """(2, n) -> MP3, which every browser plays; faded in and out, and turned down if it would clip."""
    fade = min(FADE, clip.shape[1] // 2)
    gain = np.ones(clip.shape[1], np.float32)
    gain[:fade] = np.linspace(0, 1, fade, dtype=np.float32)
    gain[len(gain) - fade :] = gain[:fade][::-1]
    loudest = max(1.0, float(np.abs(clip).max(initial=0.0)))
    data = io.BytesIO()
    with soundfile.SoundFile(
        data, "w", SAMPLE_RATE, 2, format="MP3", subtype="MPEG_LAYER_III", compression_level=MP3_LEVEL
    ) as file:
        file.write((clip * gain / loudest).T)
    return data.getvalue()


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "not at the output"
    return error.reason if isinstance(error, TrackError | StorageError) else str(error)
