"""Tracks to look at and listen to: waveforms of mix and stems, and a short clip where most of them play."""

import contextlib
import io
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

from jobs.report.entries import SampleTrack
from jobs.report.page.colours import MIX
from separation.audio.decoder_process.decoding import open_decoding
from separation.audio.decoder_process.pool import DecoderPool
from separation.audio.encoding import MP3_RATES
from separation.audio.limits import DEFAULTS
from separation.blocks import reblock
from separation.contract import CHANNELS
from separation.errors import StorageError, TrackError
from separation.store.objects import Store

CLIP_S = 10
HOPS_PER_SECOND = 10  # the resolution of waveforms and of the choice of a clip
COLUMNS = 320  # per waveform
FADES_PER_SECOND = 50  # a clip must not click
OTHER_RATE = 44_100  # Hz, of the clips of files that have a rate which MP3 has not
HIGHEST_RATE = 192_000  # Hz, of stems
SILENCE = 1e-4  # -80 dB of full scale
MP3_LEVEL = 0.5  # on libsndfile's scale from 0, the best, to 1, the smallest; 10 s are about 150 kB

MOST_STEM_BYTES = 1_000_000_000  # copied for a page: 47 minutes of float32
HEADER_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Sound:
    """The mix or a stem."""

    name: str
    envelope: np.ndarray  # (columns,): the largest |sample| in each column of the waveform
    clip: bytes  # MP3


@dataclass(frozen=True, slots=True)
class SampleSounds:
    """The mix and the stems of a track, with clips of the same seconds."""

    track: SampleTrack
    sounds: list[Sound]
    notes: list[str]  # what is missing and why
    clip_start_s: float = 0.0
    clip_s: float = 0.0

    @property
    def peak(self) -> float:
        """Of all sounds: the waveforms of a track are drawn to one scale."""
        return max((float(sound.envelope.max(initial=0.0)) for sound in self.sounds), default=0.0)


def listen(track: SampleTrack, store: Store, decoders: DecoderPool) -> SampleSounds:
    """Reads the track's stems; one that cannot be read becomes a note.

    What is shown as the mix is the sum of the stems: the catalogue need not be readable from here.
    """
    missing = {"named outside the output": list(track.elsewhere)}  # reason -> stems
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stemfleet-")))
        files: dict[str, BinaryIO] = {}
        rate = 0  # Hz, of the first file
        for number, (stem, uri) in enumerate(track.stems.items()):
            target = folder / str(number)
            try:
                if (size := store.stat(uri).bytes or 0) > most_bytes(track):
                    raise StorageError(uri, f"{size} bytes, too many for its length or to be shown")
                store.download(uri, target)
                file = stack.enter_context(target.open("rb"))
                with open_decoding(file, uri, decoders, DEFAULTS, None) as decoding:
                    rate = rate or decoding.sample_rate_hz
                files[stem] = file
            except (OSError, StorageError, TrackError) as error:
                missing.setdefault(_reason(error), []).append(stem)
        notes = [f"{', '.join(stems)}: {reason}" for reason, stems in missing.items() if stems]
        if not track.stems and not track.elsewhere:
            notes.append("the timings name no stems of this track")
        if not files:
            return SampleSounds(track, [], notes)
        stems = Stems(track, files, decoders, rate if rate in MP3_RATES else OTHER_RATE)
        if not stems.mix:
            notes.append("no mix: it is shown as the sum of the stems, which are not all here")
        try:
            return _clip_all(stems, notes)
        except TrackError as error:
            return SampleSounds(track, [], [*notes, _reason(error)])


def most_bytes(track: SampleTrack) -> int:
    """Of a stem of that length in the largest of the formats, and of one that a page is worth."""
    return min(MOST_STEM_BYTES, HEADER_BYTES + round(track.duration_s * HIGHEST_RATE) * CHANNELS * 4)


