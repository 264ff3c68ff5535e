"""Tracks to look at and listen to: waveforms of mix and stems, and a short clip where most of them play."""

import contextlib
import io
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

from jobs.report.entries import SampleTrack
from separation.audio.decoder_process.decoding import open_decoding
from separation.audio.decoder_process.pool import DecoderPool
from separation.blocks import reblock
from separation.contract import CHANNELS, SAMPLE_RATE, STEMS
from separation.errors import StorageError, TrackError
from separation.store.objects import Store

CLIP_S = 10
HOPS_PER_SECOND = 10
HOP = SAMPLE_RATE // HOPS_PER_SECOND  # samples: the resolution of waveforms and of the choice of a clip
COLUMNS = 320  # per waveform
FADE = SAMPLE_RATE // 50  # samples: a clip must not click
SILENCE = 1e-4  # -80 dB of full scale
MP3_LEVEL = 0.5  # on libsndfile's scale from 0, the best, to 1, the smallest; 10 s are about 150 kB

MOST_STEM_BYTES = 1_000_000_000  # copied for a page: 47 minutes of float32
HEADER_BYTES = 1_000_000

MIX = "mix"


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


def listen(track: SampleTrack, store: Store) -> SampleSounds:
    """Reads the track's stems; one that cannot be read becomes a note.

    What is shown as the mix is the sum of the stems: the catalogue need not be readable from here.
    """
    missing = {"named outside the output": list(track.elsewhere)}  # reason -> stems
    with contextlib.ExitStack() as stack:
        decoders = stack.enter_context(DecoderPool())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stemfleet-")))
        files: dict[str, BinaryIO] = {}
        for number, (stem, uri) in enumerate(track.stems.items()):
            target = folder / str(number)
            try:
                if (size := store.stat(uri).bytes or 0) > most_bytes(track):
                    raise StorageError(uri, f"{size} bytes, too many for its length or to be shown")
                store.download(uri, target)
                file = stack.enter_context(target.open("rb"))
                with open_decoding(file, uri, decoders):
                    pass
                files[stem] = file
            except (OSError, StorageError, TrackError) as error:
                missing.setdefault(_reason(error), []).append(stem)
        notes = [f"{', '.join(stems)}: {reason}" for reason, stems in missing.items() if stems]
        if not track.stems and not track.elsewhere:
            notes.append("the timings name no stems of this track")
        with_mix = sum_to_mix(files)
        if files and not with_mix:
            notes.append("no mix: it is shown as the sum of the stems, which are not all here")
        if not files:
            return SampleSounds(track, [], notes)
        try:
            return _clip_all(track, files, decoders, with_mix, notes)
        except TrackError as error:
            return SampleSounds(track, [], [*notes, _reason(error)])


def most_bytes(track: SampleTrack) -> int:
    """Of a stem of that length in the largest of the formats, and of one that a page is worth."""
    return min(MOST_STEM_BYTES, HEADER_BYTES + round(track.duration_s * SAMPLE_RATE) * CHANNELS * 4)


def sum_to_mix(stems: Collection[str]) -> bool:
    """Whether these stems add up to the mix: those of all specialists, or `vocals` and `no_vocals`."""
    return set(STEMS) <= set(stems) or any(f"no_{stem}" in stems for stem in stems)


def _clip_all(
    track: SampleTrack, files: dict[str, BinaryIO], decoders: DecoderPool, with_mix: bool, notes: list[str]
) -> SampleSounds:
    names = [*([MIX] if with_mix else []), *files]
    peaks, powers = _measure(track, files, decoders, with_mix)
    hops = min(CLIP_S * HOPS_PER_SECOND, peaks.shape[1])
    start = liveliest_hop(powers[1:] if with_mix else powers, hops) * HOP
    blocks = list(_blocks(track, files, decoders, with_mix, start, start + hops * HOP))
    clips = np.concatenate(blocks, axis=2)
    return SampleSounds(
        track,
        [
            Sound(name, envelope(peak), encode_mp3(clip))
            for name, peak, clip in zip(names, peaks, clips, strict=True)
        ],
        notes,
        start / SAMPLE_RATE,
        clips.shape[2] / SAMPLE_RATE,
    )


def _measure(
    track: SampleTrack, files: dict[str, BinaryIO], decoders: DecoderPool, with_mix: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Peak and mean power per hop, of each sound: (sounds, hops) both."""
    peaks, powers = [], []
    for block in _blocks(track, files, decoders, with_mix):
        peaks.append(np.abs(block).max(axis=(1, 2)))
        powers.append(np.square(block).mean(axis=(1, 2)))
    return np.stack(peaks, axis=1), np.stack(powers, axis=1)


def _blocks(
    track: SampleTrack,
    files: dict[str, BinaryIO],
    decoders: DecoderPool,
    with_mix: bool,
    start: int = 0,
    stop: int | None = None,
) -> Iterator[np.ndarray]:
    """The track in blocks of a hop, (sounds, 2, HOP), at the level at which it was separated."""
    with contextlib.ExitStack() as stack:
        decodings = [
            stack.enter_context(open_decoding(file, track.stems[stem], decoders))
            for stem, file in files.items()
        ]
        # zip would leave all but the first before their end, and their processes could not be used again
        for parts in zip_longest(*(reblock(each.blocks(start, stop), HOP) for each in decodings)):
            if any(part is None for part in parts):
                return
            shortest = min(part.shape[1] for part in parts)  # lossy stems may end some samples apart
            stems = np.stack([part[:, :shortest] for part in parts]) / np.float32(track.clip_factor)
            yield np.concatenate([stems.sum(axis=0, keepdims=True), stems]) if with_mix else stems


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


def encode_mp3(clip: np.ndarray) -> bytes:
    """(2, n) to MP3, which every browser plays; faded in and out, and turned down if it would clip."""
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
