"""The paths of a track's outputs, and whether the output can hold them."""

import hashlib
import os

from jobs.pipeline.job import Job
from jobs.pipeline.records import ListedTrack
from separation.errors import ErrorKind, TrackError
from separation.grid import Section
from separation.store.filesystems import is_local, join, local_path
from separation.store.track_ids import check_output_uris, check_track_id

LONGEST_PART = "999.-99999999.999999999999"  # a name that no section's is longer than


def part(job: Job, track_id: str, stem: str, section: Section) -> str:
    """The file of a section's weighted sum, until the track is finished.

    It is named after the section's shift, first sample and number of chunks. A later run may divide the track
    otherwise: by index, a last write of the run before could be taken for another section's.
    """
    return _part(job, track_id, stem, f"{section.shift}.{section.start}.{len(section.chunks)}")


def _part(job: Job, track_id: str, stem: str, name: str) -> str:
    return join(job.output, f"parts/{part_folder(track_id)}/{stem}/{name}.npy")


def parts(job: Job, track_id: str) -> list[str]:
    """All files of sums that a track has, those of a run that divided it otherwise too."""
    folder = join(job.output, f"parts/{part_folder(track_id)}")
    return [file.uri for file in job.store.list_files(folder)]


def part_folder(track_id: str) -> str:
    """The name of the folder of a track's parts: a digest, since ids may be paths of each other's parts."""
    return hashlib.sha256(track_id.encode()).hexdigest()[:32]


def check_key(track: ListedTrack, job: Job) -> None:
    """Raises `TrackError(BAD_KEY)` for a track whose id is no path, or a longer one than the output takes.

    So does one whose stems a link of a folder would put elsewhere, where they may overwrite a source.
    """
    check_track_id(track.uri, track.track_id)
    stems = [join(job.output, f"stems/{job.options.path(track.track_id, stem)}") for stem in job.outputs]
    longest_part = _part(job, track.track_id, max(job.stems, key=len), LONGEST_PART)
    check_output_uris(track.uri, [*stems, longest_part])
    _check_links(track, job, stems)


def _check_links(track: ListedTrack, job: Job, stems: list[str]) -> None:
    if not is_local(job.output):
        return
    root = os.path.realpath(local_path(join(job.output, "stems")))
    for folder in {local_path(stem).parent for stem in stems}:
        found = os.path.realpath(folder)
        if os.path.commonpath([root, found]) != root:
            reason = f"its stems would leave the output by a link, to {found}"
            raise TrackError(track.uri, ErrorKind.BAD_KEY, reason)
