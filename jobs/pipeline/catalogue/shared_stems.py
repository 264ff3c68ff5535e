"""Whether two tracks of a catalogue would write one file, which a `--filename` can bring about.

With `{track_id}_{stem}.{ext}`, the `no_vocals` of `song` and the `vocals` of `song_no` are one path.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from separation.errors import TrackError, UsageError
from separation.options import Options

DEFAULT = Options().filename  # the stem is a step of its own, so no two paths of it are equal


def refuse_shared_stems(tracks: pa.Table, options: Options, available: Iterable[str]) -> None:
    """Raises `UsageError` if two of `tracks`, a table of `ListedTrack`, have a stem at one path."""
    if options.filename == DEFAULT:
        return
    ids, stems = tracks["track_id"], options.outputs(available)

    def paths() -> Iterator[tuple[str, str]]:
        """Path and track of every stem; without the tracks that have none, which are errors."""
        for chunk in ids.chunks:
            for track_id in chunk.to_pylist():
                for stem in stems:
                    try:
                        yield options.path(track_id, stem), track_id
                    except TrackError:
                        break

    hashes = np.fromiter((hash(path) for path, _ in paths()), np.int64)
    known, counts = np.unique(hashes, return_counts=True)
    repeated = set(known[counts > 1].tolist())
    if not repeated:
        return
    owners: dict[str, str] = {}
    for path, track_id in paths():
        if hash(path) in repeated and (other := owners.setdefault(path, track_id)) != track_id:
            raise UsageError(
                f"--filename {options.filename!r} makes {path!r} a stem of {other!r} and of {track_id!r}"
            )
