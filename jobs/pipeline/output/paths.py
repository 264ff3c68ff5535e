"""The paths of a track's outputs, and whether the output can hold them."""

from jobs.pipeline.job import Job
from jobs.pipeline.records import ListedTrack
from separation.store.filesystems import join
from separation.store.track_ids import check_output_uris, check_track_id

MOST_SECTIONS = 999_999


def part(job: Job, track_id: str, stem: str, section: int) -> str:
    """The file of a section's weighted sum, until the track is finished; below its id, as its stems."""
    return join(job.output, f"parts/{track_id}/{stem}/{section}.npy")


def track_of_part(path: str) -> str:
    """The id of the track that a part belongs to; `path` is the part's path below `parts/`."""
    return path.rsplit("/", 2)[0]


def check_key(track: ListedTrack, job: Job) -> None:
    """Raises `TrackError(BAD_KEY)` for a track whose id is no path, or a longer one than the output takes."""
    check_track_id(track.uri, track.track_id)
    stems = [
        join(job.output, f"stems/{job.options.path(track.track_id, stem)}")
        for stem in job.options.outputs(job.bag.stems)
    ]
    longest_part = part(job, track.track_id, max(job.stems, key=len), MOST_SECTIONS)
    check_output_uris(track.uri, [*stems, longest_part])
