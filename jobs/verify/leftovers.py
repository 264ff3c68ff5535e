"""What writers left that belongs to no track: parts of long tracks, and uploads that never ended."""

from itertools import islice

import numpy as np

from jobs.pipeline.output.paths import track_of_part
from jobs.verify.name_hashes import contains, marks
from jobs.verify.problems import Kind, Problems
from jobs.verify.reconcile import Accounts, Place, path_of
from jobs.verify.stored_stems import LISTED_AT_ONCE
from separation.store.objects import UNFINISHED, join, list_files, list_uploads


def find_parts(place: Place, accounts: Accounts, catalogue: np.ndarray, problems: Problems) -> None:
    """Parts of tracks that are done, or that neither the tables nor the catalogue (sorted marks) know."""
    folder = join(place.output, "parts")
    inside = f"{path_of(folder)}/"
    listing = list_files(folder)
    while page := list(islice(listing, LISTED_AT_ONCE)):
        page = [file for file in page if not UNFINISHED.fullmatch(file.uri.rpartition("/")[2])]
        tracks = [track_of_part(path_of(file.uri).removeprefix(inside)) for file in page]
        found = marks(tracks)
        done, pending = contains(accounts.done, found), contains(catalogue, found)
        for file, track, is_done, is_pending in zip(page, tracks, done, pending, strict=True):
            if is_done or not is_pending:
                problems.add(
                    Kind.ORPHAN_PART,
                    track_id=track,
                    uri=file.uri,
                    expected="none: the track is done" if is_done else "none: no such track",
                    found=f"{file.bytes} bytes",
                    modified=file.modified,
                )


def find_uploads(place: Place, problems: Problems) -> None:
    for upload in list_uploads(place.output):
        problems.add(
            Kind.UNFINISHED_UPLOAD, uri=upload.uri, upload_id=upload.upload_id, modified=upload.started
        )
