"""Files that belong to no track: parts of long tracks that are done, and uploads that never completed."""

from collections.abc import Iterable

import pyarrow as pa

from jobs.pipeline.output.folder import OutputFolder, path_of
from jobs.pipeline.output.paths import part_folder
from jobs.verify.problems import Kind, Problem, Problems
from jobs.verify.reconcile import read_pairs
from separation.store.disk.atomic_write import UNFINISHED
from separation.store.filesystems import join


def find_parts(folder: OutputFolder, catalogue: pa.ChunkedArray, problems: Problems) -> None:
    """Finds parts of tracks that are done, or that are not in `catalogue`, an array of ids."""
    root = join(folder.uri, "parts")
    parts = [
        (path_of(file.uri).removeprefix(f"{path_of(root)}/").partition("/")[0], file)
        for file in folder.store.list_files(root)
        if not UNFINISHED.fullmatch(file.uri.rpartition("/")[2])
    ]
    if not parts:
        return
    names = {name for name, _ in parts}
    listed, done = _owners(names, catalogue), dict[str, str]()
    for _, tracks, _ in read_pairs(folder):
        done |= _owners(names, tracks["track_id"])
    for name, file in parts:
        if name in done or name not in listed:
            problems.add(
                Problem(
                    Kind.ORPHAN_PART,
                    track_id=done.get(name),
                    uri=file.uri,
                    expected="none: the track is done" if name in done else "none: no such track",
                    found=f"{file.bytes} bytes",
                    modified=file.modified,
                )
            )


def _owners(names: Iterable[str], tracks: pa.ChunkedArray) -> dict[str, str]:
    """The ids in `tracks` whose parts are in one of the folders `names`, by that name."""
    ids = (track.as_py() for chunk in tracks.chunks for track in chunk)
    return {name: track for track in ids if (name := part_folder(track)) in names}


def find_uploads(folder: OutputFolder, problems: Problems) -> None:
    """Raises `NotOffered` where the store cannot list unfinished uploads."""
    for upload in folder.store.list_uploads(folder.uri):
        problems.add(
            Problem(
                Kind.UNFINISHED_UPLOAD, uri=upload.uri, upload_id=upload.upload_id, modified=upload.started
            )
        )
