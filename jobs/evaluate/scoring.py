"""The scores of a track. Runs in tasks on workers, between two Arrow tables; there is no Ray in here.

A stem that cannot be scored gives rows with a reason; only a store that fails raises.
"""

import math
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from jobs.evaluate.layout import Pair, TrackStems
from jobs.evaluate.sdr import Comparison, LengthsDiffer, compare, frame_sdr, median, si_sdr
from separation.audio.decoder_process.decoding import Decoding, open_decoding
from separation.audio.decoder_process.pool import DecoderPool
from separation.audio.limits import DEFAULTS
from separation.errors import TrackError
from separation.store.objects import Store
from separation.store.source_cache import SourceCache

METRICS = ("sdr", "si_sdr")
CACHE_BYTES = 2_000_000_000  # for a track's files on a worker's disk: references are read once per estimate

_files = pa.map_(pa.string(), pa.string())  # stem or mixture -> URI
_track = [("files", _files), ("gain", pa.float64()), ("error", pa.string())]

PAIRS = pa.schema(
    [
        ("track_id", pa.string()),
        ("reference", pa.struct(_track)),
        ("estimates", pa.list_(pa.struct([("name", pa.string()), *_track]))),
    ]
)

SCORES = pa.schema(
    [
        ("estimates", pa.string()),
        ("track_id", pa.string()),
        ("stem", pa.string()),
        ("metric", pa.string()),
        ("score_db", pa.float64()),
        ("status", pa.string()),
        ("reason", pa.string()),
        ("frames", pa.int32()),
        ("duration_s", pa.float64()),
    ]
)

# The meaning of every column, for the table of docs/evaluation.md: columns that share one, and the sentence.
MEANINGS = (
    ("estimates", "the name given to `--estimates`"),
    ("track_id stem", "the track, by its path below the reference, and the stem"),
    ("metric score_db", "`sdr` or `si_sdr`, and its value in dB; null if the status is not `ok`"),
    ("status reason", "`ok`, `silent` or `error`, and why in a sentence"),
    ("frames", "seconds that count for SDR"),
    ("duration_s", "of the reference"),
)


@dataclass(frozen=True, slots=True)
class Score:
    """One metric of one stem; a row of SCORES, less the names of the estimates and the track."""

    stem: str
    metric: str
    status: str
    score_db: float | None = None
    reason: str | None = None
    frames: int | None = None
    duration_s: float | None = None


def pairs_table(pairs: Sequence[Pair]) -> pa.Table:
    """PAIRS, one row per track."""
    rows = [
        {
            "track_id": pair.track_id,
            "reference": _track_row(pair.reference),
            "estimates": [{"name": name, **_track_row(track)} for name, track in pair.estimates.items()],
        }
        for pair in pairs
    ]
    return pa.Table.from_pylist(rows, PAIRS)


def _track_row(track: TrackStems) -> dict[str, Any]:
    return {"files": list(track.files.items()), "gain": track.gain, "error": track.error}


def _pair_of(row: dict[str, Any]) -> Pair:
    estimates = {each["name"]: _track_of(each) for each in row["estimates"]}
    return Pair(row["track_id"], _track_of(row["reference"]), estimates)


def _track_of(row: dict[str, Any]) -> TrackStems:
    return TrackStems(dict(row["files"]), row["gain"], row["error"])


def score(pairs: pa.Table, stems: Sequence[str], store: Store) -> pa.Table:
    """PAIRS -> SCORES, one row per track, estimate, stem and metric."""
    rows = [
        {"estimates": name, "track_id": pair.track_id, **asdict(score)}
        for pair in map(_pair_of, pairs.to_pylist())
        for name, score in _score_pair(pair, stems, store)
    ]
    return pa.Table.from_pylist(rows, SCORES)


