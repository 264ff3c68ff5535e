"""Which files of a catalogue are the output's own: a second run would separate the stems of the first."""

import pyarrow as pa
import pyarrow.compute as pc

from separation.catalogue.own_output import LocalFolder
from separation.store.filesystems import is_local, local_path


def lie_below(uris: pa.ChunkedArray, output: str) -> pa.ChunkedArray:
    """For each URI or plain path whether it lies below the folder `output`, however either is spelled."""
    if not is_local(output):
        folder = _one_spelling(pa.array([output.rstrip("/")]))[0]
        return pc.starts_with(_one_spelling(uris), f"{folder}/")
    folder = LocalFolder(str(local_path(output)))
    paths = pc.replace_substring_regex(uris, r"(?i)^(file|local)://", "")
    remote = pc.match_substring_regex(paths, r"^[A-Za-z][A-Za-z0-9+.-]*://")
    below = [
        not is_remote and folder.holds(path)
        for path, is_remote in zip(paths.to_pylist(), remote.to_pylist(), strict=True)
    ]
    return pa.chunked_array([pa.array(below, pa.bool_())])


def _one_spelling(uris: pa.Array) -> pa.Array:
    return pc.replace_substring_regex(uris, r"(?i)^s3a?://", "s3://")
