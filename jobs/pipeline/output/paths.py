"""The paths of a track's outputs, and whether the output can hold them."""

import hashlib

from jobs.pipeline.job import Job
from jobs.pipeline.records import ListedTrack
from separation.store.filesystems import join
from separation.store.track_ids import check_output_uris, check_track_id

MOST_SECTIONS = 999_999


def part(job: Job, track_id: str, stem: str, section: int) -> str:
    """The file of a section's weighted sum, until the track is finished."""
    return join(job.output, f"parts/{part_folder(track_id)}/{stem}/{section}.npy")


def parts(job: Job, track_id: str, sections: int) -> list[str]:
    """The files of all sums of a track of that many sections."""
    return [part(job, track_id, stem, section) for stem in job.stems for section in range(sections)]


def part_folder(track_id: str) -> str:
    """The name of the folder of a track's parts: a digest, since ids may be paths of each other's parts."""
    return hashlib.sha256(track_id.encode()).hexdigest()[:32]


def check_key(track: ListedTrack, job: Job) -> None:
    """Raises `TrackError(BAD_KEY)` for a track whose id is no path, or a longer one than the output takes."""
    check_track_id(track.uri, track.track_id)
    stems = [
        join(job.output, f"stems/{job.options.path(track.track_id, stem)}")
        for stem in job.options.outputs(job.bag.stems)
    ]
    longest_part = part(job, track.track_id, max(job.stems, key=len), MOST_SECTIONS)
    check_output_uris(track.uri, [*stems, longest_part])
