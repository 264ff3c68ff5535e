"""Files that belong to no track: parts of long tracks that are done, and uploads that never completed."""

from itertools import islice

import numpy as np

from jobs.pipeline.output.paths import track_of_part
from jobs.verify.name_hashes import contains, hash_names
from jobs.verify.problems import Kind, Problem, Problems
from jobs.verify.reconcile import OutputFolder, Reconciled, path_of
from jobs.verify.stored_stems import LISTED_AT_ONCE
from separation.store.atomic_write import UNFINISHED
from separation.store.filesystems import join


def find_parts(
    folder: OutputFolder, reconciled: Reconciled, catalogue: np.ndarray, problems: Problems
) -> None:
    """Finds parts of tracks that are done, or that neither the tables nor the catalogue have.

    `catalogue` are the sorted hashes of its track ids.
    """
    parts = join(folder.uri, "parts")
    root = f"{path_of(parts)}/"
    listing = folder.store.list_files(parts)
    while page := list(islice(listing, LISTED_AT_ONCE)):
        page = [file for file in page if not UNFINISHED.fullmatch(file.uri.rpartition("/")[2])]
        tracks = [track_of_part(path_of(file.uri).removeprefix(root)) for file in page]
        hashes = hash_names(tracks)
        done, pending = contains(reconciled.tracks, hashes), contains(catalogue, hashes)
        for file, track, is_done, is_pending in zip(page, tracks, done, pending, strict=True):
            if is_done or not is_pending:
                problems.add(
                    Problem(
                        Kind.ORPHAN_PART,
                        track_id=track,
                        uri=file.uri,
                        expected="none: the track is done" if is_done else "none: no such track",
                        found=f"{file.bytes} bytes",
                        modified=file.modified,
                    )
                )


def find_uploads(folder: OutputFolder, problems: Problems) -> None:
    """Raises `NotOffered` where the store cannot list unfinished uploads."""
    for upload in folder.store.list_uploads(folder.uri):
        problems.add(
            Problem(
                Kind.UNFINISHED_UPLOAD, uri=upload.uri, upload_id=upload.upload_id, modified=upload.started
            )
        )