def _score_pair(pair: Pair, stems: Sequence[str], store: Store) -> Iterator[tuple[str, Score]]:
    """Each score with the name of its estimates."""
    with tempfile.TemporaryDirectory(prefix="stemfleet-") as folder, DecoderPool() as decoders:
        sources = SourceCache(folder, CACHE_BYTES, store)
        for name, estimate in pair.estimates.items():
            compared: dict[str, Compared] = {}
            reasons: dict[str, str] = {}
            for stem in stems:
                try:
                    compared[stem] = _compare(pair.reference, estimate, stem, sources, decoders)
                    _check_length(stem, compared)
                except Unscored as error:
                    compared.pop(stem, None)
                    reasons[stem] = str(error)
            for score in _scores(compared, reasons, stems):
                yield name, score


class Unscored(Exception):
    """Why a stem has no score, in a sentence."""


@dataclass(frozen=True, slots=True)
class Compared:
    """A stem's comparison, and the sample rate of its reference in Hz."""

    comparison: Comparison
    sample_rate: int

    @property
    def duration_s(self) -> float:
        return self.comparison.samples / self.sample_rate


def _check_length(stem: str, compared: dict[str, Compared]) -> None:
    """The stems of a track are as long as each other: they decide together which seconds count."""
    first = next(iter(compared))
    one, other = compared[first], compared[stem]
    if one.comparison.energy.shape != other.comparison.energy.shape:
        raise Unscored(
            f"the reference's {stem} has {other.duration_s:.2f} s, its {first} {one.duration_s:.2f} s"
        )


def _compare(
    reference: TrackStems, estimate: TrackStems, stem: str, sources: SourceCache, decoders: DecoderPool
) -> Compared:
    """At the sample rate of the reference, to which an estimate of another is resampled."""
    for side, track in (("reference", reference), ("estimate", estimate)):
        if track.error:
            raise Unscored(f"the {side} {track.error}")
        if stem not in track.files:
            raise Unscored(f"the {side} has no {stem}; it has {', '.join(sorted(track.files))}")
    true, guess = reference.files[stem], estimate.files[stem]
    try:
        with _decoding(true, sources, decoders) as ours:
            rate = ours.sample_rate_hz
            with _decoding(guess, sources, decoders, rate) as theirs:
                is_resampled = theirs.sample_rate_hz != rate
                slack = math.ceil(rate / theirs.sample_rate_hz) + 1 if is_resampled else 0
                gain = estimate.gain / reference.gain
                return Compared(compare(ours.blocks(), theirs.blocks(), rate, gain, slack), rate)
    except LengthsDiffer as error:
        raise Unscored(f"{guess}: {error}") from error
    except TrackError as error:
        raise Unscored(str(error)) from error


@contextmanager
def _decoding(
    uri: str, sources: SourceCache, decoders: DecoderPool, sample_rate: int | None = None
) -> Iterator[Decoding]:
    """At the file's own rate for None."""
    with (
        sources.open(uri, sources.stat(uri).etag) as file,
        open_decoding(file, uri, decoders, DEFAULTS, sample_rate) as decoding,
    ):
        yield decoding


def _scores(compared: dict[str, Compared], reasons: dict[str, str], stems: Sequence[str]) -> Iterator[Score]:
    """Of each stem, in the order of METRICS. A stem is either in `compared` or in `reasons`."""
    comparisons = {stem: each.comparison for stem, each in compared.items()}
    frames = frame_sdr(comparisons) if compared else {}
    for stem in stems:
        if stem in reasons:
            for metric in METRICS:
                yield Score(stem, metric, "error", reason=reasons[stem])
            continue
        seconds = int(np.count_nonzero(~np.isnan(frames[stem])))
        duration_s = compared[stem].duration_s
        for metric, score_db, why_not in (
            ("sdr", median(frames[stem]), "in every second some stem or its estimate is silent"),
            ("si_sdr", si_sdr(comparisons[stem]), "it or its estimate is silent throughout"),
        ):
            if math.isnan(score_db):
                yield Score(stem, metric, "silent", None, why_not, seconds, duration_s)
            else:
                yield Score(stem, metric, "ok", score_db, None, seconds, duration_s)
