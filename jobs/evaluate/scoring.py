"""A track's scores, on a worker: no Ray here, `jobs.evaluate` hands it tables of tracks.

What cannot be scored is a row with a reason; only a store that fails raises.
"""

import math
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pyarrow as pa

from jobs.evaluate.layout import Track
from jobs.evaluate.sdr import Comparison, LengthsDiffer, compare, frame_sdr, median, si_sdr
from jobs.pipeline.arrow import Row
from separation.audio.reading import open_audio
from separation.contract import SAMPLE_RATE
from separation.errors import TrackError
from separation.store.source_cache import SourceCache

METRICS = ("sdr", "si_sdr")
FETCHED_BYTES = 2_000_000_000  # of a track's files on a worker's disk: references are read once an estimate

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
        ("estimates", pa.string()),  # the name given to --estimates
        ("track_id", pa.string()),  # its path below the reference
        ("stem", pa.string()),
        ("metric", pa.string()),  # sdr | si_sdr
        ("score_db", pa.float64()),  # null if the status is not ok
        ("status", pa.string()),  # ok | silent | error
        ("reason", pa.string()),
        ("frames", pa.int32()),  # seconds that count for SDR
        ("duration_s", pa.float64()),
    ]
)


def as_table(pairs: Sequence[Row]) -> pa.Table:
    return pa.Table.from_pylist(list(pairs), PAIRS)


def score(tracks: pa.Table, stems: Sequence[str]) -> pa.Table:
    """PAIRS -> SCORES, a row an estimate, stem and metric."""
    return pa.Table.from_pylist([row for track in tracks.to_pylist() for row in _score(track, stems)], SCORES)


def _score(track: Row, stems: Sequence[str]) -> Iterator[Row]:
    reference = _as_track(track["reference"])
    with tempfile.TemporaryDirectory(prefix="stemfleet-") as folder:
        sources = SourceCache(folder, FETCHED_BYTES)
        for estimate in track["estimates"]:
            compared: dict[str, Comparison] = {}
            reasons: dict[str, str] = {}
            for stem in stems:
                try:
                    compared[stem] = _compare(reference, _as_track(estimate), stem, sources)
                except Unscored as error:
                    reasons[stem] = str(error)
            for stem, scores in _scores(compared, reasons, stems).items():
                for metric in METRICS:
                    where = {"estimates": estimate["name"], "track_id": track["track_id"], "stem": stem}
                    yield {**where, "metric": metric, **scores[metric]}


def _as_track(row: Row) -> Track:
    return Track(dict(row["files"]), row["gain"], row["error"])


class Unscored(Exception):
    """Why a stem has no score, in a sentence."""


def _compare(reference: Track, estimate: Track, stem: str, sources: SourceCache) -> Comparison:
    for side, track in (("reference", reference), ("estimate", estimate)):
        if track.error:
            raise Unscored(f"the {side} {track.error}")
        if stem not in track.files:
            raise Unscored(f"the {side} has no {stem}; it has {', '.join(sorted(track.files))}")
    true, guess = reference.files[stem], estimate.files[stem]
    try:
        with _blocks(true, sources) as ours, _blocks(guess, sources) as theirs:
            return compare(ours, theirs, estimate.gain / reference.gain)
    except LengthsDiffer as error:
        raise Unscored(f"{guess}: {error}") from error
    except TrackError as error:
        raise Unscored(str(error)) from error


@contextmanager
def _blocks(uri: str, sources: SourceCache) -> Iterator[Iterator[np.ndarray]]:
    with sources.open(uri, sources.stat(uri).etag) as file:
        yield open_audio(file, uri).blocks()


def _scores(
    compared: dict[str, Comparison], reasons: dict[str, str], stems: Sequence[str]
) -> dict[str, dict[str, Row]]:
    """Stem -> metric -> the columns of its row."""
    frames = frame_sdr(compared) if compared else {}
    rows: dict[str, dict[str, Row]] = {}
    for stem in stems:
        if stem in reasons:
            row = {"status": "error", "reason": reasons[stem]}
            rows[stem] = dict.fromkeys(METRICS, row)
            continue
        row = {
            "frames": int(np.count_nonzero(~np.isnan(frames[stem]))),
            "duration_s": compared[stem].samples / SAMPLE_RATE,
        }
        rows[stem] = {
            "sdr": row | _value(median(frames[stem]), "in every second some stem or its estimate is silent"),
            "si_sdr": row | _value(si_sdr(compared[stem]), "it or its estimate is silent throughout"),
        }
    return rows


def _value(score: float, why_not: str) -> Row:
    if math.isnan(score):
        return {"status": "silent", "reason": why_not}
    return {"status": "ok", "score_db": score}
