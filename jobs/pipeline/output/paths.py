"""Where a track's outputs go, and whether they can go there."""

from jobs.pipeline.arrow import Row
from jobs.pipeline.job import Job
from separation.errors import ErrorKind, TrackError
from separation.store.objects import join
from separation.store.track_ids import check_output_uris, check_track_id

MOST_SECTIONS = 999_999


def part(job: Job, track_id: str, stem: str, section: int) -> str:
    """A section's weighted sum, until the track is finished; below the id itself, as its stems are."""
    return join(job.output, f"parts/{track_id}/{stem}/{section}.npy")


def track_of_part(path: str) -> str:
    """The track of a part, whose path below `parts/` this is."""
    return path.rsplit("/", 2)[0]


def check_key(track: Row, job: Job) -> None:
    """Raises `TrackError(BAD_KEY)` for a track that the catalogue refused, or whose id is no path."""
    uri, track_id = track["uri"], track["track_id"]
    if track.get("error"):
        raise TrackError(uri, ErrorKind.BAD_KEY, track["error"])
    check_track_id(uri, track_id)
    stems = [
        join(job.output, f"stems/{job.options.path(track_id, stem)}")
        for stem in job.options.outputs(job.bag.stems)
    ]
    check_output_uris(uri, [*stems, part(job, track_id, max(job.stems, key=len), MOST_SECTIONS)])