@dataclass(frozen=True, slots=True)
class Stems:
    """The files of a track's stems, here, and the rate at which they are decoded, in Hz."""

    track: SampleTrack
    files: dict[str, BinaryIO]  # stem -> its file
    decoders: DecoderPool
    rate: int

    @property
    def hop(self) -> int:
        """Samples."""
        return self.rate // HOPS_PER_SECOND

    @property
    def mix(self) -> list[int]:
        """Indices of the stems whose sum is the mix; none if one of them is not here."""
        names = list(self.files)
        complete = set(self.track.mix) <= set(names)
        return [names.index(stem) for stem in self.track.mix] if complete else []

    @property
    def sounds(self) -> list[str]:
        """The names of what is shown."""
        return [*([MIX] if self.mix else []), *self.files]

    def blocks(self, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]:
        """The sounds in blocks of a hop, (sounds, 2, hop), at the level at which they were separated."""
        mix = self.mix
        with contextlib.ExitStack() as stack:
            decodings = [
                stack.enter_context(
                    open_decoding(file, self.track.stems[stem], self.decoders, DEFAULTS, self.rate)
                )
                for stem, file in self.files.items()
            ]
            # zip would leave all but the first before their end, and their processes could not be used again
            for parts in zip_longest(*(reblock(each.blocks(start, stop), self.hop) for each in decodings)):
                if any(part is None for part in parts):
                    return
                shortest = min(part.shape[1] for part in parts)  # lossy stems may end some samples apart
                stems = np.stack([part[:, :shortest] for part in parts]) / np.float32(self.track.clip_factor)
                yield np.concatenate([stems[mix].sum(axis=0, keepdims=True), stems]) if mix else stems


def _clip_all(stems: Stems, notes: list[str]) -> SampleSounds:
    peaks, powers = _measure(stems)
    hops = min(CLIP_S * HOPS_PER_SECOND, peaks.shape[1])
    start = liveliest_hop(powers[1:] if stems.mix else powers, hops) * stems.hop
    clips = np.concatenate(list(stems.blocks(start, start + hops * stems.hop)), axis=2)
    return SampleSounds(
        stems.track,
        [
            Sound(name, envelope(peak), encode_mp3(clip, stems.rate))
            for name, peak, clip in zip(stems.sounds, peaks, clips, strict=True)
        ],
        notes,
        start / stems.rate,
        clips.shape[2] / stems.rate,
    )


def _measure(stems: Stems) -> tuple[np.ndarray, np.ndarray]:
    """Peak and mean power per hop, of each sound: (sounds, hops) both."""
    peaks, powers = [], []
    for block in stems.blocks():
        peaks.append(np.abs(block).max(axis=(1, 2)))
        powers.append(np.square(block).mean(axis=(1, 2)))
    return np.stack(peaks, axis=1), np.stack(powers, axis=1)


def liveliest_hop(powers: np.ndarray, hops: int) -> int:
    """The first of the `hops` consecutive hops in which most stems play; `powers` is (stems, hops).

    Each stem is measured against its own loudest stretch of that length, so that a quiet bass counts as
    much as loud drums.
    """
    sums = np.cumsum(np.pad(powers, ((0, 0), (1, 0))), axis=1, dtype=np.float64)
    levels = np.sqrt(np.maximum(sums[:, hops:] - sums[:, :-hops], 0) / hops)
    loudest = levels.max(axis=1, keepdims=True)
    return int((levels / np.maximum(loudest, SILENCE)).sum(axis=0).argmax())


def envelope(peaks: np.ndarray) -> np.ndarray:
    """From peaks per hop to peaks per column, at most COLUMNS of them."""
    starts = np.linspace(0, len(peaks), min(COLUMNS, len(peaks)), endpoint=False).astype(int)
    return np.asarray(np.maximum.reduceat(peaks, starts))


def encode_mp3(clip: np.ndarray, rate: int) -> bytes:
    """(2, n) at `rate` Hz to MP3, which browsers play; faded in and out, turned down if it would clip."""
    fade = min(rate // FADES_PER_SECOND, clip.shape[1] // 2)
    gain = np.ones(clip.shape[1], np.float32)
    gain[:fade] = np.linspace(0, 1, fade, dtype=np.float32)
    gain[len(gain) - fade :] = gain[:fade][::-1]
    loudest = max(1.0, float(np.abs(clip).max(initial=0.0)))
    data = io.BytesIO()
    with soundfile.SoundFile(
        data, "w", rate, 2, format="MP3", subtype="MPEG_LAYER_III", compression_level=MP3_LEVEL
    ) as file:
        file.write((clip * gain / loudest).T)
    return data.getvalue()


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "not at the output"
    return error.reason if isinstance(error, TrackError | StorageError) else str(error)
